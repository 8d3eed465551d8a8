cf_test(descriptor_gist_golden LABEL golden SOURCES golden/gist.c LINK cf_descriptor m)
