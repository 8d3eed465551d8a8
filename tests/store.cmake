cf_test(store_kv_test LABEL unit SOURCES unit/store_kv_test.c LINK cf_store)
