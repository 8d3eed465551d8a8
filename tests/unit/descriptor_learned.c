/* copy and style as spaces: the model found, refused by name, one pass for both, nothing allocated for a
 * cover; which spaces a fleet has; vectors of cosine spaces. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/base/rng.h"
#include "common/descriptor/covernet.h"
#include "common/descriptor/space.h"

enum { SIDE = CF_COVERNET_SIDE };

static struct cf_config config;
static uint8_t rgb[3 * SIDE * SIDE];

/* Of all static libraries; oneDNN has small ones of its own in every run, gone when it ends. */
static atomic_size_t allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(old, size);
}

static void noise(uint64_t seed)
{
    struct cf_rng rng = cf_rng(seed);
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)cf_rng_u64(&rng);
}

static struct cf_describer *load(void)
{
    struct cf_detail detail = {""};
    if (cf_spaces_load(&config, &detail) != CF_OK)
        fail_msg("%s", detail.text);
    struct cf_describer *describer = cf_describer_new();
    assert_non_null(describer);
    return describer;
}

static int set_up(void **state)
{
    (void)state;
    static const struct cf_home home;
    cf_config_default(&config, &home);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    struct cf_config all;
    static const struct cf_home home;
    cf_config_default(&all, &home);
    cf_spaces_unload();
    return cf_spaces_enable(&all, NULL, NULL, NULL) == CF_OK ? 0 : -1;
}

static enum cf_err describe(struct cf_describer *describer, size_t space, float *out, bool *constant)
{
    return cf_describe(describer, &cf_spaces[space], rgb, SIDE, SIDE, out, constant, NULL);
}

/* The heads as the net gives them, in any order, also with other pictures and spaces in between. */
static void both_heads_are_the_nets(void **state)
{
    (void)state;
    struct cf_describer *describer = load();
    struct cf_covernet_model *model = NULL;
    assert_int_equal(cf_covernet_model_open(CF_TESTS_DIR "/../common/descriptor/model/covernet-fp16.bin",
                                            CF_COVERNET_BEST, &model, NULL),
                     CF_OK);
    struct cf_covernet *net = cf_covernet_new(model);
    float copy[CF_COVERNET_COPY_DIM], style[CF_COVERNET_STYLE_DIM], out[CF_COVERNET_COPY_DIM], gist[960];
    for (uint64_t round = 0; round < 4; round++) {
        bool constant = true;
        noise(round / 2);
        assert_int_equal(cf_covernet(net, rgb, copy, style, NULL), CF_OK);
        assert_int_equal(describe(describer, round % 2 ? CF_SPACE_COPY : CF_SPACE_STYLE, out, &constant),
                         CF_OK);
        assert_memory_equal(out, round % 2 ? copy : style, round % 2 ? sizeof copy : sizeof style);
        assert_false(constant);
        assert_int_equal(describe(describer, CF_SPACE_GIST, gist, &constant), CF_OK);
        assert_int_equal(describe(describer, round % 2 ? CF_SPACE_STYLE : CF_SPACE_COPY, out, &constant),
                         CF_OK);
        assert_memory_equal(out, round % 2 ? style : copy, round % 2 ? sizeof style : sizeof copy);
    }
    cf_covernet_free(net);
    cf_covernet_model_free(model);
    cf_describer_free(describer);
}

static void one_colour_is_constant(void **state)
{
    (void)state;
    struct cf_describer *describer = load();
    float out[CF_COVERNET_COPY_DIM];
    memset(rgb, 77, sizeof rgb);
    for (size_t space = CF_SPACE_COPY; space <= CF_SPACE_STYLE; space++) {
        bool constant = false;
        assert_int_equal(describe(describer, space, out, &constant), CF_OK);
        assert_true(constant);
        for (uint32_t i = 0; i < cf_spaces[space].dim; i++)
            assert_true(isfinite(out[i]));
    }
    cf_describer_free(describer);
}

static void other_sides_are_refused(void **state)
{
    (void)state;
    struct cf_describer *describer = load();
    struct cf_detail detail = {""};
    float out[CF_COVERNET_COPY_DIM];
    bool constant;
    assert_int_equal(cf_describe(describer, &cf_spaces[CF_SPACE_COPY], rgb, 32, 64, out, &constant, &detail),
                     CF_E_INVALID);
    assert_non_null(strstr(detail.text, "32 x 64"));
    cf_describer_free(describer);
}

static void nothing_is_allocated_for_a_cover(void **state)
{
    (void)state;
    struct cf_describer *describer = load();
    float out[960];
    bool constant;
    assert_true(atomic_load(&allocations) > 0); /* they are counted */
    for (uint64_t round = 0; round < 20; round++) {
        size_t before = atomic_load(&allocations);
        noise(100 + round);
        for (size_t space = 0; space < CF_SPACE_FIXED_COUNT; space++)
            assert_int_equal(describe(describer, space, out, &constant), CF_OK);
        if (round > 0)
            assert_int_equal(atomic_load(&allocations), before);
    }
    cf_describer_free(describer);
}

static void without_a_model_they_are_refused(void **state)
{
    (void)state;
    struct cf_describer *describer = cf_describer_new();
    struct cf_detail detail = {""};
    float out[960];
    bool constant;
    assert_int_equal(
        cf_describe(describer, &cf_spaces[CF_SPACE_STYLE], rgb, SIDE, SIDE, out, &constant, &detail),
        CF_E_UNSUPPORTED);
    assert_non_null(strstr(detail.text, "style"));
    assert_int_equal(describe(describer, CF_SPACE_GIST, out, &constant), CF_OK);
    cf_describer_free(describer);
}

static void a_bad_model_is_refused_by_name(void **state)
{
    (void)state;
    struct cf_detail detail = {""};
    char path[] = "/tmp/coverfleet-model-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, "CVRNET\r\n nothing more", 21), 21);
    close(file);
    snprintf(config.descriptor_model, sizeof config.descriptor_model, "%s", path);
    assert_int_equal(cf_spaces_load(&config, &detail), CF_E_CORRUPT);
    assert_non_null(strstr(detail.text, path));
    unlink(path);
    assert_int_equal(cf_spaces_load(&config, &detail), CF_E_NOT_FOUND);
    assert_non_null(strstr(detail.text, path));
    /* A fleet without these spaces needs none. */
    config.space_count = 2;
    assert_int_equal(cf_spaces_enable(&config, NULL, NULL, &detail), CF_OK);
    assert_int_equal(cf_spaces_load(&config, &detail), CF_OK);
}

static void a_fleet_has_the_spaces_that_it_names(void **state)
{
    (void)state;
    struct cf_detail detail = {""};
    snprintf(config.spaces[0], sizeof config.spaces[0], "style");
    snprintf(config.spaces[1], sizeof config.spaces[1], "gist");
    config.space_count = 2;
    assert_int_equal(cf_spaces_enable(&config, NULL, NULL, &detail), CF_OK);
    for (size_t i = 0; i < CF_SPACE_FIXED_COUNT; i++)
        assert_int_equal(cf_space_is_enabled(i), i == CF_SPACE_GIST || i == CF_SPACE_STYLE);
    snprintf(config.spaces[0], sizeof config.spaces[0], "stile");
    assert_int_equal(cf_spaces_enable(&config, NULL, NULL, &detail), CF_E_UNKNOWN_SPACE);
    assert_non_null(strstr(detail.text, "stile"));
    assert_true(cf_space_is_enabled(CF_SPACE_STYLE)); /* as it was */
}

static void cosine_vectors_have_unit_length(void **state)
{
    (void)state;
    struct cf_detail detail = {""};
    float vector[CF_COVERNET_COPY_DIM] = {3, 0, -4}, same[960] = {3, 4};
    assert_int_equal(cf_space_normalize(&cf_spaces[CF_SPACE_COPY], vector, NULL), CF_OK);
    assert_float_equal(vector[0], 0.6, 1e-7);
    assert_float_equal(vector[2], -0.8, 1e-7);
    assert_int_equal(cf_space_normalize(&cf_spaces[CF_SPACE_GIST], same, NULL), CF_OK);
    assert_true(same[0] == 3 && same[1] == 4);
    memset(vector, 0, sizeof vector);
    assert_int_equal(cf_space_normalize(&cf_spaces[CF_SPACE_COPY], vector, &detail), CF_E_BAD_VECTOR);
    assert_non_null(strstr(detail.text, "copy"));
    vector[5] = INFINITY;
    assert_int_equal(cf_space_normalize(&cf_spaces[CF_SPACE_COPY], vector, NULL), CF_E_BAD_VECTOR);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_model_they_are_refused),
        TEST(both_heads_are_the_nets),
        TEST(one_colour_is_constant),
        TEST(other_sides_are_refused),
        TEST(nothing_is_allocated_for_a_cover),
        TEST(a_bad_model_is_refused_by_name),
        TEST(a_fleet_has_the_spaces_that_it_names),
        TEST(cosine_vectors_have_unit_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
