# Attacked covers among many: tests/bench/looks/run builds and runs it; looks_bench_short is a small run of it.
add_library(looks_bench_parts STATIC
  bench/looks/attacks.c bench/looks/paint.c bench/looks/pixels.c bench/looks/scores.c
  bench/ann/describe.c)
target_link_libraries(looks_bench_parts PUBLIC cf_image cf_recommend cf_base PkgConfig::CAIRO m
  PRIVATE PkgConfig::JPEG cf_flags)

add_executable(looks bench/looks/draw.c bench/looks/gallery.c bench/looks/main.c bench/looks/measure.c bench/looks/plot.c
  bench/looks/report.c)
target_link_libraries(looks PRIVATE looks_bench_parts ann_bench_parts cf_cli cf_client cf_descriptor cf_flags)
set_target_properties(looks PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)

cf_test(looks_bench_parts_test LABEL unit SOURCES unit/looks_bench.c LINK looks_bench_parts)
