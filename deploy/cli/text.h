/* Numbers and words for people: durations, sizes, ages, and text from outside made safe for a terminal. Pure.
 */
#ifndef CF_CLI_TEXT_H
#define CF_CLI_TEXT_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/base/span.h"

enum { CF_TEXT_NUMBER_MAX = 32 };

/* "250ms", "10s", "5m", "2h", "1d", a decimal fraction allowed ("1.5s"); a bare number means seconds.
 * CF_E_INVALID for anything else and beyond a year. */
enum cf_err cf_text_duration_parse(const char *text, uint64_t *ms, struct cf_detail *detail) CF_MUST_CHECK;

/* "0 ms", "340 ms", "4.2 s", "5 s", "1 min 5 s", "3 h 12 min", "2 d 4 h". */
void cf_text_duration(uint64_t ms, char out[CF_TEXT_NUMBER_MAX]);

/* "812 B", "3.4 KB", "64 MB": powers of 1,000. */
void cf_text_size(uint64_t bytes, char out[CF_TEXT_NUMBER_MAX]);

/* "2026-01-02 03:04:05 UTC" of milliseconds since 1970. */
void cf_text_time(uint64_t wall_ms, char out[CF_TEXT_NUMBER_MAX]);

/* Writes text that somebody else chose: control characters and broken UTF-8 become "?", so that a line stays
 * a line and a terminal is not commanded. */
void cf_text_put(FILE *out, struct cf_str text);

/* Columns that the text takes: its characters, combining and wide ones not told apart. */
size_t cf_text_width(struct cf_str text);

/* The text itself or, when it is not well-formed UTF-8, a copy with "?" in place of each wrong byte; `room`
 * holds text.len bytes. */
struct cf_str cf_text_repair(struct cf_str text, char *room);

#endif
