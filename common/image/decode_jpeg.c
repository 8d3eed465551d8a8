#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
/* after jpeglib.h, which it needs */
#include <jerror.h>

#include "common/image/decode.h"

/* A picture within the pixel limit may have this many scans at its largest; a smaller one more, up to its own
 * limit. libjpeg walks over every block of the picture in every scan, whatever the file holds. */
enum { SCANS_AT_PIXELS_MAX = 16 };

/* One decode: a handle of its own, since a failed header poisons a handle for the pictures after it. */
struct reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    struct cf_bytes file;
    const struct cf_image_limits *limits;
    bool scaled;
    unsigned orientation;
    enum cf_err refusal;           /* ours, raised inside a callback */
    char message[JMSG_LENGTH_MAX]; /* libjpeg's first warning, or its error */
    bool exhausted;                /* the file ended early */
    bool disordered;               /* a warning before that: no clean beginning of a JPEG */
    bool starved;                  /* the data ended in the first row of blocks of the first scan */
    size_t rows_end;               /* how far the file was read when all was well */
    uint8_t *rgb;
};

static bool in_first_row(const struct jpeg_decompress_struct *cinfo)
{
    return cinfo->input_scan_number <= 1 && cinfo->input_iMCU_row == 0;
}

static void on_error(j_common_ptr common)
{
    struct reader *r = common->client_data;
    common->err->format_message(common, r->message);
    longjmp(r->failed, 1);
}

/* libjpeg calls warnings what we call a partial picture. */
static void on_message(j_common_ptr common, int level)
{
    struct reader *r = common->client_data;
    const struct jpeg_decompress_struct *cinfo = &r->cinfo;
    if (level >= 0)
        return;
    if (common->err->num_warnings++ == 0)
        common->err->format_message(common, r->message);
    int code = common->err->msg_code;
    bool restart_follows = cinfo->unread_marker >= 0xD0 && cinfo->unread_marker <= 0xD7;
    if (code == JWRN_JPEG_EOF)
        r->exhausted = true;
    else if (code != JWRN_HIT_MARKER && !r->exhausted)
        r->disordered = true;
    /* The arithmetic decoder goes on silently behind the end: the end itself is the sign there. */
    if ((code == JWRN_HIT_MARKER && !restart_follows) || (code == JWRN_JPEG_EOF && cinfo->arith_code))
        r->starved |= in_first_row(cinfo);
}

static void on_output(j_common_ptr common)
{
    (void)common; /* libjpeg's own goes to stderr */
}

/* Called before each row of blocks is read: where scans and work are bounded. */
static void on_progress(j_common_ptr common)
{
    struct reader *r = common->client_data;
    const struct jpeg_decompress_struct *cinfo = &r->cinfo;
    uint64_t scans = (uint64_t)cinfo->input_scan_number;
    uint64_t work = scans * cinfo->image_width * cinfo->image_height;
    if (scans > r->limits->scans_max || work / SCANS_AT_PIXELS_MAX > r->limits->pixels_max) {
        r->refusal = CF_E_TOO_LARGE;
        snprintf(r->message, sizeof r->message, "more than %llu scans", (unsigned long long)scans - 1);
        longjmp(r->failed, 1);
    }
    size_t left = cinfo->src->bytes_in_buffer + (cinfo->unread_marker ? 2 : 0);
    if (!r->exhausted && left <= r->file.len)
        r->rows_end = r->file.len - left;
}

/* libjpeg leaves by longjmp: all state lives in the reader, none in the frame that calls setjmp. */
static bool run(struct reader *r, void (*step)(struct reader *))
{
    if (setjmp(r->failed))
        return false;
    step(r);
    return true;
}

static void read_header(struct reader *r)
{
    jpeg_create_decompress(&r->cinfo);
    r->cinfo.progress = &r->progress;
    r->cinfo.mem->max_memory_to_use = (long)r->limits->memory_bytes_max;
    jpeg_mem_src(&r->cinfo, r->file.data, (unsigned long)r->file.len);
    jpeg_read_header(&r->cinfo, TRUE);
}

static void choose_output(struct reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;
    bool inks = cinfo->jpeg_color_space == JCS_CMYK || cinfo->jpeg_color_space == JCS_YCCK;
    cinfo->out_color_space = inks ? JCS_CMYK : JCS_RGB;
    cinfo->dct_method = JDCT_ISLOW;
    cinfo->scale_num = r->scaled ? 8 / cf_image_reduction(cinfo->image_width, cinfo->image_height) : 8;
    cinfo->scale_denom = 8;
    jpeg_calc_output_dimensions(cinfo);
}

/* What the decode is going to allocate: pixels (twice when they must be turned), all coefficients when there
 * are several scans, and strips of some rows otherwise. */
static uint64_t memory_bytes(struct reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;
    uint64_t bytes = (uint64_t)cinfo->output_width * cinfo->output_height * 3 * (r->orientation > 1 ? 2 : 1);
    bytes += (uint64_t)cinfo->image_width * 4 * 64;
    if (jpeg_has_multiple_scans(cinfo))
        for (int i = 0; i < cinfo->num_components; i++)
            bytes += ((uint64_t)cinfo->comp_info[i].width_in_blocks + 4) *
                     ((uint64_t)cinfo->comp_info[i].height_in_blocks + 4) * sizeof(JBLOCK);
    return bytes;
}

static uint8_t over_255(unsigned product)
{
    return (uint8_t)((product + 127) / 255);
}

/* Adobe writes inks inverted (255 is no ink) and says so by its marker. */
static void inks_to_rgb(const uint8_t *inks, uint8_t *rgb, uint32_t width, bool inverted)
{
    unsigned flip = inverted ? 0 : 255;
    for (uint32_t x = 0; x < width; x++, inks += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = over_255((inks[c] ^ flip) * (inks[3] ^ flip));
}

static void read_pixels(struct reader *r)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;
    bool inks = cinfo->out_color_space == JCS_CMYK;
    jpeg_start_decompress(cinfo);
    JSAMPARRAY line = NULL;
    if (inks)
        line = cinfo->mem->alloc_sarray((j_common_ptr)cinfo, JPOOL_IMAGE, cinfo->output_width * 4, 1);
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *row = r->rgb + (size_t)cinfo->output_scanline * cinfo->output_width * 3;
        jpeg_read_scanlines(cinfo, inks ? line : &row, 1);
        if (inks)
            inks_to_rgb(line[0], row, cinfo->output_width, cinfo->saw_Adobe_marker);
    }
    /* No jpeg_finish_decompress: it would read on to the end of a file that may hold anything behind the
     * picture. */
}

static enum cf_err header_error(const struct reader *r)
{
    switch (r->errors.msg_code) {
    case JERR_OUT_OF_MEMORY:
        return CF_E_NO_MEMORY;
    case JERR_IMAGE_TOO_BIG:
    case JERR_WIDTH_OVERFLOW:
    case JERR_NO_BACKING_STORE:
        return CF_E_TOO_LARGE;
    case JERR_EMPTY_IMAGE:
        return CF_E_NO_PIXELS;
    case JERR_ARITH_NOTIMPL:
    case JERR_BAD_J_COLORSPACE:
    case JERR_BAD_PRECISION:
    case JERR_CCIR601_NOTIMPL:
    case JERR_COMPONENT_COUNT:
    case JERR_CONVERSION_NOTIMPL:
    case JERR_FRACT_SAMPLE_NOTIMPL:
    case JERR_SOF_UNSUPPORTED:
        return CF_E_UNSUPPORTED;
    default:
        break;
    }
    bool ended = r->errors.msg_code == JERR_NO_IMAGE || r->exhausted;
    return ended && (!r->disordered || r->cinfo.image_width > 0) ? CF_E_NO_PIXELS : CF_E_NOT_AN_IMAGE;
}

static enum cf_err pixels_error(const struct reader *r)
{
    if (r->refusal)
        return r->refusal;
    enum cf_err err = header_error(r);
    return err == CF_E_NOT_AN_IMAGE ? CF_E_NO_PIXELS : err;
}

static void reader_init(struct reader *r, struct cf_bytes file, const struct cf_image_limits *limits,
                        bool scaled)
{
    *r = (struct reader){.file = file, .limits = limits, .scaled = scaled};
    r->cinfo.err = jpeg_std_error(&r->errors);
    r->cinfo.client_data = r;
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    r->errors.output_message = on_output;
    r->progress.progress_monitor = on_progress;
    r->orientation = cf_exif_orientation(file);
}

static enum cf_err reader_header(struct reader *r, struct cf_detail *detail)
{
    if (!run(r, read_header))
        return cf_fail(detail, header_error(r), "the JPEG's header does not decode: %s", r->message);
    enum cf_err err = cf_image_check_sides(r->cinfo.image_width, r->cinfo.image_height, r->limits, detail);
    if (err)
        return err;
    if (!run(r, choose_output))
        return cf_fail(detail, header_error(r), "the JPEG's header does not decode: %s", r->message);
    return cf_image_check_memory(r->cinfo.image_width, r->cinfo.image_height, memory_bytes(r), r->limits,
                                 detail);
}

static enum cf_err reader_pixels(struct reader *r, struct cf_image *image, struct cf_detail *detail)
{
    struct jpeg_decompress_struct *cinfo = &r->cinfo;
    enum cf_err err = cf_image_pixels_new(cinfo->output_width, cinfo->output_height, &r->rgb, detail);
    if (err)
        return err;
    bool whole = run(r, read_pixels);
    if (r->starved)
        return cf_fail(detail, CF_E_NO_PIXELS, "the JPEG ends before its first row of blocks");
    /* Rows that came before an error in a single scan are kept. */
    if (!whole && (r->refusal || cinfo->output_scanline == 0))
        return cf_fail(detail, pixels_error(r), "the JPEG does not decode: %s", r->message);
    *image = (struct cf_image){.width = cinfo->output_width,
                               .height = cinfo->output_height,
                               .rgb = r->rgb,
                               .partial = !whole || r->errors.num_warnings > 0,
                               .source_width = cinfo->image_width,
                               .source_height = cinfo->image_height};
    if (image->partial)
        snprintf(image->warning, sizeof image->warning, "%.*s", (int)sizeof image->warning - 1, r->message);
    r->rgb = NULL;
    return CF_OK;
}

/* `*good` tells how much of the file was read when the first row of blocks had come and something failed
 * later: that much of it decodes. Zero otherwise. */
static enum cf_err decode_once(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                               struct cf_image *image, size_t *good, struct cf_detail *detail)
{
    struct reader *r = malloc(sizeof *r);
    *good = 0;
    if (!r)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a JPEG decoder");
    reader_init(r, file, limits, scaled);
    enum cf_err err = reader_header(r, detail);
    if (!err) {
        err = reader_pixels(r, image, detail);
        if (err == CF_E_NO_PIXELS && !r->starved && !in_first_row(&r->cinfo))
            *good = r->rows_end;
    }
    unsigned orientation = r->orientation;
    jpeg_destroy_decompress(&r->cinfo);
    free(r->rgb);
    free(r);
    if (!err) {
        err = cf_image_orient(image, orientation, detail);
        if (err)
            cf_image_fini(image);
    }
    return err;
}

enum cf_err cf_decode_jpeg(struct cf_bytes file, const struct cf_image_limits *limits, bool scaled,
                           struct cf_image *image, struct cf_detail *detail)
{
    size_t good;
    enum cf_err err = decode_once(file, limits, scaled, image, &good, detail);
    /* A later scan's tables are damaged: the scans before it are a picture, coarser than it was meant. */
    if (err == CF_E_NO_PIXELS && good > 0 && good < file.len) {
        err = decode_once((struct cf_bytes){file.data, good}, limits, scaled, image, &good, detail);
        if (!err && !image->partial) {
            image->partial = true;
            snprintf(image->warning, sizeof image->warning, "damaged behind byte %zu", good);
        }
    }
    return err;
}
