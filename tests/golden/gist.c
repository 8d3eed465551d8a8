/* GIST against numbers from outside: every picture of tests/golden/gist within 5e-6 * max(1, largest value),
 * at every SIMD level of this machine. INDEX.tsv lists the cases; those it calls refused must be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/base/cpu.h"
#include "common/base/file.h"
#include "common/descriptor/space.h"
#include "common/image/image.h"

enum { DIM = 960, CASES_MIN = 29 };

static struct cf_buf read_case(const char *name, const char *extension)
{
    char path[512];
    struct cf_buf file = {0};
    struct cf_detail detail = {""};
    snprintf(path, sizeof path, "%s/golden/gist/%s%s", CF_TESTS_DIR, name, extension);
    if (cf_file_read(path, 1 << 20, &file, &detail))
        fail_msg("%s", detail.text);
    return file;
}

static struct cf_image read_picture(const char *name)
{
    static const struct cf_image_limits limits = {1 << 20, 1000, 1000000, 1, 1 << 24};
    struct cf_buf file = read_case(name, ".ppm");
    struct cf_image image;
    struct cf_detail detail = {""};
    if (cf_image_decode(cf_buf_bytes(&file), &limits, false, &image, &detail))
        fail_msg("%s: %s", name, detail.text);
    cf_buf_fini(&file);
    return image;
}

static double check_values(const char *name, const float *out)
{
    struct cf_buf file = read_case(name, ".f32");
    float reference[DIM];
    double largest = 1, worst = 0;
    assert_int_equal(file.len, sizeof reference);
    memcpy(reference, file.data, sizeof reference);
    for (int i = 0; i < DIM; i++) {
        largest = fmax(largest, reference[i]);
        worst = fmax(worst, fabs((double)out[i] - reference[i]));
        assert_true(isfinite(out[i]));
    }
    if (worst > 5e-6 * largest)
        fail_msg("%s differs by %g at level %s", name, worst, cf_simd_name(cf_cpu_simd()));
    cf_buf_fini(&file);
    return worst;
}

static double check_case(struct cf_describer *describer, const char *name, bool refused)
{
    struct cf_image image = read_picture(name);
    float out[DIM];
    bool constant = false;
    struct cf_detail detail = {""};
    const struct cf_space *gist = cf_space_find(cf_str("gist"));
    enum cf_err err =
        cf_describe(describer, gist, image.rgb, image.width, image.height, out, &constant, &detail);
    cf_image_fini(&image);
    assert_int_equal(err, refused ? CF_E_INVALID : CF_OK);
    assert_true(!refused || detail.text[0]);
    if (refused)
        return 0;
    assert_int_equal(constant, strncmp(name, "white", 5) == 0);
    return check_values(name, out);
}

static double check_all(struct cf_describer *describer)
{
    struct cf_buf index = read_case("INDEX", ".tsv");
    int count = 0;
    double worst = 0;
    cf_buf_u8(&index, '\0');
    char *save = NULL;
    for (char *line = strtok_r((char *)index.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *name = strtok(line, "\t");
        char *status = name;
        for (int field = 0; field < 4 && status; field++)
            status = strtok(NULL, "\t");
        assert_non_null(status);
        if (strcmp(name, "name") == 0)
            continue;
        worst = fmax(worst, check_case(describer, name, strncmp(status, "REFUSED", 7) == 0));
        count++;
    }
    assert_true(count >= CASES_MIN);
    cf_buf_fini(&index);
    return worst;
}

static void every_level(void **state)
{
    (void)state;
    for (int level = CF_SIMD_SCALAR; level <= CF_SIMD_AVX512; level++) {
        cf_cpu_simd_limit((enum cf_simd)level);
        if ((int)cf_cpu_simd() != level) {
            print_message("level %s: not on this machine\n", cf_simd_name((enum cf_simd)level));
            continue;
        }
        /* A describer keeps tables: of its own at each level. */
        struct cf_describer *describer = cf_describer_new();
        assert_non_null(describer);
        print_message("level %s: worst difference %.2g\n", cf_simd_name((enum cf_simd)level),
                      check_all(describer));
        cf_describer_free(describer);
    }
    cf_cpu_simd_limit(CF_SIMD_AVX512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_level)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
