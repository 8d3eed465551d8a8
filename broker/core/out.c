#include "broker/core/out.h"

#include <stdlib.h>

enum cf_err cf_out_init(struct cf_out *out)
{
    memset(out, 0, sizeof *out);
    out->arena = cf_arena_new();
    return out->arena ? CF_OK : CF_E_NO_MEMORY;
}

void cf_out_fini(struct cf_out *out)
{
    cf_arena_free(out->arena);
    free(out->items);
    memset(out, 0, sizeof *out);
}

void cf_out_reset(struct cf_out *out)
{
    cf_arena_reset(out->arena);
    out->count = 0;
    out->sync = false;
    out->err = CF_OK;
    out->detail.text[0] = '\0';
}

void cf_out_fail(struct cf_out *out, enum cf_err err, const struct cf_detail *detail)
{
    if (out->err)
        return;
    out->err = err;
    if (detail)
        out->detail = *detail;
    else
        (void)cf_fail(&out->detail, err, "memory is short");
}

static struct cf_out_item *item_next(struct cf_out *out)
{
    if (out->count == out->capacity) {
        size_t capacity = out->capacity ? out->capacity * 2 : 64;
        struct cf_out_item *items = realloc(out->items, capacity * sizeof *items);
        if (!items) {
            cf_out_fail(out, CF_E_NO_MEMORY, NULL);
            return &out->spare;
        }
        out->items = items;
        out->capacity = capacity;
    }
    return &out->items[out->count++];
}

struct cf_out_item *cf_out_add(struct cf_out *out, enum cf_out_to to, struct cf_bytes peer, enum cf_kind kind,
                               uint64_t id)
{
    struct cf_out_item *item = item_next(out);
    memset(item, 0, sizeof *item);
    item->to = to;
    item->peer = cf_out_bytes(out, peer);
    item->msg.kind = kind;
    item->msg.id = id;
    return item;
}

void cf_out_error(struct cf_out *out, enum cf_out_to to, struct cf_bytes peer, uint64_t id, enum cf_err err,
                  const struct cf_detail *detail)
{
    struct cf_out_item *item = cf_out_add(out, to, peer, CF_KIND_ERROR, id);
    item->msg.error.error = cf_str(cf_err_name(err));
    item->msg.error.detail = detail ? cf_out_str(out, cf_str(detail->text)) : cf_str("");
}

struct cf_str cf_out_str(struct cf_out *out, struct cf_str text)
{
    struct cf_str copy = cf_arena_str(out->arena, text);
    if (!copy.data)
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
    return copy;
}

struct cf_bytes cf_out_bytes(struct cf_out *out, struct cf_bytes bytes)
{
    struct cf_bytes copy = cf_arena_bytes(out->arena, bytes);
    if (!copy.data)
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
    return copy;
}

void *cf_out_alloc(struct cf_out *out, size_t count, size_t size)
{
    void *memory = cf_arena_alloc(out->arena, count, size);
    if (!memory)
        cf_out_fail(out, CF_E_NO_MEMORY, NULL);
    return memory;
}
