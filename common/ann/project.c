#include "common/ann/project.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/ann/image.h"
#include "common/base/rng.h"

/* ROUNDS of multiplying by the covariance of at most SAMPLE vectors (fewer of long ones: WORK products), read
 * STRIP at a time in tiles of TILE, for ROWS dimensions at a time. CLIP: how many times the widest spread fits
 * into seven bits. */
enum { ROUNDS = 8, SAMPLE = 32768, SAMPLE_MIN = 2048, STRIP = 4096, TILE = 256, ROWS = 64, CLIP = 6 };
#define WORK 3.1e10

struct training {
    const struct cf_ann_train_kernels *kernels;
    const struct cf_ann_sample *sample;
    const float *mean;
    uint32_t dim, width, count; /* width: dim rounded up to ROWS; count: vectors looked at */
    uint32_t kept, columns;     /* directions; the same rounded up to 16 */
    uint32_t begin;                   /* of the strip */
    float unit;                       /* of the bytes */
    int8_t *bytes;                    /* [tile][width][TILE] */
    uint8_t *blocks;                  /* the same as things */
    int32_t *sums;                    /* [width][width], its upper part */
    float *covariance;                /* [width][width] */
    float *directions, *products;     /* [width][columns] */
    float *rows;                      /* [kept][width] */
};

static float spread_of(const struct training *t)
{
    const struct cf_ann_sample *s = t->sample;
    double widest = 0;

    for (uint32_t j = 0; j < t->dim; j++) {
        double sum = 0;
        for (uint32_t i = 0; i < t->count; i += 16) {
            double d = (double)s->vectors[(size_t)i * t->dim + j] - (double)t->mean[j];
            sum += d * d;
        }
        widest = sum > widest ? sum : widest;
    }
    return (float)sqrt(widest / ((t->count + 15) / 16));
}

/* One tile of the strip, as vectors and as things: dimensions by samples. */
static void fill_tile(void *arg, size_t tile)
{
    struct training *t = arg;
    int8_t *bytes = t->bytes + tile * t->width * TILE;
    uint8_t *blocks = t->blocks + tile * t->width * TILE;
    float inverse = 1 / t->unit;

    for (uint32_t i = 0; i < TILE; i++) {
        size_t at = t->begin + tile * TILE + i;
        const float *x = t->sample->vectors + at * t->dim;
        for (uint32_t j = 0; j < t->width; j++) {
            float value = at < t->count && j < t->dim ? rintf((x[j] - t->mean[j]) * inverse) : 0;
            int byte = value > 63 ? 63 : value > -63 ? (int)value : -63;
            bytes[(size_t)j * TILE + i] = (int8_t)byte;
            blocks[(size_t)j / 16 * TILE * 16 + i / 4 * 64 + j % 16 * 4 + i % 4] = (uint8_t)(byte + CF_ANN_BLOCK_ZERO);
        }
    }
}

/* ROWS rows of the covariance, from the diagonal on. */
static void add_products(void *arg, size_t piece)
{
    struct training *t = arg;
    size_t row = piece * ROWS, tiles = (t->count - t->begin + TILE - 1) / TILE;

    tiles = tiles < STRIP / TILE ? tiles : STRIP / TILE;
    for (size_t tile = 0; tile < tiles; tile++) {
        struct cf_ann_vectors8 vectors = {t->bytes + (tile * t->width + row) * TILE, TILE, ROWS};
        t->kernels->dots(vectors, t->blocks + (tile * t->width + row) * TILE, (t->width - row) / 16, TILE,
                         t->sums + row * t->width + row, t->width);
    }
}

/* The sums are of bytes as they are; what the zero of the bytes adds is the same along a row. */
static void finish_covariance(struct training *t)
{
    float most = 1;

    for (uint32_t i = 0; i < t->width; i++)
        for (uint32_t j = i; j < t->width; j++) {
            float value = (float)t->sums[(size_t)i * t->width + j];
            t->covariance[(size_t)i * t->width + j] = t->covariance[(size_t)j * t->width + i] = value;
            most = fmaxf(most, fabsf(value));
        }
    for (size_t i = 0; i < (size_t)t->width * t->width; i++)
        t->covariance[i] /= most;
}

static void take_zero_off(struct training *t, int32_t *offsets)
{
    for (uint32_t i = 0; i < t->width; i++)
        for (uint32_t j = i; j < t->width; j++)
            t->sums[(size_t)i * t->width + j] -= offsets[i];
}

static void count_offsets(const struct training *t, size_t tiles, int32_t *offsets)
{
    for (size_t tile = 0; tile < tiles; tile++)
        for (uint32_t j = 0; j < t->width; j++)
            for (uint32_t i = 0; i < TILE; i++)
                offsets[j] += CF_ANN_BLOCK_ZERO * t->bytes[(tile * t->width + j) * TILE + i];
}

static enum cf_err make_covariance(struct training *t, const struct cf_crew *crew)
{
    enum cf_err err = CF_OK;
    int32_t *offsets = calloc(t->width, sizeof *offsets);

    t->unit = spread_of(t) * CLIP / 63;
    if (!(t->unit > 0))
        t->unit = 1;
    if (!offsets)
        return CF_E_NO_MEMORY;
    for (t->begin = 0; t->begin < t->count && !err; t->begin += STRIP) {
        size_t tiles = (t->count - t->begin + TILE - 1) / TILE;
        tiles = tiles < STRIP / TILE ? tiles : STRIP / TILE;
        err = cf_crew_run(crew, tiles, fill_tile, t);
        if (!err)
            err = cf_crew_run(crew, t->width / ROWS, add_products, t);
        count_offsets(t, tiles, offsets);
    }
    take_zero_off(t, offsets);
    finish_covariance(t);
    free(offsets);
    return err;
}

/* Gram and Schmidt on rows[count][width]; "twice is enough". What vanishes is replaced by something random. */
static void orthonormalize(const struct cf_ann_train_kernels *kernels, float *rows, uint32_t count, uint32_t width,
                           uint32_t used, struct cf_rng *rng)
{
    for (uint32_t i = 0; i < count; i++) {
        float *row = rows + (size_t)i * width, before = kernels->dot(row, row, width), after = 0;
        for (int turn = 0; turn < 40 && !(after > 1e-6f * before && before > 0); turn++) {
            for (uint32_t j = 0; turn > 0 && j < used; j++)
                row[j] = (float)(cf_rng_unit(rng) - .5);
            before = kernels->dot(row, row, width);
            for (unsigned pass = 0; pass < 2; pass++)
                for (uint32_t o = 0; o < i; o++)
                    kernels->add_scaled(row, rows + (size_t)o * width,
                                        -kernels->dot(row, rows + (size_t)o * width, width), width);
            after = kernels->dot(row, row, width);
        }
        float scale = after > 0 ? 1 / sqrtf(after) : 0;
        for (uint32_t j = 0; j < width; j++)
            row[j] *= scale;
    }
}

static void multiply(void *arg, size_t piece)
{
    struct training *t = arg;

    t->kernels->multiply(t->covariance + piece * ROWS * t->width, ROWS, t->width, t->directions, t->columns,
                         t->products + piece * ROWS * t->columns);
}

static void straighten(struct training *t, struct cf_rng *rng)
{
    for (uint32_t p = 0; p < t->kept; p++)
        for (uint32_t j = 0; j < t->width; j++)
            t->rows[(size_t)p * t->width + j] = t->products[(size_t)j * t->columns + p];
    orthonormalize(t->kernels, t->rows, t->kept, t->width, t->dim, rng);
    for (uint32_t p = 0; p < t->kept; p++)
        for (uint32_t j = 0; j < t->width; j++)
            t->directions[(size_t)j * t->columns + p] = t->rows[(size_t)p * t->width + j];
}

static enum cf_err iterate(struct training *t, struct cf_rng *rng, const struct cf_crew *crew)
{
    enum cf_err err = CF_OK;

    for (uint32_t j = 0; j < t->dim; j++)
        for (uint32_t p = 0; p < t->kept; p++)
            t->products[(size_t)j * t->columns + p] = (float)(cf_rng_unit(rng) - .5);
    straighten(t, rng);
    for (int round = 0; round < ROUNDS && t->count && !err; round++) {
        err = cf_crew_run(crew, t->width / ROWS, multiply, t);
        straighten(t, rng);
    }
    return err;
}

/* In seven bits, into the blocks. */
static float pack_row(const float *row, uint32_t width, uint32_t p, uint8_t *matrix)
{
    uint8_t *block = matrix + (size_t)p / CF_ANN_LANE_COUNT * CF_ANN_LANE_COUNT * width;
    float largest = 0;

    for (uint32_t j = 0; j < width; j++)
        largest = fmaxf(largest, fabsf(row[j]));
    float step = largest > 0 ? largest / 63 : 1;
    for (uint32_t j = 0; j < width; j++)
        block[j / 4 * 64 + p % CF_ANN_LANE_COUNT * 4 + j % 4] = (uint8_t)((int)rintf(row[j] / step) + CF_ANN_BLOCK_ZERO);
    return step;
}

/* Rows begin … end-1: a random rotation times the directions. */
static void rotate_group(const struct training *t, uint32_t begin, uint32_t end, struct cf_rng *rng, float *rotation,
                         float *mixed, uint8_t *matrix, float *steps)
{
    uint32_t size = end - begin, pitch = (size + 15) / 16 * 16;

    memset(rotation, 0, (size_t)size * pitch * sizeof *rotation);
    for (uint32_t i = 0; i < size; i++)
        for (uint32_t j = 0; j < size; j++)
            rotation[i * pitch + j] = (float)(cf_rng_unit(rng) + cf_rng_unit(rng) + cf_rng_unit(rng) - 1.5);
    orthonormalize(t->kernels, rotation, size, pitch, size, rng);
    for (uint32_t p = 0; p < size; p++) {
        memset(mixed, 0, t->width * sizeof *mixed);
        for (uint32_t o = 0; o < size; o++)
            t->kernels->add_scaled(mixed, t->rows + (size_t)(begin + o) * t->width, rotation[p * pitch + o], t->width);
        steps[begin + p] = pack_row(mixed, t->width, begin + p, matrix);
    }
}

static void rotate(const struct training *t, struct cf_rng *rng, float *scratch, uint8_t *matrix, float *steps)
{
    const uint32_t ends[] = {CF_ANN_CODE_DIMS, CF_ANN_LEAF_DIMS_MAX, CF_ANN_PROJ_MAX};
    uint32_t begin = 0;

    for (unsigned g = 0; g < 3 && begin < t->kept; g++) {
        uint32_t end = ends[g] < t->kept ? ends[g] : t->kept;
        rotate_group(t, begin, end, rng, scratch, scratch + CF_ANN_PROJ_MAX * CF_ANN_PROJ_MAX, matrix, steps);
        begin = end;
    }
}

static enum cf_err training_init(struct training *t)
{
    size_t square = (size_t)t->width * t->width, tall = (size_t)t->width * t->columns;

    t->bytes = calloc((size_t)t->width * STRIP, 1);
    t->blocks = calloc((size_t)t->width * STRIP, 1);
    t->sums = calloc(square, sizeof *t->sums);
    t->covariance = calloc(square, sizeof *t->covariance);
    t->directions = calloc(tall, sizeof *t->directions);
    t->products = calloc(tall, sizeof *t->products);
    t->rows = calloc(tall, sizeof *t->rows);
    return t->bytes && t->blocks && t->sums && t->covariance && t->directions && t->products && t->rows
               ? CF_OK
               : CF_E_NO_MEMORY;
}

static void training_fini(struct training *t)
{
    free(t->bytes);
    free(t->blocks);
    free(t->sums);
    free(t->covariance);
    free(t->directions);
    free(t->products);
    free(t->rows);
}

enum cf_err cf_ann_project_train(const struct cf_ann_sample *sample, const float *mean, uint32_t proj, uint64_t seed,
                                 const struct cf_crew *crew, uint8_t *matrix, float *steps)
{
    uint32_t dim = sample->dim;
    struct training t = {.kernels = cf_ann_train_kernels(), .sample = sample, .mean = mean, .dim = dim};
    struct cf_rng rng = cf_rng(seed ^ 0x9C0A11u);
    double wanted = WORK / ((double)dim * dim);

    t.width = (dim + ROWS - 1) / ROWS * ROWS;
    t.kept = proj < dim ? proj : dim;
    t.columns = (t.kept + 15) / 16 * 16;
    t.count = wanted > SAMPLE ? SAMPLE : wanted < SAMPLE_MIN ? SAMPLE_MIN : (uint32_t)wanted;
    t.count = t.count < sample->count ? t.count : sample->count;
    float *scratch = calloc(CF_ANN_PROJ_MAX * CF_ANN_PROJ_MAX + (size_t)t.width, sizeof *scratch);
    enum cf_err err = training_init(&t);
    if (!scratch)
        err = CF_E_NO_MEMORY;
    if (!err)
        err = make_covariance(&t, crew);
    if (!err)
        err = iterate(&t, &rng, crew);
    memset(matrix, CF_ANN_BLOCK_ZERO, (size_t)proj * t.width);
    memset(steps, 0, proj * sizeof *steps);
    if (!err)
        rotate(&t, &rng, scratch, matrix, steps);
    training_fini(&t);
    free(scratch);
    return err;
}

float cf_ann_bytes_of(const float *x, uint32_t dim, uint32_t width, int8_t *out)
{
    float largest = cf_ann_train_kernels()->largest(x, dim), step = largest > 0 && isfinite(largest) ? largest / 127 : 1;

    cf_ann_train_kernels()->round(x, 0, 1 / step, dim, out);
    memset(out + dim, 0, width - dim);
    return step;
}

void cf_ann_project(const struct cf_ann_projection *projection, struct cf_ann_vectors8 vectors, const float *units,
                    int32_t *sums, float *out)
{
    uint32_t proj = projection->proj;

    memset(sums, 0, vectors.count * proj * sizeof *sums);
    cf_ann_train_kernels()->dots(vectors, projection->matrix, proj / CF_ANN_LANE_COUNT, projection->row_dims, sums,
                                 proj);
    for (size_t v = 0; v < vectors.count; v++) {
        int32_t zero = 0;
        for (uint32_t j = 0; j < projection->row_dims; j++)
            zero += CF_ANN_BLOCK_ZERO * vectors.first[v * vectors.pitch + j];
        for (uint32_t p = 0; p < proj; p++) {
            float worth = units[v] * projection->steps[p];
            out[v * proj + p] = worth * (float)(sums[v * proj + p] - zero);
        }
    }
}
