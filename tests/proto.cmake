cf_test(proto_msg LABEL unit SOURCES unit/proto_msg.c unit/proto_samples.c LINK cf_proto)
cf_test(proto_golden LABEL golden SOURCES unit/proto_golden.c unit/proto_samples.c LINK cf_proto)
cf_test(proto_property LABEL property SOURCES unit/proto_property.c unit/proto_samples.c LINK cf_proto)
cf_fuzz(msg SOURCES fuzz/fuzz_msg.c LINK cf_proto)
