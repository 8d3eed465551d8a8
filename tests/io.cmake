cf_test(io_loop LABEL unit SOURCES unit/io_loop.c LINK cf_io SECONDS 30)
cf_test(io_pool LABEL unit SOURCES unit/io_pool.c LINK cf_io SECONDS 30)
