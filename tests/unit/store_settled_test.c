/* How far a follower may trust a log: only what was there one catch-up earlier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/store/shard.h"

static void store(struct cf_shard *shard, unsigned number)
{
    char id[16];
    int len = snprintf(id, sizeof id, "A%u", number);
    struct cf_shard_album album = {.version = {1, number}};
    assert_int_equal(cf_shard_put(shard, (struct cf_str){id, (size_t)len}, &album, NULL, 0, (struct cf_bytes){0}, NULL),
                     CF_OK);
    assert_int_equal(cf_shard_commit(shard, NULL), CF_OK);
}

static void settled_is_one_look_behind(void **state)
{
    (void)state;
    char folder[] = "/tmp/cf-settled-XXXXXX", path[64], private_path[64], command[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/shard", folder);
    snprintf(private_path, sizeof private_path, "%s/private", folder);
    struct cf_shard *owner = NULL, *follower = NULL;
    assert_int_equal(cf_shard_open(path, &owner, NULL), CF_OK);
    store(owner, 1);
    assert_int_equal(cf_shard_open_secondary(path, private_path, &follower, NULL), CF_OK);
    assert_int_equal(cf_shard_settled(follower), 1);
    for (unsigned i = 2; i < 6; i++) {
        uint64_t last = 0;
        store(owner, i);
        assert_int_equal(cf_shard_catch_up(follower, NULL), CF_OK);
        assert_int_equal(cf_shard_log_last(follower, &last, NULL), CF_OK);
        assert_int_equal(last, i);
        assert_int_equal(cf_shard_settled(follower), i - 1);
    }
    assert_int_equal(cf_shard_catch_up(follower, NULL), CF_OK);
    assert_int_equal(cf_shard_settled(follower), 5);
    cf_shard_free(follower);
    cf_shard_free(owner);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(settled_is_one_look_behind)};
    return cmocka_run_group_tests_name("settled", tests, NULL, NULL);
}
