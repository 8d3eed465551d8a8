/* The learned descriptor against numbers from outside (float64): every picture of tests/golden/covernet
 * within 2e-5, by both ways of computing; and damaged model files refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/descriptor/covernet.h"
#include "common/image/image.h"

enum { DIM = CF_COVERNET_COPY_DIM + CF_COVERNET_STYLE_DIM, CASES = 30 };
#define TOLERANCE 2e-5
#define MODEL     CF_TESTS_DIR "/../common/descriptor/model/covernet-fp16.bin"

static struct cf_buf read_file(const char *path)
{
    struct cf_buf file = {0};
    struct cf_detail detail = {""};
    if (cf_file_read(path, 1 << 24, &file, &detail))
        fail_msg("%s", detail.text);
    return file;
}

static struct cf_buf read_case(const char *name, const char *extension)
{
    char path[512];
    snprintf(path, sizeof path, "%s/golden/covernet/%s%s", CF_TESTS_DIR, name, extension);
    return read_file(path);
}

static double check_case(struct cf_covernet *net, const char *name)
{
    static const struct cf_image_limits limits = {1 << 20, 1000, 1000000, 1, 1 << 24};
    struct cf_buf file = read_case(name, ".ppm"), expected = read_case(name, ".f32");
    struct cf_image image;
    struct cf_detail detail = {""};
    float out[DIM], reference[DIM];
    double worst = 0;
    if (cf_image_decode(cf_buf_bytes(&file), &limits, false, &image, &detail))
        fail_msg("%s: %s", name, detail.text);
    assert_int_equal(image.width, CF_COVERNET_SIDE);
    assert_int_equal(image.height, CF_COVERNET_SIDE);
    assert_int_equal(expected.len, sizeof reference);
    memcpy(reference, expected.data, sizeof reference);
    assert_int_equal(cf_covernet(net, image.rgb, out, out + CF_COVERNET_COPY_DIM, &detail), CF_OK);
    for (int i = 0; i < DIM; i++) {
        assert_true(isfinite(out[i]));
        worst = fmax(worst, fabs((double)out[i] - (double)reference[i]));
    }
    if (worst > TOLERANCE)
        fail_msg("%s differs by %g", name, worst);
    cf_image_fini(&image);
    cf_buf_fini(&file);
    cf_buf_fini(&expected);
    return worst;
}

/* INDEX.tsv: a line of names, then one a case. */
static int check_all(struct cf_covernet *net, double *worst)
{
    char path[512], line[512], name[64];
    int cases = 0;
    snprintf(path, sizeof path, "%s/golden/covernet/INDEX.tsv", CF_TESTS_DIR);
    FILE *index = fopen(path, "r");
    assert_non_null(index);
    assert_non_null(fgets(line, sizeof line, index));
    for (; fgets(line, sizeof line, index); cases++) {
        assert_int_equal(sscanf(line, "%63[^\t\n]", name), 1);
        *worst = fmax(*worst, check_case(net, name));
    }
    fclose(index);
    return cases;
}

static void check_way(enum cf_covernet_way way)
{
    struct cf_covernet_model *model = NULL;
    struct cf_detail detail = {""};
    double worst = 0;
    enum cf_err err = cf_covernet_model_open(MODEL, way, &model, &detail);
    if (err == CF_E_UNSUPPORTED) {
        print_message("skipped: %s\n", detail.text);
        skip();
    }
    if (err)
        fail_msg("%s", detail.text);
    struct cf_covernet *net = cf_covernet_new(model);
    assert_non_null(net);
    assert_int_equal(check_all(net, &worst), CASES);
    print_message("%s: worst difference %.2g\n", cf_covernet_model_way(model), worst);
    cf_covernet_free(net);
    cf_covernet_model_free(model);
}

static void plain(void **state)
{
    (void)state;
    check_way(CF_COVERNET_PLAIN);
}

static void dnnl(void **state)
{
    (void)state;
    check_way(CF_COVERNET_DNNL);
}

static void write_file(const char *path, const uint8_t *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static void expect_refusal(const char *path, const uint8_t *bytes, size_t len, enum cf_err expected)
{
    struct cf_covernet_model *model = NULL;
    struct cf_detail detail = {""};
    write_file(path, bytes, len);
    enum cf_err err = cf_covernet_model_open(path, CF_COVERNET_PLAIN, &model, &detail);
    assert_int_equal(err, expected);
    assert_null(model);
    assert_non_null(strstr(detail.text, path));
}

/* A word of the header or of a layer's record changed: the payload's checksum does not cover those. */
static void damaged_models_are_refused(void **state)
{
    (void)state;
    char path[] = "/tmp/covernet-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct cf_buf good = read_file(MODEL);
    expect_refusal(path, good.data, 0, CF_E_CORRUPT);
    expect_refusal(path, good.data, 40, CF_E_CORRUPT);
    expect_refusal(path, good.data, good.len - 1, CF_E_CORRUPT);
    for (size_t word = 0; word < 13 + 13 * 11; word++) {
        size_t at = word < 13 ? 4 * word : 64 + 4 * (word - 13);
        bool unused = word >= 13 && ((word - 13) / 11 >= 10) &&
                      ((word - 13) % 11 == 3 || (word - 13) % 11 == 4 || (word - 13) % 11 == 5 ||
                       (word - 13) % 11 == 6 || (word - 13) % 11 == 7 ||
                       ((word - 13) / 11 == 10 && (word - 13) % 11 >= 8));
        if (unused || (word >= 8 && word <= 10)) /* any positive constants make a net, if not this one */
            continue;
        uint8_t was = good.data[at + 3];
        good.data[at + 3] ^= 0x40;
        expect_refusal(path, good.data, good.len, word == 2 ? CF_E_BAD_VERSION : CF_E_CORRUPT);
        good.data[at + 3] = was;
    }
    good.data[good.len / 2] ^= 1;
    expect_refusal(path, good.data, good.len, CF_E_CORRUPT);
    assert_int_equal(unlink(path), 0);
    cf_buf_fini(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain), cmocka_unit_test(dnnl),
                                       cmocka_unit_test(damaged_models_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
