cf_test(base LABEL unit SOURCES unit/base.c LINK cf_base)
cf_test(base_crew LABEL unit SOURCES unit/base_crew.c LINK cf_base)
