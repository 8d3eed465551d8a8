#include "common/base/album.h"

#include "common/base/hash.h"

static const char *const state_names[CF_STATE_COUNT] = {
    [CF_STATE_NONE] = "none",           [CF_STATE_QUEUED] = "queued",   [CF_STATE_DELAYED] = "delayed",
    [CF_STATE_LEASED] = "leased",       [CF_STATE_DESCRIBED] = "described", [CF_STATE_INDEXED] = "indexed",
    [CF_STATE_DEAD] = "dead",           [CF_STATE_REMOVED] = "removed",
};

const char *cf_state_name(enum cf_state state)
{
    return (unsigned)state < CF_STATE_COUNT ? state_names[state] : "none";
}

enum cf_state cf_state_from_name(struct cf_str name)
{
    for (unsigned i = 0; i < CF_STATE_COUNT; i++)
        if (cf_str_is(name, state_names[i]))
            return (enum cf_state)i;
    return CF_STATE_COUNT;
}

/* The length of the well-formed sequence at `p`, or 0 (Unicode 15, table 3-7). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (len == 0 || len > left)
        return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (p[0] == 0xE0)
        low = 0xA0;
    else if (p[0] == 0xED)
        high = 0x9F;
    else if (p[0] == 0xF0)
        low = 0x90;
    else if (p[0] == 0xF4)
        high = 0x8F;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool cf_utf8_valid(struct cf_str text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    for (size_t at = 0; at < text.len;) {
        size_t len = utf8_sequence(p + at, text.len - at);
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

enum cf_err cf_album_check(struct cf_str album, struct cf_detail *detail)
{
    if (album.len == 0)
        return cf_fail(detail, CF_E_BAD_ALBUM, "the album id is empty");
    if (album.len > CF_ALBUM_BYTES_MAX)
        return cf_fail(detail, CF_E_BAD_ALBUM, "the album id %.24s… has %zu bytes: at most %d are allowed",
                       album.data, album.len, CF_ALBUM_BYTES_MAX);
    if (!cf_utf8_valid(album))
        return cf_fail(detail, CF_E_BAD_ALBUM, "the album id is not valid UTF-8");
    const unsigned char *p = (const unsigned char *)album.data;
    for (size_t i = 0; i < album.len; i++)
        if (p[i] < 0x20 || p[i] == 0x7F || (p[i] == 0xC2 && p[i + 1] < 0xA0))
            return cf_fail(detail, CF_E_BAD_ALBUM, "the album id has a control character at byte %zu", i);
    return CF_OK;
}

/* ---- labels ---- */

const char *const cf_label_keys[CF_LABEL_COUNT] = {[CF_LABEL_ARTIST] = "artist", [CF_LABEL_GENRE] = "genre"};

uint32_t cf_label(struct cf_str value)
{
    if (value.len == 0)
        return 0;
    uint32_t label = (uint32_t)cf_xxh3((struct cf_bytes){(const uint8_t *)value.data, value.len});
    return label ? label : 1;
}

void cf_labels_of(const struct cf_pair *meta, size_t count, uint32_t labels[CF_LABEL_COUNT])
{
    for (size_t kind = 0; kind < CF_LABEL_COUNT; kind++) {
        labels[kind] = 0;
        for (size_t i = 0; i < count && labels[kind] == 0; i++)
            if (cf_str_is(meta[i].key, cf_label_keys[kind]))
                labels[kind] = cf_label(meta[i].value);
    }
}
