/* Any bytes as a message: refused, or decoded to something that encodes and decodes again to the same bytes.
 */
#include <stddef.h>
#include <stdint.h>

#include "proto/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cf_arena *arena = cf_arena_new();
    struct cf_buf first, second;
    struct cf_msg msg, again;
    struct cf_detail detail;
    CF_CHECK(arena);
    cf_buf_init(&first);
    cf_buf_init(&second);
    if (cf_msg_decode((struct cf_bytes){data, size}, arena, &msg, &detail) == CF_OK) {
        CF_CHECK(cf_msg_encode(&msg, &first, &detail) == CF_OK);
        CF_CHECK(cf_msg_decode(cf_buf_bytes(&first), arena, &again, &detail) == CF_OK);
        CF_CHECK(cf_msg_encode(&again, &second, &detail) == CF_OK);
        CF_CHECK(cf_bytes_equal(cf_buf_bytes(&first), cf_buf_bytes(&second)));
    }
    cf_buf_fini(&first);
    cf_buf_fini(&second);
    cf_arena_free(arena);
    return 0;
}
