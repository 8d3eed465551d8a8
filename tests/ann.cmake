cf_test(ann_kernels LABEL property SOURCES property/ann_kernels.c LINK cf_ann cf_base m)
cf_test(ann_train_kernels LABEL property SOURCES property/ann_train_kernels.c LINK cf_ann cf_base m)
cf_test(ann_exact LABEL property SOURCES property/ann_exact.c unit/ann_fixture.c LINK cf_ann cf_base m)
cf_test(ann_recall LABEL property SECONDS 240 SOURCES property/ann_recall.c unit/ann_fixture.c LINK cf_ann cf_base m)
cf_test(ann_covers LABEL property SECONDS 240 SOURCES property/ann_covers.c unit/ann_fixture.c
  LINK cf_ann cf_descriptor cf_image cf_base m)
cf_test(ann_rows LABEL unit SOURCES unit/ann_rows.c LINK cf_ann cf_base m)
cf_test(ann_file LABEL unit SECONDS 240 SOURCES unit/ann_file.c unit/ann_fixture.c LINK cf_ann cf_base m)
cf_test(ann_disk_full LABEL unit SOURCES unit/ann_disk_full.c unit/ann_fixture.c LINK cf_ann cf_base m)
cf_fuzz(ann SOURCES fuzz/fuzz_ann.c LINK cf_ann cf_base)

# Not a test: run by hand, see tests/bench/ann_bench.c.
add_executable(ann_bench bench/ann_bench.c)
target_link_libraries(ann_bench PRIVATE cf_ann cf_base m cf_flags)
set_target_properties(ann_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
