#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "deploy/cli/push.h"

enum { AGAIN_FIRST_MS = 20, AGAIN_LAST_MS = 1000 };

struct batch {
    struct cf_pusher *pusher;
    size_t count, bytes;
    struct cf_parcel *parcels[]; /* options.batch_items */
};

/* ---- parcels ---- */

static void parcel_free(struct cf_parcel *parcel)
{
    cf_buf_fini(&parcel->bytes);
    cf_arena_free(parcel->arena);
    free(parcel);
}

static struct cf_parcel *parcel_new(void)
{
    struct cf_parcel *parcel = calloc(1, sizeof *parcel);
    if (!parcel)
        return NULL;
    cf_buf_init(&parcel->bytes);
    parcel->arena = cf_arena_new();
    if (parcel->arena)
        return parcel;
    free(parcel);
    return NULL;
}

static void again_add(struct cf_pusher *pusher, struct cf_parcel *parcel)
{
    if (!pusher->again.head)
        pusher->again.tail = &pusher->again.head;
    parcel->next = NULL;
    *pusher->again.tail = parcel;
    pusher->again.tail = &parcel->next;
    pusher->again.count++;
}

static struct cf_parcel *again_take(struct cf_pusher *pusher)
{
    struct cf_parcel *parcel = pusher->again.head;
    if (parcel) {
        pusher->again.head = parcel->next;
        pusher->again.count--;
    }
    return parcel;
}

/* Doubling waits with jitter, until something is accepted again. */
static void again_later(struct cf_pusher *pusher, uint64_t now_ms)
{
    uint64_t wait_ms = pusher->again_wait_ms ? pusher->again_wait_ms : AGAIN_FIRST_MS;
    pusher->again_at_ms = now_ms + wait_ms / 2 + cf_rng_below(&pusher->rng, wait_ms);
    pusher->again_wait_ms = wait_ms * 2 < AGAIN_LAST_MS ? wait_ms * 2 : AGAIN_LAST_MS;
}

/* ---- checks ---- */

static enum cf_err check_pair(const struct cf_pair *pair, struct cf_detail *detail)
{
    if (pair->key.len > CF_META_KEY_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID,
                       "the column name \"%.40s…\" has %zu bytes: at most %d are allowed", pair->key.data,
                       pair->key.len, CF_META_KEY_BYTES_MAX);
    if (pair->value.len > CF_META_VALUE_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "its %.*s has %zu bytes: at most %d are allowed",
                       CF_STR_ARG(pair->key), pair->value.len, CF_META_VALUE_BYTES_MAX);
    return CF_OK;
}

enum cf_err cf_push_check(const struct cf_cover *cover, struct cf_detail *detail)
{
    if (cover->err) {
        *detail = cover->detail;
        return cover->err;
    }
    enum cf_err err = cf_album_check(cover->album, detail);
    if (!err && cover->meta_count > CF_META_MAX)
        err = cf_fail(detail, CF_E_INVALID, "%zu metadata: an album may have at most %d", cover->meta_count,
                      CF_META_MAX);
    for (size_t i = 0; i < cover->meta_count && !err; i++)
        err = check_pair(&cover->meta[i], detail);
    return err;
}

static enum cf_err make_absolute(struct cf_parcel *parcel, struct cf_detail *detail)
{
    char here[PATH_MAX];
    const char *path = parcel->cover.path;
    if (path[0] == '/')
        here[0] = '\0';
    else if (!getcwd(here, sizeof here))
        return cf_fail_errno(detail, "the current folder");
    size_t size = strlen(here) + strlen(path) + 2;
    if (size - 1 > CF_PATH_BYTES_MAX)
        return cf_fail(detail, CF_E_INVALID, "the path has %zu bytes: at most %d are allowed", size - 1,
                       CF_PATH_BYTES_MAX);
    char *file = cf_arena_alloc(parcel->arena, size, 1);
    if (!file)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    snprintf(file, size, "%s%s%s", here, here[0] ? "/" : "", path);
    if (!cf_utf8_valid(cf_str(file)))
        return cf_fail(detail, CF_E_INVALID, "the path is not valid UTF-8: push its bytes instead");
    parcel->file = file;
    return CF_OK;
}

static enum cf_err parcel_load(const struct cf_pusher *pusher, struct cf_parcel *parcel,
                               struct cf_detail *detail)
{
    enum cf_err err = cf_push_check(&parcel->cover, detail);
    if (!err && parcel->cover.bytes.len) {
        cf_sha256(parcel->cover.bytes, parcel->sha256);
        return CF_OK;
    }
    if (!err && pusher->options.by_path)
        err = make_absolute(parcel, detail);
    if (!err)
        err = cf_file_read(parcel->cover.path, pusher->parcel_bytes_max, &parcel->bytes, detail);
    if (err == CF_E_TOO_LARGE)
        return cf_fail(detail, err,
                       "%.200s: more than %zu bytes, what broker.message_bytes_max leaves for it",
                       parcel->cover.path, pusher->parcel_bytes_max);
    if (err)
        return err;
    if (parcel->bytes.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "%.250s: the file is empty", parcel->cover.path);
    cf_sha256(cf_buf_bytes(&parcel->bytes), parcel->sha256);
    if (pusher->options.by_path)
        cf_buf_fini(&parcel->bytes);
    return CF_OK;
}

/* What is sent of it: nothing of one that goes by path. */
static struct cf_bytes parcel_bytes(const struct cf_parcel *parcel)
{
    return parcel->cover.bytes.len ? parcel->cover.bytes : cf_buf_bytes(&parcel->bytes);
}

/* The next parcel that is fit to be sent; those that are not are refused here. NULL at the end of the source.
 */
static struct cf_parcel *next_parcel(struct cf_pusher *pusher)
{
    while (!pusher->source_ended) {
        struct cf_detail detail = {""};
        bool end = false;
        struct cf_parcel *parcel = parcel_new();
        enum cf_err err = parcel
                              ? cf_source_next(pusher->source, parcel->arena, &parcel->cover, &end, &detail)
                              : cf_fail(&detail, CF_E_NO_MEMORY, "out of memory");
        if (err) {
            pusher->failed = err;
            pusher->failed_detail = detail;
        }
        pusher->source_ended = err || end;
        if (!pusher->source_ended) {
            err = parcel_load(pusher, parcel, &detail);
            if (!err)
                return parcel;
            cf_push_refuse(pusher, parcel->cover.album, err, &detail);
            cf_push_show_progress(pusher, cf_clock_mono_ms());
        }
        if (parcel)
            parcel_free(parcel);
    }
    return NULL;
}

/* ---- replies ---- */

static void refuse_parcel(struct cf_pusher *pusher, struct cf_parcel *parcel, enum cf_err err,
                          const struct cf_detail *detail)
{
    cf_push_refuse(pusher, parcel->cover.album, err, detail);
    parcel_free(parcel);
}

/* False when it must be sent again. */
static bool on_result(struct cf_pusher *pusher, struct cf_parcel *parcel, const struct cf_result *result,
                      uint64_t now_ms)
{
    enum cf_err err = CF_OK;
    if (result->status == CF_PUSH_REFUSED)
        err = cf_err_from_name(result->error.len ? result->error.data : "", result->error.len);
    if (err == CF_E_BUSY || err == CF_E_SHUTTING_DOWN) {
        again_add(pusher, parcel);
        return false;
    }
    pusher->advanced_ms = now_ms;
    if (result->status == CF_PUSH_REFUSED) {
        pusher->counts.refused++;
        cf_push_problem(pusher, "refused", parcel->cover.album, result->error, result->detail);
    } else {
        bool unchanged = result->status == CF_PUSH_UNCHANGED;
        pusher->counts.accepted += unchanged ? 0 : 1;
        pusher->counts.unchanged += unchanged ? 1 : 0;
        if (pusher->options.wait)
            cf_push_await(pusher, parcel->cover.album, result->version, unchanged);
    }
    parcel_free(parcel);
    return true;
}

static void on_results(struct batch *batch, const struct cf_results *results, uint64_t now_ms)
{
    size_t taken = 0;
    for (size_t i = 0; i < batch->count; i++)
        taken += on_result(batch->pusher, batch->parcels[i], &results->results[i], now_ms);
    if (taken > 0)
        batch->pusher->again_wait_ms = 0;
    if (taken < batch->count)
        again_later(batch->pusher, now_ms);
}

/* May the same batch succeed later? */
static bool is_passing(enum cf_err err)
{
    return err == CF_E_BUSY || err == CF_E_UNREACHABLE || err == CF_E_DEADLINE || err == CF_E_SHUTTING_DOWN;
}

static void on_batch_failed(struct batch *batch, enum cf_err err, const struct cf_detail *detail,
                            uint64_t now_ms)
{
    struct cf_pusher *pusher = batch->pusher;
    for (size_t i = 0; i < batch->count; i++) {
        if (is_passing(err))
            again_add(pusher, batch->parcels[i]);
        else
            refuse_parcel(pusher, batch->parcels[i], err, detail);
    }
    again_later(pusher, now_ms);
}

static void on_reply(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct batch *batch = arg;
    struct cf_pusher *pusher = batch->pusher;
    struct cf_detail short_reply;
    uint64_t now_ms = cf_clock_mono_ms();
    pusher->batches_in_flight--;
    if (err != CF_E_UNREACHABLE && err != CF_E_DEADLINE && !pusher->over)
        pusher->contact_ms = now_ms;
    if (!err && msg->results.result_count != batch->count) {
        detail = &short_reply;
        err = cf_fail(&short_reply, CF_E_INVALID, "the fleet answered %zu covers with %zu results",
                      batch->count, msg->results.result_count);
    }
    if (err)
        on_batch_failed(batch, err, detail, now_ms);
    else
        on_results(batch, &msg->results, now_ms);
    free(batch);
}

/* ---- sending ---- */

static struct cf_parcel *next_to_send(struct cf_pusher *pusher, uint64_t now_ms)
{
    if (pusher->again.head)
        return now_ms >= pusher->again_at_ms ? again_take(pusher) : NULL;
    struct cf_parcel *held = pusher->held;
    pusher->held = NULL;
    return held ? held : next_parcel(pusher);
}

static void batch_fill(struct batch *batch, uint64_t now_ms)
{
    struct cf_pusher *pusher = batch->pusher;
    while (batch->count < pusher->options.batch_items) {
        struct cf_parcel *parcel = next_to_send(pusher, now_ms);
        if (!parcel)
            return;
        size_t bytes = parcel_bytes(parcel).len;
        if (batch->count > 0 && batch->bytes + bytes > CF_PUSH_BATCH_BYTES) {
            CF_CHECK(!pusher->held);
            pusher->held = parcel;
            return;
        }
        batch->parcels[batch->count++] = parcel;
        batch->bytes += bytes;
    }
}

static enum cf_err batch_send(struct batch *batch, uint64_t now_ms, struct cf_detail *detail)
{
    struct cf_pusher *pusher = batch->pusher;
    const struct cf_push_options *options = &pusher->options;
    struct cf_push_item items[CF_PUSH_BATCH_ITEMS_MAX];
    for (size_t i = 0; i < batch->count; i++) {
        const struct cf_parcel *parcel = batch->parcels[i];
        items[i] = (struct cf_push_item){.album = parcel->cover.album,
                                         .bytes = parcel_bytes(parcel),
                                         .file = cf_str(parcel->file ? parcel->file : ""),
                                         .sha256 = {parcel->sha256, sizeof parcel->sha256},
                                         .meta = parcel->cover.meta,
                                         .meta_count = parcel->cover.meta_count,
                                         .priority = options->priority,
                                         .delay_ms = options->delay_ms};
    }
    struct cf_msg request = {.kind = CF_KIND_PUSH, .push = {.items = items, .item_count = batch->count}};
    uint64_t deadline_ms = CF_PUSH_CALL_MS;
    if (options->timeout_ms) {
        uint64_t left_ms = pusher->started_ms + options->timeout_ms - now_ms;
        deadline_ms = left_ms < deadline_ms ? left_ms : deadline_ms;
    }
    return cf_client_send(pusher->fleet.client, &request, deadline_ms, on_reply, batch, detail);
}

static bool send_one(struct cf_pusher *pusher, uint64_t now_ms)
{
    struct cf_detail detail = {""};
    size_t room = pusher->options.batch_items;
    CF_CHECK(room <= CF_PUSH_BATCH_ITEMS_MAX);
    struct batch *batch = calloc(1, sizeof *batch + room * sizeof batch->parcels[0]);
    if (!batch) {
        pusher->failed = cf_fail(&pusher->failed_detail, CF_E_NO_MEMORY, "out of memory");
        return false;
    }
    batch->pusher = pusher;
    batch_fill(batch, now_ms);
    enum cf_err err = batch->count > 0 ? batch_send(batch, now_ms, &detail) : CF_E_NOT_FOUND;
    if (!err) {
        pusher->batches_in_flight++;
        return true;
    }
    if (batch->count > 0)
        on_batch_failed(batch, err, &detail, now_ms);
    free(batch);
    return false;
}

/* Enough are acknowledged or in flight and not described: what waits with the fleet waits on its disk. */
static bool is_enough(const struct cf_pusher *pusher)
{
    size_t most = pusher->options.open_max;
    return most && pusher->open_count + pusher->batches_in_flight * pusher->options.batch_items >= most;
}

void cf_push_send(struct cf_pusher *pusher, uint64_t now_ms)
{
    while (!pusher->failed && !is_enough(pusher)) {
        /* A fleet that is busy is asked by one batch at a time. */
        size_t most = pusher->again.head ? 1 : CF_PUSH_BATCHES_MAX;
        if (pusher->batches_in_flight >= most || !send_one(pusher, now_ms))
            return;
    }
}

bool cf_push_is_sent(const struct cf_pusher *pusher)
{
    return pusher->source_ended && !pusher->held && !pusher->again.head && pusher->batches_in_flight == 0;
}

void cf_push_abandon(struct cf_pusher *pusher)
{
    enum cf_err err = pusher->over ? pusher->over : pusher->failed;
    const struct cf_detail *detail = pusher->over ? &pusher->over_detail : &pusher->failed_detail;
    struct cf_parcel *parcel;
    while ((parcel = again_take(pusher)))
        refuse_parcel(pusher, parcel, err, detail);
    if (pusher->held)
        refuse_parcel(pusher, pusher->held, err, detail);
    pusher->held = NULL;
    /* What was not even read yet was asked for as well. */
    while (pusher->over && !pusher->source_ended) {
        bool end = false;
        struct cf_detail ignored;
        parcel = parcel_new();
        if (!parcel || cf_source_next(pusher->source, parcel->arena, &parcel->cover, &end, &ignored) || end)
            pusher->source_ended = true;
        else
            cf_push_refuse(pusher, parcel->cover.album, err, detail);
        if (parcel)
            parcel_free(parcel);
    }
}
