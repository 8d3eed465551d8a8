/* How good answers were. Pure. */
#ifndef CF_BENCH_LOOKS_SCORES_H
#define CF_BENCH_LOOKS_SCORES_H

#include <stdbool.h>
#include <stddef.h>

/* One neighbour that came back for one query. */
struct looks_hit {
    double distance;
    bool right; /* it is the cover that was attacked */
};

/* Micro average precision (Perronnin, Liu and Renders, "A family of contextual measures of similarity between
 * distributions with application to image retrieval", CVPR 2009; as of the Image Similarity Challenge 2021):
 * the hits of all queries in one ranking by distance, nearest first; the mean over all queries of the
 * precision at the rank of each right hit, 0 for a query without one. So one threshold must do for every
 * query. Of equal distances the wrong ones come first. Reorders the hits; 0 when there are no queries. */
double looks_uap(struct looks_hit *hits, size_t count, size_t query_count);

/* The area under the ROC curve of a yes-or-no label by scores (common/recommend/auc.h without its intervals),
 * the mean over labels: `scores` and `labels` hold a row an item. For each of `label_count` labels an item's
 * score is scores[item * label_count + label], and labels[item] is its own. A label that all or no items have
 * is left out; NaN when none is left, or memory is short. */
double looks_mean_auc(const double *scores, const size_t *labels, size_t count, size_t label_count);

#endif
