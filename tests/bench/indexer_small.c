/* What a change costs: an index over BASE albums, built whole, then NEW albums more, indexed by a small
 * generation beside it, then everything whole again. `indexer_small SCRATCH BASE NEW` prints a line of JSON
 * for each: milliseconds from the order to the publication of the first space (gray16), catching up included,
 * on the wall and of processor time. Builds run at the lowest priority: beside other work only the latter
 * says anything. NEW must be at most a quarter of BASE, and at least 256. The vectors are smooth: 16x16
 * pictures of a few waves. SCRATCH must not exist. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cpu.h"
#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/store/shard.h"
#include "workers/indexer/indexing.h"

enum { SIDE = 16, WAVES = 6, BATCH = 256, SHARDS = 2, BETWEEN_ROUNDS_US = 1000 };

static void stop(const char *what, const struct cf_detail *detail)
{
    fprintf(stderr, "indexer_small: %s: %s\n", what, detail->text);
    exit(1);
}

static uint64_t cpu_ms(void)
{
    struct timespec used = {0, 0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

static void make_picture(struct cf_rng *rng, float *values)
{
    for (size_t i = 0; i < SIDE * SIDE; i++)
        values[i] = 0.5f;
    for (int wave = 0; wave < WAVES; wave++) {
        double across = 3 * cf_rng_unit(rng), down = 3 * cf_rng_unit(rng), phase = 6.28 * cf_rng_unit(rng);
        for (size_t i = 0; i < SIDE * SIDE; i++)
            values[i] +=
                (float)(0.08 * sin(phase + across * (double)(i % SIDE) / 4 + down * (double)(i / SIDE) / 4));
    }
}

static void add(struct cf_shard *shard, struct cf_rng *rng, size_t number)
{
    float values[SIDE * SIDE];
    char id[32];
    struct cf_detail detail = {""};
    make_picture(rng, values);
    snprintf(id, sizeof id, "album-%08zu", (number * 2654435761u) % 100000007u); /* in no order */
    const struct cf_shard_vector vector = {cf_str(cf_spaces[0].name), cf_spaces[0].version, values,
                                           SIDE * SIDE};
    struct cf_shard_album album = {.version = {1, number + 1}};
    if (cf_shard_put(shard, cf_str(id), &album, &vector, 1, (struct cf_bytes){0}, &detail) != CF_OK ||
        ((number / SHARDS) % BATCH == 0 && cf_shard_commit(shard, &detail) != CF_OK))
        stop("put", &detail);
}

static void fill(struct cf_shard *shards[SHARDS], struct cf_rng *rng, size_t first, size_t count)
{
    struct cf_detail detail = {""};
    for (size_t i = first; i < first + count; i++)
        add(shards[i % SHARDS], rng, i);
    for (size_t i = 0; i < SHARDS; i++)
        if (cf_shard_commit(shards[i], &detail) != CF_OK)
            stop("commit", &detail);
}

/* Rounds until the first space is published with so many albums. */
static void measure(struct cf_indexing *indexing, const char *what, uint64_t count, bool forced)
{
    uint64_t started_ms = cf_clock_mono_ms(), used_ms = cpu_ms();
    for (bool published = false; !published; forced = false) {
        struct cf_index_round round = {.forced = {forced}};
        cf_indexing_run(indexing, &round);
        published = round.published[0] && round.published[0]->msg.count == count;
        if (published)
            printf("{\"build\": \"%s\", \"count\": %llu, \"ms\": %llu, \"cpu_ms\": %llu}\n", what,
                   (unsigned long long)count, (unsigned long long)(cf_clock_mono_ms() - started_ms),
                   (unsigned long long)(cpu_ms() - used_ms));
        for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
            cf_publication_free(round.published[i]);
        usleep(BETWEEN_ROUNDS_US);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static struct cf_home home;
    static struct cf_config config;
    struct cf_detail detail = {""};
    struct cf_shard *shards[SHARDS];
    struct cf_indexing *indexing = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: indexer_small SCRATCH BASE NEW\n");
        return 2;
    }
    size_t base = strtoull(argv[2], NULL, 10), more = strtoull(argv[3], NULL, 10);
    struct cf_rng rng = cf_rng(1);
    snprintf(home.root, sizeof home.root, "%s", argv[1]);
    snprintf(home.run, sizeof home.run, "%s", argv[1]);
    cf_config_default(&config, &home);
    config.indexer_quiet_ms = 0;
    if (cf_cpu_init(&detail) != CF_OK)
        stop("cpu", &detail);
    for (int i = 0; i < SHARDS; i++) {
        char path[CF_HOME_PATH_MAX];
        if (cf_home_path(&home, path, sizeof path, &detail, "data/shards/descriptor-%d", i) != CF_OK ||
            cf_file_make_dirs(path, &detail) != CF_OK || cf_shard_open(path, &shards[i], &detail) != CF_OK)
            stop("shard", &detail);
    }
    fill(shards, &rng, 0, base);
    if (cf_indexing_new(&home, &config, "indexer-0", &indexing, &detail) != CF_OK)
        stop("indexer", &detail);
    measure(indexing, "whole", base, true);
    fill(shards, &rng, base, more);
    measure(indexing, "small", base + more, false);
    fill(shards, &rng, base + more, 1);
    measure(indexing, "whole again", base + more + 1, true);
    cf_indexing_free(indexing);
    for (size_t i = 0; i < SHARDS; i++)
        cf_shard_free(shards[i]);
    return 0;
}
