/* The readers of vector files: whatever the bytes, opening and reading stay within them. The first byte
 * chooses the kind by name. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/vecfile/npy.h"
#include "common/vecfile/vecfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/cf-fuzz-vecfile-XXXXXX";

static void remove_folder(void)
{
    rmdir(folder);
}

static void read_all(const struct cf_vecfile *file)
{
    struct cf_detail detail;
    struct cf_vecfile_sum sum = {0};
    struct cf_vecstream *stream = cf_vecstream_new(file);
    const void *row = NULL;
    if (!stream)
        abort();
    uint64_t count = 0;
    for (; cf_vecstream_next(stream, &row, &detail) == CF_OK && row; count++)
        cf_vecfile_sum_row(&sum, row, cf_vecfile_dim(file));
    if (count > cf_vecfile_count(file))
        abort();
    cf_vecstream_free(stream);
}

static void parse(const uint8_t *data, size_t size)
{
    struct cf_npy npy;
    struct cf_detail detail;
    size_t bytes;
    if (cf_npy_header_bytes((struct cf_bytes){data, size}, &bytes, &detail) == CF_OK && bytes <= size &&
        cf_npy_parse((struct cf_bytes){data, bytes}, &npy, &detail) == CF_OK) {
        uint8_t header[CF_NPY_HEADER_BYTES];
        struct cf_npy again;
        cf_npy_format(&npy, header);
        if (cf_npy_parse((struct cf_bytes){header, sizeof header}, &again, &detail) != CF_OK ||
            again.rows != npy.rows || again.columns != npy.columns || again.type != npy.type)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"x.npy", "x.fvecs", "x.ivecs"};
    static bool made;
    if (size < 1 || size > 1 << 20)
        return 0;
    if (!made && (!mkdtemp(folder) || atexit(remove_folder) != 0))
        abort();
    made = true;
    char path[64];
    struct cf_detail detail;
    struct cf_vecfile *file = NULL;
    unsigned kind = data[0] % 3;
    snprintf(path, sizeof path, "%s/%s", folder, names[kind]);
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(data + 1, 1, size - 1, out) != size - 1 || fclose(out) != 0)
        abort();
    if (cf_vecfile_open(path, kind == 2 ? CF_VECFILE_INTS : CF_VECFILE_FLOATS, &file, &detail) == CF_OK)
        read_all(file);
    cf_vecfile_free(file);
    unlink(path);
    if (kind == 0)
        parse(data + 1, size - 1);
    return 0;
}
