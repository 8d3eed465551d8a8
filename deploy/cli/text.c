#include "deploy/cli/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/album.h"

#define YEAR_MS 31536000000.0

enum cf_err cf_text_duration_parse(const char *text, uint64_t *ms, struct cf_detail *detail)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    char *end = NULL;
    /* strtod would also take "inf", "nan", hexadecimal and signs. */
    double value =
        isdigit((unsigned char)text[0]) && !strchr("xX", text[1] ? text[1] : '0') ? strtod(text, &end) : -1;
    for (size_t i = 0; end && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].name) != 0)
            continue;
        if (value * units[i].ms > YEAR_MS)
            return cf_fail(detail, CF_E_INVALID, "%.40s is longer than a year", text);
        *ms = (uint64_t)(value * units[i].ms + 0.5);
        return CF_OK;
    }
    return cf_fail(detail, CF_E_INVALID, "\"%.40s\" is no duration: write 250ms, 10s, 5m, 2h or 1d", text);
}

void cf_text_duration(uint64_t ms, char out[CF_TEXT_NUMBER_MAX])
{
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu ms", (unsigned long long)ms);
    else if (s < 10 && ms % 1000 >= 100)
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu.%llu s", s, (unsigned long long)(ms % 1000 / 100));
    else if (s < 60)
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu s", s);
    else if (s < 3600)
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu min %llu s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu h %llu min", s / 3600, s % 3600 / 60);
    else
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu d %llu h", s / 86400, s % 86400 / 3600);
}

void cf_text_size(uint64_t bytes, char out[CF_TEXT_NUMBER_MAX])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    if (bytes < 1000) {
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu B", (unsigned long long)bytes);
        return;
    }
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1000;
        unit++;
    }
    snprintf(out, CF_TEXT_NUMBER_MAX, value < 9.95 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void cf_text_time(uint64_t wall_ms, char out[CF_TEXT_NUMBER_MAX])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) || !strftime(out, CF_TEXT_NUMBER_MAX, "%Y-%m-%d %H:%M:%S UTC", &utc))
        snprintf(out, CF_TEXT_NUMBER_MAX, "%llu ms", (unsigned long long)wall_ms);
}

/* Bytes of the well-formed character at `at`, or 0. */
static size_t character(struct cf_str text, size_t at)
{
    for (size_t len = 1; len <= 4 && at + len <= text.len; len++)
        if (cf_utf8_valid((struct cf_str){text.data + at, len}))
            return len;
    return 0;
}

static bool is_control(const char *p, size_t len)
{
    const unsigned char *u = (const unsigned char *)p;
    return u[0] < 0x20 || u[0] == 0x7F || (len == 2 && u[0] == 0xC2 && u[1] < 0xA0);
}

void cf_text_put(FILE *out, struct cf_str text)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = character(text, at);
        if (len == 0 || is_control(text.data + at, len))
            putc('?', out);
        else
            fwrite(text.data + at, 1, len, out);
        at += len ? len : 1;
    }
}

size_t cf_text_width(struct cf_str text)
{
    size_t width = 0;
    for (size_t at = 0; at < text.len; width++) {
        size_t len = character(text, at);
        at += len ? len : 1;
    }
    return width;
}

struct cf_str cf_text_repair(struct cf_str text, char *room)
{
    if (cf_utf8_valid(text))
        return text;
    for (size_t at = 0; at < text.len;) {
        size_t len = character(text, at);
        if (len)
            memcpy(room + at, text.data + at, len);
        else
            room[at] = '?';
        at += len ? len : 1;
    }
    return (struct cf_str){room, text.len};
}
