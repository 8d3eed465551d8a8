cf_test(descriptor_gist_golden LABEL golden SOURCES golden/gist.c LINK cf_descriptor m)
cf_test(descriptor_covernet_golden LABEL golden SOURCES golden/covernet.c LINK cf_descriptor m)
cf_test(descriptor_space LABEL unit SOURCES unit/descriptor_space.c LINK cf_descriptor m)
cf_test(descriptor_learned LABEL unit SOURCES unit/descriptor_learned.c LINK cf_descriptor m)
cf_test(descriptor_models LABEL unit SOURCES unit/descriptor_models.c LINK cf_descriptor m)
target_link_options(descriptor_learned PRIVATE -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc)
cf_test(descriptor_gist LABEL property SOURCES unit/descriptor_gist.c LINK cf_descriptor m)

# cmake --build … --target gist_bench; FFTW is GPL and serves this comparison only.
add_executable(gist_bench EXCLUDE_FROM_ALL bench/gist_bench.c)
target_link_libraries(gist_bench PRIVATE cf_descriptor cf_flags)
pkg_check_modules(FFTW3F IMPORTED_TARGET fftw3f)
if(FFTW3F_FOUND)
  target_compile_definitions(gist_bench PRIVATE CF_BENCH_FFTW)
  target_link_libraries(gist_bench PRIVATE PkgConfig::FFTW3F)
endif()

# cmake --build … --target covernet_bench
add_executable(covernet_bench EXCLUDE_FROM_ALL bench/covernet_bench.c)
target_link_libraries(covernet_bench PRIVATE cf_descriptor cf_flags)
