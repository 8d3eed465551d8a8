/* What every worker's main does first: arguments, configuration, refusals with exit code 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "workers/runner/runner.h"

struct world {
    char folder[64], output[96];
    int stdout_kept, stderr_kept;
    struct cf_home home;
    struct cf_config config;
    char name[32];
    char said[8192];
};

static int setup(void **state)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    snprintf(world.folder, sizeof world.folder, "/tmp/cf-begin-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    snprintf(world.output, sizeof world.output, "%s/output", world.folder);
    assert_int_equal(setenv("COVERFLEET_HOME", world.folder, 1), 0);
    unsetenv("COVERFLEET_SIMD");
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    const char *const files[] = {"output",           "coverfleet.conf",  "run/indexer-0.lock",
                                 "run/query-0.lock", "run/query-1.lock", "run/left_Slot-12.lock"},
                      *const folders[] = {"run", "data", ""};
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, files[i]);
        unlink(path);
    }
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", world->folder, folders[i]);
        rmdir(path);
    }
    return 0;
}

static void configure(const struct world *world, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/coverfleet.conf", world->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* Runs cf_worker_begin with both outputs in world->said. */
static int begin(struct world *world, enum cf_role role, const char *argument, const char *second)
{
    char program[] = "worker", first_copy[64], second_copy[64];
    char *argv[] = {program, first_copy, second_copy, NULL};
    snprintf(first_copy, sizeof first_copy, "%s", argument ? argument : "");
    snprintf(second_copy, sizeof second_copy, "%s", second ? second : "");
    int argc = second ? 3 : argument ? 2 : 1;
    argv[argc] = NULL;
    fflush(NULL);
    world->stdout_kept = dup(STDOUT_FILENO);
    world->stderr_kept = dup(STDERR_FILENO);
    int fd = open(world->output, O_CREAT | O_TRUNC | O_RDWR, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    int code =
        cf_worker_begin(argc, argv, role, &world->home, &world->config, world->name, sizeof world->name);
    fflush(NULL);
    dup2(world->stdout_kept, STDOUT_FILENO);
    dup2(world->stderr_kept, STDERR_FILENO);
    close(world->stdout_kept);
    close(world->stderr_kept);
    ssize_t len = pread(fd, world->said, sizeof world->said - 1, 0);
    close(fd);
    world->said[len > 0 ? len : 0] = '\0';
    return code;
}

static void test_goes_on_with_defaults(void **state)
{
    struct world *world = *state;
    assert_int_equal(begin(world, CF_ROLE_INDEXER, NULL, NULL), -1);
    assert_string_equal(world->name, "indexer-0");
    assert_int_equal(world->config.broker_lease_ms, 30000);
    assert_non_null(strstr(world->said, "event=worker_started role=indexer"));
    assert_non_null(strstr(world->said, "broker.lease_ms = 30000"));
    assert_non_null(strstr(world->said, "query.recall_default = 0.95")); /* the last of the settings */
    struct stat info;
    assert_int_equal(stat(world->home.run, &info), 0);
}

static void test_takes_the_slot_and_the_file(void **state)
{
    struct world *world = *state;
    configure(world, "descriptor {\n  credit = 7\n}\n");
    assert_int_equal(begin(world, CF_ROLE_DESCRIPTOR, "left_Slot-12", NULL), -1);
    assert_string_equal(world->name, "left_Slot-12");
    assert_int_equal(world->config.descriptor_credit, 7);
    assert_non_null(strstr(world->said, "descriptor.credit = 7;"));
}

/* The first worker of the slot is a process of its own; its end, however hard, frees the slot. */
static void test_two_of_one_slot_do_not_run(void **state)
{
    struct world *world = *state;
    int told[2];
    char byte = 0;
    assert_int_equal(pipe(told), 0);
    pid_t first = fork();
    assert_true(first >= 0);
    if (first == 0) {
        byte = begin(world, CF_ROLE_QUERY, NULL, NULL) == -1 ? 'y' : 'n';
        if (write(told[1], &byte, 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    assert_int_equal(read(told[0], &byte, 1), 1);
    int code = begin(world, CF_ROLE_QUERY, NULL, NULL);
    char said[sizeof world->said];
    memcpy(said, world->said, sizeof said);
    int other = begin(world, CF_ROLE_QUERY, "query-1", NULL);
    kill(first, SIGKILL);
    waitpid(first, NULL, 0);
    close(told[0]);
    close(told[1]);
    assert_int_equal(byte, 'y');
    assert_int_equal(code, 1);
    assert_non_null(strstr(said, "locked: another worker \"query-0\" runs"));
    assert_int_equal(other, -1);
    assert_int_equal(begin(world, CF_ROLE_QUERY, NULL, NULL), -1);
}

static void test_unknown_key_is_fatal(void **state)
{
    struct world *world = *state;
    configure(world, "descriptor {\n  kredit = 7\n}\n");
    assert_int_equal(begin(world, CF_ROLE_DESCRIPTOR, NULL, NULL), 2);
    assert_non_null(strstr(world->said, "kredit"));
}

static void test_bad_level_is_fatal(void **state)
{
    struct world *world = *state;
    configure(world, "log {\n  level = \"loud\"\n}\n");
    assert_int_equal(begin(world, CF_ROLE_QUERY, NULL, NULL), 2);
    configure(world, "");
    setenv("COVERFLEET_SIMD", "mmx", 1);
    assert_int_equal(begin(world, CF_ROLE_QUERY, NULL, NULL), 2);
    assert_non_null(strstr(world->said, "mmx"));
}

static void test_bad_arguments(void **state)
{
    struct world *world = *state;
    static const char *const bad[] = {
        "", "a/b", "..", "--nonsense", "-x", "a b", "name-that-is-longer-than-31-bytes"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(begin(world, CF_ROLE_QUERY, bad[i], NULL), 2);
        assert_non_null(strstr(world->said, "slot name"));
    }
    assert_int_equal(begin(world, CF_ROLE_QUERY, "query-1", "query-2"), 2);
}

static void test_help_and_version(void **state)
{
    struct world *world = *state;
    assert_int_equal(begin(world, CF_ROLE_QUERY, "--help", NULL), 0);
    assert_non_null(strstr(world->said, "Usage: coverfleet-query"));
    assert_int_equal(begin(world, CF_ROLE_DESCRIPTOR, "--version", NULL), 0);
    assert_non_null(strstr(world->said, "coverfleet-descriptor "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_goes_on_with_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_the_slot_and_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_of_one_slot_do_not_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_key_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_level_is_fatal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help_and_version, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
