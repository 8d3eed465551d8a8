/* The loader of index files: whatever the bytes, open, verify, look up and search stay within the file. Since
 * random bytes rarely have the right checksum, a first byte of 1 asks for the header's to be put right. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdio.h>

#include "common/ann/image.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 1 << 20)
        return 0;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];
    struct cf_ann_header header;
    struct cf_ann *ann = NULL;

    if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
        abort();
    if (data[0] == 1 && size - 1 >= sizeof header) {
        memcpy(&header, data + 1, sizeof header);
        header.xxh3 = cf_ann_header_checksum(&header);
        if (pwrite(fd, &header, sizeof header, 0) != (ssize_t)sizeof header)
            abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (cf_ann_open(path, &ann, NULL) == CF_OK)
        use(ann);
    cf_ann_free(ann);
    close(fd);
    return 0;
}
