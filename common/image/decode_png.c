#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <png.h>

#include "common/image/decode.h"

/* ISO/IEC 15948. Bytes are pushed into libpng, which gives back each row as soon as it is whole: of a
 * truncated file that is every row that it holds. Chunks that say what colours mean (gAMA, iCCP, sRGB, cHRM)
 * are left unread: samples are taken as sRGB, as for every other format here. */

enum { HEADER_BYTES = 33, CHUNK_BYTES_MAX = 1 << 20, CHUNKS_MAX = 100 };

/* Adam7: where the pixels of each pass begin and how far apart they are, and the square that one stands for.
 */
enum { PASSES = 7 };
static const struct pass {
    uint8_t x, y, x_step, y_step, across, down;
} adam7[PASSES] = {
    {0, 0, 8, 8, 8, 8}, {4, 0, 8, 8, 4, 8}, {0, 4, 4, 8, 4, 4}, {2, 0, 4, 4, 2, 4},
    {0, 2, 2, 4, 2, 2}, {1, 0, 2, 2, 1, 2}, {0, 1, 1, 2, 1, 1},
};

struct reader {
    png_structp png;
    png_infop info;
    jmp_buf failed;
    struct cf_bytes file;
    uint32_t side_max;
    uint32_t width, height;
    bool interlaced;
    unsigned factor; /* squares of so many pixels become one */
    uint32_t out_width, out_height;
    size_t channels;     /* 3, or 4 with alpha */
    uint8_t *rgb, *line; /* the picture; a row laid over white */
    uint32_t *sums;      /* a row of squares, of `summed` rows so far */
    uint32_t summed;
    uint64_t rows, rows_whole; /* of all passes: come, and expected */
    bool ended;                /* all was read up to IEND */
    bool damaged;              /* a warning that concerns pixels */
    bool header_damaged, no_memory;
    char message[128]; /* libpng's first warning, or its error */
};

static void on_error(png_structp png, png_const_charp message)
{
    struct reader *r = png_get_error_ptr(png);
    if (!r->damaged)
        snprintf(r->message, sizeof r->message, "%s", message);
    longjmp(r->failed, 1);
}

/* Pixels and palettes whose check sum is wrong are used all the same, a tRNS is not; any other chunk is not
 * ours. */
static void on_warning(png_structp png, png_const_charp message)
{
    struct reader *r = png_get_error_ptr(png);
    const png_uint_32 chunk = png_get_io_chunk_type(png);
    r->header_damaged |= chunk == 0x49484452;                                        /* IHDR */
    bool pixels = chunk == 0x49444154 || chunk == 0x504C5445 || chunk == 0x74524E53; /* IDAT, PLTE, tRNS */
    if (pixels && !r->damaged)
        snprintf(r->message, sizeof r->message, "%s", message);
    r->damaged |= pixels;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct reader *r = png_get_mem_ptr(png);
    void *memory = malloc(size);
    r->no_memory |= !memory;
    return memory;
}

static void on_free(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

/* Everything becomes 8-bit RGB or RGBA. */
static void on_info(png_structp png, png_infop info)
{
    struct reader *r = png_get_progressive_ptr(png);
    png_set_scale_16(png);
    png_set_expand(png);
    png_set_gray_to_rgb(png);
    png_read_update_info(png, info);
    r->channels = png_get_channels(png, info);
    if ((r->channels != 3 && r->channels != 4) || png_get_bit_depth(png, info) != 8 ||
        png_get_image_width(png, info) != r->width || png_get_image_height(png, info) != r->height)
        png_error(png, "an unexpected layout of pixels");
}

static void flush_sums(struct reader *r, uint32_t y)
{
    uint8_t *out = r->rgb + (size_t)y * r->out_width * 3;
    for (uint32_t x = 0; x < r->out_width; x++) {
        uint32_t left = r->width - x * r->factor, columns = left < r->factor ? left : r->factor;
        uint32_t area = columns * r->summed;
        for (size_t c = 0; c < 3; c++)
            out[x * 3 + c] = (uint8_t)((r->sums[x * 3 + c] + area / 2) / area);
    }
    memset(r->sums, 0, (size_t)r->out_width * 3 * sizeof *r->sums);
    r->summed = 0;
}

static void add_row(struct reader *r, const uint8_t *row, uint32_t y)
{
    uint32_t *sum = r->sums;
    for (uint32_t x = 0; x < r->width; sum += 3)
        for (uint32_t i = 0; i < r->factor && x < r->width; i++, x++, row += 3)
            for (size_t c = 0; c < 3; c++)
                sum[c] += row[c];
    if (++r->summed == r->factor || y + 1 == r->height)
        flush_sums(r, y / r->factor);
}

static uint32_t pass_columns(const struct reader *r, int pass)
{
    const struct pass *p = &adam7[pass];
    return r->interlaced ? (r->width + p->x_step - 1u - p->x) / p->x_step : r->width;
}

static uint32_t pass_rows(const struct reader *r, int pass)
{
    const struct pass *p = &adam7[pass];
    return r->interlaced ? (r->height + p->y_step - 1u - p->y) / p->y_step : r->height;
}

/* Each pixel of a pass stands for the square around it until finer ones come: a truncated picture is coarse
 * rather than full of holes. */
static void put_pass_row(struct reader *r, const uint8_t *row, uint32_t number, int pass)
{
    const struct pass *p = &adam7[pass];
    uint32_t top = p->y + number * p->y_step, columns = pass_columns(r, pass);
    for (uint32_t y = top; y < top + p->down && y < r->height; y++)
        for (uint32_t i = 0; i < columns; i++) {
            uint32_t x = p->x + i * p->x_step, end = x + p->across;
            for (; x < end && x < r->width; x++)
                memcpy(r->rgb + ((size_t)y * r->width + x) * 3, row + (size_t)i * 3, 3);
        }
}

static void on_row(png_structp png, png_bytep row, png_uint_32 number, int pass)
{
    struct reader *r = png_get_progressive_ptr(png);
    if (number >= pass_rows(r, pass))
        png_error(png, "more rows than the picture has");
    if (r->channels == 4) {
        cf_image_over_white(row, r->line, pass_columns(r, pass));
        row = r->line;
    }
    if (r->interlaced)
        put_pass_row(r, row, number, pass);
    else if (r->factor > 1)
        add_row(r, row, number);
    else
        memcpy(r->rgb + (size_t)number * r->width * 3, row, (size_t)r->width * 3);
    r->rows++;
}

static void on_end(png_structp png, png_infop info)
{
    struct reader *r = png_get_progressive_ptr(png);
    (void)info;
    r->ended = true;
}

static void read_file(struct reader *r)
{
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_malloc, on_free);
    r->info = r->png ? png_create_info_struct(r->png) : NULL;
    if (!r->info) {
        r->no_memory = true;
        return;
    }
    png_set_user_limits(r->png, r->side_max, r->side_max);
    png_set_chunk_malloc_max(r->png, CHUNK_BYTES_MAX);
    png_set_chunk_cache_max(r->png, CHUNKS_MAX);
    /* Every chunk but IHDR, PLTE, tRNS, IDAT and IEND is skipped: no text or profile is inflated. */
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_crc_action(r->png, PNG_CRC_WARN_USE, PNG_CRC_WARN_DISCARD);
    png_set_progressive_read_fn(r->png, r, on_info, on_row, on_end);
    png_process_data(r->png, r->info, (png_bytep)r->file.data, r->file.len);
}

/* libpng leaves by longjmp: all state lives in the reader, none in the frame that calls setjmp. */
static void run(struct reader *r)
{
    if (setjmp(r->failed) == 0)
        read_file(r);
}

static bool known_kind(const uint8_t *ihdr)
{
    unsigned depth = ihdr[8], colour = ihdr[9];
    bool whole = depth == 8 || depth == 16, packed = depth == 1 || depth == 2 || depth == 4;
    bool kind = colour == 0   ? whole || packed
                : colour == 3 ? packed || depth == 8
                              : (colour == 2 || colour == 4 || colour == 6) && whole;
    return kind && ihdr[10] == 0 && ihdr[11] == 0 && ihdr[12] <= 1;
}

/* By hand, before libpng sees anything. */
static enum cf_err read_header(struct reader *r, struct cf_detail *detail)
{
    static const uint8_t first_chunk[8] = {0, 0, 0, 13, 'I', 'H', 'D', 'R'};
    const uint8_t *p = r->file.data;
    size_t seen = r->file.len - 8 < sizeof first_chunk ? r->file.len - 8 : sizeof first_chunk;
    if (memcmp(p + 8, first_chunk, seen) != 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNG does not begin with its header");
    if (r->file.len < HEADER_BYTES)
        return cf_fail(detail, CF_E_NO_PIXELS, "the PNG ends within its header");
    p += 16;
    if (!known_kind(p))
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNG's header is damaged");
    r->width = png_get_uint_32(p);
    r->height = png_get_uint_32(p + 4);
    r->interlaced = p[12];
    return CF_OK;
}

static enum cf_err prepare(struct reader *r, const struct cf_image_limits *limits, bool scaled,
                           struct cf_detail *detail)
{
    enum cf_err err = read_header(r, detail);
    if (!err)
        err = cf_image_check_sides(r->width, r->height, limits, detail);
    if (err)
        return err;
    r->side_max = limits->side_max;
    /* Inflating costs the most, whatever the size: what averaging saves is memory. Sides stay at eight times
     * the thumbnail's, where a square cut off by the edge no longer moves what is beside it. */
    r->factor = scaled && !r->interlaced ? cf_image_reduction(r->width / 4, r->height / 4) : 1;
    r->out_width = (r->width + r->factor - 1) / r->factor;
    r->out_height = (r->height + r->factor - 1) / r->factor;
    for (int pass = 0; pass < (r->interlaced ? PASSES : 1); pass++)
        if (pass_columns(r, pass) > 0)
            r->rows_whole += pass_rows(r, pass);
    /* Pixels; rows here and in libpng at eight bytes a pixel; a chunk that is kept while its end is awaited.
     */
    uint64_t need =
        (uint64_t)r->out_width * r->out_height * 3 + (uint64_t)r->width * 40 + r->file.len + CHUNK_BYTES_MAX;
    err = cf_image_check_memory(r->width, r->height, need, limits, detail);
    if (!err)
        err = cf_image_pixels_new(r->out_width, r->out_height, &r->rgb, detail);
    if (err)
        return err;
    r->line = malloc((size_t)r->width * 3);
    r->sums = calloc((size_t)r->out_width * 3, sizeof *r->sums);
    return r->line && r->sums ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for a PNG decoder");
}

static enum cf_err refuse(const struct reader *r, struct cf_detail *detail)
{
    if (r->no_memory)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a PNG decoder");
    if (r->header_damaged)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the PNG's header is damaged: %s", r->message);
    return cf_fail(detail, CF_E_NO_PIXELS, "the PNG holds no row of pixels: %s",
                   r->message[0] ? r->message : "the file ends before");
}

static void hand_over(struct reader *r, struct cf_image *image)
{
    if (r->summed > 0)
        flush_sums(r, (uint32_t)(r->rows - 1) / r->factor);
    bool missing = r->rows < r->rows_whole;
    *image = (struct cf_image){.width = r->out_width,
                               .height = r->out_height,
                               .rgb = r->rgb,
                               .partial = missing || r->damaged || !r->ended,
                               .source_width = r->width,
                               .source_height = r->height};
    if (r->message[0])
        snprintf(image->warning, sizeof image->warning, "%s", r->message);
    else if (missing)
        snprintf(image->warning, sizeof image->warning, "the file ends after %llu of %llu rows",
                 (unsigned long long)r->rows, (unsigned long long)r->rows_whole);
    else if (image->partial)
        snprintf(image->warning, sizeof image->warning, "the file ends before its last chunk");
    r->rgb = NULL;
}

enum cf_err cf_decode_png(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                          struct cf_image *image, struct cf_detail *detail)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a PNG decoder");
    r->file = file;
    enum cf_err err = prepare(r, limits, scaled, detail);
    if (err)
        goto out;
    run(r);
    png_destroy_read_struct(&r->png, &r->info, NULL);
    if (r->no_memory || r->header_damaged || r->rows == 0)
        err = refuse(r, detail);
    else
        hand_over(r, image);
out:
    free(r->rgb);
    free(r->line);
    free(r->sums);
    free(r);
    return err;
}
