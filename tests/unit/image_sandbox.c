/* Every picture of the fuzz corpus through a real decoding child, with its limits and its filter of system
 * calls: the same thumbnail or the same refusal as without, and nothing that kills it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/file.h"
#include "common/decoder/decoder_work.h"

#define FOLDER CF_TESTS_DIR "/fuzz/corpus/image"

static struct cf_decoder *decoder;
static struct cf_image_limits limits;
static unsigned decoded, refused;

static void check(const char *name)
{
    static struct cf_decoded inside, outside;
    char path[1024];
    struct cf_buf file = {0};
    struct cf_detail detail = {""}, plain = {""};
    snprintf(path, sizeof path, FOLDER "/%s", name);
    assert_int_equal(cf_file_read(path, 1 << 20, &file, &detail), CF_OK);
    enum cf_err err = cf_decoder_decode(decoder, cf_buf_bytes(&file), &inside, &detail);
    if (err != cf_decode_picture(cf_buf_bytes(&file), &limits, &outside, &plain))
        fail_msg("%s: %s: %s, and without a sandbox \"%s\"", name, cf_err_name(err), detail.text, plain.text);
    if (err) {
        assert_true(detail.text[0]);
        refused++;
    } else {
        assert_memory_equal(inside.rgb, outside.rgb, sizeof inside.rgb);
        assert_int_equal(inside.partial, outside.partial);
        assert_string_equal(inside.warning, outside.warning);
        decoded++;
    }
    cf_buf_fini(&file);
}

static void same_with_and_without(void **state)
{
    (void)state;
    DIR *dir = opendir(FOLDER);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            check(entry->d_name);
    closedir(dir);
    assert_true(decoded >= 30);
    assert_true(refused >= 5);
}

int main(void)
{
    static struct cf_home home;
    struct cf_config config;
    struct cf_detail detail;
    cf_config_default(&config, &home);
    limits = (struct cf_image_limits){
        .bytes_max = (size_t)config.image_bytes_max,
        .side_max = (uint32_t)config.image_side_max,
        .pixels_max = (uint64_t)config.image_pixels_max,
        .scans_max = (uint32_t)config.image_scans_max,
        .memory_bytes_max = (size_t)config.image_memory_bytes_max,
    };
    if (cf_decoder_new(&config, &decoder, &detail) != CF_OK) {
        fprintf(stderr, "%s\n", detail.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_with_and_without)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cf_decoder_free(decoder);
    return failed;
}
