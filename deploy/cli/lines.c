#include "deploy/cli/lines.h"

#include <errno.h>

void cf_lines_init(struct cf_lines *lines, FILE *in, const char *name)
{
    lines->in = in;
    lines->name = name;
    lines->number = 0;
}

/* Bytes of the next line before its LF; more than CF_LINE_BYTES_MAX are counted but not kept. False at the
 * end. */
static bool take_line(struct cf_lines *lines, size_t *len)
{
    int c = getc_unlocked(lines->in);
    if (c == EOF)
        return false;
    for (*len = 0; c != EOF && c != '\n'; c = getc_unlocked(lines->in)) {
        if (*len < CF_LINE_BYTES_MAX)
            lines->text[*len] = (char)c;
        (*len)++;
    }
    lines->number++;
    return true;
}

enum cf_err cf_lines_next(struct cf_lines *lines, struct cf_str *line, bool *end, struct cf_detail *detail)
{
    static const char mark[] = "\xEF\xBB\xBF";
    size_t len;
    while (take_line(lines, &len)) {
        if (ferror(lines->in))
            break;
        if (len > CF_LINE_BYTES_MAX)
            return cf_fail(detail, CF_E_TOO_LARGE, "%.120s:%zu: a line of %zu bytes: at most %d are allowed",
                           lines->name, lines->number, len, CF_LINE_BYTES_MAX);
        if (len > 0 && lines->text[len - 1] == '\r')
            len--;
        size_t skip = lines->number == 1 && len >= 3 && memcmp(lines->text, mark, 3) == 0 ? 3 : 0;
        if (len == skip)
            continue;
        if (memchr(lines->text, '\0', len))
            return cf_fail(detail, CF_E_INVALID, "%.120s:%zu: a zero byte in the line", lines->name,
                           lines->number);
        lines->text[len] = '\0';
        *line = (struct cf_str){lines->text + skip, len - skip};
        *end = false;
        return CF_OK;
    }
    if (ferror(lines->in))
        return cf_fail_errno(detail, lines->name);
    *end = true;
    return CF_OK;
}
