cf_test(image_jpeg LABEL unit SOURCES unit/image_jpeg.c unit/image_make.c LINK cf_image)
cf_test(image_pnm LABEL unit SOURCES unit/image_pnm.c unit/image_make.c LINK cf_image)
cf_test(image_resize LABEL property SOURCES unit/image_resize.c LINK cf_image m)
