# The index against its peers: tests/bench/ann/run builds and runs it. Nothing of it is built by default.
add_library(ann_bench_parts STATIC EXCLUDE_FROM_ALL
  bench/ann/crew.c bench/ann/truth.c bench/ann/vecs.c)
target_link_libraries(ann_bench_parts PUBLIC cf_base Threads::Threads m PRIVATE cf_flags)

add_executable(ann_set EXCLUDE_FROM_ALL bench/ann/set.c bench/ann/describe.c bench/ann/pictures.c)
target_link_libraries(ann_set PRIVATE ann_bench_parts cf_descriptor cf_image PkgConfig::JPEG cf_flags)
set_target_properties(ann_set PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
