/* Lines of a stream, with their numbers; the longest is bounded. */
#ifndef CF_CLI_LINES_H
#define CF_CLI_LINES_H

#include <stdio.h>

#include "common/base/err.h"
#include "common/base/span.h"

enum { CF_LINE_BYTES_MAX = 65536 };

struct cf_lines {
    FILE *in;         /* borrowed */
    const char *name; /* for sentences; borrowed */
    size_t number;    /* of the line last read, from 1 */
    char text[CF_LINE_BYTES_MAX + 1];
};

void cf_lines_init(struct cf_lines *lines, FILE *in, const char *name);

/* The next line that is not empty, without its end (LF or CR LF), terminated, borrowed until the next call; a
 * byte order mark at the very beginning is passed over. `*end` instead at the end. CF_E_IO; CF_E_TOO_LARGE
 * and CF_E_INVALID (a zero byte in it) cost that line only. */
enum cf_err cf_lines_next(struct cf_lines *lines, struct cf_str *line, bool *end,
                          struct cf_detail *detail) CF_MUST_CHECK;

#endif
