#include "common/ann/distance.h"

#include <stddef.h>
#include <string.h>

#include "common/ann/ann.h"
#include "common/base/cpu.h"

static float fold(float *lanes)
{
    for (unsigned half = CF_ANN_LANES / 2; half; half /= 2)
        for (unsigned i = 0; i < half; i++)
            lanes[i] += lanes[i + half];
    return lanes[0];
}

static float distance_f32_scalar(const float *a, const float *b, uint32_t dim)
{
    float lanes[CF_ANN_LANES] = {0};

    for (uint32_t i = 0; i < dim; i++) {
        float d = a[i] - b[i];
        lanes[i % CF_ANN_LANES] += d * d;
    }
    return fold(lanes);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static inline void step_avx2(__m256 *sum, const float *a, const float *b)
{
    for (unsigned j = 0; j < 8; j++) {
        __m256 d = _mm256_sub_ps(_mm256_loadu_ps(a + 8 * j), _mm256_loadu_ps(b + 8 * j));
        sum[j] = _mm256_add_ps(sum[j], _mm256_mul_ps(d, d));
    }
}

__attribute__((target("avx2"))) static float distance_f32_avx2(const float *a, const float *b, uint32_t dim)
{
    __m256 sum[8];
    float lanes[CF_ANN_LANES], a_tail[CF_ANN_LANES] = {0}, b_tail[CF_ANN_LANES] = {0};
    uint32_t i = 0;

    for (unsigned j = 0; j < 8; j++)
        sum[j] = _mm256_setzero_ps();
    for (; i + CF_ANN_LANES <= dim; i += CF_ANN_LANES)
        step_avx2(sum, a + i, b + i);
    if (i < dim) {
        memcpy(a_tail, a + i, (dim - i) * sizeof *a);
        memcpy(b_tail, b + i, (dim - i) * sizeof *b);
        step_avx2(sum, a_tail, b_tail);
    }
    for (unsigned j = 0; j < 8; j++)
        _mm256_storeu_ps(lanes + 8 * j, sum[j]);
    return fold(lanes);
}

#define CF_AVX512 __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl")))

CF_AVX512 static inline __m512 add_square_avx512(__m512 sum, __m512 a, __m512 b)
{
    __m512 d = _mm512_sub_ps(a, b);
    return _mm512_add_ps(sum, _mm512_mul_ps(d, d));
}

CF_AVX512 static inline __mmask16 tail_mask(uint32_t left)
{
    uint32_t mask = left >= 16 ? 0xffffu : (1u << left) - 1;
    return (__mmask16)mask;
}

/* The order of `fold`, in registers. */
CF_AVX512 static inline float fold_avx512(const __m512 sum[4])
{
    __m512 all = _mm512_add_ps(_mm512_add_ps(sum[0], sum[2]), _mm512_add_ps(sum[1], sum[3]));
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps(all, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

CF_AVX512 static float distance_f32_avx512(const float *a, const float *b, uint32_t dim)
{
    __m512 sum[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    uint32_t i = 0;

    for (; i + CF_ANN_LANES <= dim; i += CF_ANN_LANES)
        for (unsigned j = 0; j < 4; j++)
            sum[j] =
                add_square_avx512(sum[j], _mm512_loadu_ps(a + i + 16 * j), _mm512_loadu_ps(b + i + 16 * j));
    for (unsigned j = 0; i < dim; j++, i += 16) {
        __mmask16 mask = tail_mask(dim - i);
        sum[j] =
            add_square_avx512(sum[j], _mm512_maskz_loadu_ps(mask, a + i), _mm512_maskz_loadu_ps(mask, b + i));
    }
    return fold_avx512(sum);
}
#endif

cf_ann_distance_fn *cf_ann_distance_kernel(void)
{
#if defined(__x86_64__)
    switch (cf_cpu_simd()) {
    case CF_SIMD_AVX512:
        return distance_f32_avx512;
    case CF_SIMD_AVX2:
        return distance_f32_avx2;
    case CF_SIMD_SCALAR:
        break;
    }
#endif
    return distance_f32_scalar;
}

void cf_ann_distances(const float *query, const float *rows, size_t count, uint32_t dim, float *out)
{
    cf_ann_distance_fn *distance = cf_ann_distance_kernel();

    for (size_t i = 0; i < count; i++)
        out[i] = distance(query, rows + i * dim, dim);
}
