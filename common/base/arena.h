/* Memory that is freed all at once: one arena a message or a job. Allocations are aligned to 16 bytes and
 * live until reset or free. One owner, no locking. */
#ifndef CF_BASE_ARENA_H
#define CF_BASE_ARENA_H

#include "common/base/span.h"

struct cf_arena;

struct cf_arena *cf_arena_new(void);        /* NULL when memory is short */
void cf_arena_free(struct cf_arena *arena); /* takes NULL */
size_t cf_arena_size(const struct cf_arena *arena); /* bytes that it holds */
void cf_arena_reset(struct cf_arena *arena); /* keeps the first block for reuse */

/* Zeroed memory, or NULL when memory is short or count * size overflows. A count of zero gives a valid pointer. */
void *cf_arena_alloc(struct cf_arena *arena, size_t count, size_t size);

/* Copies; the copy of a string is terminated. data == NULL only when memory is short. */
struct cf_str cf_arena_str(struct cf_arena *arena, struct cf_str text);
struct cf_bytes cf_arena_bytes(struct cf_arena *arena, struct cf_bytes bytes);

#endif
