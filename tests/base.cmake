cf_test(base LABEL unit SOURCES unit/base.c LINK cf_base)
