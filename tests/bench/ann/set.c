/* Makes the vectors that indexes are compared on, from pictures.
 *
 *     ann_set --out FOLDER [--count N] [--spaces gist,gray16] [--seed S] [--threads T] FOLDER_OR_TAR...
 *
 * Every distinct picture (by content) that decodes and is not of one colour is used; 1,000 of them (a tenth
 * when there are few) are held out and appear in no version in the base. The base is the others as they are,
 * then augmented versions of them in turn (describe.h) up to N (default 200,000), so that the base of a
 * smaller N is the beginning of that of a larger one. Queries: the held-out pictures as they are, and as many
 * new versions of pictures of the base. The truth is exact, k = 100. The same pictures and seed give the same
 * files, whatever the number of threads.
 *
 * Writes SPACE-base.fvecs, SPACE-query-held.fvecs, SPACE-query-pert.fvecs, SPACE-truth-held.ivecs and
 * SPACE-truth-pert.ivecs for each space. About a millisecond of a core a vector. */
#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cpu.h"
#include "common/base/crew.h"
#include "common/base/file.h"
#include "common/descriptor/gist.h"
#include "tests/bench/ann/describe.h"
#include "tests/bench/ann/names.h"
#include "tests/bench/ann/pictures.h"
#include "tests/bench/ann/truth.h"

struct options {
    const char *out;
    size_t count;
    uint64_t seed;
    unsigned threads;
    bool spaces[CF_SPACE_FIXED_COUNT];
};

struct set {
    struct options options;
    struct bench_pictures pictures;
    bool *usable;      /* of every picture, while they are looked through */
    size_t held, base; /* of the pictures, the first `base` are for the base, the rest held out */
    struct cf_describer *describers[CF_CREW_THREADS_MAX];
    int files[CF_SPACE_FIXED_COUNT];
    struct bench_floats queries[CF_SPACE_FIXED_COUNT][BENCH_QUERY_KINDS];
    atomic_size_t done;
};

static void say_progress(struct set *set, const char *what, size_t of)
{
    size_t done = atomic_fetch_add(&set->done, 1) + 1;
    if (done % 5000 == 0 || done == of)
        fprintf(stderr, "ann_set: %zu of %zu %s\n", done, of, what);
}

/* ---- which pictures are of use ---- */

/* A vector is written wherever `put` says, one for each space. */
static void describe(struct set *set, unsigned thread, const struct cf_image *image,
                     void (*put)(struct set *set, size_t space, size_t at, const float *vector), size_t at)
{
    uint8_t rgb[CF_THUMB_RGB_BYTES];
    float vector[CF_GIST_DIM];
    bool constant;
    struct cf_detail detail = {""};
    bench_must(bench_thumbnail(image, rgb, &detail), &detail);
    for (size_t s = 0; s < CF_SPACE_FIXED_COUNT; s++) {
        if (!set->options.spaces[s])
            continue;
        bench_must(cf_describe(set->describers[thread], &cf_spaces[s], rgb, CF_THUMB_SIDE, CF_THUMB_SIDE,
                               vector, &constant, &detail),
                   &detail);
        put(set, s, at, vector);
    }
}

static void look(void *arg, unsigned thread, size_t i)
{
    struct set *set = arg;
    struct cf_image image = {0};
    (void)thread;
    if (bench_decode(set->pictures.items[i].file, &image, NULL) == CF_OK) {
        uint8_t low = 255, high = 0;
        for (size_t b = 0; b < (size_t)image.width * image.height * 3; b++) {
            low = image.rgb[b] < low ? image.rgb[b] : low;
            high = image.rgb[b] > high ? image.rgb[b] : high;
        }
        set->usable[i] = !image.partial && high - low > 8;
        cf_image_fini(&image);
    }
    say_progress(set, "pictures looked at", set->pictures.count);
}

static void choose_pictures(struct set *set)
{
    size_t kept = 0;
    set->usable = bench_alloc(set->pictures.count, sizeof *set->usable);
    cf_crew_run_numbered(set->options.threads, set->pictures.count, look, set);
    for (size_t i = 0; i < set->pictures.count; i++)
        if (set->usable[i])
            set->pictures.items[kept++] = set->pictures.items[i];
    fprintf(stderr, "ann_set: %zu distinct files, %zu pictures of use\n", set->pictures.count, kept);
    set->pictures.count = kept;
    free(set->usable);
    if (kept < 20)
        bench_give_up("fewer than 20 pictures: name folders or tar files with more");
    set->held = kept / 10 < BENCH_QUERIES ? kept / 10 : BENCH_QUERIES;
    set->base = kept - set->held;
}

/* ---- vectors ---- */

static struct cf_image decode_again(struct set *set, size_t picture)
{
    struct cf_image image = {0};
    struct cf_detail detail = {""};
    bench_must(bench_decode(set->pictures.items[picture].file, &image, &detail), &detail);
    return image;
}

/* The numbers of one version of one picture; versions of queries begin at 2^32. */
static struct cf_rng version_rng(const struct set *set, size_t picture, uint64_t version)
{
    struct cf_rng rng = cf_rng(set->options.seed ^ (uint64_t)picture << 40 ^ version);
    return cf_rng(cf_rng_u64(&rng));
}

static void describe_version(struct set *set, unsigned thread, const struct cf_image *image, size_t picture,
                             uint64_t version, size_t at,
                             void (*put)(struct set *set, size_t space, size_t at, const float *vector))
{
    struct cf_rng rng = version_rng(set, picture, version);
    struct cf_image other = {0};
    struct cf_detail detail = {""};
    bench_must(bench_augment(image, &rng, &other, &detail), &detail);
    describe(set, thread, &other, put, at);
    cf_image_fini(&other);
}

static void put_base(struct set *set, size_t space, size_t at, const float *vector)
{
    struct cf_detail detail = {""};
    bench_must(bench_floats_put(set->files[space], at, vector, cf_spaces[space].dim, &detail), &detail);
}

static void put_query(struct set *set, enum bench_query_kind kind, size_t space, size_t at,
                      const float *vector)
{
    struct bench_floats *queries = &set->queries[space][kind];
    memcpy(queries->values + at * queries->dim, vector, queries->dim * sizeof *vector);
}

static void put_held(struct set *set, size_t space, size_t at, const float *vector)
{
    put_query(set, BENCH_HELD, space, at, vector);
}

static void put_pert(struct set *set, size_t space, size_t at, const float *vector)
{
    put_query(set, BENCH_PERT, space, at, vector);
}

static void make_base(void *arg, unsigned thread, size_t picture)
{
    struct set *set = arg;
    struct cf_image image = decode_again(set, picture);
    describe(set, thread, &image, put_base, picture);
    for (size_t at = picture + set->base, version = 1; at < set->options.count; at += set->base, version++)
        describe_version(set, thread, &image, picture, version, at, put_base);
    cf_image_fini(&image);
    say_progress(set, "pictures described", set->base < set->options.count ? set->base : set->options.count);
}

static void make_queries(void *arg, unsigned thread, size_t i)
{
    struct set *set = arg;
    struct cf_image image = decode_again(set, set->base + i);
    describe(set, thread, &image, put_held, i);
    cf_image_fini(&image);
    size_t of = set->base < set->options.count ? set->base : set->options.count;
    size_t picture = i * of / set->held;
    image = decode_again(set, picture);
    describe_version(set, thread, &image, picture, ((uint64_t)1 << 32) + i, i, put_pert);
    cf_image_fini(&image);
}

/* ---- files ---- */

static void open_files(struct set *set)
{
    char path[BENCH_PATH_BYTES];
    struct cf_detail detail = {""};
    bench_must(cf_file_make_dirs(set->options.out, &detail), &detail);
    for (size_t s = 0; s < CF_SPACE_FIXED_COUNT; s++) {
        if (!set->options.spaces[s])
            continue;
        bench_path(path, set->options.out, cf_spaces[s].name, "base-part", NULL, "fvecs");
        set->files[s] = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (set->files[s] < 0)
            bench_must(cf_fail_errno(&detail, path), &detail);
        for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++)
            set->queries[s][kind] = bench_floats_new(set->held, cf_spaces[s].dim);
    }
}

static void write_queries(struct set *set, size_t s, enum bench_query_kind kind,
                          const struct bench_floats *base)
{
    char path[BENCH_PATH_BYTES];
    const char *space = cf_spaces[s].name, *name = bench_query_names[kind];
    struct cf_detail detail = {""};
    struct bench_floats *queries = &set->queries[s][kind];
    bench_path(path, set->options.out, space, "query", name, "fvecs");
    bench_must(bench_floats_write(path, queries, &detail), &detail);
    struct bench_ints truth = bench_truth(base, queries, BENCH_TRUTH_K, set->options.threads);
    bench_path(path, set->options.out, space, "truth", name, "ivecs");
    bench_must(bench_ints_write(path, &truth, &detail), &detail);
    bench_ints_fini(&truth);
    bench_floats_fini(queries);
}

/* The base gets its name last: where it is, the rest is. */
static void finish_space(struct set *set, size_t s)
{
    char path[BENCH_PATH_BYTES], part[BENCH_PATH_BYTES];
    struct cf_detail detail = {""};
    struct bench_floats base;
    bench_path(part, set->options.out, cf_spaces[s].name, "base-part", NULL, "fvecs");
    bench_path(path, set->options.out, cf_spaces[s].name, "base", NULL, "fvecs");
    if (close(set->files[s]))
        bench_must(cf_fail_errno(&detail, part), &detail);
    bench_must(bench_floats_read(part, SIZE_MAX, &base, &detail), &detail);
    for (int kind = 0; kind < BENCH_QUERY_KINDS; kind++)
        write_queries(set, s, (enum bench_query_kind)kind, &base);
    bench_floats_fini(&base);
    bench_must(cf_file_rename_synced(part, path, &detail), &detail);
}

/* ---- the command ---- */

static bool parse_spaces(const char *text, bool spaces[CF_SPACE_FIXED_COUNT])
{
    memset(spaces, 0, CF_SPACE_FIXED_COUNT * sizeof *spaces);
    while (*text) {
        size_t len = strcspn(text, ",");
        const struct cf_space *space = cf_space_find((struct cf_str){text, len});
        if (!space)
            return false;
        spaces[space - cf_spaces] = true;
        text += len + (text[len] == ',');
    }
    return true;
}

static _Noreturn void misuse(void)
{
    fprintf(stderr, "usage: ann_set --out FOLDER [--count N] [--spaces gist,gray16] [--seed S] [--threads T] "
                    "FOLDER_OR_TAR...\n");
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    static const struct option names[] = {{"out", 1, NULL, 'o'},     {"count", 1, NULL, 'n'},
                                          {"spaces", 1, NULL, 's'},  {"seed", 1, NULL, 'S'},
                                          {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    struct options options = {.count = 200000, .seed = 1, .threads = 2, .spaces = {true, true}};
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'o')
            options.out = optarg;
        else if (option == 'n')
            options.count = strtoull(optarg, NULL, 10);
        else if (option == 'S')
            options.seed = strtoull(optarg, NULL, 10);
        else if (option == 't')
            options.threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (option != 's' || !parse_spaces(optarg, options.spaces))
            misuse();
    }
    if (!options.out || options.count < 100 || options.count > INT32_MAX || options.threads < 1 ||
        options.threads > CF_CREW_THREADS_MAX || optind >= argc)
        misuse();
    return options;
}

static void make_vectors(struct set *set)
{
    struct cf_detail detail = {""};
    bench_must(cf_spaces_load(NULL, &detail), &detail);
    size_t pieces = set->base < set->options.count ? set->base : set->options.count;
    for (unsigned t = 0; t < set->options.threads; t++) {
        set->describers[t] = cf_describer_new();
        if (!set->describers[t])
            bench_give_up("out of memory");
    }
    atomic_store(&set->done, 0);
    cf_crew_run_numbered(set->options.threads, pieces, make_base, set);
    cf_crew_run_numbered(set->options.threads, set->held, make_queries, set);
    for (unsigned t = 0; t < set->options.threads; t++)
        cf_describer_free(set->describers[t]);
}

int main(int argc, char **argv)
{
    struct set *set = bench_alloc(1, sizeof *set);
    struct cf_detail detail = {""};
    set->options = parse(argc, argv);
    bench_must(cf_cpu_init(&detail), &detail);
    uint64_t started = cf_clock_mono_ms();
    for (int i = optind; i < argc; i++)
        bench_must(bench_pictures_add(&set->pictures, argv[i], &detail), &detail);
    bench_pictures_settle(&set->pictures, set->options.seed);
    choose_pictures(set);
    open_files(set);
    make_vectors(set);
    for (size_t s = 0; s < CF_SPACE_FIXED_COUNT; s++)
        if (set->options.spaces[s])
            finish_space(set, s);
    fprintf(stderr, "ann_set: %zu vectors from %zu pictures and %zu held out, in %.1f s\n",
            set->options.count, set->base, set->held, (double)(cf_clock_mono_ms() - started) / 1e3);
    bench_pictures_fini(&set->pictures);
    free(set);
    return 0;
}
