/* The loader of index files: whatever the bytes, open, verify, look up and search stay within the file. The
 * first byte of an input says what the others are: 0 a file, 1 a file whose header's checksum is put right, 2
 * and 3 changes of a good file with leaves or without, whose header's checksum is put right too. A change is
 * six bytes: a section (the header behind the last), an offset into it, and what is to stand there; numbers
 * wrap around. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/ann/image.h"
#include "common/base/rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void search(const struct cf_ann *ann, double recall, bool exact)
{
    struct cf_ann_searcher *searcher = cf_ann_searcher_new();
    float *query = calloc(cf_ann_info(ann).dim, sizeof *query);
    struct cf_ann_hit hits[16];
    struct cf_ann_query asked = {.vector = query, .k = 16, .recall = recall, .exact = exact};
    size_t count = 0;
    bool all;

    if (!searcher || !query)
        abort();
    query[0] = exact ? 1e38f : .5f;
    if (cf_ann_search(ann, searcher, &asked, hits, &count, &all, NULL) != CF_OK)
        abort();
    for (size_t i = 0; i < count; i++)
        if (hits[i].item >= cf_ann_info(ann).count)
            abort();
    free(query);
    cf_ann_searcher_free(searcher);
}

static void use(const struct cf_ann *ann)
{
    struct cf_ann_info info = cf_ann_info(ann);
    volatile size_t sum = 0;

    for (uint64_t i = 0; i < info.count && i < 1000; i++) {
        struct cf_bytes id = cf_ann_id(ann, i), tag = cf_ann_tag(ann, i);
        if (cf_ann_find(ann, id) >= (int64_t)info.count)
            abort();
        sum = sum + (id.len ? id.data[id.len - 1] : 0u) + (tag.len ? tag.data[tag.len - 1] : 0u);
    }
    search(ann, .9, false);
    search(ann, 1, false);
    search(ann, 1, true);
    struct cf_detail detail;
    enum cf_err err = cf_ann_verify(ann, &detail);
    if (err != CF_OK && err != CF_E_CORRUPT)
        abort();
}

enum { DIM = 3, WITH_LEAVES = 1100, WITHOUT = 5, CHANGE_BYTES = 6 };

struct good {
    uint8_t *bytes;
    size_t size, at, count;
    char id[16];
    float vector[DIM];
};

static enum cf_err good_rewind(void *arg, struct cf_detail *detail)
{
    struct good *good = arg;

    (void)detail;
    good->at = 0;
    return CF_OK;
}

static enum cf_err good_next(void *arg, struct cf_ann_item *item, struct cf_detail *detail)
{
    struct good *good = arg;
    struct cf_rng rng = cf_rng(good->at);

    (void)detail;
    if (good->at == good->count)
        return CF_E_NOT_FOUND;
    int len = snprintf(good->id, sizeof good->id, "album %zu", good->at++);
    for (size_t j = 0; j < DIM; j++)
        good->vector[j] = (float)cf_rng_unit(&rng);
    item->id = (struct cf_bytes){(const uint8_t *)good->id, (size_t)len};
    item->tag = (struct cf_bytes){(const uint8_t *)"tag", 3};
    item->vector = good->vector;
    return CF_OK;
}

static struct good make_good(size_t count)
{
    struct good good = {.count = count};
    struct cf_ann_params params = {.dim = DIM, .tag_bytes = 3, .seed = 1, .threads = 1};
    struct cf_ann_source source = {good_rewind, good_next, &good};
    char folder[] = "/tmp/fuzz-ann-XXXXXX", path[64];

    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/index", folder);
    if (cf_ann_build(path, &params, &source, NULL, NULL, NULL) != CF_OK)
        abort();
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        abort();
    good.size = (size_t)ftell(file);
    good.bytes = malloc(good.size);
    rewind(file);
    if (!good.bytes || fread(good.bytes, 1, good.size, file) != good.size)
        abort();
    fclose(file);
    unlink(path);
    rmdir(folder);
    return good;
}

static void change(uint8_t *bytes, const struct cf_ann_header *header, const uint8_t *changes, size_t count)
{
    for (size_t i = 0; i < count; i++, changes += CHANGE_BYTES) {
        size_t section = changes[0] % (CF_ANN_SECTION_COUNT + 1);
        struct cf_ann_extent extent = {0, sizeof *header, 0};
        uint32_t offset;
        memcpy(&offset, changes + 1, sizeof offset);
        if (section < CF_ANN_SECTION_COUNT)
            extent = header->sections[section];
        if (extent.bytes)
            bytes[extent.offset + offset % extent.bytes] = changes[5];
    }
}

static void put_checksum_right(uint8_t *bytes, size_t size)
{
    struct cf_ann_header header;

    if (size < sizeof header)
        return;
    memcpy(&header, bytes, sizeof header);
    header.xxh3 = cf_ann_header_checksum(&header);
    memcpy(bytes, &header, sizeof header);
}

static void use_file(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];
    struct cf_ann *ann = NULL;

    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (cf_ann_open(path, &ann, NULL) == CF_OK)
        use(ann);
    cf_ann_free(ann);
    close(fd);
}

static void use_changed(const struct good *good, const uint8_t *changes, size_t size)
{
    uint8_t *bytes = malloc(good->size);
    struct cf_ann_header header;

    if (!bytes)
        abort();
    memcpy(bytes, good->bytes, good->size);
    memcpy(&header, bytes, sizeof header);
    change(bytes, &header, changes, size / CHANGE_BYTES);
    put_checksum_right(bytes, good->size);
    use_file(bytes, good->size);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct good good[2];

    if (!good[0].bytes) {
        good[0] = make_good(WITH_LEAVES);
        good[1] = make_good(WITHOUT);
    }
    if (size < 1 || size > 1 << 20)
        return 0;
    uint8_t *copy = malloc(size);
    if (!copy)
        abort();
    memcpy(copy, data + 1, size - 1);
    if (data[0] == 1)
        put_checksum_right(copy, size - 1);
    if (data[0] == 2 || data[0] == 3)
        use_changed(&good[data[0] - 2], copy, size - 1);
    else
        use_file(copy, size - 1);
    free(copy);
    return 0;
}
