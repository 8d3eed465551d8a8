#include "tests/bench/looks/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/crew.h"
#include "deploy/cli/progress.h"
#include "tests/bench/ann/describe.h"
#include "tests/bench/ann/vecs.h"
#include "tests/bench/looks/scores.h"

/* Covers attacked at a time, and how much of them goes into one message. */
enum { BATCH = 32, MESSAGE_BYTES = 16 << 20, ALBUMS_A_MESSAGE = 64 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- attacked and asked for ---- */

struct tally {
    struct looks_hit *hits;
    size_t hit_count, first_count, refused;
};

struct batch {
    struct looks_gallery *gallery;
    const struct looks_options *options;
    const struct looks_attack *attack;
    const struct looks_drawing *drawing;
    const struct looks_query *queries; /* of the drawing, `count` */
    size_t count;
    struct cf_buf files[BATCH];
    struct cf_target targets[BATCH];
    size_t spaces[CF_SPACE_COUNT], space_count;
    struct tally *tallies; /* one a space of `spaces` */
    size_t firsts[BATCH];  /* of each message */
};

static void write_pnm(const struct cf_image *image, struct cf_buf *file)
{
    char header[64];
    int len = snprintf(header, sizeof header, "P6\n%u %u\n255\n", image->width, image->height);
    cf_buf_clear(file);
    cf_buf_append(file, header, (size_t)len);
    cf_buf_append(file, image->rgb, (size_t)image->width * image->height * 3);
    if (!cf_buf_ok(file))
        bench_give_up("out of memory");
}

static void attack_one(void *arg, size_t i)
{
    struct batch *batch = arg;
    const struct looks_cover *cover = &batch->gallery->covers[batch->queries[i].cover];
    struct cf_image image = {0};
    struct cf_detail detail = {""};
    struct cf_rng rng = cf_rng(batch->options->seed ^
                               cf_xxh3((struct cf_bytes){(const uint8_t *)cover->id, LOOKS_ID_BYTES - 1}));
    rng = cf_rng(cf_rng_u64(&rng) ^ (uint64_t)(batch->attack - looks_attacks) << 32);
    bench_must(bench_decode_whole(cover->file, &image, &detail), &detail);
    bench_must(looks_attack(batch->attack, &rng, &image, &detail), &detail);
    write_pnm(&image, &batch->files[i]);
    cf_image_fini(&image);
}

static bool is_twin_of(const struct batch *batch, const struct looks_query *query, struct cf_str album)
{
    for (size_t i = 0; i < query->twin_count; i++)
        if (cf_str_is(album, batch->drawing->twins[query->first_twin + i]))
            return true;
    return false;
}

/* The first LOOKS_K that are no twins. */
static void take_result(const struct batch *batch, struct tally *tally, const struct cf_answer_result *result,
                        const struct looks_query *query)
{
    struct cf_str id = cf_str(batch->gallery->covers[query->cover].id);
    size_t taken = 0;
    tally->refused += result->error.len > 0;
    for (size_t i = 0; i < result->neighbor_count && taken < LOOKS_K; i++) {
        const struct cf_neighbor *neighbor = &result->neighbors[i];
        if (is_twin_of(batch, query, neighbor->album))
            continue;
        bool right = cf_str_equal(neighbor->album, id);
        tally->first_count += right && taken == 0;
        tally->hits[tally->hit_count++] = (struct looks_hit){neighbor->distance, right};
        taken++;
    }
}

/* Query i is message i / spaces in space i % spaces. */
static void take_answer(void *arg, size_t i, const struct cf_answer *answer)
{
    struct batch *batch = arg;
    struct tally *tally = &batch->tallies[i % batch->space_count];
    size_t first = batch->firsts[i / batch->space_count];
    if (!answer)
        tally->refused++;
    for (size_t t = 0; answer && t < answer->result_count; t++)
        take_result(batch, tally, &answer->results[t], &batch->queries[first + t]);
}

/* As many more as the twins that may come before the right one. */
static uint64_t wide_k(const struct batch *batch)
{
    size_t most = 0;
    for (size_t i = 0; i < batch->count; i++)
        most = batch->queries[i].twin_count > most ? batch->queries[i].twin_count : most;
    return LOOKS_K + most;
}

static void ask_batch(struct batch *batch)
{
    struct cf_query queries[BATCH * CF_SPACE_COUNT];
    size_t message_count = 0;
    uint64_t k = wide_k(batch);
    for (size_t at = 0; at < batch->count; message_count++) {
        size_t first = at, bytes = 0;
        for (; at < batch->count && (at == first || bytes + batch->files[at].len <= MESSAGE_BYTES); at++) {
            bytes += batch->files[at].len;
            batch->targets[at] = (struct cf_target){.image = cf_buf_bytes(&batch->files[at])};
        }
        batch->firsts[message_count] = first;
        for (size_t s = 0; s < batch->space_count; s++)
            queries[message_count * batch->space_count + s] =
                (struct cf_query){.space = cf_str(cf_spaces[batch->spaces[s]].name),
                                  .k = k,
                                  .recall = batch->options->recall,
                                  .targets = &batch->targets[first],
                                  .target_count = at - first};
    }
    looks_gallery_ask(batch->gallery, queries, message_count * batch->space_count, take_answer, batch);
}

static void finish(const struct batch *batch, size_t query_count, struct looks_score scores[CF_SPACE_COUNT])
{
    for (size_t s = 0; s < batch->space_count; s++) {
        struct tally *tally = &batch->tallies[s];
        scores[batch->spaces[s]] = (struct looks_score){
            .recall1 = (double)tally->first_count / (double)query_count,
            .uap = looks_uap(tally->hits, tally->hit_count, query_count),
            .refused = tally->refused,
        };
        *tally = (struct tally){.hits = tally->hits};
    }
}

void looks_measure_attacks(struct looks_gallery *gallery, const struct looks_options *options,
                           struct looks_result *result)
{
    struct looks_drawing drawing;
    struct batch *batch = bench_alloc(1, sizeof *batch);
    struct tally tallies[CF_SPACE_COUNT] = {{.hits = NULL}};
    struct cf_progress progress;
    looks_draw(gallery, options->query_count, &drawing);
    if (drawing.query_count == 0)
        bench_give_up("the first folder or tar file has no picture to attack");
    *batch = (struct batch){.gallery = gallery, .options = options, .drawing = &drawing, .tallies = tallies};
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        if (options->spaces[s])
            batch->spaces[batch->space_count++] = s;
    for (size_t s = 0; s < batch->space_count; s++)
        tallies[s].hits = bench_alloc(drawing.query_count * LOOKS_K, sizeof *tallies[s].hits);
    result->query_count = drawing.query_count;
    result->twin_count = drawing.twin_count;
    result->passed_over = drawing.passed_over;
    cf_progress_init(&progress, stderr, false, cf_clock_mono_ms());
    for (size_t a = 0; a < looks_attack_count; a++) {
        batch->attack = &looks_attacks[a];
        for (size_t at = 0; at < drawing.query_count; at += batch->count) {
            batch->queries = drawing.queries + at;
            batch->count = smaller(BATCH, drawing.query_count - at);
            CF_CHECK(cf_crew_run(&(struct cf_crew){options->threads, NULL, NULL}, batch->count, attack_one,
                                 batch) == CF_OK);
            ask_batch(batch);
            cf_progress_show(&progress, a * drawing.query_count + at,
                             looks_attack_count * drawing.query_count, "attacked covers asked for",
                             cf_clock_mono_ms());
        }
        finish(batch, drawing.query_count, result->scores[a]);
    }
    cf_progress_clear(&progress);
    for (size_t i = 0; i < BATCH; i++)
        cf_buf_fini(&batch->files[i]);
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        free(tallies[s].hits);
    free(batch);
    looks_drawing_fini(&drawing);
}

struct looks_score looks_mean(const struct looks_result *result, size_t space)
{
    struct looks_score mean = {0};
    size_t count = 0;
    for (size_t a = 0; a < looks_attack_count; a++) {
        const struct looks_score *score = &result->scores[a][space];
        if (looks_attacks[a].combined)
            continue;
        mean.recall1 += score->recall1;
        mean.uap += score->uap;
        mean.refused += score->refused;
        count++;
    }
    mean.recall1 /= (double)count;
    mean.uap /= (double)count;
    return mean;
}

/* ---- genres ---- */

const struct looks_mix looks_mixes[LOOKS_MIX_COUNT] = {
    {"gray16", {{"gray16", 1}}},
    {"gist", {{"gist", 1}}},
    {"copy", {{"copy", 1}}},
    {"style", {{"style", 1}}},
    {"style + copy", {{"style", 1}, {"copy", 1}}},
    {"style + gist", {{"style", 1}, {"gist", 1}}},
    {"3 style + gist", {{"style", 3}, {"gist", 1}}},
    {"2 style + gist + gray16", {{"style", 2}, {"gist", 1}, {"gray16", 1}}},
};

struct genres {
    const struct looks_gallery *gallery;
    double *scores; /* of the mix at hand: genre_count an album */
};

/* Message i has the albums from i * ALBUMS_A_MESSAGE on. */
static void count_genres(void *arg, size_t i, const struct cf_answer *answer)
{
    struct genres *genres = arg;
    const struct looks_gallery *gallery = genres->gallery;
    for (size_t t = 0; answer && t < answer->result_count; t++)
        for (size_t n = 0; n < answer->results[t].neighbor_count; n++)
            for (size_t g = 0; g < gallery->genre_count; g++)
                if (cf_str_is(answer->results[t].neighbors[n].genre, gallery->genres[g]))
                    genres->scores[(i * ALBUMS_A_MESSAGE + t) * gallery->genre_count + g] +=
                        1. / LOOKS_GENRE_K;
}

static void set_mix(const struct looks_mix *mix, struct cf_weight weights[3], struct cf_query *query)
{
    size_t count = 0;
    for (; count < 3 && mix->parts[count].space; count++)
        weights[count] = (struct cf_weight){cf_str(mix->parts[count].space), mix->parts[count].weight};
    if (count == 1) {
        query->space = weights[0].space;
        return;
    }
    query->spaces = weights;
    query->space_count = count;
}

/* All at once: every query worker has something to do. */
static void ask_genres(struct looks_gallery *gallery, const struct cf_query *query, const size_t *albums,
                       size_t count, struct genres *genres)
{
    size_t message_count = (count + ALBUMS_A_MESSAGE - 1) / ALBUMS_A_MESSAGE;
    struct cf_target *targets = bench_alloc(count, sizeof *targets);
    struct cf_query *queries = bench_alloc(message_count, sizeof *queries);
    for (size_t i = 0; i < count; i++)
        targets[i].album = cf_str(gallery->covers[albums[i]].id);
    for (size_t i = 0; i < message_count; i++) {
        queries[i] = *query;
        queries[i].targets = targets + i * ALBUMS_A_MESSAGE;
        queries[i].target_count = smaller(ALBUMS_A_MESSAGE, count - i * ALBUMS_A_MESSAGE);
    }
    looks_gallery_ask(gallery, queries, message_count, count_genres, genres);
    free(queries);
    free(targets);
}

static double genre_auc(struct looks_gallery *gallery, const struct looks_mix *mix, const size_t *albums,
                        const size_t *labels, size_t count, double recall)
{
    struct cf_str names[LOOKS_GENRES_MAX];
    struct cf_filter filter = {.key = cf_str("genre"), .values = names, .value_count = gallery->genre_count};
    struct cf_weight weights[3];
    struct cf_query query = {.k = LOOKS_GENRE_K, .recall = recall, .filters = &filter, .filter_count = 1};
    struct genres genres = {gallery, bench_alloc(count * gallery->genre_count + 1, sizeof(double))};
    for (size_t g = 0; g < gallery->genre_count; g++)
        names[g] = cf_str(gallery->genres[g]);
    set_mix(mix, weights, &query);
    ask_genres(gallery, &query, albums, count, &genres);
    double auc = looks_mean_auc(genres.scores, labels, count, gallery->genre_count);
    free(genres.scores);
    return auc;
}

void looks_measure_genres(struct looks_gallery *gallery, const struct looks_options *options,
                          struct looks_result *result)
{
    size_t *albums = bench_alloc(gallery->count + 1, sizeof *albums);
    size_t *labels = bench_alloc(gallery->count + 1, sizeof *labels);
    result->labelled = 0;
    for (size_t i = 0; i < gallery->count; i++)
        if (gallery->covers[i].in_fleet && gallery->covers[i].genre != LOOKS_NO_GENRE) {
            albums[result->labelled] = i;
            labels[result->labelled++] = gallery->covers[i].genre;
        }
    for (size_t m = 0; m < LOOKS_MIX_COUNT; m++)
        result->genre_auc[m] = result->labelled ? genre_auc(gallery, &looks_mixes[m], albums, labels,
                                                            result->labelled, options->recall)
                                                : NAN;
    free(albums);
    free(labels);
}
