#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "common/image/image.h"

/* Both ways use the accurate integer transform, so that the same pixels give the same bytes and back on every
 * machine. */

struct failure {
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    char message[JMSG_LENGTH_MAX];
};

static void on_error(j_common_ptr common)
{
    struct failure *failure = common->client_data;
    common->err->format_message(common, failure->message);
    longjmp(failure->failed, 1);
}

static void on_message(j_common_ptr common, int level)
{
    if (level < 0)
        on_error(common); /* of a file of our own a warning is damage */
}

static void on_output(j_common_ptr common)
{
    (void)common;
}

static void failure_init(struct failure *failure)
{
    jpeg_std_error(&failure->errors);
    failure->errors.error_exit = on_error;
    failure->errors.emit_message = on_message;
    failure->errors.output_message = on_output;
    failure->message[0] = '\0';
}

struct writer {
    struct jpeg_compress_struct cinfo;
    struct failure failure;
    struct jpeg_destination_mgr destination;
    uint8_t bytes[CF_THUMB_JPEG_BYTES_MAX];
};

static void destination_init(j_compress_ptr cinfo)
{
    struct writer *writer = (struct writer *)cinfo; /* its first member */
    writer->destination.next_output_byte = writer->bytes;
    writer->destination.free_in_buffer = sizeof writer->bytes;
}

static boolean destination_full(j_compress_ptr cinfo)
{
    struct writer *writer = (struct writer *)cinfo;
    snprintf(writer->failure.message, sizeof writer->failure.message, "over %d bytes",
             CF_THUMB_JPEG_BYTES_MAX);
    longjmp(writer->failure.failed, 1);
}

static void destination_done(j_compress_ptr cinfo)
{
    (void)cinfo;
}

static void compress(struct writer *writer, const uint8_t *rgb)
{
    struct jpeg_compress_struct *cinfo = &writer->cinfo;
    jpeg_create_compress(cinfo);
    cinfo->dest = &writer->destination;
    cinfo->image_width = cinfo->image_height = CF_THUMB_SIDE;
    cinfo->input_components = 3;
    cinfo->in_color_space = JCS_RGB;
    jpeg_set_defaults(cinfo);
    jpeg_set_quality(cinfo, CF_THUMB_QUALITY, TRUE);
    cinfo->dct_method = JDCT_ISLOW;
    for (int i = 0; i < cinfo->num_components; i++)
        cinfo->comp_info[i].h_samp_factor = cinfo->comp_info[i].v_samp_factor = 1;
    jpeg_start_compress(cinfo, TRUE);
    while (cinfo->next_scanline < cinfo->image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + (size_t)cinfo->next_scanline * CF_THUMB_SIDE * 3);
        jpeg_write_scanlines(cinfo, &row, 1);
    }
    jpeg_finish_compress(cinfo);
}

/* setjmp in frames of their own: nothing that changes behind it lives there. */
static bool try_compress(struct writer *writer, const uint8_t *rgb)
{
    if (setjmp(writer->failure.failed))
        return false;
    compress(writer, rgb);
    return true;
}

enum cf_err cf_thumb_encode(const uint8_t rgb[CF_THUMB_RGB_BYTES], struct cf_buf *jpeg,
                            struct cf_detail *detail)
{
    struct writer writer;
    memset(&writer.cinfo, 0, sizeof writer.cinfo);
    failure_init(&writer.failure);
    writer.cinfo.err = &writer.failure.errors;
    writer.cinfo.client_data = &writer.failure;
    writer.destination = (struct jpeg_destination_mgr){.init_destination = destination_init,
                                                       .empty_output_buffer = destination_full,
                                                       .term_destination = destination_done};
    bool written = try_compress(&writer, rgb);
    jpeg_destroy_compress(&writer.cinfo);
    if (!written)
        return cf_fail(detail, CF_E_NO_MEMORY, "the thumbnail was not written: %s", writer.failure.message);
    cf_buf_append(jpeg, writer.bytes, sizeof writer.bytes - writer.destination.free_in_buffer);
    return cf_buf_ok(jpeg) ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no memory for a thumbnail");
}

struct reader {
    struct jpeg_decompress_struct cinfo;
    struct failure failure;
    uint8_t rgb[CF_THUMB_RGB_BYTES];
};

static bool is_thumb(const struct jpeg_decompress_struct *cinfo)
{
    bool same = cinfo->image_width == CF_THUMB_SIDE && cinfo->image_height == CF_THUMB_SIDE &&
                cinfo->num_components == 3 && cinfo->comps_in_scan == 3 &&
                cinfo->jpeg_color_space == JCS_YCbCr && !cinfo->progressive_mode && !cinfo->arith_code;
    for (int i = 0; same && i < 3; i++)
        same = cinfo->comp_info[i].h_samp_factor == 1 && cinfo->comp_info[i].v_samp_factor == 1;
    return same;
}

static void decompress(struct reader *reader, struct cf_bytes jpeg)
{
    struct jpeg_decompress_struct *cinfo = &reader->cinfo;
    jpeg_create_decompress(cinfo);
    jpeg_mem_src(cinfo, jpeg.data, (unsigned long)jpeg.len);
    jpeg_read_header(cinfo, TRUE);
    if (!is_thumb(cinfo)) {
        snprintf(reader->failure.message, sizeof reader->failure.message, "not a 64x64 4:4:4 baseline JPEG");
        longjmp(reader->failure.failed, 1);
    }
    cinfo->out_color_space = JCS_RGB;
    cinfo->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(cinfo);
    while (cinfo->output_scanline < cinfo->output_height) {
        JSAMPROW row = reader->rgb + (size_t)cinfo->output_scanline * CF_THUMB_SIDE * 3;
        jpeg_read_scanlines(cinfo, &row, 1);
    }
    jpeg_finish_decompress(cinfo);
    if (cinfo->src->bytes_in_buffer > 0) {
        snprintf(reader->failure.message, sizeof reader->failure.message, "bytes behind its end");
        longjmp(reader->failure.failed, 1);
    }
}

static bool try_decompress(struct reader *reader, struct cf_bytes jpeg)
{
    if (setjmp(reader->failure.failed))
        return false;
    decompress(reader, jpeg);
    return true;
}

enum cf_err cf_thumb_decode(struct cf_bytes jpeg, uint8_t rgb[CF_THUMB_RGB_BYTES], struct cf_detail *detail)
{
    struct reader reader;
    if (jpeg.len == 0 || jpeg.len > CF_THUMB_JPEG_BYTES_MAX)
        return cf_fail(detail, CF_E_CORRUPT, "a thumbnail of %zu bytes: it has 1 to %d", jpeg.len,
                       CF_THUMB_JPEG_BYTES_MAX);
    memset(&reader.cinfo, 0, sizeof reader.cinfo);
    failure_init(&reader.failure);
    reader.cinfo.err = &reader.failure.errors;
    reader.cinfo.client_data = &reader.failure;
    bool read = try_decompress(&reader, jpeg);
    jpeg_destroy_decompress(&reader.cinfo);
    if (!read)
        return cf_fail(detail, CF_E_CORRUPT, "the thumbnail is damaged: %s", reader.failure.message);
    memcpy(rgb, reader.rgb, sizeof reader.rgb);
    return CF_OK;
}
