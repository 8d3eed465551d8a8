/* The header of a .npy file: numpy/lib/format.py says how it is made. Pure; private to common/vecfile. */
#ifndef CF_VECFILE_NPY_H
#define CF_VECFILE_NPY_H

#include "common/base/err.h"
#include "common/base/span.h"

enum {
    CF_NPY_PREFIX_BYTES = 12, /* at most: magic, version, length of what follows */
    CF_NPY_HEADER_BYTES = 128,
    CF_NPY_HEADER_BYTES_MAX = 65536
};

enum cf_npy_type { CF_NPY_F2, CF_NPY_F4, CF_NPY_F8, CF_NPY_I4 };

struct cf_npy {
    enum cf_npy_type type;
    uint64_t rows, columns;
};

/* From the first bytes of a file (at least CF_NPY_PREFIX_BYTES) how long the whole header is, prefix
 * included. CF_E_INVALID, CF_E_BAD_VERSION; sentences do not name the file. */
enum cf_err cf_npy_header_bytes(struct cf_bytes begin, size_t *bytes, struct cf_detail *detail) CF_MUST_CHECK;
/* The whole header. CF_E_INVALID, CF_E_UNSUPPORTED (type, Fortran order), whose sentence says what to do. */
enum cf_err cf_npy_parse(struct cf_bytes header, struct cf_npy *npy, struct cf_detail *detail) CF_MUST_CHECK;
/* Version 1, always CF_NPY_HEADER_BYTES long, so that the number of rows can be put in later. */
void cf_npy_format(const struct cf_npy *npy, uint8_t header[CF_NPY_HEADER_BYTES]);

size_t cf_npy_element_bytes(enum cf_npy_type type);

#endif
