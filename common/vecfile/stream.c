#include <stdlib.h>

#include "common/vecfile/vecfile.h"

enum { BLOCK_BYTES = 1 << 20 };

struct cf_vecstream {
    const struct cf_vecfile *file;
    uint64_t next;        /* the row behind the block */
    size_t filled, at;    /* rows of the block, and the next of them */
    size_t block, values; /* rows that it may have, values of a row */
    uint32_t *rows;       /* floats or int32 */
};

struct cf_vecstream *cf_vecstream_new(const struct cf_vecfile *file)
{
    struct cf_vecstream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return NULL;
    stream->file = file;
    stream->values = cf_vecfile_dim(file);
    stream->block = BLOCK_BYTES / (stream->values * sizeof *stream->rows + 1) + 1;
    stream->rows = malloc(stream->block * (stream->values + 1) * sizeof *stream->rows);
    if (!stream->rows) {
        free(stream);
        return NULL;
    }
    return stream;
}

void cf_vecstream_free(struct cf_vecstream *stream)
{
    if (stream)
        free(stream->rows);
    free(stream);
}

void cf_vecstream_rewind(struct cf_vecstream *stream)
{
    stream->next = 0;
    stream->filled = stream->at = 0;
}

enum cf_err cf_vecstream_next(struct cf_vecstream *stream, const void **row, struct cf_detail *detail)
{
    if (stream->at == stream->filled) {
        uint64_t left = cf_vecfile_count(stream->file) - stream->next;
        size_t take = left < stream->block ? (size_t)left : stream->block;
        enum cf_err err = cf_vecfile_read(stream->file, stream->next, take, stream->rows, detail);
        if (err)
            return err;
        stream->next += take;
        stream->filled = take;
        stream->at = 0;
        if (take == 0) {
            *row = NULL;
            return CF_OK;
        }
    }
    *row = stream->rows + stream->at++ * stream->values;
    return CF_OK;
}
