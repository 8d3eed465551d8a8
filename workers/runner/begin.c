#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/cpu.h"
#include "common/base/log.h"
#include "workers/runner/runner.h"

#ifndef CF_VERSION
#define CF_VERSION "unknown"
#endif

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, LINE_BYTES_MAX = 900 };
enum { LOCK_WAIT_MS = 2000, LOCK_POLL_MS = 50 }; /* for one that is just ending */

static const char *const role_purpose[CF_ROLE_COUNT] = {
    "fetches covers, describes them and writes the vectors to the shard of its slot",
    "follows the shards and builds the index of every space",
    "serves the newest index and what is not in it yet",
};

static void print_help(enum cf_role role)
{
    const char *name = cf_role_name(role);
    printf("Usage: coverfleet-%s [SLOT]\n\n"
           "A worker of the fleet in COVERFLEET_HOME: %s.\n\n"
           "SLOT names this worker among its like (letters, digits, '-' and '_'); the default is %s-0.\n"
           "Two workers of one slot cannot run: the second one ends with \"locked\".\n\n"
           "  --help      this text\n"
           "  --version   the program's version\n\n"
           "Environment: COVERFLEET_HOME, the fleet's folder; COVERFLEET_SIMD=scalar|avx2|avx512.\n"
           "Signals: SIGTERM and SIGINT finish what is in hand and leave; a second one ends at once.\n"
           "Exit codes: 0 done, 1 failed, 2 bad usage or configuration.\n",
           name, role_purpose[role], name);
}

static bool is_slot_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return len > 0 && name[len] == '\0' && name[0] != '-';
}

/* The slot's name into `name`; -1 to go on. */
static int read_arguments(int argc, char **argv, enum cf_role role, char *name, size_t name_size)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help(role);
        return EXIT_DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        printf("coverfleet-%s %s\n", cf_role_name(role), CF_VERSION);
        return EXIT_DONE;
    }
    int len = argc > 1 ? snprintf(name, name_size, "%s", argv[1])
                       : snprintf(name, name_size, "%s-0", cf_role_name(role));
    if (argc > 2 || !is_slot_name(argc > 1 ? argv[1] : name) || len >= (int)name_size) {
        fprintf(
            stderr,
            "coverfleet-%s: one slot name of letters, digits, '-' and '_', at most %zu bytes, is expected; "
            "see --help\n",
            cf_role_name(role), name_size - 1);
        return EXIT_USAGE;
    }
    return -1;
}

/* Puts "key = value" lines together to few log lines. */
static void log_settings(char *settings)
{
    char text[LINE_BYTES_MAX + 1];
    size_t len = 0;
    char *rest = NULL;
    for (char *line = strtok_r(settings, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        size_t more = strlen(line) + 2;
        if (len > 0 && len + more > LINE_BYTES_MAX) {
            cf_log(CF_LOG_INFO, "settings", "%s", text);
            len = 0;
        }
        int wrote = snprintf(text + len, sizeof text - len, "%s%s", len ? "; " : "", line);
        len += (size_t)wrote < sizeof text - len ? (size_t)wrote : sizeof text - len - 1;
    }
    if (len > 0)
        cf_log(CF_LOG_INFO, "settings", "%s", text);
}

static void log_start(const struct cf_home *home, const struct cf_config *config, enum cf_role role)
{
    cf_log(CF_LOG_INFO, "worker_started", "role=%s version=%s pid=%d simd=%s home=\"%s\"", cf_role_name(role),
           CF_VERSION, (int)getpid(), cf_simd_name(cf_cpu_simd()), home->root);
    char *settings = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&settings, &size);
    if (!out)
        return;
    cf_config_print(config, out);
    if (fclose(out) == 0)
        log_settings(settings);
    free(settings);
}

/* A record lock: it is this process's alone, no child inherits it, and it ends with the process however that
 * ends. The descriptor stays open for life. */
static enum cf_err lock_slot(const struct cf_home *home, const char *name, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "run/%s.lock", name);
    if (err)
        return err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return cf_fail_errno(detail, path);
    uint64_t until_ms = cf_clock_mono_ms() + LOCK_WAIT_MS;
    while (fcntl(fd, F_SETLK, &lock) != 0) {
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            err = cf_fail_errno(detail, path);
        else if (cf_clock_mono_ms() >= until_ms)
            err = cf_fail(detail, CF_E_LOCKED,
                          "locked: another worker \"%s\" runs on this home: it holds %.200s", name, path);
        if (err) {
            close(fd);
            return err;
        }
        (void)poll(NULL, 0, LOCK_POLL_MS);
    }
    return CF_OK;
}

int cf_worker_begin(int argc, char **argv, enum cf_role role, struct cf_home *home, struct cf_config *config,
                    char *name, size_t name_size)
{
    static char component[64]; /* the log keeps it */
    struct cf_detail detail = {{0}};
    int code = read_arguments(argc, argv, role, name, name_size);
    if (code >= 0)
        return code;
    snprintf(component, sizeof component, "%s", name);
    enum cf_err err = cf_home_resolve(home, &detail);
    if (err == CF_OK)
        err = cf_config_load(config, home, &detail);
    if (err == CF_OK)
        err = cf_log_init(component, config->log_level, &detail);
    if (err == CF_OK)
        err = cf_cpu_init(&detail);
    code = EXIT_USAGE;
    if (err == CF_OK) {
        err = cf_home_create(home, &detail);
        code = EXIT_REFUSED;
    }
    if (err == CF_OK)
        err = lock_slot(home, name, &detail);
    if (err != CF_OK) {
        fprintf(stderr, "coverfleet-%s: %s\n", cf_role_name(role), detail.text);
        return code;
    }
    log_start(home, config, role);
    return -1;
}
