/* The judge's input: who listened to what, and what was liked. Tab-separated text with a line of names first;
 * columns are found by name, others are passed over, so that a table may carry more. What is wrong is one
 * error that names the file and the line.
 *
 *   listens: user, album, count (optional: 1; at most 1e12), time (optional, in seconds)
 *   thumbs:  user, album, thumb (+1, 1 or -1), time (optional), seed (optional: what it was shown for)
 *
 * A user's listens are put in order of time where there is one, and otherwise keep that of the file.
 *
 * Users and albums become numbers, 0, 1, … in order of first appearance, through one `cf_names` shared by all
 * tables of a run. Memory: 16 bytes a listen, 24 a thumb, the ids once. One thread. */
#ifndef CF_RECOMMEND_TABLE_H
#define CF_RECOMMEND_TABLE_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/span.h"

#define CF_NO_NUMBER        UINT32_MAX
#define CF_LISTEN_COUNT_MAX 1e12f /* so that sums of them, and their squares, stay finite */

/* Interned ids: users or albums. */
struct cf_names;
struct cf_names *cf_names_new(void);        /* NULL when memory is short */
void cf_names_free(struct cf_names *names); /* takes NULL */
/* The number of an id; with `add` a new id gets the next number. CF_NO_NUMBER when it is unknown (or memory
 * is short). */
uint32_t cf_names_number(struct cf_names *names, struct cf_str id, bool add);
struct cf_str cf_names_at(const struct cf_names *names, uint32_t number); /* borrowed */
uint32_t cf_names_count(const struct cf_names *names);

struct cf_listen {
    uint32_t user, album;
    float count;   /* above 0, at most CF_LISTEN_COUNT_MAX */
    uint32_t time; /* 0: not known */
};

struct cf_thumb {
    uint32_t user, album;
    uint32_t seed; /* CF_NO_NUMBER: none */
    uint32_t time; /* 0: not known */
    bool up;
};

struct cf_listens {
    struct cf_listen *items; /* by user, then by time, then as in the file */
    size_t count;
    bool has_times;
};

struct cf_thumbs {
    struct cf_thumb *items; /* as in the file */
    size_t count;
    size_t replaced; /* lines whose pair comes again further down */
    bool has_times;
};

/* How far reading has come, for a progress bar: bytes of the file's. May be NULL. */
typedef void cf_table_progress(void *arg, uint64_t done, uint64_t all);

/* CF_E_NOT_FOUND, CF_E_INVALID (a missing column, a line that is wrong: file, line and what to do),
 * CF_E_NO_MEMORY. A pair of user and album may come more than once in listens (each is a listen); in thumbs,
 * with the same seed, the last line counts, as somebody's second thought. An empty table (a line of names
 * only, or nothing at all) is CF_E_INVALID too. */
enum cf_err cf_listens_read(const char *path, struct cf_names *users, struct cf_names *albums,
                            struct cf_listens *listens, cf_table_progress *progress, void *arg,
                            struct cf_detail *detail) CF_MUST_CHECK;
void cf_listens_fini(struct cf_listens *listens);
enum cf_err cf_thumbs_read(const char *path, struct cf_names *users, struct cf_names *albums,
                           struct cf_thumbs *thumbs, cf_table_progress *progress, void *arg,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_thumbs_fini(struct cf_thumbs *thumbs);

#endif
