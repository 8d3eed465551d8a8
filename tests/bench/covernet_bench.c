/* Time of the learned descriptor, an image a call, one thread:
 *     cmake --build … --target covernet_bench && COVERFLEET_SIMD=avx2 …/covernet_bench MODEL
 * Random pixels (its time does not depend on them); medians of rounds; both ways in turn. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/cpu.h"
#include "common/base/rng.h"
#include "common/descriptor/covernet.h"

enum { ROUNDS = 301, PIXEL_BYTES = CF_COVERNET_SIDE * CF_COVERNET_SIDE * 3 };

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure(const char *path, enum cf_covernet_way way, int rounds)
{
    static uint8_t rgb[PIXEL_BYTES];
    struct cf_covernet_model *model = NULL;
    struct cf_detail detail = {""};
    float copy[CF_COVERNET_COPY_DIM], style[CF_COVERNET_STYLE_DIM];
    double took[ROUNDS], opened = cpu_us();
    struct cf_rng rng = cf_rng(1);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)cf_rng_u64(&rng);
    if (cf_covernet_model_open(path, way, &model, &detail)) {
        printf("%s\n", detail.text);
        return;
    }
    struct cf_covernet *net = cf_covernet_new(model);
    opened = cpu_us() - opened;
    for (int i = 0; i < rounds && net; i++) {
        double begun = cpu_us();
        if (cf_covernet(net, rgb, copy, style, &detail))
            printf("%s\n", detail.text);
        took[i] = cpu_us() - begun;
    }
    qsort(took, (size_t)rounds, sizeof *took, compare);
    printf("%-6s at %s: median %.0f us an image, 90 %% below %.0f; opening %.0f ms\n",
           cf_covernet_model_way(model), cf_simd_name(cf_cpu_simd()), took[rounds / 2], took[rounds * 9 / 10],
           opened / 1000);
    cf_covernet_free(net);
    cf_covernet_model_free(model);
}

int main(int argc, char **argv)
{
    struct cf_detail detail;
    if (argc != 2 || cf_cpu_init(&detail)) {
        fprintf(stderr, "usage: covernet_bench MODEL\n");
        return 2;
    }
    measure(argv[1], CF_COVERNET_PLAIN, ROUNDS / 10);
    measure(argv[1], CF_COVERNET_DNNL, ROUNDS);
    return 0;
}
