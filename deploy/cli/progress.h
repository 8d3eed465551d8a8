/* How a long work goes, on standard error: a bar with rate and time left on a terminal, else a line a second;
 * nothing for work that ends within a second. */
#ifndef CF_CLI_PROGRESS_H
#define CF_CLI_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/span.h"

enum { CF_PROGRESS_LINE_MAX = 160 };

struct cf_progress {
    FILE *out;
    bool terminal;
    bool quiet;
    bool drawn; /* a bar stands on the terminal's line */
    uint64_t started_ms, shown_ms;
    /* The rate is that of the last seconds: a sample each, oldest first. */
    struct {
        uint64_t at_ms, done;
    } samples[8];
    size_t sample_count;
    uint64_t done; /* when last told: what falls behind it begins anew, as a second pass does */
};

/* `now_ms` is monotonic here and below. */
void cf_progress_init(struct cf_progress *progress, FILE *out, bool quiet, uint64_t now_ms);

/* `total` 0: not known. `words` follows the numbers. */
void cf_progress_show(struct cf_progress *progress, uint64_t done, uint64_t total, const char *words,
                      uint64_t now_ms);

/* Clears the bar, so that a line can be printed or the work is over. */
void cf_progress_clear(struct cf_progress *progress);

/* The line that show draws; pure. `bar` leaves room for one. */
void cf_progress_line(char out[CF_PROGRESS_LINE_MAX], uint64_t done, uint64_t total, double rate,
                      const char *words, bool bar);

#endif
