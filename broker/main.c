#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/base/log.h"

#ifndef CF_VERSION
#define CF_VERSION "unknown"
#endif

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, LINGER_MS = 500 };

static const char help[] = "Usage: coverfleet-broker\n\n"
                           "The broker of the fleet in COVERFLEET_HOME: takes covers, keeps them safe in its "
                           "journal, hands them to\n"
                           "descriptor workers and brings queries to query workers.\n\n"
                           "  --help      this text\n"
                           "  --version   the program's version\n\n"
                           "Environment: COVERFLEET_HOME, the fleet's folder with its coverfleet.conf.\n"
                           "Signals: SIGTERM and SIGINT end in order; a second one ends at once.\n"
                           "Exit codes: 0 done, 1 failed, 2 bad usage or configuration.\n";

/* -1 to go on. */
static int read_arguments(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_DONE;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("coverfleet-broker " CF_VERSION);
        return EXIT_DONE;
    }
    if (argc == 1)
        return -1;
    fputs("coverfleet-broker: no arguments are expected; see --help\n", stderr);
    return EXIT_USAGE;
}

static int complain(const struct cf_detail *detail, int code)
{
    fprintf(stderr, "coverfleet-broker: %s\n", detail->text);
    return code;
}

/* The effective values, one a line, before the log limits the rate. */
static void log_settings(const struct cf_home *home, const struct cf_config *config)
{
    cf_log(CF_LOG_INFO, "broker_starts", "version=%s pid=%d home=\"%s\"", CF_VERSION, (int)getpid(),
           home->root);
    char *text = NULL, *rest = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    cf_config_print(config, out);
    if (fclose(out) == 0)
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
            cf_log(CF_LOG_INFO, "setting", "%s", line);
    free(text);
}

static void on_stop(void *arg)
{
    cf_log(CF_LOG_INFO, "broker_stops", "pid=%d", (int)getpid());
    cf_loop_stop(arg);
}

static int run(const struct cf_home *home, const struct cf_config *config)
{
    struct cf_detail detail = {0};
    struct cf_loop *loop = NULL;
    struct cf_broker *broker = NULL;
    enum cf_err err = cf_loop_new(&loop, &detail);
    if (err)
        return complain(&detail, EXIT_FAILED);
    err = cf_broker_new(loop, home, config, &broker, &detail);
    if (!err) {
        cf_loop_on_stop(loop, on_stop, loop);
        cf_log(CF_LOG_INFO, "broker_ready", "clients=\"%s\" workers=\"%s\" events=\"%s\"",
               config->client_endpoints[0], config->worker_endpoints[0], config->event_endpoints[0]);
        err = cf_loop_run(loop, &detail);
    }
    cf_broker_free(broker);
    cf_loop_free(loop, LINGER_MS);
    return err ? complain(&detail, EXIT_FAILED) : EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct cf_home home;
    static struct cf_config config;
    struct cf_detail detail = {0};
    int code = read_arguments(argc, argv);
    if (code >= 0)
        return code;
    if (cf_home_resolve(&home, &detail) || cf_config_load(&config, &home, &detail) ||
        cf_log_init("broker", config.log_level, &detail))
        return complain(&detail, EXIT_USAGE);
    if (cf_home_create(&home, &detail))
        return complain(&detail, EXIT_FAILED);
    log_settings(&home, &config);
    return run(&home, &config);
}
