/* Pushes and removals that were answered, by what names them: one that is sent again gets the same results
 * and does nothing, whatever happened in between. A bounded memory, of this process only. */
#include "broker/core/state.h"

#include <stdlib.h>

enum { KEPT_MAX = 4096, KEPT_BYTES_MAX = 32 << 20, KEPT_MS = 600000 };

static void forget(struct cf_core *core, struct repeat *repeat)
{
    HASH_DEL(core->repeats, repeat);
    core->repeat_bytes -= repeat->bytes;
    free(repeat);
}

void repeats_clear(struct cf_core *core, uint64_t from)
{
    struct repeat *repeat, *next;
    HASH_ITER(hh, core->repeats, repeat, next)
    if (repeat->serial >= from)
        forget(core, repeat);
}

static struct repeat_key key_of(const struct cf_msg *msg)
{
    uint64_t nonce = msg->kind == CF_KIND_PUSH ? msg->push.nonce : msg->albums.nonce;
    return (struct repeat_key){nonce, msg->id, (uint64_t)msg->kind};
}

/* A detail is kept, an error's name is the program's own. */
static struct repeat *copy(const struct cf_result *results, size_t count)
{
    size_t texts = 0;
    for (size_t i = 0; i < count; i++)
        texts += results[i].detail.len;
    size_t bytes = sizeof(struct repeat) + count * sizeof *results + texts;
    struct repeat *repeat = calloc(1, bytes);
    if (!repeat)
        return NULL;
    repeat->bytes = bytes;
    repeat->count = count;
    char *text = (char *)(repeat->results + count);
    for (size_t i = 0; i < count; i++) {
        repeat->results[i] = results[i];
        if (results[i].detail.len)
            memcpy(text, results[i].detail.data, results[i].detail.len);
        repeat->results[i].detail.data = text;
        text += results[i].detail.len;
    }
    return repeat;
}

static bool changed_something(const struct cf_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (results[i].status == CF_PUSH_ACCEPTED)
            return true;
    return false;
}

/* The oldest come first. */
static void make_room(struct cf_core *core, struct cf_now now, size_t bytes)
{
    while (core->repeats &&
           (HASH_COUNT(core->repeats) >= KEPT_MAX || core->repeat_bytes + bytes > KEPT_BYTES_MAX ||
            now.mono_ms - core->repeats->at_ms >= KEPT_MS))
        forget(core, core->repeats);
}

/* Without memory it is not kept: a repetition then counts as a new request. */
void repeat_keep(struct cf_core *core, struct cf_now now, const struct cf_msg *msg,
                 const struct cf_result *results, size_t count)
{
    const struct repeat_key key = key_of(msg);
    if (key.nonce == 0 || !changed_something(results, count))
        return;
    struct repeat *repeat = copy(results, count);
    if (!repeat)
        return;
    repeat->key = key;
    repeat->at_ms = now.mono_ms;
    make_room(core, now, repeat->bytes);
    HASH_ADD(hh, core->repeats, key, sizeof repeat->key, repeat);
    if (!repeat->hh.tbl) {
        free(repeat);
        return;
    }
    repeat->serial = ++core->repeat_serial;
    core->repeat_bytes += repeat->bytes;
}

bool repeat_find(struct cf_core *core, const struct cf_msg *msg, struct cf_result *results, size_t count,
                 struct cf_out *out)
{
    const struct repeat_key key = key_of(msg);
    struct repeat *repeat = NULL;
    if (key.nonce)
        HASH_FIND(hh, core->repeats, &key, sizeof key, repeat);
    if (!repeat || repeat->count != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        results[i] = repeat->results[i];
        results[i].detail = cf_out_str(out, results[i].detail);
    }
    return true;
}
