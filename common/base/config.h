/* The configuration of every process of a fleet: one file, units in the keys, an unknown key is fatal.
 * deploy/coverfleet.conf is the manual; a test parses it and compares it with the defaults. */
#ifndef CF_BASE_CONFIG_H
#define CF_BASE_CONFIG_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/err.h"
#include "common/base/home.h"

#define CF_CONFIG_LIST_MAX 16
#define CF_CONFIG_TEXT_MAX 512

/* X(section, key, type, default, minimum, maximum); type INT or REAL. Texts and lists stand apart. */
#define CF_CONFIG_NUMBERS(X)                                                                                           \
    X(broker, message_bytes_max, INT, 67108864, 4096, 1073741824)                                                      \
    X(broker, queue_jobs_max, INT, 1000000, 1, 100000000)                                                              \
    X(broker, queue_bytes_max, INT, 8589934592, 1048576, 1099511627776)                                                \
    X(broker, lease_ms, INT, 30000, 100, 86400000)                                                                     \
    X(broker, attempts_max, INT, 5, 1, 1000)                                                                           \
    X(broker, retry_base_ms, INT, 500, 1, 3600000)                                                                     \
    X(broker, retry_cap_ms, INT, 60000, 1, 86400000)                                                                   \
    X(broker, heartbeat_ms, INT, 250, 10, 60000)                                                                       \
    X(broker, heartbeat_timeout_ms, INT, 2000, 50, 600000)                                                             \
    X(broker, disk_reserve_bytes, INT, 33554432, 0, 1099511627776)                                                     \
    X(broker, query_deadline_ms, INT, 5000, 1, 600000)                                                                 \
    X(broker, query_outstanding_max, INT, 64, 1, 100000)                                                               \
    X(broker, query_waiting_max, INT, 1024, 1, 1000000)                                                                \
    X(descriptor, workers, INT, 2, 0, 256)                                                                             \
    X(descriptor, credit, INT, 128, 1, 4096)                                                                           \
    X(descriptor, batch_albums_max, INT, 64, 1, 1024)                                                                  \
    X(image, bytes_max, INT, 67108864, 64, 1073741824)                                                                 \
    X(image, side_max, INT, 16384, 8, 65500)                                                                           \
    X(image, pixels_max, INT, 100000000, 64, 4290250000)                                                               \
    X(image, scans_max, INT, 100, 1, 10000)                                                                            \
    X(image, memory_bytes_max, INT, 1073741824, 16777216, 68719476736)                                                 \
    X(image, decode_ms, INT, 10000, 10, 600000)                                                                        \
    X(indexer, quiet_ms, INT, 2000, 0, 86400000)                                                                       \
    X(indexer, interval_ms, INT, 10000, 0, 86400000)                                                                   \
    X(indexer, poll_ms, INT, 100, 1, 60000)                                                                            \
    X(indexer, generations_keep, INT, 2, 1, 100)                                                                       \
    X(indexer, threads, INT, 1, 1, 256)                                                                                \
    X(indexer, nice, INT, 9, 0, 19)                                                                                    \
    X(indexer, seed, INT, 1, 0, 4294967295)                                                                            \
    X(query, workers, INT, 1, 0, 256)                                                                                  \
    X(query, poll_ms, INT, 20, 1, 60000)                                                                               \
    X(query, k_max, INT, 10000, 1, 10000)                                                                              \
    X(query, batch_max, INT, 1024, 1, 10000)                                                                           \
    X(query, recall_default, REAL, 0.95, 0.5, 1.0)                                                                     \
    X(query, recall_check_one_in, INT, 1000, 0, 1000000000)

struct cf_config {
    char log_level[16];
    /* ZeroMQ endpoints, more than one may be bound; empty lists mean ipc sockets in the fleet's run folder. */
    char client_endpoints[CF_CONFIG_LIST_MAX][CF_CONFIG_TEXT_MAX];
    char worker_endpoints[CF_CONFIG_LIST_MAX][CF_CONFIG_TEXT_MAX];
    char event_endpoints[CF_CONFIG_LIST_MAX][CF_CONFIG_TEXT_MAX];
    /* Absolute folders below which descriptor workers may read a cover pushed by path; none by default. */
    char roots[CF_CONFIG_LIST_MAX][CF_CONFIG_TEXT_MAX];
    /* Names of the spaces that the fleet describes covers in; whether they exist is for common/descriptor to
     * say. */
    char spaces[CF_CONFIG_LIST_MAX][CF_CONFIG_TEXT_MAX];
    size_t client_endpoint_count, worker_endpoint_count, event_endpoint_count, root_count, space_count;
    char descriptor_model[CF_CONFIG_TEXT_MAX]; /* empty: the one that came with the programs */
#define CF_CONFIG_FIELD_INT int64_t
#define CF_CONFIG_FIELD_REAL double
#define CF_CONFIG_FIELD(section, key, type, standard, low, high) CF_CONFIG_FIELD_##type section##_##key;
    CF_CONFIG_NUMBERS(CF_CONFIG_FIELD)
#undef CF_CONFIG_FIELD
};

/* Defaults, with the ipc endpoints of `home`. */
void cf_config_default(struct cf_config *config, const struct cf_home *home);

/* HOME/coverfleet.conf over the defaults; no such file is no error, anything wrong in it is: CF_E_INVALID with file,
 * line and key. Any thread. */
enum cf_err cf_config_load(struct cf_config *config, const struct cf_home *home, struct cf_detail *detail) CF_MUST_CHECK;

/* As cf_config_load, from a named file, which must exist. */
enum cf_err cf_config_load_file(struct cf_config *config, const struct cf_home *home, const char *path,
                                struct cf_detail *detail) CF_MUST_CHECK;

/* The effective values, one `section.key = value` a line. */
void cf_config_print(const struct cf_config *config, FILE *out);

#endif
