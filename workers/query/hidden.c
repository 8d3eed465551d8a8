#include "workers/query/hidden.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct cf_hidden *cf_hidden_share(struct cf_hidden *hidden)
{
    if (hidden)
        atomic_fetch_add(&hidden->refs, 1);
    return hidden;
}

void cf_hidden_free(struct cf_hidden *hidden)
{
    if (hidden && atomic_fetch_sub(&hidden->refs, 1) == 1)
        free(hidden);
}

/* NULL when memory is short. */
static struct cf_hidden *copy(const struct cf_hidden *hidden, uint64_t count)
{
    size_t bytes = (size_t)(count / 64 + 1) * sizeof hidden->words[0];
    struct cf_hidden *made = calloc(1, sizeof *made + bytes);
    if (!made)
        return NULL;
    atomic_init(&made->refs, 1);
    if (hidden)
        memcpy(made->words, hidden->words, bytes);
    return made;
}

enum cf_err cf_hidden_put(struct cf_hidden **hidden, uint64_t count, uint64_t item, bool hide)
{
    if (cf_hidden_has(*hidden, item) == hide)
        return CF_OK;
    if (!*hidden || atomic_load(&(*hidden)->refs) > 1) {
        struct cf_hidden *own = copy(*hidden, count);
        if (!own)
            return CF_E_NO_MEMORY;
        cf_hidden_free(*hidden);
        *hidden = own;
    }
    (*hidden)->words[item / 64] ^= 1ull << (item % 64);
    return CF_OK;
}
