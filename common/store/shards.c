#include "common/store/shards.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/home.h"

enum {
    NAME_BYTES_MAX = 64,
    VERIFY_TRIES = 3,
    RETRY_FIRST_MS = 20,
    RETRY_LAST_MS = 5000,
    PATIENCE_MS = 1000, /* how long a failure must last to be reported */
};

/* One folder below data/shards; opened or still to be opened. */
struct slot {
    char name[NAME_BYTES_MAX + 1];
    struct cf_shard *shard;    /* NULL until it could be opened */
    uint64_t failing_since_ms; /* 0: it does not fail */
    enum cf_err failure;
    uint64_t retry_at_ms, retry_ms;
    bool reported;
};

struct cf_shards {
    char *folder, *private_folder;
    cf_shards_problem *problem;
    void *problem_arg;
    struct slot **slots; /* every folder seen, in the order of discovery */
    size_t slot_count, slot_capacity;
    struct slot **open; /* those with a shard, in the order of opening: the positions that callers see */
    size_t open_count, open_capacity;
};

/* ---- private folders ---- */

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

static enum cf_err remove_tree(const char *path, struct cf_detail *detail)
{
    struct stat info;
    if (lstat(path, &info) != 0 && errno == ENOENT)
        return CF_OK;
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 ? CF_OK : cf_fail_errno(detail, path);
}

enum cf_err cf_shards_open(const char *folder, const char *private_folder, cf_shards_problem *problem,
                           void *arg, struct cf_shards **out, struct cf_detail *detail)
{
    if (strlen(folder) + NAME_BYTES_MAX + 2 > CF_HOME_PATH_MAX ||
        strlen(private_folder) + NAME_BYTES_MAX + 2 > CF_HOME_PATH_MAX)
        return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", folder);
    enum cf_err err = remove_tree(private_folder, detail);
    if (err != CF_OK)
        return err;
    struct cf_shards *shards = calloc(1, sizeof *shards);
    if (!shards)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", folder);
    shards->folder = strdup(folder);
    shards->private_folder = strdup(private_folder);
    shards->problem = problem;
    shards->problem_arg = arg;
    if (!shards->folder || !shards->private_folder) {
        cf_shards_free(shards);
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to open it", folder);
    }
    cf_shards_catch_up(shards);
    *out = shards;
    return CF_OK;
}

void cf_shards_free(struct cf_shards *shards)
{
    if (!shards)
        return;
    for (size_t i = 0; i < shards->slot_count; i++) {
        cf_shard_free(shards->slots[i]->shard);
        free(shards->slots[i]);
    }
    free(shards->slots);
    free(shards->open);
    free(shards->private_folder);
    free(shards->folder);
    free(shards);
}

/* ---- discovery ---- */

/* The name of a worker's slot; anything else in the folder is no shard. */
static bool is_shard_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return len >= 1 && len <= NAME_BYTES_MAX && name[len] == '\0';
}

static bool is_known(const struct cf_shards *shards, const char *name)
{
    for (size_t i = 0; i < shards->slot_count; i++)
        if (strcmp(shards->slots[i]->name, name) == 0)
            return true;
    return false;
}

static bool grow(struct slot ***list, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 2 * *capacity : 8;
    struct slot **grown = realloc(*list, wanted * sizeof(struct slot *));
    if (!grown)
        return false;
    *list = grown;
    *capacity = wanted;
    return true;
}

/* Short of memory nothing is added: the next scan sees the folder again. */
static void add_slot(struct cf_shards *shards, const char *name)
{
    if (!grow(&shards->slots, shards->slot_count, &shards->slot_capacity))
        return;
    struct slot *slot = calloc(1, sizeof *slot);
    if (!slot)
        return;
    snprintf(slot->name, sizeof slot->name, "%.*s", NAME_BYTES_MAX, name);
    shards->slots[shards->slot_count++] = slot;
}

static int by_name(const void *a, const void *b)
{
    const struct slot *const *left = a, *const *right = b;
    return strcmp((*left)->name, (*right)->name);
}

bool cf_shards_is_shard(const char *folder, const char *name)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    return is_shard_name(name) && (size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path &&
           stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static void discover(struct cf_shards *shards)
{
    DIR *folder = opendir(shards->folder);
    if (!folder)
        return; /* not there yet */
    size_t known = shards->slot_count;
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (!is_known(shards, entry->d_name) && cf_shards_is_shard(shards->folder, entry->d_name))
            add_slot(shards, entry->d_name);
    closedir(folder);
    if (shards->slot_count - known > 1)
        qsort(shards->slots + known, shards->slot_count - known, sizeof(struct slot *), by_name);
}

/* ---- following ---- */

static void note_failure(struct cf_shards *shards, struct slot *slot, uint64_t now_ms, enum cf_err err,
                         const struct cf_detail *detail)
{
    if (slot->failing_since_ms == 0)
        slot->failing_since_ms = now_ms;
    slot->failure = err;
    slot->retry_ms = slot->retry_ms ? 2 * slot->retry_ms : RETRY_FIRST_MS;
    if (slot->retry_ms > RETRY_LAST_MS)
        slot->retry_ms = RETRY_LAST_MS;
    slot->retry_at_ms = now_ms + slot->retry_ms;
    if (slot->reported || now_ms - slot->failing_since_ms < PATIENCE_MS)
        return;
    slot->reported = true;
    if (shards->problem)
        shards->problem(shards->problem_arg, slot->name, err, detail);
}

static void note_success(struct slot *slot)
{
    slot->failing_since_ms = slot->retry_at_ms = slot->retry_ms = 0;
    slot->reported = false;
}

/* A primary that is at work may delete a table before we come to it. */
static enum cf_err verify(const char *path, const char *private_path, struct cf_detail *detail)
{
    enum cf_err err = cf_shard_verify(path, private_path, detail);
    for (int i = 1; i < VERIFY_TRIES && err != CF_OK; i++)
        err = cf_shard_verify(path, private_path, detail);
    return err;
}

static enum cf_err open_slot(struct cf_shards *shards, struct slot *slot, struct cf_detail *detail)
{
    if (!grow(&shards->open, shards->open_count, &shards->open_capacity))
        return cf_fail(detail, CF_E_NO_MEMORY, "%s: no memory to open it", slot->name);
    char path[CF_HOME_PATH_MAX], private_path[CF_HOME_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", shards->folder, slot->name);
    snprintf(private_path, sizeof private_path, "%s/%s", shards->private_folder, slot->name);
    enum cf_err err = verify(path, private_path, detail);
    if (err == CF_OK)
        err = cf_shard_open_secondary(path, private_path, &slot->shard, detail);
    if (err == CF_OK)
        shards->open[shards->open_count++] = slot;
    return err;
}

void cf_shards_catch_up(struct cf_shards *shards)
{
    discover(shards);
    uint64_t now_ms = cf_clock_mono_ms();
    for (size_t i = 0; i < shards->slot_count; i++) {
        struct slot *slot = shards->slots[i];
        if (slot->retry_at_ms > now_ms)
            continue;
        struct cf_detail detail = {""};
        enum cf_err err =
            slot->shard ? cf_shard_catch_up(slot->shard, &detail) : open_slot(shards, slot, &detail);
        if (err == CF_OK)
            note_success(slot);
        else
            note_failure(shards, slot, now_ms, err, &detail);
    }
}

static bool is_unreadable(const struct slot *slot)
{
    return slot->failing_since_ms && (slot->reported || (!slot->shard && slot->failure != CF_E_NOT_FOUND));
}

const char *cf_shards_unreadable(const struct cf_shards *shards, size_t i)
{
    for (size_t s = 0; s < shards->slot_count; s++)
        if (is_unreadable(shards->slots[s]) && i-- == 0)
            return shards->slots[s]->name;
    return NULL;
}

/* ---- reading ---- */

size_t cf_shards_count(const struct cf_shards *shards)
{
    return shards->open_count;
}

const char *cf_shards_name(const struct cf_shards *shards, size_t i)
{
    CF_CHECK(i < shards->open_count);
    return shards->open[i]->name;
}

struct cf_shard *cf_shards_get(struct cf_shards *shards, size_t i)
{
    CF_CHECK(i < shards->open_count);
    return shards->open[i]->shard;
}

enum cf_err cf_shards_album(struct cf_shards *shards, struct cf_str id, struct cf_arena *arena,
                            struct cf_shard_album *album, size_t *shard, struct cf_detail *detail)
{
    struct cf_shard_album newest = {0}, found;
    size_t newest_shard = SIZE_MAX;
    for (size_t i = 0; i < shards->open_count; i++) {
        enum cf_err err = cf_shard_album(shards->open[i]->shard, id, arena, &found, detail);
        if (err == CF_E_NOT_FOUND)
            continue;
        if (err != CF_OK)
            return err;
        if (newest_shard == SIZE_MAX || cf_version_compare(found.version, newest.version) > 0) {
            newest = found;
            newest_shard = i;
        }
    }
    if (newest_shard == SIZE_MAX)
        return cf_fail(detail, CF_E_NOT_FOUND, "no shard knows the album %.*s", CF_STR_ARG(id));
    *album = newest;
    *shard = newest_shard;
    return CF_OK;
}

/* ---- the merge ---- */

struct head {
    struct cf_shard_walk *walk;
    bool taken, ended; /* taken: its album was given out or lost to a newer version */
    struct cf_str id;
    struct cf_shard_album album;
};

struct cf_shards_walk {
    size_t count;
    size_t given; /* whose album was given last */
    struct head heads[];
};

enum cf_err cf_shards_walk_new(struct cf_shards *shards, struct cf_shards_walk **out,
                               struct cf_detail *detail)
{
    struct cf_shards_walk *walk = calloc(1, sizeof *walk + shards->open_count * sizeof walk->heads[0]);
    if (!walk)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to walk over %zu shards", shards->open_count);
    walk->given = SIZE_MAX;
    enum cf_err err = CF_OK;
    for (; walk->count < shards->open_count && err == CF_OK; walk->count++) {
        struct head *head = &walk->heads[walk->count];
        head->taken = true;
        err = cf_shard_walk_new(shards->open[walk->count]->shard, &head->walk, detail);
    }
    if (err != CF_OK) {
        cf_shards_walk_free(walk);
        return err;
    }
    *out = walk;
    return CF_OK;
}

static enum cf_err refill(struct cf_shards_walk *walk, struct cf_detail *detail)
{
    for (size_t i = 0; i < walk->count; i++) {
        struct head *head = &walk->heads[i];
        if (!head->taken || head->ended)
            continue;
        enum cf_err err = cf_shard_walk_next(head->walk, &head->id, &head->album, detail);
        if (err != CF_OK && err != CF_E_NOT_FOUND)
            return err;
        head->ended = err == CF_E_NOT_FOUND;
        head->taken = false;
    }
    return CF_OK;
}

static int compare_ids(struct cf_str a, struct cf_str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The smallest id; among equal ones the newest version, then the lower shard. */
static size_t choose(struct cf_shards_walk *walk)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < walk->count; i++) {
        const struct head *head = &walk->heads[i];
        if (head->ended)
            continue;
        int order = best == SIZE_MAX ? -1 : compare_ids(head->id, walk->heads[best].id);
        if (order < 0 ||
            (order == 0 && cf_version_compare(head->album.version, walk->heads[best].album.version) > 0))
            best = i;
    }
    return best;
}

enum cf_err cf_shards_walk_next(struct cf_shards_walk *walk, size_t *shard, struct cf_str *id,
                                struct cf_shard_album *album, struct cf_detail *detail)
{
    enum cf_err err = refill(walk, detail);
    if (err != CF_OK)
        return err;
    size_t best = choose(walk);
    if (best == SIZE_MAX)
        return CF_E_NOT_FOUND;
    for (size_t i = 0; i < walk->count; i++) {
        struct head *head = &walk->heads[i];
        head->taken = !head->ended && compare_ids(head->id, walk->heads[best].id) == 0;
    }
    *shard = walk->given = best;
    *id = walk->heads[best].id;
    *album = walk->heads[best].album;
    return CF_OK;
}

enum cf_err cf_shards_walk_with(struct cf_shards_walk *walk, struct cf_str space, uint32_t space_version,
                                struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < walk->count && err == CF_OK; i++)
        err = cf_shard_walk_with(walk->heads[i].walk, space, space_version, detail);
    return err;
}

enum cf_err cf_shards_walk_vector(struct cf_shards_walk *walk, float *out, size_t dim,
                                  struct cf_detail *detail)
{
    CF_CHECK(walk->given < walk->count);
    return cf_shard_walk_vector(walk->heads[walk->given].walk, out, dim, detail);
}

void cf_shards_walk_free(struct cf_shards_walk *walk)
{
    if (!walk)
        return;
    for (size_t i = 0; i < walk->count; i++)
        cf_shard_walk_free(walk->heads[i].walk);
    free(walk);
}
