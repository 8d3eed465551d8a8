/* coverfleet-samples: draws covers into a folder, with a table that `coverfleet push --table` takes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "deploy/cli/args.h"
#include "deploy/samples/sample.h"

enum { PATH_BYTES = 4096 };

static enum cf_err write_picture(const char *folder, const char *album, const uint8_t *rgb,
                                 struct cf_detail *detail)
{
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s.ppm", folder, album) >= (int)sizeof path)
        return cf_fail(detail, CF_E_INVALID, "the path of the folder is too long");
    FILE *file = fopen(path, "we");
    if (!file)
        return cf_fail_errno(detail, path);
    fprintf(file, "P6\n%d %d\n255\n", CF_SAMPLE_SIDE, CF_SAMPLE_SIDE);
    fwrite(rgb, 1, CF_SAMPLE_BYTES, file);
    bool failed = ferror(file);
    if (fclose(file) != 0 || failed)
        return cf_fail_errno(detail, path);
    return CF_OK;
}

static void table_row(struct cf_buf *table, const struct cf_sample *sample)
{
    char row[256];
    int len = snprintf(row, sizeof row, "%s\t%s.ppm\t%s\t%s\t%s\n", sample->album, sample->album,
                       sample->style, sample->artist, sample->title);
    cf_buf_append(table, row, (size_t)len);
}

/* The table comes last, whole or not at all: where it is, all pictures are. */
static enum cf_err draw_all(const char *folder, uint64_t count, uint64_t seed, struct cf_detail *detail)
{
    static const char header[] = "album\tcover\tgenre\tartist\ttitle\n";
    static uint8_t rgb[CF_SAMPLE_BYTES];
    char path[PATH_BYTES];
    struct cf_buf table;
    cf_buf_init(&table);
    cf_buf_append(&table, header, sizeof header - 1);
    enum cf_err err = cf_file_make_dirs(folder, detail);
    for (uint64_t i = 0; i < count && !err; i++) {
        struct cf_sample sample;
        cf_sample_words(seed, (size_t)i, &sample);
        cf_sample_draw(seed, (size_t)i, rgb);
        err = write_picture(folder, sample.album, rgb, detail);
        table_row(&table, &sample);
    }
    if (!err && !cf_buf_ok(&table))
        err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err && snprintf(path, sizeof path, "%s/samples.tsv", folder) >= (int)sizeof path)
        err = cf_fail(detail, CF_E_INVALID, "the path of the folder is too long");
    if (!err)
        err = cf_file_publish(path, cf_buf_bytes(&table), detail);
    cf_buf_fini(&table);
    return err;
}

int main(int argc, char **argv)
{
    uint64_t count = 2000, seed = 1;
    const struct cf_opt opts[] = {
        {.name = "count",
         .kind = CF_OPT_UINT,
         .value = &count,
         .low = 1,
         .high = 1000000,
         .placeholder = "N",
         .help = "how many (default 2000)"},
        {.name = "seed",
         .kind = CF_OPT_UINT,
         .value = &seed,
         .high = UINT64_MAX,
         .placeholder = "S",
         .help = "other pictures of the same styles (default 1)"},
        {.name = NULL},
    };
    struct cf_args args;
    struct cf_detail detail = {""};
    enum cf_err err = cf_args_parse(&args, argc, (const char *const *)argv, opts, &detail);
    if (!err && !args.help && args.rest_count != 1)
        err = cf_fail(&detail, CF_E_INVALID, "name the folder to draw into");
    int result = 0;
    if (err) {
        fprintf(stderr, "coverfleet-samples: %s (--help explains)\n", detail.text);
        result = 2;
    } else if (args.help) {
        puts("usage: coverfleet-samples FOLDER [--count N] [--seed S]\n\n"
             "Draws covers in a dozen styles into the folder, as STYLE-NNNN.ppm, and samples.tsv which lists "
             "them.\n");
        cf_args_explain(opts, stdout);
    } else if ((err = draw_all(args.rest[0], count, seed, &detail))) {
        fprintf(stderr, "coverfleet-samples: %s: %s\n", cf_err_name(err), detail.text);
        result = 1;
    }
    cf_args_free(&args);
    return result;
}
