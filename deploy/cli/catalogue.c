#include "deploy/cli/catalogue.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

enum { PATIENCE_MS = 2000, LOOK_MS = 50 };

static void on_problem(void *arg, const char *shard, enum cf_err err, const struct cf_detail *detail)
{
    struct cf_catalogue *catalogue = arg;
    snprintf(catalogue->problem, sizeof catalogue->problem, "%s: %s: %s", shard, cf_err_name(err),
             detail->text);
}

static bool is_folder(const char *folder, const char *name)
{
    char path[CF_HOME_PATH_MAX + NAME_MAX + 2];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return name[0] != '.' && stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static size_t count_folders(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));)
        count += is_folder(path, entry->d_name) ? 1 : 0;
    if (folder)
        closedir(folder);
    return count;
}

static void wait_for_all(struct cf_catalogue *catalogue, size_t folders)
{
    uint64_t until_ms = cf_clock_mono_ms() + PATIENCE_MS;
    while ((cf_shards_count(catalogue->shards) < folders || cf_shards_unreadable(catalogue->shards, 0)) &&
           cf_clock_mono_ms() < until_ms) {
        (void)poll(NULL, 0, LOOK_MS);
        cf_shards_catch_up(catalogue->shards);
    }
}

enum cf_err cf_catalogue_open(struct cf_catalogue *catalogue, const char *purpose, struct cf_detail *detail)
{
    struct cf_home home;
    char folder[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_resolve(&home, detail);
    if (err == CF_OK)
        err = cf_home_path(&home, folder, sizeof folder, detail, "data/shards");
    if (err == CF_OK)
        err = cf_home_path(&home, catalogue->private_folder, sizeof catalogue->private_folder, detail,
                           "secondaries/%s-%ld", purpose, (long)getpid());
    if (err == CF_OK)
        err = cf_shards_open(folder, catalogue->private_folder, on_problem, catalogue, &catalogue->shards,
                             detail);
    if (err != CF_OK)
        return err;
    wait_for_all(catalogue, count_folders(folder));
    const char *unreadable = cf_shards_unreadable(catalogue->shards, 0);
    if (unreadable)
        return cf_fail(detail, CF_E_CORRUPT,
                       "a shard cannot be read, and its albums would be missing: %.220s",
                       catalogue->problem[0] ? catalogue->problem : unreadable);
    if (cf_shards_count(catalogue->shards) == 0)
        return cf_fail(detail, CF_E_NOT_FOUND, "%.200s has no shards: is COVERFLEET_HOME right?", folder);
    return CF_OK;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

void cf_catalogue_close(struct cf_catalogue *catalogue)
{
    cf_shards_free(catalogue->shards);
    catalogue->shards = NULL;
    if (catalogue->private_folder[0])
        (void)nftw(catalogue->private_folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* safe to leave */
}
