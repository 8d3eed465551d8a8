#include "common/base/hash.h"

#include <openssl/evp.h>
#include <xxhash.h>
#include <zlib.h>

#include "common/base/err.h"

void cf_sha256(struct cf_bytes data, uint8_t digest[CF_SHA256_BYTES])
{
    static const uint8_t nothing;
    int ok = EVP_Digest(data.len ? data.data : &nothing, data.len, digest, NULL, EVP_sha256(), NULL);
    CF_CHECK(ok == 1);
}

void cf_hex(struct cf_bytes data, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < data.len; i++) {
        text[2 * i] = digits[data.data[i] >> 4];
        text[2 * i + 1] = digits[data.data[i] & 15];
    }
    text[2 * data.len] = '\0';
}

uint64_t cf_xxh3(struct cf_bytes data)
{
    return XXH3_64bits(data.data, data.len);
}

uint32_t cf_crc32(struct cf_bytes data)
{
    return (uint32_t)crc32_z(0, data.data, data.len);
}
