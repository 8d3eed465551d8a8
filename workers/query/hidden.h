/* Items of an index part that are not to be found, a bit each. Copied on write: views share what is the same
 * in both. NULL hides nothing. One thread makes and changes them; what is shared already never changes, so
 * any thread reads it. */
#ifndef CF_WORKERS_QUERY_HIDDEN_H
#define CF_WORKERS_QUERY_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

struct cf_hidden {
    _Atomic uint32_t refs;
    uint64_t words[];
};

struct cf_hidden *cf_hidden_share(struct cf_hidden *hidden); /* takes NULL */
void cf_hidden_free(struct cf_hidden *hidden);               /* takes NULL */

/* Hides one of `count` items, or shows it again. CF_E_NO_MEMORY leaves things as they were. */
enum cf_err cf_hidden_put(struct cf_hidden **hidden, uint64_t count, uint64_t item, bool hide) CF_MUST_CHECK;

static inline bool cf_hidden_has(const struct cf_hidden *hidden, uint64_t item)
{
    return hidden && hidden->words[item / 64] >> (item % 64) & 1;
}

#endif
