set(BROKER_SIM_SOURCES sim/broker_sim.c sim/actors.c sim/checks.c sim/model_store.c)
cf_test(broker_sim LABEL sim SOURCES ${BROKER_SIM_SOURCES} LINK cf_broker SECONDS 60)
add_test(NAME broker_sim_long COMMAND broker_sim 10000 1000)
set_tests_properties(broker_sim_long PROPERTIES LABELS long TIMEOUT 1800)
