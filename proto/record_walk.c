#include "proto/record.h"

/* The walk reads headers only: it never allocates and touches each object once. */
struct walk {
    const uint8_t *at;
    size_t left;
    size_t owed[CF_RECORD_DEPTH_MAX]; /* objects still to come in each open container */
    size_t depth;
    size_t owed_total; /* sum over `owed`: each needs a byte at least */
    size_t objects;
};

static size_t big_endian(const uint8_t *bytes, size_t count)
{
    size_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* What stands behind the type byte: `size_bytes` of length, `body` fixed bytes more, or so many child
 * objects. */
struct head {
    unsigned size_bytes;
    size_t body;
    unsigned children_per_count; /* 1 array, 2 map, 0 neither */
    size_t count;                /* when size_bytes is 0 */
};

/* 0xc0 to 0xdf; the rest of the type bytes carry their own count. */
static const struct head heads[32] = {
    [0x04] = {.size_bytes = 1}, /* bin 8, 16, 32 */
    [0x05] = {.size_bytes = 2},
    [0x06] = {.size_bytes = 4},
    [0x07] = {.size_bytes = 1, .body = 1}, /* ext 8, 16, 32: a type byte more */
    [0x08] = {.size_bytes = 2, .body = 1},
    [0x09] = {.size_bytes = 4, .body = 1},
    [0x0a] = {.body = 4}, /* float 32, 64 */
    [0x0b] = {.body = 8},
    [0x0c] = {.body = 1}, /* uint 8 to 64 */
    [0x0d] = {.body = 2},
    [0x0e] = {.body = 4},
    [0x0f] = {.body = 8},
    [0x10] = {.body = 1}, /* int 8 to 64 */
    [0x11] = {.body = 2},
    [0x12] = {.body = 4},
    [0x13] = {.body = 8},
    [0x14] = {.body = 2}, /* fixext 1 to 16 */
    [0x15] = {.body = 3},
    [0x16] = {.body = 5},
    [0x17] = {.body = 9},
    [0x18] = {.body = 17},
    [0x19] = {.size_bytes = 1}, /* str 8, 16, 32 */
    [0x1a] = {.size_bytes = 2},
    [0x1b] = {.size_bytes = 4},
    [0x1c] = {.size_bytes = 2, .children_per_count = 1}, /* array 16, 32 */
    [0x1d] = {.size_bytes = 4, .children_per_count = 1},
    [0x1e] = {.size_bytes = 2, .children_per_count = 2}, /* map 16, 32 */
    [0x1f] = {.size_bytes = 4, .children_per_count = 2},
};

static struct head head_of(uint8_t type)
{
    if (type < 0x80 || type >= 0xe0)
        return (struct head){0}; /* small integers */
    if (type < 0x90)
        return (struct head){.children_per_count = 2, .count = type & 0x0f};
    if (type < 0xa0)
        return (struct head){.children_per_count = 1, .count = type & 0x0f};
    if (type < 0xc0)
        return (struct head){.body = type & 0x1f};
    return heads[type - 0xc0];
}

static enum cf_err truncated(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_INVALID, "the message is truncated");
}

static enum cf_err enter(struct walk *walk, size_t children, struct cf_detail *detail)
{
    if (walk->depth == CF_RECORD_DEPTH_MAX)
        return cf_fail(detail, CF_E_INVALID, "the message nests deeper than %d", CF_RECORD_DEPTH_MAX);
    /* Subtracted, not added: counts come from the peer and must not overflow. */
    if (walk->owed_total > walk->left || children > walk->left - walk->owed_total)
        return cf_fail(detail, CF_E_INVALID, "the message declares %zu objects where %zu bytes are left",
                       children, walk->left);
    walk->owed[walk->depth++] = children;
    walk->owed_total += children;
    return CF_OK;
}

static enum cf_err step(struct walk *walk, struct cf_detail *detail)
{
    if (walk->left == 0)
        return truncated(detail);
    if (++walk->objects > CF_RECORD_OBJECTS_MAX)
        return cf_fail(detail, CF_E_INVALID, "the message holds over %d objects", CF_RECORD_OBJECTS_MAX);
    uint8_t type = *walk->at;
    if (type == 0xc1)
        return cf_fail(detail, CF_E_INVALID, "the message is not msgpack: byte 0xc1");
    struct head head = head_of(type);
    size_t need = 1 + head.size_bytes;
    if (walk->left < need)
        return truncated(detail);
    size_t count = head.size_bytes ? big_endian(walk->at + 1, head.size_bytes) : head.count;
    size_t body = head.body + (head.children_per_count ? 0 : count);
    if (walk->left - need < body)
        return truncated(detail);
    walk->at += need + body;
    walk->left -= need + body;
    return head.children_per_count ? enter(walk, count * head.children_per_count, detail) : CF_OK;
}

/* Leaves the containers that are complete and takes one object from the innermost that is not. */
static bool owes_more(struct walk *walk)
{
    while (walk->depth > 0 && walk->owed[walk->depth - 1] == 0)
        walk->depth--;
    if (walk->depth == 0)
        return false;
    walk->owed[walk->depth - 1]--;
    walk->owed_total--;
    return true;
}

enum cf_err cf_record_walk(struct cf_bytes bytes, struct cf_detail *detail)
{
    struct walk walk = {.at = bytes.data, .left = bytes.len};
    do {
        enum cf_err err = step(&walk, detail);
        if (err)
            return err;
    } while (owes_more(&walk));
    if (walk.left)
        return cf_fail(detail, CF_E_INVALID, "%zu bytes stand behind the end of the message", walk.left);
    return CF_OK;
}
