/* The generations of a space that queries are answered from, as the indexer sees them: the newest good whole
 * one and the newest good small one of it. One thread. What is damaged is logged by name and passed over. */
#ifndef CF_WORKERS_INDEXER_SERVED_H
#define CF_WORKERS_INDEXER_SERVED_H

#include "common/ann/ann.h"
#include "common/base/arena.h"
#include "common/descriptor/space.h"
#include "common/store/generation.h"

/* One file of the two. */
struct cf_part {
    struct cf_arena *arena; /* of `generation` */
    struct cf_ann *ann;
    struct cf_generation generation; /* number 0: there is none */
    uint64_t count, published_ms;
    uint64_t modified_ns, bytes; /* of the file, when it was read */
};

struct cf_served {
    const struct cf_home *home;
    const struct cf_space *space;
    struct cf_part whole, small;
    uint64_t highest;    /* number of all files and of those that are gone */
    uint64_t count;      /* albums that can be found */
    bool damaged;        /* a whole one that is newer than ours is: a new whole one should take its place */
    uint64_t look_at_ms; /* when to read the files again; 0: not known yet */
};

/* Without any generation. Borrows. */
struct cf_served cf_served(const struct cf_home *home, const struct cf_space *space);
void cf_served_fini(struct cf_served *served); /* the same as without any */

/* Sweeps, then takes the newest good ones from the disk; names small ones whose base is not there. */
void cf_served_load(struct cf_served *served);
/* Opens, checks and takes one; a whole one takes the place of both. Untouched on failure: CF_E_CORRUPT,
 * CF_E_BAD_VERSION, CF_E_NOT_FOUND, CF_E_NO_MEMORY. `base` 0: a whole one. */
enum cf_err cf_served_adopt(struct cf_served *served, uint64_t number, uint64_t base,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* Opens and checks the file of a number wherever it lies, and takes nothing. As cf_served_adopt fails; `part`
 * is the caller's. Any thread: only what never changes is looked at. */
enum cf_err cf_part_open(const struct cf_served *served, const char *path, uint64_t number, uint64_t base,
                         struct cf_part *part, struct cf_detail *detail) CF_MUST_CHECK;
void cf_part_fini(struct cf_part *part); /* as if it had not been opened */
/* Takes an open one, which is then ours: as cf_served_adopt, without a look at its base. */
void cf_served_take(struct cf_served *served, struct cf_part *part);
/* Forgets what somebody deleted: a small one alone, a whole one with its small one. */
void cf_served_notice_gone(struct cf_served *served);
/* Reads what was written to since it was taken, and everything once an hour; what is damaged now is named,
 * and the newest good ones on the disk are taken instead. `now_ms` is monotonic. */
void cf_served_notice_damage(struct cf_served *served, uint64_t now_ms);
/* Deletes what `keep` does not cover, and damaged ones of the newest's kind that are newer than `previous`
 * (0: none), the one that it follows: they must not count as kept. */
void cf_served_prune(const struct cf_served *served, uint64_t previous, size_t keep);

/* The newer of the two: its number and marks are the pair's. */
const struct cf_part *cf_served_newest(const struct cf_served *served);
/* The file of a number; as cf_generation_path and cf_generation_small_path. */
enum cf_err cf_served_path(const struct cf_served *served, uint64_t number, uint64_t base, char *path,
                           size_t size, struct cf_detail *detail) CF_MUST_CHECK;

#endif
