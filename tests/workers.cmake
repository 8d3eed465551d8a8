cf_test(descriptor_worker_fetch_test LABEL unit SOURCES unit/descriptor_worker_fetch_test.c LINK cf_descriptor_worker)
cf_test(indexer_plan_test LABEL unit SOURCES unit/indexer_plan_test.c LINK cf_indexer_worker)
cf_test(descriptor_worker_describing_test LABEL unit
  SOURCES unit/descriptor_worker_describing_test.c LINK cf_descriptor_worker)
cf_test(indexer_build_test LABEL unit SOURCES unit/indexer_build_test.c LINK cf_indexer_worker)
# With a runner and a compute half of its own.
cf_test(descriptor_worker_role_test LABEL unit
  SOURCES unit/descriptor_worker_role_test.c ${CMAKE_SOURCE_DIR}/workers/descriptor/role.c
    ${CMAKE_SOURCE_DIR}/workers/descriptor/cover.c
  LINK cf_io cf_proto cf_base)
cf_test(indexer_role_test LABEL unit
  SOURCES unit/indexer_role_test.c ${CMAKE_SOURCE_DIR}/workers/indexer/role.c
  LINK cf_io cf_proto cf_descriptor cf_base)
