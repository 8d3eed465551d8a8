cf_test(runner_runner LABEL unit SOURCES unit/runner_runner.c LINK cf_runner SECONDS 60)
cf_test(runner_begin LABEL unit SOURCES unit/runner_begin.c LINK cf_runner SECONDS 30)
cf_test(runner_decoder LABEL unit SOURCES unit/runner_decoder.c LINK cf_runner SECONDS 60)
