/* One structured line to stderr per event:
 *     2026-01-02T03:04:05.678Z warn broker event=job_dead album="R-1" reason=not_an_image
 * Libraries do not log: the layer that decides does, once. Any thread; over 100 lines a second of one level are
 * counted and summed up in one later line instead. */
#ifndef CF_BASE_LOG_H
#define CF_BASE_LOG_H

#include "common/base/err.h"

enum cf_log_level { CF_LOG_DEBUG, CF_LOG_INFO, CF_LOG_WARN, CF_LOG_ERROR };

/* `component` (borrowed for ever) stands in every line. `level` is debug, info, warn or error, else CF_E_INVALID. */
enum cf_err cf_log_init(const char *component, const char *level, struct cf_detail *detail) CF_MUST_CHECK;

/* `event` is a snake_case word; `fmt` gives key=value pairs, may be "". Quote free text with %s inside \"…\":
 * control characters and quotes in the formatted text are replaced, so a line stays a line. */
void cf_log(enum cf_log_level level, const char *event, const char *fmt, ...) CF_PRINTF(3, 4);

#endif
