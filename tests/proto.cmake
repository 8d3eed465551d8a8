cf_test(proto_msg LABEL unit SOURCES unit/proto_msg.c unit/proto_samples.c LINK cf_proto)
cf_test(proto_container LABEL unit SOURCES unit/proto_container.c LINK cf_proto)
cf_test(proto_golden LABEL golden SOURCES unit/proto_golden.c unit/proto_samples.c LINK cf_proto)
cf_test(proto_property LABEL property SOURCES unit/proto_property.c unit/proto_samples.c LINK cf_proto)
cf_test(proto_client LABEL unit SOURCES unit/proto_client.c unit/proto_fleet.c LINK cf_client)
cf_test(proto_text LABEL golden SOURCES unit/proto_text.c LINK cf_proto)
cf_fuzz(container SOURCES fuzz/fuzz_container.c LINK cf_proto)
cf_fuzz(msg SOURCES fuzz/fuzz_msg.c LINK cf_proto)

# The example programs against real processes; the helpers are those of the other integration tests.
add_test(NAME protocol_examples
  COMMAND /usr/bin/python3 -B ${CMAKE_SOURCE_DIR}/tests/integration/examples.py)
set_tests_properties(protocol_examples PROPERTIES LABELS integration TIMEOUT 120 SKIP_RETURN_CODE 77 RUN_SERIAL ON
  ENVIRONMENT "COVERFLEET_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
