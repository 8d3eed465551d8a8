/* What every narrower search would miss of the true neighbours of queries, from one wide search of each: the
 * grid of widths that a calibration (calibrate.h) looks at, and the sums over it. */
#ifndef CF_ANN_TALLY_H
#define CF_ANN_TALLY_H

#include "common/ann/calibrate.h"
#include "common/ann/truth.h"

enum {
    CF_ANN_CODE_LEVELS = 16,
    CF_ANN_SHORT_LEVELS = 13,
    CF_ANN_LEAF_LEVELS = 20,
    CF_ANN_WIDE = 8192,                              /* entries that a wide search keeps */
    CF_ANN_WIDE_MOST = CF_ANN_WIDE + CF_ANN_WIDE / 8 /* and has, as pools are not shrunk to the last */
};
extern const uint32_t cf_ann_grid_k[CF_ANN_GRID_K], cf_ann_grid_codes[CF_ANN_GRID_K][CF_ANN_CODE_LEVELS],
    cf_ann_grid_shorts[CF_ANN_GRID_K][CF_ANN_SHORT_LEVELS];

/* Sums over queries of how many they missed, of the squares, and of the products with how many of the true
 * neighbours rows do not tell. */
struct cf_ann_sums {
    uint32_t missed, squares, untold;
};

/* Of the true neighbours. */
struct cf_ann_tally {
    uint32_t queries[CF_ANN_GRID_K];
    struct cf_ann_sums rows[CF_ANN_GRID_K]; /* missed by measuring all of them */
    struct cf_ann_sums all[CF_ANN_GRID_K][CF_ANN_LEAF_LEVELS][CF_ANN_CODE_LEVELS][CF_ANN_SHORT_LEVELS];
};

struct cf_ann_entry {
    float key;
    uint32_t item, rank; /* of its leaf among the nearest */
};

/* An entry on the way of a search. */
struct cf_ann_step {
    uint32_t rank, twin; /* of its leaf, and of an earlier entry of its item; UINT32_MAX: there is none */
    float shorts;
    uint32_t neighbour; /* + 1, the first that has these shorts; 0: none has */
};

/* What a wide search found, best first. */
struct cf_ann_wide {
    struct cf_ann_entry entries[CF_ANN_WIDE_MOST];
    float shorts[CF_ANN_WIDE_MOST]; /* of their items */
    size_t count;
    struct cf_ann_step steps[CF_ANN_WIDE_MOST]; /* scratch */
};

/* Adds one query, for the first `grids` k. leaves: of each level, ascending. */
void cf_ann_tally_query(const uint32_t leaves[CF_ANN_LEAF_LEVELS], const struct cf_ann_target *target,
                        const struct cf_ann_probe_query *query, unsigned grids, struct cf_ann_wide *wide,
                        struct cf_ann_tally *tally);
void cf_ann_tally_merge(struct cf_ann_tally *into, const struct cf_ann_tally *from);
/* Of what rows tell: each query's less what it was not told. */
struct cf_ann_sums cf_ann_tally_told(const struct cf_ann_sums *all, const struct cf_ann_sums *rows);

#endif
