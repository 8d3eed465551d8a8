/* The bytes of an album's record in a shard, format 1, little-endian:
 *     u8 format | u64 epoch, sequence | u8 removed | u32 flags | u64 log sequence, stored ms | u32 width,
 * height | 32 bytes SHA-256 | str source | list of str warnings | list of (str, str) metadata | list of (str,
 * u32) vectors where str is a u32 length and its bytes, and a list a u32 count and its elements. The last
 * list says which vectors (space, space version) lie beside the record, so that a replacement can delete what
 * it does not bring again.
 *
 * To change it: add a format number, read both, write the newer; readers of other processes are older for a
 * while, so the newer is written only one release later. Of this room only; pure, any thread. */
#ifndef CF_STORE_ALBUM_RECORD_H
#define CF_STORE_ALBUM_RECORD_H

#include "common/store/shard.h"

struct cf_album_record {
    struct cf_shard_album album; /* its own list of vectors is not looked at, and filled in by nobody here */
    struct cf_vector_name *vectors;
    size_t vector_count;
};

/* Appends; memory shows in cf_buf_ok. */
void cf_album_record_encode(const struct cf_album_record *record, struct cf_buf *out);
/* Strings borrow from `bytes`, arrays come from the arena. CF_E_CORRUPT, CF_E_BAD_VERSION, CF_E_NO_MEMORY. */
enum cf_err cf_album_record_decode(struct cf_bytes bytes, struct cf_arena *arena,
                                   struct cf_album_record *record, struct cf_detail *detail) CF_MUST_CHECK;

#endif
