#include "common/descriptor/models.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"

enum { SERVED_BYTES_MAX = 64 };

/* The N of "cf-N.cfmap"; 0 for any other name. */
static uint32_t version_of(const char *name)
{
    char *end = NULL;
    if (strncmp(name, "cf-", 3) != 0 || name[3] < '1' || name[3] > '9')
        return 0;
    errno = 0;
    unsigned long version = strtoul(name + 3, &end, 10);
    return errno == 0 && version <= UINT32_MAX && strcmp(end, ".cfmap") == 0 ? (uint32_t)version : 0;
}

static uint32_t read_served(const struct cf_home *home)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_buf file;
    cf_buf_init(&file);
    unsigned long version = 0;
    if (cf_home_path(home, path, sizeof path, NULL, "data/models/cf-served") == CF_OK &&
        cf_file_read(path, SERVED_BYTES_MAX, &file, NULL) == CF_OK) {
        cf_buf_u8(&file, 0);
        version = cf_buf_ok(&file) ? strtoul((const char *)file.data, NULL, 10) : 0;
    }
    cf_buf_fini(&file);
    return version <= UINT32_MAX ? (uint32_t)version : 0;
}

enum cf_err cf_models_find(const struct cf_home *home, uint32_t *served, uint32_t *next,
                           struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    uint32_t lowest = 0, highest = 0, wanted = read_served(home);
    bool has_wanted = false;
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/models");
    if (err != CF_OK)
        return err;
    DIR *folder = opendir(path);
    if (!folder && errno != ENOENT)
        return cf_fail_errno(detail, path);
    for (const struct dirent *entry; folder && (entry = readdir(folder));) {
        uint32_t version = version_of(entry->d_name);
        if (version && (lowest == 0 || version < lowest))
            lowest = version;
        highest = version > highest ? version : highest;
        has_wanted = has_wanted || (version && version == wanted);
    }
    if (folder)
        closedir(folder);
    *served = has_wanted ? wanted : lowest;
    *next = highest > *served ? highest : 0;
    return CF_OK;
}

enum cf_err cf_models_path(const struct cf_home *home, uint32_t version, char *path, size_t size,
                           struct cf_detail *detail)
{
    return cf_home_path(home, path, size, detail, "data/models/cf-%u.cfmap", version);
}

enum cf_err cf_models_lock(const struct cf_home *home, int *lock, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/models");
    if (err == CF_OK)
        err = cf_file_make_dirs(path, detail);
    if (err != CF_OK)
        return err;
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), done = -1;
    do
        done = folder < 0 ? -1 : flock(folder, LOCK_EX);
    while (folder >= 0 && done != 0 && errno == EINTR);
    if (done != 0) {
        err = cf_fail_errno(detail, path);
        if (folder >= 0)
            close(folder);
        return err;
    }
    *lock = folder;
    return CF_OK;
}

enum cf_err cf_models_serve(const struct cf_home *home, uint32_t version, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX], text[16];
    int len = snprintf(text, sizeof text, "%u\n", version);
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/models/cf-served");
    return err == CF_OK ? cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, (size_t)len}, detail)
                        : err;
}

uint64_t cf_models_put_ms(const struct cf_home *home, uint32_t version)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    if (cf_models_path(home, version, path, sizeof path, NULL) != CF_OK || stat(path, &info) != 0)
        return 0;
    return (uint64_t)info.st_mtim.tv_sec * 1000 + (uint64_t)info.st_mtim.tv_nsec / 1000000;
}
