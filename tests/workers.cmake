cf_test(descriptor_worker_fetch_test LABEL unit SOURCES unit/descriptor_worker_fetch_test.c LINK cf_descriptor_worker)
cf_test(indexer_plan_test LABEL unit SOURCES unit/indexer_plan_test.c LINK cf_indexer_worker)
cf_test(descriptor_worker_describing_test LABEL unit
  SOURCES unit/descriptor_worker_describing_test.c LINK cf_descriptor_worker)
target_link_options(descriptor_worker_describing_test PRIVATE -Wl,--wrap=cf_shard_album)
cf_test(descriptor_worker_redescribing_test LABEL unit
  SOURCES unit/descriptor_worker_redescribing_test.c LINK cf_descriptor_worker)
cf_test(indexer_build_test LABEL unit SOURCES unit/indexer_build_test.c unit/indexer_rig.c LINK cf_indexer_worker)
cf_test(indexer_small_test LABEL unit SECONDS 300 SOURCES unit/indexer_small_test.c unit/indexer_rig.c LINK cf_indexer_worker)
target_link_options(indexer_small_test PRIVATE -Wl,--wrap=cf_cpu_background)
# With a runner and a compute half of its own.
cf_test(descriptor_worker_role_test LABEL unit
  SOURCES unit/descriptor_worker_role_test.c ${CMAKE_SOURCE_DIR}/workers/descriptor/role.c
    ${CMAKE_SOURCE_DIR}/workers/descriptor/cover.c
  LINK cf_io cf_proto cf_descriptor cf_base)
cf_test(indexer_role_test LABEL unit
  SOURCES unit/indexer_role_test.c ${CMAKE_SOURCE_DIR}/workers/indexer/role.c
  LINK cf_io cf_proto cf_descriptor cf_base)
# Static libraries only: the linker shows it every allocation of theirs.
cf_test(descriptor_worker_steady_test LABEL unit
  SOURCES unit/descriptor_worker_steady_test.c LINK cf_descriptor_worker)
target_link_options(descriptor_worker_steady_test PRIVATE
  -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)

# Run by bench/worker.py; times nothing in ordinary runs.
add_executable(worker_parts EXCLUDE_FROM_ALL bench/worker_parts.c)
target_link_libraries(worker_parts PRIVATE cf_runner cf_store cf_descriptor cf_image cf_base cf_flags)
set_target_properties(worker_parts PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)

# Run by bench/fleet_load.py, or by hand against any fleet: see bench/fleet_load/main.c.
add_executable(fleet_load
  bench/fleet_load/asking.c bench/fleet_load/main.c bench/fleet_load/probing.c bench/fleet_load/pushing.c)
target_link_libraries(fleet_load PRIVATE cf_cli cf_vecfile cf_client cf_image PkgConfig::JPEG cf_flags)
set_target_properties(fleet_load PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)

# What a small change costs beside a whole rebuild; run by hand, see the file.
add_executable(indexer_small EXCLUDE_FROM_ALL bench/indexer_small.c)
target_link_libraries(indexer_small PRIVATE cf_indexer_worker m cf_flags)
set_target_properties(indexer_small PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
