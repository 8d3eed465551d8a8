cf_test(query_parts LABEL unit SOURCES unit/query_parts.c LINK cf_query_worker)
cf_test(query_search LABEL unit SOURCES unit/query_search.c unit/query_world.c LINK cf_query_worker)
cf_test(query_engine LABEL property SOURCES unit/query_engine.c unit/query_world.c LINK cf_query_worker SECONDS 120)
cf_test(query_threads LABEL property SOURCES unit/query_threads.c unit/query_world.c LINK cf_query_worker SECONDS 120)
