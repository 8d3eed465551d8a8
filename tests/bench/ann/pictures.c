#include "tests/bench/ann/pictures.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "tests/bench/ann/vecs.h"

enum { FILE_BYTES_MAX = 64 << 20, TAR_BLOCK = 512 };
#define TAR_BYTES_MAX ((size_t)64 << 30)

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 1024;
    items = realloc(items, *capacity * size);
    if (!items)
        bench_give_up("out of memory");
    return items;
}

static enum cf_err add_picture(void *arg, struct cf_bytes file, struct cf_detail *detail)
{
    struct bench_pictures *pictures = arg;
    (void)detail;
    pictures->items = grow(pictures->items, pictures->count, &pictures->capacity, sizeof *pictures->items);
    struct bench_picture *picture = &pictures->items[pictures->count++];
    picture->file = file;
    cf_sha256(file, picture->digest);
    return CF_OK;
}

static void keep_block(struct bench_pictures *pictures, void *block)
{
    if ((pictures->block_count & (pictures->block_count + 1)) == 0)
        pictures->blocks =
            realloc(pictures->blocks, (2 * pictures->block_count + 2) * sizeof *pictures->blocks);
    if (!pictures->blocks)
        bench_give_up("out of memory");
    pictures->blocks[pictures->block_count++] = block;
}

/* ---- tar: POSIX.1-1988, "ustar" ---- */

/* A number of a header: octal digits, or GNU's base 256 when the top bit is set. */
static uint64_t tar_number(const uint8_t *field, size_t len)
{
    uint64_t value = 0;
    if (field[0] & 0x80) {
        for (size_t i = 1; i < len; i++)
            value = value << 8 | field[i];
        return value;
    }
    for (size_t i = 0; i < len; i++)
        if (field[i] >= '0' && field[i] <= '7')
            value = value << 3 | (uint64_t)(field[i] - '0');
    return value;
}

/* The sum of the header's bytes, its own field taken as blanks. */
static bool tar_header_sound(const uint8_t *header)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : header[i];
    return sum == tar_number(header + 148, 8);
}

static bool tar_hidden(const uint8_t *header)
{
    const char *base = (const char *)header;
    for (size_t i = 0; i + 1 < 100 && header[i]; i++)
        if (header[i] == '/')
            base = (const char *)header + i + 1;
    return *base == '.';
}

enum cf_err bench_tar_walk(struct cf_bytes tar, const char *name,
                           enum cf_err (*visit)(void *arg, struct cf_bytes file, struct cf_detail *detail),
                           void *arg, struct cf_detail *detail)
{
    static const uint8_t end[TAR_BLOCK];
    for (size_t at = 0; at + TAR_BLOCK <= tar.len;) {
        const uint8_t *header = tar.data + at;
        if (memcmp(header, end, TAR_BLOCK) == 0)
            return CF_OK;
        if (!tar_header_sound(header))
            return cf_fail(detail, CF_E_CORRUPT, "%.200s: no tar header at byte %zu", name, at);
        uint64_t size = tar_number(header + 124, 12);
        at += TAR_BLOCK;
        if (size > tar.len - at)
            return cf_fail(detail, CF_E_CORRUPT, "%.200s: ends within a file", name);
        bool regular = header[156] == '0' || header[156] == '\0';
        enum cf_err err = CF_OK;
        if (regular && size > 0 && !tar_hidden(header))
            err = visit(arg, (struct cf_bytes){tar.data + at, (size_t)size}, detail);
        if (err)
            return err;
        uint64_t padded = (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
        at = padded > tar.len - at ? tar.len : at + (size_t)padded;
    }
    return CF_OK;
}

/* ---- folders ---- */

static enum cf_err add_file(struct bench_pictures *pictures, const char *path, struct cf_detail *detail)
{
    struct cf_buf buf;
    cf_buf_init(&buf);
    enum cf_err err = cf_file_read(path, FILE_BYTES_MAX, &buf, detail);
    if (!err && buf.len > 0) {
        keep_block(pictures, buf.data);
        return add_picture(pictures, cf_buf_bytes(&buf), detail);
    }
    cf_buf_fini(&buf);
    return err;
}

static enum cf_err add_folder(struct bench_pictures *pictures, const char *folder, struct cf_detail *detail);

static enum cf_err add_entry(struct bench_pictures *pictures, const char *path, struct cf_detail *detail)
{
    struct stat status;
    if (stat(path, &status))
        return cf_fail_errno(detail, path);
    if (S_ISDIR(status.st_mode))
        return add_folder(pictures, path, detail);
    return S_ISREG(status.st_mode) ? add_file(pictures, path, detail) : CF_OK;
}

static enum cf_err add_folder(struct bench_pictures *pictures, const char *folder, struct cf_detail *detail)
{
    DIR *entries = opendir(folder);
    if (!entries)
        return cf_fail_errno(detail, folder);
    enum cf_err err = CF_OK;
    for (struct dirent *entry; !err && (entry = readdir(entries)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] == '.')
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        err = len < (int)sizeof path ? add_entry(pictures, path, detail)
                                     : cf_fail(detail, CF_E_INVALID, "%.200s: the path is too long", folder);
    }
    closedir(entries);
    return err;
}

enum cf_err bench_pictures_add(struct bench_pictures *pictures, const char *path, struct cf_detail *detail)
{
    struct stat status;
    if (stat(path, &status))
        return cf_fail_errno(detail, path);
    if (S_ISDIR(status.st_mode))
        return add_folder(pictures, path, detail);
    struct cf_buf buf;
    cf_buf_init(&buf);
    enum cf_err err = cf_file_read(path, TAR_BYTES_MAX, &buf, detail);
    if (err || buf.len == 0) {
        cf_buf_fini(&buf);
        return err;
    }
    keep_block(pictures, buf.data);
    return bench_tar_walk(cf_buf_bytes(&buf), path, add_picture, pictures, detail);
}

/* ---- the list ---- */

static int by_digest(const void *a, const void *b)
{
    const struct bench_picture *x = a, *y = b;
    return memcmp(x->digest, y->digest, CF_SHA256_BYTES);
}

/* The order of digests is as good as random; the seed turns it into another. */
static void salt(uint8_t digest[CF_SHA256_BYTES], uint64_t seed)
{
    uint8_t salted[CF_SHA256_BYTES + 8];
    memcpy(salted, digest, CF_SHA256_BYTES);
    for (unsigned i = 0; i < 8; i++)
        salted[CF_SHA256_BYTES + i] = (uint8_t)(seed >> 8 * i);
    cf_sha256((struct cf_bytes){salted, sizeof salted}, digest);
}

void bench_pictures_settle(struct bench_pictures *pictures, uint64_t seed)
{
    size_t kept = 0;
    if (pictures->count == 0)
        return;
    for (size_t i = 0; i < pictures->count; i++)
        salt(pictures->items[i].digest, seed);
    qsort(pictures->items, pictures->count, sizeof *pictures->items, by_digest);
    for (size_t i = 0; i < pictures->count; i++)
        if (kept == 0 || by_digest(&pictures->items[kept - 1], &pictures->items[i]) != 0)
            pictures->items[kept++] = pictures->items[i];
    pictures->count = kept;
}

void bench_pictures_fini(struct bench_pictures *pictures)
{
    for (size_t i = 0; i < pictures->block_count; i++)
        free(pictures->blocks[i]);
    free(pictures->blocks);
    free(pictures->items);
    *pictures = (struct bench_pictures){0};
}
