cf_test(descriptor_gist_golden LABEL golden SOURCES golden/gist.c LINK cf_descriptor m)
cf_test(descriptor_space LABEL unit SOURCES unit/descriptor_space.c LINK cf_descriptor m)
cf_test(descriptor_gist LABEL property SOURCES unit/descriptor_gist.c LINK cf_descriptor m)
