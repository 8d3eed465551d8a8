/* What a searcher lends to those who measure without an index. */
#ifndef CF_ANN_SEARCHER_H
#define CF_ANN_SEARCHER_H

#include <stddef.h>
#include <stdint.h>

#include "common/ann/ann.h"

/* Room for `count` values, valid until the searcher is used again; NULL when memory is short. */
int16_t *cf_ann_searcher_wide(struct cf_ann_searcher *searcher, size_t count);

#endif
