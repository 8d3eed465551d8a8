cf_test(vecfile LABEL unit SOURCES unit/vecfile.c LINK cf_vecfile SECONDS 20)
cf_fuzz(vecfile SOURCES fuzz/fuzz_vecfile.c LINK cf_vecfile)
