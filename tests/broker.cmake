set(BROKER_RIG unit/broker_rig.c sim/model_store.c)
cf_test(broker_core LABEL unit SOURCES unit/broker_core.c ${BROKER_RIG} LINK cf_broker SECONDS 10)
cf_test(broker_queries LABEL unit SOURCES unit/broker_queries.c ${BROKER_RIG} LINK cf_broker SECONDS 10)
cf_test(broker_journal LABEL unit SOURCES unit/broker_journal.c LINK cf_broker SECONDS 10)
cf_fuzz(broker SOURCES fuzz/fuzz_broker.c sim/model_store.c LINK cf_broker)
cf_test(broker_sim LABEL sim SOURCES sim/broker_sim.c sim/actors.c sim/checks.c sim/model_store.c LINK cf_broker
  SECONDS 120)
add_test(NAME broker_sim_long COMMAND broker_sim 10000 1000)
set_tests_properties(broker_sim_long PROPERTIES LABELS long TIMEOUT 3600)
