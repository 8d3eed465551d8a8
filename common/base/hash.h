/* Hashes: SHA-256 for content (OpenSSL's libcrypto), XXH3-64 for tables and for checksums of our own files. */
#ifndef CF_BASE_HASH_H
#define CF_BASE_HASH_H

#include "common/base/span.h"

#define CF_SHA256_BYTES 32

void cf_sha256(struct cf_bytes data, uint8_t digest[CF_SHA256_BYTES]);
void cf_hex(struct cf_bytes data, char *text); /* 2 * len + 1 characters, terminated */
uint64_t cf_xxh3(struct cf_bytes data);
uint32_t cf_crc32(struct cf_bytes data); /* of zlib, for files of others */

#endif
