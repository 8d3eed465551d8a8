/* Decoding alone: pictures a second and processor time a picture, by kind and size, whole and scaled as the
 * worker asks for it. Not a test; nothing here passes or fails.
 *
 *     decode_bench [FOLDER...]
 *
 * Without folders it draws its pictures: JPEG (baseline and progressive), PNG and WebP of 64, 300, 640 and
 * 3000 pixels. Every file of a folder is a picture; a row is a folder. Prints a table. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/image/image.h"

enum { ROUNDS = 5, FILES_MAX = 512, ROUND_MS = 150 };

struct files {
    struct cf_buf bufs[FILES_MAX];
    size_t count, bytes;
};

static const struct cf_image_limits limits = {
    .bytes_max = 64 << 20,
    .side_max = 20000,
    .pixels_max = 100000000,
    .scans_max = 500,
    .memory_bytes_max = (size_t)1 << 30,
};

static double now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

/* ---- pictures ---- */

/* Broad shapes with some noise, about as hard as a photograph. */
static uint8_t *draw(unsigned side)
{
    struct cf_rng rng = cf_rng(side);
    uint8_t *rgb = malloc((size_t)side * side * 3);
    CF_CHECK(rgb);
    for (unsigned y = 0; y < side; y++)
        for (unsigned x = 0; x < side * 3; x++) {
            unsigned u = x / 3 * 300 / side, v = y * 300 / side;
            unsigned shape = (u / 37 + v / 53) % 3 * 60 + u / 4 + (u * v >> 10);
            rgb[(size_t)y * side * 3 + x] = (uint8_t)(shape / (1 + x % 3) + cf_rng_below(&rng, 16));
        }
    return rgb;
}

static void add(struct files *files, const uint8_t *data, size_t len)
{
    CF_CHECK(files->count < FILES_MAX);
    struct cf_buf *buf = &files->bufs[files->count++];
    cf_buf_init(buf);
    cf_buf_append(buf, data, len);
    CF_CHECK(cf_buf_ok(buf));
    files->bytes += len;
}

static void add_jpeg(struct files *files, const uint8_t *rgb, unsigned side, bool progressive)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long len = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out, &len);
    jpeg.image_width = jpeg.image_height = side;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 85, TRUE);
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    while (jpeg.next_scanline < side) {
        JSAMPROW row = (JSAMPROW)(rgb + (size_t)jpeg.next_scanline * side * 3);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    add(files, out, len);
    free(out);
}

static void add_png(struct files *files, const uint8_t *rgb, unsigned side)
{
    png_image png = {.version = PNG_IMAGE_VERSION, .width = side, .height = side, .format = PNG_FORMAT_RGB};
    png_alloc_size_t len = PNG_IMAGE_PNG_SIZE_MAX(png);
    uint8_t *out = malloc(len);
    CF_CHECK(out && png_image_write_to_memory(&png, out, &len, 0, rgb, 0, NULL));
    add(files, out, len);
    free(out);
}

static void add_webp(struct files *files, const uint8_t *rgb, unsigned side)
{
    uint8_t *out = NULL;
    size_t len = WebPEncodeRGB(rgb, (int)side, (int)side, (int)side * 3, 80, &out);
    CF_CHECK(len);
    add(files, out, len);
    WebPFree(out);
}

static void read_folder(struct files *files, const char *folder)
{
    DIR *entries = opendir(folder);
    if (!entries) {
        perror(folder);
        exit(1);
    }
    for (struct dirent *entry; files->count < FILES_MAX && (entry = readdir(entries)) != NULL;) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        struct cf_buf buf;
        cf_buf_init(&buf);
        if (entry->d_name[0] != '.' && cf_file_read(path, limits.bytes_max, &buf, NULL) == CF_OK)
            add(files, buf.data, buf.len);
        cf_buf_fini(&buf);
    }
    closedir(entries);
}

static void forget(struct files *files)
{
    for (size_t i = 0; i < files->count; i++)
        cf_buf_fini(&files->bufs[i]);
    files->count = files->bytes = 0;
}

/* ---- timing ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many decoded. */
static size_t decode_all(const struct files *files, bool scaled)
{
    size_t decoded = 0;
    for (size_t i = 0; i < files->count; i++) {
        struct cf_image image;
        if (cf_image_decode(cf_buf_bytes(&files->bufs[i]), &limits, scaled, &image, NULL) != CF_OK)
            continue;
        decoded++;
        cf_image_fini(&image);
    }
    return decoded;
}

/* Median of the rounds, µs of processor and of wall time a picture. */
static size_t measure(const struct files *files, bool scaled, double *cpu_us, double *wall_us)
{
    double cpu[ROUNDS], wall[ROUNDS];
    size_t decoded = decode_all(files, scaled);
    for (int round = 0; decoded && round < ROUNDS; round++) {
        double cpu_start = now_us(CLOCK_PROCESS_CPUTIME_ID), start = now_us(CLOCK_MONOTONIC);
        size_t done = 0;
        do
            done += decode_all(files, scaled);
        while (now_us(CLOCK_MONOTONIC) - start < ROUND_MS * 1e3);
        cpu[round] = (now_us(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) / (double)done;
        wall[round] = (now_us(CLOCK_MONOTONIC) - start) / (double)done;
    }
    if (decoded) {
        qsort(cpu, ROUNDS, sizeof cpu[0], compare);
        qsort(wall, ROUNDS, sizeof wall[0], compare);
        *cpu_us = cpu[ROUNDS / 2];
        *wall_us = wall[ROUNDS / 2];
    }
    return decoded;
}

static void row(const char *name, struct files *files)
{
    double cpu[2] = {0}, wall[2] = {0};
    size_t decoded = measure(files, false, &cpu[0], &wall[0]);
    if (decoded && measure(files, true, &cpu[1], &wall[1]) == decoded)
        printf("| %s | %zu | %.1f | %.0f | %.0f | %.0f | %.0f |\n", name, decoded,
               (double)files->bytes / 1024 / (double)files->count, cpu[0], 1e6 / cpu[0], cpu[1],
               1e6 / cpu[1]);
    else
        printf("| %s | 0 | | | | | |\n", name);
    fflush(stdout);
    forget(files);
}

static void draw_rows(struct files *files)
{
    static const unsigned sides[] = {64, 300, 640, 3000};
    static const char *const kinds[] = {"JPEG baseline", "JPEG progressive", "PNG", "WebP"};
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
        for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
            char name[64];
            uint8_t *rgb = draw(sides[i]);
            if (kind < 2)
                add_jpeg(files, rgb, sides[i], kind == 1);
            else if (kind == 2)
                add_png(files, rgb, sides[i]);
            else
                add_webp(files, rgb, sides[i]);
            free(rgb);
            snprintf(name, sizeof name, "%s, %u px", kinds[kind], sides[i]);
            row(name, files);
        }
}

int main(int argc, char **argv)
{
    static struct files files;
    printf("| pictures | files | KiB each | whole: µs CPU | a CPU-second | scaled: µs CPU | a CPU-second |\n"
           "|---|---|---|---|---|---|---|\n");
    for (int i = 1; i < argc; i++) {
        read_folder(&files, argv[i]);
        row(argv[i], &files);
    }
    if (argc == 1)
        draw_rows(&files);
    return 0;
}
