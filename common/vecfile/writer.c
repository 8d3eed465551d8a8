#include <stdio.h>
#include <stdlib.h>

#include "common/vecfile/fresh.h"
#include "common/vecfile/npy.h"
#include "common/vecfile/vecfile.h"

struct cf_vecwriter {
    struct cf_fresh *fresh;
    enum cf_vecfile_kind kind;
    struct cf_npy npy;
};

static enum cf_err check_kind(const char *path, enum cf_vecfile_kind kind, enum cf_vecfile_element element,
                              struct cf_detail *detail)
{
    if (kind == CF_VECFILE_NPY || (kind == CF_VECFILE_IVECS) == (element == CF_VECFILE_INTS))
        return CF_OK;
    if (element == CF_VECFILE_INTS)
        return cf_fail(detail, CF_E_INVALID, "%.200s: .fvecs files hold no whole numbers: name it .ivecs",
                       path);
    return cf_fail(detail, CF_E_INVALID, "%.200s: .ivecs files hold no vectors: name it .fvecs or .npy",
                   path);
}

static enum cf_err write_header(struct cf_vecwriter *writer, bool again, struct cf_detail *detail)
{
    uint8_t header[CF_NPY_HEADER_BYTES];
    const struct cf_bytes bytes = {header, sizeof header};
    if (writer->kind != CF_VECFILE_NPY)
        return CF_OK;
    cf_npy_format(&writer->npy, header);
    return again ? cf_fresh_patch(writer->fresh, 0, bytes, detail)
                 : cf_fresh_write(writer->fresh, bytes, detail);
}

enum cf_err cf_vecwriter_new(const char *path, enum cf_vecfile_element element, uint32_t dim,
                             struct cf_vecwriter **writer, struct cf_detail *detail)
{
    if (dim < 1 || dim > CF_VECFILE_DIM_MAX)
        return cf_fail(detail, CF_E_INVALID, "%.200s: a dimension of %u: it must be 1 to %d", path, dim,
                       CF_VECFILE_DIM_MAX);
    struct cf_vecwriter *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: out of memory", path);
    made->npy.type = element == CF_VECFILE_INTS ? CF_NPY_I4 : CF_NPY_F4;
    made->npy.columns = dim;
    enum cf_err err = cf_vecfile_kind_of(path, element, &made->kind, detail);
    if (!err)
        err = check_kind(path, made->kind, element, detail);
    if (!err)
        err = cf_fresh_new(path, &made->fresh, detail);
    if (!err)
        err = write_header(made, false, detail);
    if (err) {
        cf_vecwriter_free(made);
        return err;
    }
    *writer = made;
    return CF_OK;
}

void cf_vecwriter_free(struct cf_vecwriter *writer)
{
    if (writer)
        cf_fresh_free(writer->fresh);
    free(writer);
}

enum cf_err cf_vecwriter_append(struct cf_vecwriter *writer, const void *rows, size_t count,
                                struct cf_detail *detail)
{
    const uint8_t *at = rows;
    const int32_t dim = (int32_t)writer->npy.columns;
    size_t row_bytes = 4 * (size_t)dim;
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < count && !err; i++, at += row_bytes) {
        if (writer->kind != CF_VECFILE_NPY)
            err = cf_fresh_write(writer->fresh, (struct cf_bytes){(const uint8_t *)&dim, sizeof dim}, detail);
        if (!err)
            err = cf_fresh_write(writer->fresh, (struct cf_bytes){at, row_bytes}, detail);
    }
    if (!err)
        writer->npy.rows += count;
    return err;
}

enum cf_err cf_vecwriter_sync(struct cf_vecwriter *writer, struct cf_detail *detail)
{
    enum cf_err err = write_header(writer, true, detail);
    return err ? err : cf_fresh_sync(writer->fresh, detail);
}

enum cf_err cf_vecwriter_finish(struct cf_vecwriter *writer, struct cf_detail *detail)
{
    enum cf_err err = write_header(writer, true, detail);
    return err ? err : cf_fresh_finish(writer->fresh, detail);
}
