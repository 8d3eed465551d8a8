/* Contents, known by their hash, that killed or stalled a worker. */
#include "broker/core/state.h"

#include <stdlib.h>

#include "common/base/hash.h"

struct content {
    UT_hash_handle hh; /* core->contents, in the order of their last strikes */
    uint8_t sha256[CF_SHA256_BYTES];
    uint64_t at_ms; /* of the last strike, wall clock */
    bool given_up;
};

static struct content *find(const struct cf_core *core, struct cf_bytes sha256)
{
    struct content *content = NULL;
    if (sha256.len == CF_SHA256_BYTES)
        HASH_FIND(hh, core->contents, sha256.data, CF_SHA256_BYTES, content);
    return content;
}

bool content_is_struck(const struct cf_core *core, struct cf_bytes sha256)
{
    return find(core, sha256) != NULL;
}

bool content_is_given_up(const struct cf_core *core, struct cf_bytes sha256)
{
    const struct content *content = find(core, sha256);
    return content && content->given_up;
}

bool content_is_to_blame(struct cf_str error)
{
    static const enum cf_err reasons[] = {CF_E_TIMEOUT, CF_E_DECODER_DIED, CF_E_WORKER_DIED,
                                          CF_E_LEASE_EXPIRED};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (cf_str_is(error, cf_err_name(reasons[i])))
            return true;
    return false;
}

/* ---- memory ---- */

static void take_out(struct cf_core *core, struct content *content)
{
    core->given_up_count -= content->given_up;
    HASH_DEL(core->contents, content);
}

/* At the end: the newest. */
static enum cf_err put_in(struct cf_core *core, struct content *content)
{
    HASH_ADD(hh, core->contents, sha256, CF_SHA256_BYTES, content);
    if (!content->hh.tbl) {
        free(content);
        return CF_E_NO_MEMORY;
    }
    core->given_up_count += content->given_up;
    return CF_OK;
}

static enum cf_err remember(struct cf_core *core, struct cf_bytes sha256,
                            const struct cf_quarantine_record *record)
{
    struct content *content = find(core, sha256);
    if (content)
        take_out(core, content);
    else if (!(content = calloc(1, sizeof *content)))
        return CF_E_NO_MEMORY;
    memcpy(content->sha256, sha256.data, CF_SHA256_BYTES);
    content->at_ms = record->at_ms;
    content->given_up = record->given_up;
    return put_in(core, content);
}

static void drop(struct cf_core *core, struct content *content)
{
    core->store.quarantine_delete(core->store.arg, (struct cf_bytes){content->sha256, CF_SHA256_BYTES});
    take_out(core, content);
    free(content);
}

static int compare_age(const struct content *a, const struct content *b)
{
    return a->at_ms < b->at_ms ? -1 : a->at_ms > b->at_ms;
}

static enum cf_err load_one(void *arg, struct cf_bytes sha256, const struct cf_quarantine_record *record)
{
    return remember(arg, sha256, record);
}

enum cf_err contents_load(struct cf_core *core, struct cf_detail *detail)
{
    enum cf_err err = core->store.each_quarantine(core->store.arg, load_one, core, detail);
    HASH_SORT(core->contents, compare_age);
    return err;
}

void contents_clear(struct cf_core *core)
{
    struct content *content, *next;
    HASH_ITER(hh, core->contents, content, next)
    {
        take_out(core, content);
        free(content);
    }
}

/* ---- strikes ---- */

static enum cf_err read_record(struct cf_core *core, struct cf_bytes sha256,
                               struct cf_quarantine_record *record, struct cf_out *out)
{
    struct cf_detail detail = {0};
    enum cf_err err = core->store.quarantine_get(core->store.arg, sha256, out->arena, record, &detail);
    if (err)
        cf_out_fail(out, err, &detail);
    return err;
}

static void write_record(struct cf_core *core, struct cf_bytes sha256,
                         const struct cf_quarantine_record *record, struct cf_out *out)
{
    struct cf_detail detail = {0};
    enum cf_err err = core->store.quarantine_put(core->store.arg, sha256, record, &detail);
    if (!err)
        err = remember(core, sha256, record);
    if (err)
        cf_out_fail(out, err, err == CF_E_NO_MEMORY ? NULL : &detail);
}

void content_strike(struct cf_core *core, struct cf_now now, struct cf_bytes sha256,
                    const struct cf_quarantine_record *strike, struct cf_out *out)
{
    struct cf_quarantine_record record = {.album = strike->album};
    if (sha256.len != CF_SHA256_BYTES || core->config.quarantine_max == 0)
        return;
    if (find(core, sha256) && read_record(core, sha256, &record, out))
        return;
    record.error = strike->error;
    record.detail = strike->detail;
    record.strikes++;
    record.at_ms = now.wall_ms;
    record.given_up = record.given_up || strike->given_up;
    write_record(core, sha256, &record, out);
    while (HASH_COUNT(core->contents) > core->config.quarantine_max)
        drop(core, core->contents);
}

bool content_lift(struct cf_core *core, struct cf_bytes sha256, struct cf_out *out)
{
    struct cf_quarantine_record record = {0};
    if (!find(core, sha256) || read_record(core, sha256, &record, out))
        return false;
    record.given_up = false;
    record.strikes = 1;
    write_record(core, sha256, &record, out);
    return true;
}

void content_clear(struct cf_core *core, struct cf_bytes sha256)
{
    struct content *content = find(core, sha256);
    if (content)
        drop(core, content);
}

struct cf_str content_sentence(struct cf_core *core, struct cf_bytes sha256, struct cf_out *out)
{
    struct cf_quarantine_record record = {0};
    struct cf_detail detail = {0};
    if (read_record(core, sha256, &record, out))
        return cf_str("");
    size_t album_len = record.album.len < 80 ? record.album.len : 80;
    size_t detail_len = record.detail.len < 100 ? record.detail.len : 100;
    (void)cf_fail(
        &detail, CF_E_QUARANTINED,
        "the same picture was given up with album \"%.*s\": %.*s (%.*s); retry lifts the quarantine",
        (int)album_len, record.album.data, CF_STR_ARG(record.error), (int)detail_len, record.detail.data);
    return cf_out_str(out, cf_str(detail.text));
}
