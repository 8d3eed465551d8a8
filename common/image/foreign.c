#include "common/image/decode.h"

/* Formats that people will push and that we do not decode, so that the refusal names them instead of calling
 * a good picture none. */

enum { SVG_LOOK_BYTES = 1024 };

static bool has(struct cf_bytes file, size_t at, const char *magic, size_t len)
{
    return file.len >= at + len && memcmp(file.data + at, magic, len) == 0;
}

/* Two letters prove little: the size of the header behind them has few values. */
static bool is_bmp(struct cf_bytes file)
{
    static const uint8_t header_sizes[] = {12, 16, 40, 52, 56, 64, 108, 124};
    if (!has(file, 0, "BM", 2) || file.len < 18 || file.data[15] || file.data[16] || file.data[17])
        return false;
    for (size_t i = 0; i < sizeof header_sizes; i++)
        if (file.data[14] == header_sizes[i])
            return true;
    return false;
}

/* Text that opens with the element itself, or names it soon after an XML declaration or a comment. */
static bool is_svg(struct cf_bytes file)
{
    size_t at = has(file, 0, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < file.len && (file.data[at] == ' ' || (file.data[at] >= '\t' && file.data[at] <= '\r')))
        at++;
    if (has(file, at, "<svg", 4))
        return true;
    if (!has(file, at, "<?xml", 5) && !has(file, at, "<!--", 4) && !has(file, at, "<!DOCTYPE svg", 13))
        return false;
    size_t end = file.len < at + SVG_LOOK_BYTES ? file.len : at + SVG_LOOK_BYTES;
    for (; at < end; at++)
        if (has(file, at, "<svg", 4))
            return true;
    return false;
}

/* ISO/IEC 14496-12: a box `ftyp` with the major brand of what follows. */
static const char *ftyp_name(struct cf_bytes file)
{
    static const struct {
        char brand[5];
        const char *name;
    } brands[] = {
        {"avif", "AVIF"}, {"avis", "AVIF"}, {"heic", "HEIC"}, {"heix", "HEIC"}, {"heim", "HEIC"},
        {"heis", "HEIC"}, {"hevc", "HEIC"}, {"hevx", "HEIC"}, {"mif1", "HEIF"}, {"msf1", "HEIF"},
    };
    if (!has(file, 4, "ftyp", 4))
        return NULL;
    for (size_t i = 0; i < sizeof brands / sizeof brands[0]; i++)
        if (has(file, 8, brands[i].brand, 4))
            return brands[i].name;
    return NULL;
}

const char *cf_image_foreign(struct cf_bytes file)
{
    static const struct {
        const char *magic;
        size_t len;
        const char *name;
    } formats[] = {
        {"GIF87a", 6, "GIF"},
        {"GIF89a", 6, "GIF"},
        {"II*\0", 4, "TIFF"},
        {"MM\0*", 4, "TIFF"},
        {"II+\0", 4, "TIFF"},
        {"MM\0+", 4, "TIFF"},
        {"\0\0\0\x0CJXL \r\n\x87\n", 12, "JPEG XL"},
        {"\0\0\0\x0CjP  \r\n\x87\n", 12, "JPEG 2000"},
        {"\xFF\x4F\xFF\x51", 4, "JPEG 2000"},
        {"8BPS\0\1", 6, "PSD"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (has(file, 0, formats[i].magic, formats[i].len))
            return formats[i].name;
    return is_bmp(file) ? "BMP" : is_svg(file) ? "SVG" : ftyp_name(file);
}
