#include "common/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CF_LOG_LINES_PER_SECOND_MAX = 100 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *log_component = "coverfleet";
static enum cf_log_level log_level = CF_LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    time_t second;
    unsigned lines;
    unsigned suppressed;
} rate[4];

enum cf_err cf_log_init(const char *component, const char *level, struct cf_detail *detail)
{
    for (unsigned i = 0; i < 4; i++)
        if (strcmp(level, level_names[i]) == 0) {
            log_level = (enum cf_log_level)i;
            log_component = component;
            return CF_OK;
        }
    return cf_fail(detail, CF_E_INVALID, "log level \"%s\": it must be debug, info, warn or error", level);
}

static void write_line(const struct timespec *now, enum cf_log_level level, const char *event, char *text)
{
    struct tm utc;
    char stamp[32];
    gmtime_r(&now->tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = '?';
    fprintf(stderr, "%s.%03ldZ %s %s event=%s%s%s\n", stamp, now->tv_nsec / 1000000, level_names[level], log_component,
            event, *text ? " " : "", text);
}

/* Under the lock: may this line go out? Also reports what was held back in the second before. */
static bool admit(const struct timespec *now, enum cf_log_level level)
{
    if (rate[level].second != now->tv_sec) {
        if (rate[level].suppressed) {
            char text[64];
            snprintf(text, sizeof text, "lines=%u", rate[level].suppressed);
            write_line(now, level, "log_suppressed", text);
        }
        rate[level].second = now->tv_sec;
        rate[level].lines = rate[level].suppressed = 0;
    }
    if (rate[level].lines++ < CF_LOG_LINES_PER_SECOND_MAX)
        return true;
    rate[level].suppressed++;
    return false;
}

void cf_log(enum cf_log_level level, const char *event, const char *fmt, ...)
{
    if (level < log_level)
        return;
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&lock);
    if (admit(&now, level))
        write_line(&now, level, event, text);
    pthread_mutex_unlock(&lock);
}
