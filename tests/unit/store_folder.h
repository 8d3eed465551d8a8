/* A temporary folder for one test program: group set-up and tear-down. */
#ifndef CF_TESTS_STORE_FOLDER_H
#define CF_TESTS_STORE_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

enum { STORE_PATH_MAX = 512 };

static char store_folder[128];

static int store_folder_make(void **state)
{
    (void)state;
    snprintf(store_folder, sizeof store_folder, "%s/coverfleet-store-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(store_folder) ? 0 : -1;
}

static int store_folder_remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info, (void)type, (void)walk;
    return remove(path);
}

static int store_folder_remove(void **state)
{
    (void)state;
    return nftw(store_folder, store_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void store_folder_path(char path[STORE_PATH_MAX], const char *name)
{
    snprintf(path, STORE_PATH_MAX, "%s/%s", store_folder, name);
}

#endif
