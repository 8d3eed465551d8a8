cf_test(runner_runner LABEL unit SOURCES unit/runner_runner.c LINK cf_runner SECONDS 60)
cf_test(runner_begin LABEL unit SOURCES unit/runner_begin.c LINK cf_runner SECONDS 30)
