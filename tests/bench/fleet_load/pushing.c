/* Covers that keep arriving: the given pictures again and again under new ids, each time a little different.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/image/image.h"
#include "load.h"

enum {
    EVERY_US = 20000,
    ITEMS_MAX = 256,
    PICTURES_MAX = 2000,
    PICTURE_BYTES_MAX = 1 << 20,
    CHANGES = 8,
    JPEG_QUALITY = 85
};

/* ---- pictures ---- */

static bool is_jpeg(const struct cf_buf *file)
{
    return file->len > 3 && file->data[0] == 0xff && file->data[1] == 0xd8;
}

/* As most covers are: progressive, chroma at half the size. */
static void encode(const struct cf_image *image, struct cf_buf *out)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors; /* ends the program: there is nothing here that memory would not mend */
    unsigned char *bytes = NULL;
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &len);
    jpeg.image_width = image->width;
    jpeg.image_height = image->height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, JPEG_QUALITY, TRUE);
    jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < jpeg.image_height) {
        JSAMPROW line = image->rgb + (size_t)jpeg.next_scanline * image->width * 3;
        jpeg_write_scanlines(&jpeg, &line, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    cf_buf_append(out, bytes, len);
    free(bytes);
}

/* A picture of another kind (drawn samples are PNM) becomes a JPEG. */
static bool convert(struct cf_buf *file)
{
    static const struct cf_image_limits limits = {.bytes_max = PICTURE_BYTES_MAX,
                                                  .side_max = 4096,
                                                  .pixels_max = 1 << 24,
                                                  .scans_max = 100,
                                                  .memory_bytes_max = 1 << 28};
    struct cf_image image;
    if (cf_image_decode(cf_buf_bytes(file), &limits, false, &image, NULL))
        return false;
    cf_buf_clear(file);
    encode(&image, file);
    cf_image_fini(&image);
    return cf_buf_ok(file);
}

static void take_picture(struct load_pusher *pusher, const char *folder, const char *name)
{
    char path[4096];
    struct cf_buf *picture = &pusher->pictures[pusher->picture_count];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cf_buf_init(picture);
    if (cf_file_read(path, PICTURE_BYTES_MAX, picture, NULL) == CF_OK &&
        (is_jpeg(picture) || convert(picture)))
        pusher->picture_count++;
    else
        cf_buf_fini(picture);
}

bool load_pictures(struct load_pusher *pusher)
{
    const char *path = pusher->load->options.covers;
    DIR *folder = opendir(path);
    pusher->pictures = calloc(PICTURES_MAX, sizeof *pusher->pictures);
    CF_CHECK(pusher->pictures);
    for (const struct dirent *entry;
         folder && pusher->picture_count < PICTURES_MAX && (entry = readdir(folder));)
        take_picture(pusher, path, entry->d_name);
    if (folder)
        closedir(folder);
    if (pusher->picture_count == 0)
        fprintf(stderr, "fleet_load: %s: no pictures of at most %d bytes in it\n", path, PICTURE_BYTES_MAX);
    return pusher->picture_count > 0;
}

void load_pusher_fini(struct load_pusher *pusher)
{
    for (size_t i = 0; i < pusher->picture_count; i++)
        cf_buf_fini(&pusher->pictures[i]);
    free(pusher->pictures);
}

/* Other steps of quantization in a JPEG's tables give other pixels at no cost; the first of each table, for
 * the mean, stays. */
static void vary(struct cf_buf *jpeg, struct cf_rng *rng)
{
    for (size_t at = 2; at + 4 <= jpeg->len && jpeg->data[at] == 0xff && jpeg->data[at + 1] != 0xda;) {
        size_t len = ((size_t)jpeg->data[at + 2] << 8 | jpeg->data[at + 3]) + 2;
        bool tables = jpeg->data[at + 1] == 0xdb;
        /* A table of bytes: what it is, then 64 steps in zigzag order. */
        for (size_t table = at + 4; tables && table + 65 <= at + len && table + 65 <= jpeg->len; table += 65)
            for (int i = 0; i < CHANGES && jpeg->data[table] < 16; i++) {
                uint8_t *step = &jpeg->data[table + 2 + cf_rng_below(rng, 20)];
                unsigned value = *step + (unsigned)cf_rng_below(rng, *step / 4u + 2);
                *step = value > 255 ? 255 : (uint8_t)value;
            }
        at += len;
    }
}

/* ---- pushing ---- */

struct parcel {
    struct load_pusher *pusher;
    int phase;
    size_t count;
    char albums[ITEMS_MAX][32];
};

static void hand_on(struct load *load, const char *album)
{
    pthread_mutex_lock(&load->lock);
    if (load->pushed_count == PUSHED_KEEP) { /* the oldest goes: the prober wants fresh ones */
        memmove(load->pushed[0], load->pushed[1], sizeof load->pushed - sizeof load->pushed[0]);
        load->pushed_count--;
    }
    snprintf(load->pushed[load->pushed_count++], sizeof load->pushed[0], "%s", album);
    pthread_mutex_unlock(&load->lock);
}

static void note(struct load_pusher *pusher, const char *error, const char *detail)
{
    if (!pusher->failure[0])
        snprintf(pusher->failure, sizeof pusher->failure, "%.40s: %.100s", error, detail);
}

static void on_results(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct parcel *parcel = arg;
    struct load_pusher *pusher = parcel->pusher;
    uint64_t accepted = 0;
    if (err)
        note(pusher, cf_err_name(err), detail ? detail->text : "");
    for (size_t i = 0; !err && i < msg->results.result_count && i < parcel->count; i++) {
        const struct cf_result *result = &msg->results.results[i];
        accepted += result->status == CF_PUSH_ACCEPTED;
        if (result->status != CF_PUSH_ACCEPTED)
            note(pusher, "not accepted", "");
        else
            hand_on(pusher->load, parcel->albums[i]);
    }
    if (parcel->phase >= 0) {
        pusher->pushed[parcel->phase] += accepted;
        pusher->failed[parcel->phase] += parcel->count - accepted;
    }
    free(parcel);
}

static void push(struct load_pusher *pusher, uint64_t first, size_t count, uint64_t due_us)
{
    static struct cf_buf bytes[ITEMS_MAX]; /* one thread pushes */
    struct cf_push_item items[ITEMS_MAX];
    struct parcel *parcel = calloc(1, sizeof *parcel);
    CF_CHECK(parcel);
    *parcel = (struct parcel){.pusher = pusher, .phase = load_phase_of(pusher->load, due_us), .count = count};
    for (size_t i = 0; i < count; i++) {
        const struct cf_buf *picture = &pusher->pictures[(first + i) % pusher->picture_count];
        cf_buf_clear(&bytes[i]);
        cf_buf_append(&bytes[i], picture->data, picture->len);
        vary(&bytes[i], &pusher->rng);
        snprintf(parcel->albums[i], sizeof parcel->albums[i], "load-%llx-%llu",
                 (unsigned long long)(pusher->load->start_us & 0xffffffffff),
                 (unsigned long long)(first + i));
        items[i] = (struct cf_push_item){.album = cf_str(parcel->albums[i]),
                                         .bytes = cf_buf_bytes(&bytes[i]),
                                         .priority = CF_PRIORITY_DEFAULT};
    }
    struct cf_msg request = {.kind = CF_KIND_PUSH, .push = {.items = items, .item_count = count}};
    struct cf_detail detail = {""};
    enum cf_err err = cf_client_send(pusher->client, &request, CALL_MS, on_results, parcel, &detail);
    if (err)
        on_results(parcel, err, NULL, &detail);
}

void *load_push(void *arg)
{
    struct load_pusher *pusher = arg;
    struct load *load = pusher->load;
    uint64_t pushed = 0;
    pusher->client = load_client(load);
    pusher->rng = cf_rng(load->options.seed + 1);
    for (uint64_t due_us = load->start_us; due_us < load->end_us; due_us += EVERY_US) {
        load_wait(pusher->client, due_us);
        uint64_t until =
            (uint64_t)(load->options.push_rate * (double)(due_us + EVERY_US - load->start_us) / 1e6);
        while (pushed < until) {
            size_t count = until - pushed < ITEMS_MAX ? (size_t)(until - pushed) : ITEMS_MAX;
            push(pusher, pushed, count, due_us);
            pushed += count;
        }
    }
    while (cf_client_pending(pusher->client))
        load_wait(pusher->client, load_now_us() + 1000);
    cf_client_free(pusher->client);
    return NULL;
}
