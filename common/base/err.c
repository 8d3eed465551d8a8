#include "common/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[CF_ERR_COUNT] = {
#define CF_ERR_NAME(constant, name) [constant] = name,
    CF_ERR_LIST(CF_ERR_NAME)
#undef CF_ERR_NAME
};

const char *cf_err_name(enum cf_err err)
{
    return (unsigned)err < CF_ERR_COUNT ? names[err] : names[CF_E_INVALID];
}

enum cf_err cf_err_from_name(const char *name, size_t len)
{
    for (unsigned i = 0; i < CF_ERR_COUNT; i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return (enum cf_err)i;
    return CF_E_INVALID;
}

enum cf_err cf_fail(struct cf_detail *detail, enum cf_err err, const char *fmt, ...)
{
    if (detail) {
        va_list args;
        va_start(args, fmt);
        vsnprintf(detail->text, sizeof detail->text, fmt, args);
        va_end(args);
    }
    return err;
}

enum cf_err cf_fail_errno(struct cf_detail *detail, const char *what)
{
    int saved = errno;
    enum cf_err err = saved == ENOSPC || saved == EDQUOT ? CF_E_DISK_FULL
                      : saved == ENOENT                  ? CF_E_NOT_FOUND
                      : saved == ENOMEM                  ? CF_E_NO_MEMORY
                                                         : CF_E_IO;
    return cf_fail(detail, err, "%s: %s", what, strerror(saved));
}

void cf_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
    abort();
}
