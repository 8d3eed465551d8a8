/* The journal on a real disk: records come back, epochs grow, damage and strangers are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/journal.h"
#include "common/base/file.h"
#include "common/store/kv.h"

static struct cf_home home;

static int new_home(void **state)
{
    struct cf_detail detail;
    char folder[] = "/tmp/cf-journal-XXXXXX";
    (void)state;
    if (!mkdtemp(folder) || setenv("COVERFLEET_HOME", folder, 1))
        return -1;
    return cf_home_resolve(&home, &detail) || cf_home_create(&home, &detail);
}

static int delete_home(void **state)
{
    char command[CF_HOME_PATH_MAX + 16];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", home.root);
    return system(command);
}

static struct cf_journal *open_journal(uint64_t wall_ms)
{
    struct cf_journal *journal = NULL;
    struct cf_detail detail = {0};
    enum cf_err err = cf_journal_open(&home, wall_ms, &journal, &detail);
    if (err)
        fail_msg("%s: %s", cf_err_name(err), detail.text);
    return journal;
}

static uint64_t epoch_of(struct cf_journal *journal)
{
    struct cf_store store = cf_journal_store(journal);
    struct cf_meta_record meta = {0};
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(store.meta_get(store.arg, arena, &meta, NULL), CF_OK);
    uint64_t epoch = meta.epoch;
    cf_arena_free(arena);
    return epoch;
}

static void path(char *out, const char *name)
{
    struct cf_detail detail;
    assert_int_equal(cf_home_path(&home, out, CF_HOME_PATH_MAX, &detail, "%s", name), CF_OK);
}

static void run(const char *format, const char *a, const char *b)
{
    char command[4 * CF_HOME_PATH_MAX];
    snprintf(command, sizeof command, "%s '%s' '%s'", format, a, b);
    assert_int_equal(system(command), 0);
}

static void epochs_only_grow(void **state)
{
    char data[CF_HOME_PATH_MAX], copy[CF_HOME_PATH_MAX];
    (void)state;
    struct cf_journal *journal = open_journal(5000000);
    assert_int_equal(epoch_of(journal), 5000);
    cf_journal_free(journal);
    journal = open_journal(9000000); /* the same one */
    assert_int_equal(epoch_of(journal), 5000);
    cf_journal_free(journal);

    path(data, "data/journal");
    path(copy, "data/copy");
    run("mv", data, copy);
    journal = open_journal(1000); /* lost, and the clock went back */
    assert_int_equal(epoch_of(journal), 5001);
    cf_journal_free(journal);

    run("rm -rf", data, data);
    run("mv", copy, data);
    journal = open_journal(1000); /* an older one was put back */
    assert_int_equal(epoch_of(journal), 5002);
    cf_journal_free(journal);
    journal = open_journal(1000);
    assert_int_equal(epoch_of(journal), 5002);
    cf_journal_free(journal);
}

static void damaged_epoch_is_refused(void **state)
{
    char epoch[CF_HOME_PATH_MAX];
    struct cf_detail detail = {0};
    struct cf_journal *journal = NULL;
    (void)state;
    path(epoch, "data/epoch");
    assert_int_equal(cf_file_publish(epoch, (struct cf_bytes){(const uint8_t *)"x", 1}, &detail), CF_OK);
    assert_int_equal(cf_journal_open(&home, 1000, &journal, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, "epoch"));
}

static void a_second_broker_is_refused(void **state)
{
    struct cf_detail detail = {0};
    struct cf_journal *second = NULL;
    (void)state;
    struct cf_journal *journal = open_journal(1000);
    assert_int_equal(cf_journal_open(&home, 1000, &second, &detail), CF_E_LOCKED);
    assert_non_null(strstr(detail.text, "another broker"));
    cf_journal_free(journal);
}

static struct cf_album_record full_record(struct cf_album_record *prev)
{
    static const uint8_t digest[32] = {1, 2, 3};
    static struct cf_pair meta[] = {{{"title", 5}, {"T", 1}}};
    static struct cf_str warnings[] = {{"truncated", 9}};
    return (struct cf_album_record){
        .epoch = 1,
        .seq = UINT64_MAX,
        .state = CF_STATE_DEAD,
        .sha256 = {digest, 32},
        .meta = meta,
        .meta_count = 1,
        .source = cf_str("/covers/\xff"), /* a path need not be UTF-8 */
        .priority = 9,
        .attempts = 3,
        .pushed_ms = 4,
        .settled_ms = 5,
        .worker = cf_str("w"),
        .shard = cf_str("s"),
        .log_seq = 6,
        .partial = true,
        .warnings = warnings,
        .warning_count = 1,
        .error = cf_str("timeout"),
        .detail = cf_str("too slow"),
        .prev = prev,
        .prev_count = prev ? 1 : 0,
    };
}

static void assert_full(const struct cf_album_record *album)
{
    const struct cf_album_record want = full_record(NULL);
    assert_true(album->epoch == want.epoch && album->seq == want.seq && album->state == want.state);
    assert_true(cf_bytes_equal(album->sha256, want.sha256));
    assert_int_equal(album->meta_count, 1);
    assert_true(cf_str_equal(album->meta[0].value, want.meta[0].value));
    assert_true(cf_str_equal(album->source, want.source));
    assert_true(album->priority == 9 && album->attempts == 3 && album->pushed_ms == 4 &&
                album->settled_ms == 5);
    assert_true(cf_str_equal(album->worker, want.worker) && cf_str_equal(album->shard, want.shard));
    assert_true(album->log_seq == 6 && album->partial && !album->constant);
    assert_int_equal(album->warning_count, 1);
    assert_true(cf_str_is(album->warnings[0], "truncated"));
    assert_true(cf_str_equal(album->error, want.error) && cf_str_equal(album->detail, want.detail));
}

static void records_come_back(void **state)
{
    (void)state;
    struct cf_journal *journal = open_journal(1000);
    struct cf_store store = cf_journal_store(journal);
    struct cf_arena *arena = cf_arena_new();
    struct cf_album_record before = full_record(NULL), record = full_record(&before), read = {0};
    assert_int_equal(cf_journal_batch_bytes(journal), 0);
    assert_int_equal(store.album_put(store.arg, cf_str("a"), &record, NULL), CF_OK);
    size_t of_album = cf_journal_batch_bytes(journal); /* metadata count as pictures do */
    assert_true(of_album > record.meta[0].value.len + record.source.len);
    store.payload_put(store.arg, 7, (struct cf_bytes){(const uint8_t *)"picture", 7});
    assert_true(cf_journal_batch_bytes(journal) >= of_album + 7);
    assert_int_equal(store.album_get(store.arg, cf_str("a"), arena, &read, NULL),
                     CF_OK); /* before the commit */
    assert_int_equal(cf_journal_commit(journal, true, NULL), CF_OK);
    store.album_delete(store.arg, cf_str("a"));
    cf_journal_free(journal); /* without a commit: the deletion is lost */

    journal = open_journal(1000);
    store = cf_journal_store(journal);
    struct cf_bytes bytes = {0};
    assert_int_equal(store.album_get(store.arg, cf_str("a"), arena, &read, NULL), CF_OK);
    assert_full(&read);
    assert_int_equal(read.prev_count, 1);
    assert_full(read.prev);
    assert_int_equal(store.payload_get(store.arg, 7, arena, &bytes, NULL), CF_OK);
    assert_int_equal(bytes.len, 7);
    assert_int_equal(store.payload_get(store.arg, 8, arena, &bytes, NULL), CF_E_NOT_FOUND);
    assert_int_equal(store.album_get(store.arg, cf_str("b"), arena, &read, NULL), CF_E_NOT_FOUND);
    cf_arena_free(arena);
    cf_journal_free(journal);
}

struct seen {
    uint64_t seqs[8];
    size_t count;
};

static enum cf_err see(void *arg, uint64_t seq, const struct cf_job_record *job)
{
    struct seen *seen = arg;
    assert_true(cf_str_is(job->album, "a"));
    seen->seqs[seen->count++] = seq;
    return seen->count == 3 ? CF_E_BUSY : CF_OK;
}

static void walks_in_order_and_sees_the_batch(void **state)
{
    static const uint64_t seqs[] = {300, 2, 1, UINT64_C(1) << 40, 256};
    (void)state;
    struct cf_journal *journal = open_journal(1000);
    struct cf_store store = cf_journal_store(journal);
    const struct cf_job_record job = {.album = cf_str("a"), .epoch = 1};
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++)
        assert_int_equal(store.job_put(store.arg, seqs[i], &job, true, NULL), CF_OK);
    store.job_delete(store.arg, 2, true);
    struct seen seen = {0};
    assert_int_equal(store.each_job(store.arg, true, 0, see, &seen, NULL), CF_E_BUSY);
    assert_true(seen.seqs[0] == 1 && seen.seqs[1] == 256 && seen.seqs[2] == 300);
    seen.count = 0;
    assert_int_equal(store.each_job(store.arg, true, 300, see, &seen, NULL), CF_OK);
    assert_int_equal(seen.count, 1);
    assert_int_equal(store.each_job(store.arg, false, 0, see, &seen, NULL), CF_OK);
    assert_int_equal(seen.count, 1);
    cf_journal_free(journal);
}

static const char *const families[] = {"meta", "jobs", "payload", "albums", "dead", "quarantine"};

static enum cf_err see_quarantine(void *arg, struct cf_bytes sha256,
                                  const struct cf_quarantine_record *record)
{
    size_t *count = arg;
    assert_int_equal(sha256.len, 32);
    assert_int_equal(sha256.data[0], 1);
    assert_true(cf_str_is(record->album, "a") && cf_str_is(record->error, "timeout"));
    assert_true(cf_str_is(record->detail, "too slow") && record->given_up);
    assert_true(record->strikes == 3 && record->at_ms == 4);
    ++*count;
    return CF_OK;
}

static void quarantine_comes_back(void **state)
{
    static const uint8_t digests[2][32] = {{1}, {2}};
    const struct cf_bytes one = {digests[0], 32}, two = {digests[1], 32};
    const struct cf_quarantine_record record = {.album = cf_str("a"),
                                                .error = cf_str("timeout"),
                                                .detail = cf_str("too slow"),
                                                .strikes = 3,
                                                .at_ms = 4,
                                                .given_up = true};
    struct cf_quarantine_record read = {0};
    size_t count = 0;
    (void)state;
    struct cf_journal *journal = open_journal(1000);
    struct cf_store store = cf_journal_store(journal);
    struct cf_arena *arena = cf_arena_new();
    assert_int_equal(store.quarantine_put(store.arg, one, &record, NULL), CF_OK);
    assert_int_equal(store.quarantine_put(store.arg, two, &record, NULL), CF_OK);
    store.quarantine_delete(store.arg, two);
    assert_int_equal(cf_journal_commit(journal, true, NULL), CF_OK);
    cf_journal_free(journal);

    journal = open_journal(1000);
    store = cf_journal_store(journal);
    assert_int_equal(store.quarantine_get(store.arg, one, arena, &read, NULL), CF_OK);
    assert_true(read.strikes == 3);
    assert_int_equal(store.quarantine_get(store.arg, two, arena, &read, NULL), CF_E_NOT_FOUND);
    assert_int_equal(store.each_quarantine(store.arg, see_quarantine, &count, NULL), CF_OK);
    assert_int_equal(count, 1);
    cf_arena_free(arena);
    cf_journal_free(journal);
}

/* As written before there was a quarantine. */
static void a_journal_of_fewer_families_opens(void **state)
{
    const struct cf_kv_options options = {.families = families, .family_count = 5};
    struct cf_quarantine_record read = {0};
    struct cf_detail detail = {0};
    char folder[CF_HOME_PATH_MAX];
    struct cf_kv *kv = NULL;
    (void)state;
    path(folder, "data/journal");
    assert_int_equal(cf_kv_open(folder, &options, &kv, &detail), CF_OK);
    cf_kv_free(kv);
    struct cf_journal *journal = open_journal(5000000);
    struct cf_store store = cf_journal_store(journal);
    struct cf_arena *arena = cf_arena_new();
    static const uint8_t digest[32] = {1};
    assert_int_equal(epoch_of(journal), 5000);
    assert_int_equal(store.quarantine_get(store.arg, (struct cf_bytes){digest, 32}, arena, &read, NULL),
                     CF_E_NOT_FOUND);
    cf_arena_free(arena);
    cf_journal_free(journal);
}

/* A record that is not ours is damage, said with the journal's name. */
static void foreign_records_are_damage(void **state)
{
    const struct cf_kv_options options = {.families = families, .family_count = 6};
    struct cf_bytes key = {(const uint8_t *)"a", 1}, value = {(const uint8_t *)"\xc1\xff", 2};
    struct cf_detail detail = {0};
    char folder[CF_HOME_PATH_MAX];
    struct cf_kv *kv = NULL;
    (void)state;
    cf_journal_free(open_journal(1000));
    path(folder, "data/journal");
    assert_int_equal(cf_kv_open(folder, &options, &kv, &detail), CF_OK);
    cf_kv_put(kv, 3, key, value);
    assert_int_equal(cf_kv_commit(kv, true, &detail), CF_OK);
    cf_kv_free(kv);

    struct cf_journal *journal = open_journal(1000);
    struct cf_store store = cf_journal_store(journal);
    struct cf_arena *arena = cf_arena_new();
    struct cf_album_record album = {0};
    assert_int_equal(store.album_get(store.arg, cf_str("a"), arena, &album, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, "data/journal"));
    cf_arena_free(arena);
    cf_journal_free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(epochs_only_grow, new_home, delete_home),
        cmocka_unit_test_setup_teardown(damaged_epoch_is_refused, new_home, delete_home),
        cmocka_unit_test_setup_teardown(a_second_broker_is_refused, new_home, delete_home),
        cmocka_unit_test_setup_teardown(records_come_back, new_home, delete_home),
        cmocka_unit_test_setup_teardown(walks_in_order_and_sees_the_batch, new_home, delete_home),
        cmocka_unit_test_setup_teardown(quarantine_comes_back, new_home, delete_home),
        cmocka_unit_test_setup_teardown(a_journal_of_fewer_families_opens, new_home, delete_home),
        cmocka_unit_test_setup_teardown(foreign_records_are_damage, new_home, delete_home),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
