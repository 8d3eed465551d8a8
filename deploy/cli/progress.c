#include "deploy/cli/progress.h"

#include <unistd.h>

#include "deploy/cli/text.h"

enum { FIRST_MS = 1000, TERMINAL_MS = 100, LINE_MS = 1000, BAR_CELLS = 24, SAMPLES = 8 };

static void begin_anew(struct cf_progress *progress, uint64_t done, uint64_t now_ms)
{
    progress->samples[0].at_ms = now_ms;
    progress->samples[0].done = done;
    progress->sample_count = 1;
}

void cf_progress_init(struct cf_progress *progress, FILE *out, bool quiet, uint64_t now_ms)
{
    *progress = (struct cf_progress){.out = out, .quiet = quiet, .started_ms = now_ms, .shown_ms = now_ms};
    progress->terminal = isatty(fileno(out));
    begin_anew(progress, 0, now_ms);
}

static void draw_bar(char *out, uint64_t done, uint64_t total)
{
    size_t full = (size_t)((double)done / (double)total * BAR_CELLS);
    out[0] = '[';
    for (size_t i = 0; i < BAR_CELLS; i++)
        out[i + 1] = i < full ? '#' : '.';
    memcpy(out + BAR_CELLS + 1, "] ", 3);
}

void cf_progress_line(char out[CF_PROGRESS_LINE_MAX], uint64_t done, uint64_t total, double rate,
                      const char *words, bool bar)
{
    char drawn[BAR_CELLS + 4] = "", of[32] = "", left[16 + CF_TEXT_NUMBER_MAX] = "";
    if (total > 0 && done > total)
        done = total;
    if (total > 0) {
        snprintf(of, sizeof of, " of %llu", (unsigned long long)total);
        if (bar)
            draw_bar(drawn, done, total);
        if (rate > 0 && (double)(total - done) / rate >= 1 && (double)(total - done) / rate < 1e9) {
            char time[CF_TEXT_NUMBER_MAX];
            cf_text_duration((uint64_t)((double)(total - done) / rate) * 1000, time);
            snprintf(left, sizeof left, ", %s left", time);
        }
    }
    snprintf(out, CF_PROGRESS_LINE_MAX, "%s%llu%s, %.0f/s%s%s%s", drawn, (unsigned long long)done, of, rate,
             left, words[0] ? ", " : "", words);
}

static double take_sample(struct cf_progress *progress, uint64_t done, uint64_t now_ms)
{
    uint64_t last_ms = progress->samples[progress->sample_count - 1].at_ms;
    if (now_ms - last_ms >= LINE_MS) {
        if (progress->sample_count == SAMPLES) {
            memmove(progress->samples, progress->samples + 1, (SAMPLES - 1) * sizeof progress->samples[0]);
            progress->sample_count--;
        }
        progress->samples[progress->sample_count].at_ms = now_ms;
        progress->samples[progress->sample_count++].done = done;
    }
    uint64_t span_ms = now_ms - progress->samples[0].at_ms, before = progress->samples[0].done;
    return span_ms > 0 && done > before ? (double)(done - before) * 1000 / (double)span_ms : 0;
}

void cf_progress_show(struct cf_progress *progress, uint64_t done, uint64_t total, const char *words,
                      uint64_t now_ms)
{
    uint64_t every_ms = progress->terminal ? TERMINAL_MS : LINE_MS;
    if (done < progress->done)
        begin_anew(progress, done, now_ms);
    progress->done = done;
    if (progress->quiet || now_ms - progress->started_ms < FIRST_MS || now_ms - progress->shown_ms < every_ms)
        return;
    progress->shown_ms = now_ms;
    char line[CF_PROGRESS_LINE_MAX];
    cf_progress_line(line, done, total, take_sample(progress, done, now_ms), words, progress->terminal);
    fprintf(progress->out, progress->terminal ? "\r\033[K%s" : "%s\n", line);
    fflush(progress->out);
    progress->drawn = progress->terminal;
}

void cf_progress_clear(struct cf_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", progress->out);
    progress->drawn = false;
}
