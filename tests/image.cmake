cf_test(image_jpeg LABEL unit SOURCES unit/image_jpeg.c unit/image_make.c LINK cf_image)
cf_test(image_pnm LABEL unit SOURCES unit/image_pnm.c unit/image_make.c LINK cf_image)
cf_test(image_png LABEL unit SOURCES unit/image_png.c unit/image_make.c LINK cf_image)
cf_test(image_webp LABEL unit SOURCES unit/image_webp.c unit/image_make.c LINK cf_image)
cf_test(image_resize LABEL property SOURCES unit/image_resize.c LINK cf_image m)
cf_test(image_real LABEL unit SOURCES unit/image_real.c unit/image_make.c LINK cf_descriptor cf_image)
cf_test(image_sandbox LABEL unit SOURCES unit/image_sandbox.c LINK cf_runner cf_image)
cf_fuzz(image SOURCES fuzz/fuzz_image.c LINK cf_descriptor cf_image)

# Not a test: run by hand, see bench/decode.c.
add_executable(decode_bench EXCLUDE_FROM_ALL bench/decode.c)
target_link_libraries(decode_bench PRIVATE cf_image cf_base PkgConfig::JPEG PkgConfig::PNG PkgConfig::WEBP cf_flags)
set_target_properties(decode_bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
