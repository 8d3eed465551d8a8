/* The second pass: what every item has of its own. A chunk is encoded by the crew while the next is read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/build.h"
#include "common/ann/distance.h"
#include "common/ann/encode.h"
#include "common/ann/project.h"
#include "common/base/file.h"

/* Vectors a chunk, at most so many bytes of them; and vectors a piece of work. */
enum { CHUNK = 2048, PIECE = 16 };
#define CHUNK_BYTES_MAX ((size_t)8 << 20)
#define SCRATCH_BRIEF   ((size_t)32 << 20)

struct chunk {
    float *vectors;
    uint64_t begin;
    uint32_t count;
};

struct filling {
    struct cf_ann_building *b;
    struct chunk chunks[2], *now, *next; /* encoded now, read next */
    uint32_t room;
    uint64_t read, id_at;
    float *norms;    /* of the chunk being encoded */
    enum cf_err err; /* of reading */
    bool ended;
    struct cf_detail *detail;
};

static enum cf_err changed(const struct cf_ann_building *b, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_INVALID, "%s: the source gave other items when it was read again", b->path);
}

static enum cf_err keep_item(struct filling *f, const struct cf_ann_item *item)
{
    struct cf_ann_building *b = f->b;
    const struct cf_ann_header *h = &b->image.header;
    uint64_t *offsets = cf_ann_writable(b, CF_ANN_ID_OFFSETS);

    if (f->read >= h->count || item->tag.len != h->tag_bytes || (item->id.len > 0) != h->has_ids ||
        f->id_at + item->id.len > h->id_bytes || item->id.len > CF_ANN_ID_BYTES_MAX)
        return changed(b, f->detail);
    if (h->tag_bytes)
        memcpy((uint8_t *)cf_ann_writable(b, CF_ANN_TAGS) + f->read * h->tag_bytes, item->tag.data,
               h->tag_bytes);
    if (h->has_ids) {
        memcpy((uint8_t *)cf_ann_writable(b, CF_ANN_ID_BYTES) + f->id_at, item->id.data, item->id.len);
        f->id_at += item->id.len;
        offsets[f->read + 1] = f->id_at;
    }
    return CF_OK;
}

static void read_chunk(void *arg)
{
    struct filling *f = arg;
    const struct cf_ann_building *b = f->b;
    struct chunk *chunk = f->next;
    struct cf_ann_item item;

    chunk->begin = f->read;
    chunk->count = 0;
    while (!f->err && !f->ended && chunk->count < f->room) {
        f->err = b->source->next(b->source->arg, &item, f->detail);
        if (f->err == CF_E_NOT_FOUND) {
            f->ended = true;
            f->err = CF_OK;
            break;
        }
        if (!f->err)
            f->err = keep_item(f, &item);
        if (!f->err)
            f->err = cf_ann_take_vector(b->params, &item, f->read, b->image.header.scale_exponent,
                                        chunk->vectors + (size_t)chunk->count * b->params->dim, f->detail);
        f->read++;
        chunk->count++;
    }
}

/* A vector's row and its bytes; returns what a unit of the bytes is worth. */
static float encode_one(struct cf_ann_building *b, const float *x, uint64_t number, int8_t *bytes,
                        float *norm)
{
    const struct cf_ann_header *h = &b->image.header;
    const float *mean = b->image.mean;
    float d[CF_ANN_DIM_MAX];

    for (uint32_t j = 0; j < h->dim; j++)
        d[j] = x[j] - mean[j];
    *norm = cf_ann_distance_kernel()(x, mean, h->dim);
    float magnitude = sqrtf(cf_ann_distance_kernel()(mean, d, h->dim)) + sqrtf(*norm);
    cf_ann_encode_row(h, d, b->image.steps, magnitude,
                      (uint8_t *)cf_ann_writable(b, CF_ANN_ROWS) + number * cf_ann_row_stride(h));
    return h->proj ? cf_ann_bytes_of(d, h->dim, h->row_dims, bytes) : 1;
}

static void keep_projection(struct cf_ann_building *b, const float *y, float norm, uint64_t number)
{
    const struct cf_ann_header *h = &b->image.header;
    uint8_t *record = b->points + number * cf_ann_point_pitch(h->leaf_dims);
    struct cf_ann_point point = {.norm = norm};

    cf_ann_encode_short(y, b->image.short_steps, h->proj, norm,
                        (uint8_t *)cf_ann_writable(b, CF_ANN_SHORTS) + number * cf_ann_short_stride(h));
    point.unit = cf_ann_bytes_of(y, h->leaf_dims, h->leaf_dims, (int8_t *)record + sizeof point);
    memcpy(record, &point, sizeof point);
}

static void encode_piece(void *arg, size_t piece)
{
    struct filling *f = arg;
    struct cf_ann_building *b = f->b;
    const struct cf_ann_header *h = &b->image.header;
    struct cf_ann_projection projection = {b->image.matrix, b->image.matrix_steps, h->row_dims, h->proj};
    uint32_t begin = (uint32_t)piece * PIECE,
             count = f->now->count - begin < PIECE ? f->now->count - begin : PIECE;
    static _Thread_local int8_t bytes[PIECE * CF_ANN_DIM_MAX];
    float units[PIECE] = {0}, y[PIECE * CF_ANN_PROJ_MAX];
    int32_t sums[PIECE * CF_ANN_PROJ_MAX];

    for (uint32_t i = 0; i < count; i++)
        units[i] = encode_one(b, f->now->vectors + (size_t)(begin + i) * h->dim, f->now->begin + begin + i,
                              bytes + (size_t)i * h->row_dims, &f->norms[begin + i]);
    if (!h->proj)
        return;
    cf_ann_project(&projection, (struct cf_ann_vectors8){bytes, h->row_dims, count}, units, sums, y);
    for (uint32_t i = 0; i < count; i++)
        keep_projection(b, y + (size_t)i * h->proj, f->norms[begin + i], f->now->begin + begin + i);
}

static void note_norm(struct cf_ann_building *b, uint64_t item, float norm)
{
    if (norm <= b->far_norm)
        b->largest_norm = fmaxf(b->largest_norm, norm);
    else
        b->held[item / 8] = (uint8_t)(b->held[item / 8] | 1u << item % 8);
}

/* They are most of the bytes, and nobody writes them again. A small scratch file is gone before the disk gets
 * to it. */
static void write_behind(const struct cf_ann_building *b, const struct chunk *chunk)
{
    const struct cf_ann_header *h = &b->image.header;
    size_t row = cf_ann_row_stride(h), brief = cf_ann_short_stride(h),
           point = cf_ann_point_pitch(h->leaf_dims);

    cf_file_write_behind(b->fd, h->sections[CF_ANN_ROWS].offset + chunk->begin * row, chunk->count * row);
    if (h->proj)
        cf_file_write_behind(b->fd, h->sections[CF_ANN_SHORTS].offset + chunk->begin * brief,
                             chunk->count * brief);
    if (b->scratch.bytes > SCRATCH_BRIEF)
        cf_file_write_behind(b->scratch.fd, chunk->begin * point, chunk->count * point);
}

static enum cf_err fill_all(struct filling *f)
{
    struct cf_ann_building *b = f->b;
    enum cf_err err = b->source->rewind(b->source->arg, f->detail);

    if (err)
        return err;
    read_chunk(f);
    while (!err && !f->err && f->next->count) {
        struct chunk *read = f->next;
        f->next = f->now;
        f->now = read;
        err =
            cf_crew_run_beside(&b->crew, (f->now->count + PIECE - 1) / PIECE, encode_piece, f, read_chunk, f);
        for (uint32_t i = 0; i < f->now->count && !err; i++)
            note_norm(b, f->now->begin + i, f->norms[i]);
        write_behind(b, f->now);
    }
    if (!err)
        err = f->err;
    if (!err && (f->read != b->image.header.count || f->id_at != b->image.header.id_bytes))
        err = changed(b, f->detail);
    return err;
}

enum cf_err cf_ann_fill(struct cf_ann_building *b, struct cf_detail *detail)
{
    size_t room = CHUNK_BYTES_MAX / (b->params->dim * sizeof(float));
    struct filling f = {.b = b, .detail = detail};
    enum cf_err err = CF_E_NO_MEMORY;

    f.room = (uint32_t)(room < CHUNK ? room : CHUNK);
    f.now = &f.chunks[0];
    f.next = &f.chunks[1];
    f.now->vectors = calloc((size_t)f.room * b->params->dim, sizeof(float));
    f.next->vectors = calloc((size_t)f.room * b->params->dim, sizeof(float));
    f.norms = calloc(f.room, sizeof *f.norms);
    if (f.now->vectors && f.next->vectors && f.norms)
        err = fill_all(&f);
    free(f.chunks[0].vectors);
    free(f.chunks[1].vectors);
    free(f.norms);
    return err;
}
