/* What a descriptor worker's parts cost alone, each on one core in one run: decoding in this process,
 * decoding in the sandboxed child, describing, the synced write. `worker_parts SCRATCH ROUNDS FILE...` prints
 * one JSON object of microseconds a cover: CPU time (of the child too) and wall time, the median over the
 * rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "common/base/arena.h"
#include "common/base/cpu.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/descriptor/space.h"
#include "common/store/shard.h"
#include "common/decoder/decoder_work.h"

enum { ROUNDS_MAX = 99, BATCH = 64 };
enum part { DECODE, CHILD, DESCRIBE, HASH, WRITE, PART_COUNT };
static const char *const part_names[PART_COUNT] = {"decode", "child", "describe", "hash", "write"};

struct bench {
    struct cf_buf *files;
    struct cf_decoded *decoded;
    size_t count;
    struct cf_image_limits limits;
    struct cf_decoder *decoder;
    struct cf_describer *describer;
    struct cf_shard *shard;
    float (*gray16)[256];
    float (*gist)[960];
    float (*copy)[128];
    float (*style)[64];
    uint64_t seq;
    bool checking; /* that the child decodes as this process does: once, outside the measurements */
    double cpu_us[PART_COUNT][ROUNDS_MAX], wall_us[PART_COUNT][ROUNDS_MAX];
};

static void stop(const char *what, const struct cf_detail *detail)
{
    fprintf(stderr, "worker_parts: %s: %s\n", what, detail->text);
    exit(1);
}

static double now_us(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* ---- the parts ---- */

static void decode(struct bench *bench, size_t i)
{
    struct cf_detail detail = {""};
    if (cf_decode_picture(cf_buf_bytes(&bench->files[i]), &bench->limits, &bench->decoded[i], &detail) !=
        CF_OK)
        stop("decode", &detail);
}

static void take(struct bench *bench, size_t i)
{
    static struct cf_decoded out;
    struct cf_detail detail = {""};
    if (cf_decoder_take(bench->decoder, &out, &detail) != CF_OK)
        stop("decoding child", &detail);
    if (bench->checking && memcmp(out.rgb, bench->decoded[i].rgb, sizeof out.rgb) != 0)
        stop("decoding child", &(struct cf_detail){"other pixels than in this process"});
}

static void decode_in_child(struct bench *bench, size_t i)
{
    struct cf_detail detail = {""};
    size_t in_hand = cf_decoder_in_hand(bench->decoder);
    if (in_hand == CF_DECODER_AHEAD)
        take(bench, i - in_hand);
    if (cf_decoder_put(bench->decoder, cf_buf_bytes(&bench->files[i]), &detail) != CF_OK)
        stop("decoding child", &detail);
    while (i + 1 == bench->count && (in_hand = cf_decoder_in_hand(bench->decoder)) > 0)
        take(bench, i + 1 - in_hand);
}

static void describe(struct bench *bench, size_t i)
{
    struct cf_detail detail = {""};
    float *const out[CF_SPACE_FIXED_COUNT] = {bench->gray16[i], bench->gist[i], bench->copy[i],
                                              bench->style[i]};
    for (size_t s = 0; s < CF_SPACE_FIXED_COUNT; s++) {
        bool constant;
        if (cf_describe(bench->describer, &cf_spaces[s], bench->decoded[i].rgb, CF_THUMB_SIDE, CF_THUMB_SIDE,
                        out[s], &constant, &detail) != CF_OK)
            stop("describe", &detail);
    }
}

static void hash(struct bench *bench, size_t i)
{
    uint8_t digest[CF_SHA256_BYTES];
    cf_sha256(cf_buf_bytes(&bench->files[i]), digest);
}

/* Every album is new, as in a first description. */
static void write_one(struct bench *bench, size_t i)
{
    struct cf_detail detail = {""};
    char id[32];
    snprintf(id, sizeof id, "album-%llu", (unsigned long long)++bench->seq);
    struct cf_shard_album album = {
        .version = {1, bench->seq}, .stored_ms = 1, .width = 300, .height = 300, .source = cf_str("bytes")};
    struct cf_shard_vector vectors[CF_SPACE_FIXED_COUNT] = {
        {cf_str(cf_spaces[0].name), cf_spaces[0].version, bench->gray16[i], cf_spaces[0].dim},
        {cf_str(cf_spaces[1].name), cf_spaces[1].version, bench->gist[i], cf_spaces[1].dim},
        {cf_str(cf_spaces[2].name), cf_spaces[2].version, bench->copy[i], cf_spaces[2].dim},
        {cf_str(cf_spaces[3].name), cf_spaces[3].version, bench->style[i], cf_spaces[3].dim}};
    struct cf_bytes thumb = {bench->decoded[i].jpeg, bench->decoded[i].jpeg_bytes};
    enum cf_err err =
        cf_shard_put(bench->shard, cf_str(id), &album, vectors, CF_SPACE_FIXED_COUNT, thumb, &detail);
    if (err == CF_OK && ((i + 1) % BATCH == 0 || i + 1 == bench->count))
        err = cf_shard_commit(bench->shard, &detail);
    if (err != CF_OK)
        stop("write", &detail);
}

/* ---- measuring ---- */

/* Of this process and of its decoder, which still lives. */
static double cpu_us(void)
{
    return now_us(CLOCK_PROCESS_CPUTIME_ID);
}

static double child_cpu_us(const struct bench *bench)
{
    clockid_t clock;
    if (clock_getcpuclockid(cf_decoder_pid(bench->decoder), &clock) != 0)
        return 0;
    return now_us(clock);
}

static void measure(struct bench *bench, enum part part, size_t round)
{
    static void (*const work[PART_COUNT])(struct bench *, size_t) = {decode, decode_in_child, describe, hash,
                                                                     write_one};
    double wall = now_us(CLOCK_MONOTONIC), cpu = cpu_us() + child_cpu_us(bench);
    for (size_t i = 0; i < bench->count; i++)
        work[part](bench, i);
    bench->cpu_us[part][round] = (cpu_us() + child_cpu_us(bench) - cpu) / (double)bench->count;
    bench->wall_us[part][round] = (now_us(CLOCK_MONOTONIC) - wall) / (double)bench->count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return values[count / 2];
}

/* ---- before and after ---- */

static void read_files(struct bench *bench, char **paths, size_t count)
{
    bench->files = calloc(count, sizeof *bench->files);
    bench->decoded = calloc(count, sizeof *bench->decoded);
    bench->gray16 = calloc(count, sizeof *bench->gray16);
    bench->gist = calloc(count, sizeof *bench->gist);
    bench->copy = calloc(count, sizeof *bench->copy);
    bench->style = calloc(count, sizeof *bench->style);
    if (!bench->files || !bench->decoded || !bench->gray16 || !bench->gist || !bench->copy || !bench->style)
        stop("start", &(struct cf_detail){"no memory"});
    for (size_t i = 0; i < count; i++) {
        struct cf_detail detail = {""};
        struct cf_buf *file = &bench->files[bench->count];
        if (cf_file_read(paths[i], bench->limits.bytes_max, file, &detail) != CF_OK)
            stop(paths[i], &detail);
        if (cf_decode_picture(cf_buf_bytes(file), &bench->limits, &bench->decoded[bench->count], NULL) ==
            CF_OK)
            bench->count++; /* what is refused is not measured */
        else
            cf_buf_fini(file);
    }
    if (bench->count == 0)
        stop("start", &(struct cf_detail){"no picture among the files"});
}

static void begin(struct bench *bench, const char *scratch)
{
    static struct cf_home home;
    static struct cf_config config;
    struct cf_detail detail = {""};
    char path[4096];
    cf_config_default(&config, &home);
    bench->limits = (struct cf_image_limits){.bytes_max = (size_t)config.image_bytes_max,
                                             .side_max = (uint32_t)config.image_side_max,
                                             .pixels_max = (uint64_t)config.image_pixels_max,
                                             .scans_max = (uint32_t)config.image_scans_max,
                                             .memory_bytes_max = (size_t)config.image_memory_bytes_max};
    snprintf(path, sizeof path, "%s/shard", scratch);
    if (cf_cpu_init(&detail) != CF_OK || cf_decoder_new(&config, &bench->decoder, &detail) != CF_OK ||
        cf_spaces_load(&config, &detail) != CF_OK || cf_shard_open(path, &bench->shard, &detail) != CF_OK)
        stop("start", &detail);
    bench->describer = cf_describer_new();
    if (!bench->describer)
        stop("start", &detail);
}

int main(int argc, char **argv)
{
    static struct bench bench;
    size_t rounds = argc > 3 ? (size_t)strtoul(argv[2], NULL, 10) : 0;
    if (rounds == 0 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: worker_parts SCRATCH ROUNDS FILE...\n");
        return 2;
    }
    begin(&bench, argv[1]);
    read_files(&bench, argv + 3, (size_t)argc - 3);
    bench.checking = true;
    for (size_t i = 0; i < bench.count; i++)
        decode_in_child(&bench, i);
    bench.checking = false;
    for (size_t round = 0; round < rounds; round++)
        for (int part = 0; part < PART_COUNT; part++)
            measure(&bench, (enum part)part, round);
    printf("{\"covers\": %zu, \"rounds\": %zu, \"simd\": \"%s\"", bench.count, rounds,
           cf_simd_name(cf_cpu_simd()));
    for (int part = 0; part < PART_COUNT; part++)
        printf(", \"%s\": {\"cpu_us\": %.2f, \"wall_us\": %.2f}", part_names[part],
               median(bench.cpu_us[part], rounds), median(bench.wall_us[part], rounds));
    printf("}\n");
    cf_shard_free(bench.shard);
    cf_describer_free(bench.describer);
    cf_decoder_free(bench.decoder);
    return 0;
}
