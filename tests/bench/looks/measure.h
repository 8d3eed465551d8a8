/* Attacked covers asked for among all pictures of a gallery, in each space of a fleet. */
#ifndef CF_BENCH_LOOKS_MEASURE_H
#define CF_BENCH_LOOKS_MEASURE_H

#include "common/descriptor/space.h"
#include "tests/bench/looks/attacks.h"
#include "tests/bench/looks/draw.h"

/* What the genres are asked for in: every space, and some together. */
struct looks_mix {
    const char *name;
    struct {
        const char *space;
        double weight;
    } parts[3];
};
extern const struct looks_mix looks_mixes[];

enum { LOOKS_K = 10, LOOKS_GENRE_K = 20, LOOKS_ATTACKS_MAX = 64, LOOKS_MIX_COUNT = 8 };

struct looks_options {
    size_t query_count; /* wanted */
    uint64_t seed;
    unsigned threads;
    double recall;               /* asked of the trees */
    bool spaces[CF_SPACE_COUNT]; /* that attacked covers are asked for in; the genres are asked for in all and
                                    in mixes */
};

struct looks_score {
    double recall1; /* share of the queries whose nearest neighbour is the cover that was attacked */
    double uap;     /* scores.h, over the LOOKS_K nearest of every query */
    size_t refused; /* queries that the fleet had nothing to search by: no contrast was left */
};

struct looks_result {
    size_t query_count, twin_count, passed_over; /* draw.h */
    struct looks_score scores[LOOKS_ATTACKS_MAX][CF_SPACE_COUNT];
    size_t labelled;
    /* Of the covers whose genre is known: an album's score of a genre is the share of that genre among its
     * LOOKS_GENRE_K nearest albums whose genre is known; looks_mean_auc over genres. NaN without any. */
    double genre_auc[LOOKS_MIX_COUNT];
};

/* Both fill their part of the result. What a bench cannot go on without ends the program. */
void looks_measure_attacks(struct looks_gallery *gallery, const struct looks_options *options,
                           struct looks_result *result);
void looks_measure_genres(struct looks_gallery *gallery, const struct looks_options *options,
                          struct looks_result *result);

/* Means of a space over the single attacks. */
struct looks_score looks_mean(const struct looks_result *result, size_t space);

#endif
