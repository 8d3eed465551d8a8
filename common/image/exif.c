#include "common/image/decode.h"

/* A TIFF structure inside an APP1 segment: every read is checked against its end. */
struct tiff {
    struct cf_bytes bytes;
    bool big_endian;
};

static uint32_t get(const struct tiff *tiff, size_t at, size_t count)
{
    uint32_t value = 0;
    if (at > tiff->bytes.len || count > tiff->bytes.len - at)
        return 0;
    for (size_t i = 0; i < count; i++)
        value = value << 8 | tiff->bytes.data[at + (tiff->big_endian ? i : count - 1 - i)];
    return value;
}

static unsigned orientation_of(struct cf_bytes bytes)
{
    struct tiff tiff = {bytes, bytes.len > 0 && bytes.data[0] == 'M'};
    if (bytes.len < 8 || bytes.data[0] != bytes.data[1] || (bytes.data[0] != 'M' && bytes.data[0] != 'I') ||
        get(&tiff, 2, 2) != 42)
        return 1;
    size_t at = get(&tiff, 4, 4);
    size_t entries = get(&tiff, at, 2);
    at += 2;
    for (size_t i = 0; i < entries && at + 12 <= bytes.len; i++, at += 12) {
        if (get(&tiff, at, 2) != 0x0112)
            continue;
        uint32_t value = get(&tiff, at + 2, 2) == 3 && get(&tiff, at + 4, 4) == 1 ? get(&tiff, at + 8, 2) : 1;
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

unsigned cf_exif_orientation(struct cf_bytes jpeg)
{
    const uint8_t *p = jpeg.data;
    size_t at = 2;
    /* Segments with a length; anything else (fill bytes, the first scan) ends the search. */
    while (jpeg.len >= 4 && at <= jpeg.len - 4 && p[at] == 0xFF && p[at + 1] >= 0xC0 && p[at + 1] < 0xFF &&
           p[at + 1] != 0xDA) {
        size_t length = (size_t)p[at + 2] << 8 | p[at + 3];
        if (length < 2 || length > jpeg.len - at - 2)
            break;
        if (p[at + 1] == 0xE1 && length >= 8 && memcmp(p + at + 4, "Exif\0", 6) == 0)
            return orientation_of((struct cf_bytes){p + at + 10, length - 8});
        at += 2 + length;
    }
    return 1;
}
