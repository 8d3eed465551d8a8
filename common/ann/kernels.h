/* The inner loops on integers, once a SIMD level. All are exact, so every level gives the same numbers; what
 * is done in floats afterwards is written so that it does too (a multiplication, then an addition; no
 * fusing).
 *
 * Blocks: sixteen things side by side, so that a 32-bit lane of a 512-bit register is one of them. */
#ifndef CF_ANN_KERNELS_H
#define CF_ANN_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { CF_ANN_LANE_COUNT = 16, CF_ANN_CODE_DIMS = 64, CF_ANN_CODE_BYTES = 512 };

/* Sixteen codes: nibbles n (levels 2n - 15) of CF_ANN_CODE_DIMS dimensions. Of lane e, byte 64 r + 4 e + i
 * holds dimension 8 r + i in its low nibble and 8 r + 4 + i in its high one. */
struct cf_ann_block {
    uint8_t codes[CF_ANN_CODE_BYTES];
    /* In IEEE half precision, in units that the header names (image.h). */
    uint16_t norm[CF_ANN_LANE_COUNT]; /* infinite where there is no entry */
    uint16_t scale[CF_ANN_LANE_COUNT];
};

/* What blocks are measured against. */
struct cf_ann_probe {
    int8_t values[CF_ANN_CODE_DIMS];
    int32_t sum; /* of values */
    float worth; /* of one unit of values times one of an entry's scale, in units of its norm */
};

/* A block to look at, and what is the same for all of its entries, in units of their norms. */
struct cf_ann_visit {
    uint32_t block;
    float base;
};

/* What has been found: keys, and entries by number. Room for CF_ANN_LANE_COUNT more than `room`. */
struct cf_ann_pool {
    float *keys;
    uint32_t *entries;
    size_t count, room;
    float limit; /* only keys below this are wanted */
};

struct cf_ann_range {
    float least, most;
};

struct cf_ann_kernels {
    /* The sum over j of a[j] * row[j]; width a multiple of 64; no sum may leave 32 bits. */
    int32_t (*dot_i16_i8)(const int16_t *a, const int8_t *row, size_t width);
    /* Four of these at once, wherever they are. */
    void (*dots_rows)(const int16_t *a, const int8_t *const rows[4], size_t width, int32_t out[4]);
    /* out[i] = sum over j of even[j] * low nibble of rows[i][j] + odd[j] * the high one; bytes a multiple of
     * 32, at most 256. */
    void (*dots_nibbles)(const int8_t *even, const int8_t *odd, const uint8_t *const rows[4], size_t bytes,
                         int32_t out[4]);
    /* Blocks of bytes 0 to 127, four dimensions of sixteen things at a time (width / 4 times 64 bytes a
     * block) against values -127 to 127: out[i] for 16 * block_count things. */
    void (*dots_blocks)(const int8_t *a, const uint8_t *blocks, size_t block_count, size_t width,
                        int32_t *out);
    /* keys[i] = norms[i] - factor * (dots[i] - shift); count a multiple of 16. */
    void (*keys_of_dots)(const int32_t *dots, const float *norms, size_t count, float factor, int32_t shift,
                         float *keys);
    /* Entry e of a block has key (base + norm) - scale * (worth * dot), dot of values and levels. Those below
     * the limit are appended in order, entry e of block b as 16 b + e, block after block, until all are done
     * or the pool holds `room` of them. Returns how many visits are done. */
    size_t (*scan_blocks)(const struct cf_ann_block *blocks, const struct cf_ann_visit *visits, size_t count,
                          const struct cf_ann_probe *probe, struct cf_ann_pool *pool);
    /* The least and the greatest of what are numbers; infinite the wrong way round when there are none. */
    struct cf_ann_range (*range)(const float *values, size_t count);
    size_t (*count_below)(const float *values, size_t count, float limit);
    /* Appends to the pool, in order, the values below its limit, value i as entry first + i; up to `count` of
     * them, which there must be room for. */
    void (*pick_below)(const float *values, size_t count, uint32_t first, struct cf_ann_pool *pool);
    /* Keeps, in order, what has a key below the limit; returns how many. May write 16 beyond what it keeps,
     * never beyond `count` rounded up to 16. */
    size_t (*keep_below)(float *keys, uint32_t *entries, size_t count, float limit);
};

/* A half as a float, exactly. */
float cf_ann_float_of_half(uint16_t half);

extern const struct cf_ann_kernels cf_ann_kernels_scalar;
#if defined(__x86_64__)
extern const struct cf_ann_kernels cf_ann_kernels_avx2, cf_ann_kernels_avx512;
#elif defined(__aarch64__)
extern const struct cf_ann_kernels cf_ann_kernels_neon;
#endif

/* Those of the level in force. */
const struct cf_ann_kernels *cf_ann_kernels(void);

#endif
