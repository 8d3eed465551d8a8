/* A container of vectors as anybody may push it: refused, or read and written again to the same bytes. */
#include <stdlib.h>

#include "proto/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_bytes input = {data, size};
    struct cf_container container;
    struct cf_detail detail = {""};
    enum cf_err err = cf_container_decode(input, &container, &detail);
    if (err != CF_OK && detail.text[0] == '\0')
        abort();
    if (err != CF_OK)
        return 0;
    struct cf_buf written;
    cf_buf_init(&written);
    cf_container_encode(&container, &written);
    if (!cf_buf_ok(&written) || !cf_bytes_equal(input, cf_buf_bytes(&written)))
        abort();
    cf_buf_fini(&written);
    return 0;
}
