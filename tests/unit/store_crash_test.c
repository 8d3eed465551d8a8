/* A shard's owner is killed with -9 again and again: what it acknowledged is there, no batch is there in
 * part, and a reader in another process sees it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/rng.h"
#include "common/store/shard.h"
#include "tests/unit/store_folder.h"

enum { ROUNDS = 15, BATCH = 5, DIM = 512 };

/* ---- the child: commits batch after batch and tells each one's number once it is committed ---- */

static enum cf_err put_batch(struct cf_shard *shard, uint64_t batch)
{
    static float values[DIM];
    struct cf_shard_vector vector = {cf_str("gray16"), 1, values, DIM};
    enum cf_err err = CF_OK;
    for (int i = 0; i < BATCH && err == CF_OK; i++) {
        char id[32];
        int len = snprintf(id, sizeof id, "%llu-%d", (unsigned long long)batch, i);
        values[0] = (float)batch;
        struct cf_shard_album album = {.version = {1, batch}, .source = cf_str("bytes")};
        err = cf_shard_put(shard, (struct cf_str){id, (size_t)len}, &album, &vector, 1, (struct cf_bytes){0},
                           NULL);
    }
    return err == CF_OK ? cf_shard_commit(shard, NULL) : err;
}

static int write_for_ever(const char *path, uint64_t first)
{
    struct cf_shard *shard = NULL;
    if (cf_shard_open(path, &shard, NULL) != CF_OK)
        return 1;
    for (uint64_t batch = first;; batch++)
        if (put_batch(shard, batch) != CF_OK || write(STDOUT_FILENO, &batch, sizeof batch) != sizeof batch)
            return 1;
}

/* ---- the parent ---- */

static pid_t start_writer(const char *path, uint64_t first, int *acks)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)first);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "store_crash_test", path, number, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *acks = ends[0];
    return pid;
}

/* Reads `count` acknowledgements, kills, reads what else was acknowledged; the last one. */
static uint64_t kill_after(pid_t pid, int acks, uint64_t count)
{
    uint64_t batch = 0, last = 0;
    while (read(acks, &batch, sizeof batch) == sizeof batch) {
        last = batch;
        if (count > 0 && --count == 0)
            kill(pid, SIGKILL);
    }
    close(acks);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return last;
}

/* How many of a batch's albums are there with their vectors. */
static int count_batch(struct cf_shard *shard, uint64_t batch)
{
    static float values[DIM];
    int found = 0;
    for (int i = 0; i < BATCH; i++) {
        char id[32];
        int len = snprintf(id, sizeof id, "%llu-%d", (unsigned long long)batch, i);
        enum cf_err err =
            cf_shard_vector(shard, (struct cf_str){id, (size_t)len}, cf_str("gray16"), 1, values, DIM, NULL);
        if (err == CF_OK && values[0] == (float)batch)
            found++;
        else
            assert_int_equal(err, CF_E_NOT_FOUND);
    }
    return found;
}

static void check_all(struct cf_shard *shard, uint64_t acked)
{
    for (uint64_t batch = 1; batch <= acked; batch++)
        assert_int_equal(count_batch(shard, batch), BATCH);
    int beyond = count_batch(shard, acked + 1);
    assert_true(beyond == 0 || beyond == BATCH);
    assert_int_equal(count_batch(shard, acked + 2), 0);
}

static void killed_owner_loses_nothing(void **state)
{
    (void)state;
    char path[STORE_PATH_MAX], private_path[STORE_PATH_MAX];
    store_folder_path(path, "shards/descriptor-0");
    store_folder_path(private_path, "private");
    struct cf_rng rng = cf_rng(7);
    struct cf_shard *follower = NULL;
    uint64_t acked = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int acks = -1;
        pid_t pid = start_writer(path, acked + 1, &acks);
        acked = kill_after(pid, acks, 1 + cf_rng_below(&rng, 40));
        if (!follower)
            assert_int_equal(cf_shard_open_secondary(path, private_path, &follower, NULL), CF_OK);
        assert_int_equal(cf_shard_catch_up(follower, NULL), CF_OK);
        check_all(follower, acked);
        struct cf_shard *owner = NULL;
        assert_int_equal(cf_shard_open(path, &owner, NULL), CF_OK);
        check_all(owner, acked);
        uint64_t last = 0;
        assert_int_equal(cf_shard_log_last(owner, &last, NULL), CF_OK);
        assert_true(last == acked * BATCH || last == (acked + 1) * BATCH);
        cf_shard_free(owner);
    }
    assert_true(acked >= ROUNDS);
    cf_shard_free(follower);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return write_for_ever(argv[1], strtoull(argv[2], NULL, 10));
    const struct CMUnitTest tests[] = {cmocka_unit_test(killed_owner_loses_nothing)};
    return cmocka_run_group_tests(tests, store_folder_make, store_folder_remove);
}
