#include "tests/unit/ann_fixture.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static double normal(struct cf_rng *rng)
{
    double sum = 0;

    for (int i = 0; i < 12; i++)
        sum += cf_rng_unit(rng);
    return sum - 6;
}

static void make_vector(enum ann_kind kind, struct ann_set *set, size_t i, uint64_t seed, struct cf_rng *rng)
{
    float *x = set->vectors + i * set->dim;
    uint64_t cluster = cf_rng_below(rng, 1 + set->count / 40);
    struct cf_rng centre = cf_rng(seed ^ (cluster + 1) * 0x9E37u);

    for (uint32_t j = 0; j < set->dim; j++)
        if (kind == ANN_RANDOM)
            x[j] = (float)normal(rng);
        else if (kind == ANN_CLUSTERED)
            x[j] = (float)(normal(&centre) + .35 * normal(rng));
        else if (kind == ANN_DUPLICATES)
            x[j] = (float)normal(&centre);
        else
            x[j] = kind == ANN_CONSTANT ? 2.5f : 0;
}

struct ann_set ann_set_make(enum ann_kind kind, size_t count, uint32_t dim, uint32_t tag_bytes, double scale,
                            uint64_t seed)
{
    struct ann_set set = {.dim = dim, .tag_bytes = tag_bytes, .count = count};
    struct cf_rng rng = cf_rng(seed);

    set.vectors = calloc(count * dim + 1, sizeof *set.vectors);
    set.ids = calloc(count + 1, sizeof *set.ids);
    set.tags = calloc(count * tag_bytes + 1, 1);
    assert_true(set.vectors && set.ids && set.tags);
    for (size_t i = 0; i < count; i++) {
        make_vector(kind, &set, i, seed, &rng);
        for (uint32_t j = 0; j < dim; j++)
            set.vectors[i * dim + j] = (float)(set.vectors[i * dim + j] * scale);
        /* Not in the order of the positions, and of several lengths. */
        snprintf(set.ids[i], sizeof set.ids[i], "%llu-album",
                 (unsigned long long)((i * 7919 + 13) % 1000003));
        for (uint32_t j = 0; j < tag_bytes; j++)
            set.tags[i * tag_bytes + j] = (uint8_t)(i * 31 + j);
    }
    return set;
}

void ann_set_free(struct ann_set *set)
{
    free(set->vectors);
    free(set->ids);
    free(set->tags);
}

struct cf_bytes ann_set_id(const struct ann_set *set, size_t i)
{
    return (struct cf_bytes){(const uint8_t *)set->ids[i], strlen(set->ids[i])};
}

static enum cf_err set_rewind(void *arg, struct cf_detail *detail)
{
    struct ann_set *set = arg;

    (void)detail;
    set->at = 0;
    return CF_OK;
}

static enum cf_err set_next(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct ann_set *set = arg;

    (void)detail;
    if (set->at == set->count)
        return CF_E_NOT_FOUND;
    item->id = ann_set_id(set, set->at);
    item->tag = (struct cf_bytes){set->tags + set->at * set->tag_bytes, set->tag_bytes};
    item->vector = set->vectors + set->at * set->dim;
    set->at++;
    return CF_OK;
}

struct cf_ann_source ann_set_source(struct ann_set *set)
{
    return (struct cf_ann_source){set_rewind, set_next, set};
}

enum cf_err ann_build(const char *path, struct ann_set *set, unsigned threads, uint64_t seed,
                      struct cf_detail *detail)
{
    struct cf_ann_source source = ann_set_source(set);
    struct cf_ann_params params = {.dim = set->dim,
                                   .tag_bytes = set->tag_bytes,
                                   .seed = seed,
                                   .threads = threads,
                                   .attachment = {(const uint8_t *)"attached", 8}};

    return cf_ann_build(path, &params, &source, NULL, NULL, detail);
}

struct cf_ann *ann_build_open(const char *path, struct ann_set *set, unsigned threads, uint64_t seed)
{
    struct cf_detail detail = {""};
    struct cf_ann *ann = NULL;
    enum cf_err err = ann_build(path, set, threads, seed, &detail);

    if (!err)
        err = cf_ann_open(path, &ann, &detail);
    if (err)
        fail_msg("%s: %s", cf_err_name(err), detail.text);
    return ann;
}

struct cf_ann *ann_build_open_as(const char *path, struct ann_set *set, struct cf_ann_params params)
{
    struct cf_ann_source source = ann_set_source(set);
    struct cf_ann *ann = NULL;

    params.dim = set->dim;
    params.tag_bytes = set->tag_bytes;
    params.seed = 5;
    params.threads = 1;
    assert_int_equal(cf_ann_build(path, &params, &source, NULL, NULL, NULL), CF_OK);
    assert_int_equal(cf_ann_open(path, &ann, NULL), CF_OK);
    return ann;
}

static char folder[64];

const char *ann_folder(void)
{
    if (!folder[0]) {
        snprintf(folder, sizeof folder, "/tmp/cf-ann-XXXXXX");
        assert_non_null(mkdtemp(folder));
    }
    return folder;
}

static size_t each_entry(bool removed)
{
    DIR *dir = opendir(ann_folder());
    size_t count = 0;

    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (removed)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
    return count;
}

size_t ann_folder_entries(void)
{
    return each_entry(false);
}

void ann_folder_remove(void)
{
    each_entry(true);
    rmdir(folder);
}

const char *ann_path(const char *name)
{
    static char paths[2][PATH_MAX];
    static int turn;
    char *path = paths[turn ^= 1];

    snprintf(path, PATH_MAX, "%s/%s", ann_folder(), name);
    return path;
}

size_t ann_naive(const struct ann_set *set, const float *query, size_t k, size_t *best, float *squared)
{
    size_t count = 0;
    float key;

    for (size_t i = 0; i < set->count; i++) {
        size_t at = count < k ? count++ : k;
        cf_ann_distances(query, set->vectors + i * set->dim, 1, set->dim, &key);
        for (; at > 0; at--) {
            if (squared[at - 1] < key ||
                (squared[at - 1] == key && strcmp(set->ids[best[at - 1]], set->ids[i]) < 0))
                break;
            if (at < k) {
                squared[at] = squared[at - 1];
                best[at] = best[at - 1];
            }
        }
        if (at < k) {
            squared[at] = key;
            best[at] = i;
        }
    }
    return count;
}

double ann_recall(const struct cf_ann *ann, const struct ann_set *set, const float *query, uint32_t k,
                  double recall, struct cf_ann_searcher *searcher)
{
    struct cf_ann_query asked = {.vector = query, .k = k, .recall = recall};
    struct cf_ann_hit *hits = calloc(k, sizeof *hits);
    size_t *best = calloc(k, sizeof *best), found, wanted, right = 0;
    float *squared = calloc(k, sizeof *squared);
    bool exact;

    assert_true(hits && best && squared);
    wanted = ann_naive(set, query, k, best, squared);
    assert_int_equal(cf_ann_search(ann, searcher, &asked, hits, &found, &exact, NULL), CF_OK);
    for (size_t i = 0; i < found; i++) { /* by the vectors themselves: the file keeps less of them */
        float square;
        cf_ann_distances(query, set->vectors + hits[i].item * set->dim, 1, set->dim, &square);
        right += square <= squared[wanted - 1];
    }
    free(hits);
    free(best);
    free(squared);
    return wanted ? (double)right / (double)wanted : 1;
}
