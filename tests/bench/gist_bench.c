/* GIST of one picture, 64 and 32 pixels, at each SIMD level of this machine; and, when built with FFTW
 * (single precision, for this comparison only), the time that its inverse complex transforms alone take
 * there. Median of rounds in which all contestants take turns; processor time, so that a busy machine
 * disturbs less. The ratio is what travels. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/cpu.h"
#include "common/base/rng.h"
#include "common/descriptor/gist.h"

#ifdef CF_BENCH_FFTW
#include <fftw3.h>
#endif

enum { ROUNDS = 101, REPEATS = 4, LEVELS = CF_SIMD_AVX512 + 1, TRANSFORMS = 3 * CF_GIST_FILTERS };

struct contest {
    uint32_t side;
    uint8_t *rgb;
    struct cf_gist *gist[LEVELS];  /* NULL: not on this machine */
    double us[LEVELS + 1][ROUNDS]; /* the last: FFTW */
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, compare);
    return values[ROUNDS / 2];
}

static void set_up(struct contest *c, uint32_t side)
{
    struct cf_rng rng = cf_rng(1);
    c->side = side;
    c->rgb = malloc((size_t)side * side * 3);
    CF_CHECK(c->rgb);
    for (uint32_t i = 0; i < side * side * 3; i++)
        c->rgb[i] = (uint8_t)(i / 3 % side * 3 + cf_rng_below(&rng, 32));
    for (int level = 0; level < LEVELS; level++) {
        cf_cpu_simd_limit((enum cf_simd)level);
        c->gist[level] = (int)cf_cpu_simd() == level ? cf_gist_new(side, side) : NULL;
    }
    cf_cpu_simd_limit(CF_SIMD_AVX512);
}

static void tear_down(struct contest *c)
{
    for (int level = 0; level < LEVELS; level++)
        cf_gist_free(c->gist[level]);
    free(c->rgb);
}

#ifdef CF_BENCH_FFTW
static void time_transforms(struct contest *c, fftwf_plan plan, int round)
{
    double start = now_us();
    for (int i = 0; i < TRANSFORMS; i++)
        fftwf_execute(plan);
    c->us[LEVELS][round] = now_us() - start;
}
#endif

static void run(struct contest *c)
{
    float out[CF_GIST_DIM];
#ifdef CF_BENCH_FFTW
    size_t pixels = (size_t)c->side * c->side;
    fftwf_complex *in = fftwf_alloc_complex(pixels), *result = fftwf_alloc_complex(pixels);
    CF_CHECK(in && result);
    fftwf_plan plan = fftwf_plan_dft_2d((int)c->side, (int)c->side, in, result, FFTW_BACKWARD, FFTW_PATIENT);
    for (size_t i = 0; i < pixels; i++)
        in[i][0] = in[i][1] = (float)c->rgb[i];
#endif
    for (int round = 0; round < ROUNDS; round++) {
        for (int level = 0; level < LEVELS; level++) {
            double start = now_us();
            for (int i = 0; c->gist[level] && i < REPEATS; i++)
                cf_gist(c->gist[level], c->rgb, out);
            c->us[level][round] = (now_us() - start) / REPEATS;
        }
#ifdef CF_BENCH_FFTW
        time_transforms(c, plan, round);
#endif
    }
#ifdef CF_BENCH_FFTW
    fftwf_destroy_plan(plan);
    fftwf_free(in);
    fftwf_free(result);
#endif
}

static void report(struct contest *c)
{
    double fftw = median(c->us[LEVELS]);
#ifdef CF_BENCH_FFTW
    printf("%u px: %d inverse transforms by FFTW %.1f us\n", c->side, TRANSFORMS, fftw);
#endif
    for (int level = 0; level < LEVELS; level++) {
        if (!c->gist[level])
            continue;
        double us = median(c->us[level]);
        printf("%u px: gist %-6s %.1f us", c->side, cf_simd_name((enum cf_simd)level), us);
        if (fftw > 0)
            printf(", %.2f of FFTW's transforms alone", us / fftw);
        printf("\n");
    }
}

int main(void)
{
    for (uint32_t side = 64; side >= 32; side /= 2) {
        static struct contest contest;
        set_up(&contest, side);
        run(&contest);
        report(&contest);
        tear_down(&contest);
    }
    return 0;
}
