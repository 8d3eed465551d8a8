/* Where covers to push come from: ALBUM=FILE, folders, lines of standard input, a table, or somebody else.
 * One owner. */
#ifndef CF_CLI_PUSH_SOURCE_H
#define CF_CLI_PUSH_SOURCE_H

#include "common/base/album.h"
#include "common/base/arena.h"

struct cf_source;

/* One cover as it was named; nothing of it is checked. Borrows from the arena that it was read into. */
struct cf_cover {
    struct cf_str album;
    const char *path; /* terminated */
    struct cf_bytes
        bytes; /* when not empty: these instead of what lies at `path`, which is only a name then */
    struct cf_pair *meta;
    size_t meta_count;
    enum cf_err err; /* the line or row that named it was wrong: `detail` says how */
    struct cf_detail detail;
};

/* `names`: "ALBUM=FILE", a folder, or "-" each; borrowed. `table` may be NULL; covers in it are relative to
 * `root`, or to the table's own folder when that is NULL. CF_E_INVALID names what is none of these; errors of
 * the table's header. */
enum cf_err cf_source_new(struct cf_source **source, const char *const *names, size_t name_count,
                          const char *table, const char *root, struct cf_detail *detail) CF_MUST_CHECK;
void cf_source_free(struct cf_source *source); /* takes NULL */

/* Covers that somebody else makes, as the two calls below say. */
struct cf_source_ops {
    enum cf_err (*next)(void *arg, struct cf_arena *arena, struct cf_cover *cover, bool *end,
                        struct cf_detail *detail);
    uint64_t (*total)(const void *arg);
};
enum cf_err cf_source_new_of(struct cf_source **source, const struct cf_source_ops *ops, void *arg,
                             struct cf_detail *detail) CF_MUST_CHECK;

/* From here on an album that was given before is refused, with an error that names both covers, however it is
 * named: where ids may not come twice. Of files in folders that is so anyway, since there nobody chose the
 * ids. */
void cf_source_once(struct cf_source *source);

/* How many covers it will give; 0 when that cannot be told beforehand. */
uint64_t cf_source_total(const struct cf_source *source);

/* How many files of folders are no covers by their names (.txt, .json and the like) and will not be given. */
uint64_t cf_source_passed_over(const struct cf_source *source);

/* The next cover, into `arena`; `*end` instead when there is none. CF_E_IO and CF_E_NO_MEMORY end the source.
 */
enum cf_err cf_source_next(struct cf_source *source, struct cf_arena *arena, struct cf_cover *cover,
                           bool *end, struct cf_detail *detail) CF_MUST_CHECK;

/* Splits "ALBUM<TAB>FILE" or, without a tab, "ALBUM=FILE" at the first; false when there is neither or no
 * file. */
bool cf_source_split(struct cf_str text, struct cf_str *album, struct cf_str *path);

/* "covers/R-1.front.jpg" to "R-1.front": no folder, no extension. */
struct cf_str cf_source_album_of(const char *file);

#endif
