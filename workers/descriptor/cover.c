#include "workers/descriptor/cover.h"

#include <stdlib.h>

enum { KEEP_BYTES = 256 << 10 }; /* a longer picture's memory is not kept for the next one */

/* False when memory is short. */
static bool copy_job(struct cf_cover *cover, const struct cf_job *job)
{
    struct cf_arena *arena = cover->arena;
    struct cf_job *copy = &cover->job;
    *copy = *job;
    copy->album = cf_arena_str(arena, job->album);
    copy->file = cf_arena_str(arena, job->file);
    cf_buf_append(&cover->bytes, job->bytes.data, job->bytes.len);
    copy->bytes = cf_buf_bytes(&cover->bytes);
    copy->sha256 = cf_arena_bytes(arena, job->sha256);
    copy->meta = cf_arena_alloc(arena, job->meta_count, sizeof *copy->meta);
    if (!copy->album.data || !copy->file.data || !cf_buf_ok(&cover->bytes) || !copy->sha256.data ||
        !copy->meta)
        return false;
    for (size_t i = 0; i < job->meta_count; i++) {
        copy->meta[i].key = cf_arena_str(arena, job->meta[i].key);
        copy->meta[i].value = cf_arena_str(arena, job->meta[i].value);
        if (!copy->meta[i].key.data || !copy->meta[i].value.data)
            return false;
    }
    return true;
}

enum cf_err cf_cover_new(const struct cf_job *job, uint64_t leased_ms, uint64_t session,
                         struct cf_cover **out)
{
    struct cf_cover *cover = calloc(1, sizeof *cover);
    if (!cover)
        return CF_E_NO_MEMORY;
    cover->arena = cf_arena_new();
    if (!cover->arena || cf_cover_renew(cover, job, leased_ms, session) != CF_OK) {
        cf_cover_free(cover);
        return CF_E_NO_MEMORY;
    }
    *out = cover;
    return CF_OK;
}

enum cf_err cf_cover_renew(struct cf_cover *cover, const struct cf_job *job, uint64_t leased_ms,
                           uint64_t session)
{
    struct cf_arena *arena = cover->arena;
    struct cf_buf bytes = cover->bytes;
    if (bytes.capacity > KEEP_BYTES)
        cf_buf_fini(&bytes);
    cf_buf_clear(&bytes);
    cf_arena_reset(arena);
    *cover = (struct cf_cover){.arena = arena, .bytes = bytes, .leased_ms = leased_ms, .session = session};
    return copy_job(cover, job) ? CF_OK : CF_E_NO_MEMORY;
}

void cf_cover_free(struct cf_cover *cover)
{
    if (!cover)
        return;
    cf_arena_free(cover->arena);
    cf_buf_fini(&cover->bytes);
    free(cover);
}

void cf_cover_fail(struct cf_cover *cover, enum cf_outcome outcome, enum cf_err err,
                   const struct cf_detail *detail)
{
    cover->outcome = outcome;
    cover->err = err;
    if (detail)
        cover->detail = *detail;
    else
        cover->detail.text[0] = '\0';
}

struct cf_cover_batch *cf_cover_batch_new(size_t capacity)
{
    struct cf_cover_batch *batch = calloc(1, sizeof *batch + capacity * sizeof batch->covers[0]);
    if (batch)
        batch->capacity = capacity;
    return batch;
}

void cf_cover_batch_free(struct cf_cover_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->count; i++)
        cf_cover_free(batch->covers[i]);
    free(batch);
}
