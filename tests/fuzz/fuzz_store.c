/* What lies in shards and in indexes' attachments, as a damaged disk might give it back: refused, or read and
 * written again to the same bytes. The first byte tells which of the two. */
#include <stdlib.h>

#include "common/store/album_record.h"
#include "common/store/generation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(struct cf_bytes input, const struct cf_buf *written)
{
    if (!cf_buf_ok(written) || !cf_bytes_equal(input, cf_buf_bytes(written)))
        abort();
}

static void try_record(struct cf_bytes input, struct cf_arena *arena, struct cf_buf *written)
{
    struct cf_album_record record;
    if (cf_album_record_decode(input, arena, &record, NULL) != CF_OK)
        return;
    cf_album_record_encode(&record, written);
    check_same(input, written);
}

static void try_generation(struct cf_bytes input, struct cf_arena *arena, struct cf_buf *written)
{
    struct cf_generation generation;
    if (cf_generation_decode(input, arena, &generation, NULL) != CF_OK)
        return;
    if (cf_generation_encode(&generation, written, NULL) != CF_OK)
        abort();
    check_same(input, written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf written;
    cf_buf_init(&written);
    struct cf_bytes input = {data + 1, size - 1};
    if (arena && data[0] % 2 == 0)
        try_record(input, arena, &written);
    else if (arena)
        try_generation(input, arena, &written);
    cf_buf_fini(&written);
    cf_arena_free(arena);
    return 0;
}
