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

enum { NUMBER_BYTES_MAX = 64 };

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

/* The number in a file of the models' folder; 0 where it holds none, CF_E_NOT_FOUND where it is not there. */
static enum cf_err read_number(const struct cf_home *home, const char *name, uint32_t *number,
                               struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_buf file;
    cf_buf_init(&file);
    unsigned long read = 0;
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/models/%s", name);
    if (err == CF_OK)
        err = cf_file_read(path, NUMBER_BYTES_MAX, &file, detail);
    if (err == CF_OK) {
        cf_buf_u8(&file, 0);
        read = cf_buf_ok(&file) ? strtoul((const char *)file.data, NULL, 10) : 0;
    }
    cf_buf_fini(&file);
    *number = read <= UINT32_MAX ? (uint32_t)read : 0;
    return err;
}

static enum cf_err write_number(const struct cf_home *home, const char *name, uint32_t number,
                                struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX], text[16];
    int len = snprintf(text, sizeof text, "%u\n", number);
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/models/%s", name);
    return err == CF_OK ? cf_file_publish(path, (struct cf_bytes){(const uint8_t *)text, (size_t)len}, detail)
                        : err;
}

static uint32_t read_served(const struct cf_home *home)
{
    uint32_t version;
    return read_number(home, "cf-served", &version, NULL) == CF_OK ? version : 0;
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

/* 0: none was noted, in a home of before there were notes. */
static enum cf_err read_given(const struct cf_home *home, uint32_t *given, struct cf_detail *detail)
{
    enum cf_err err = read_number(home, "cf-given", given, detail);
    if (err == CF_OK && *given == 0)
        return cf_fail(
            detail, CF_E_CORRUPT,
            "%.200s/data/models/cf-given: this is no number: write the highest version of cf into it "
            "that there ever was",
            home->root);
    return err == CF_E_NOT_FOUND ? CF_OK : err;
}

enum cf_err cf_models_give(const struct cf_home *home, uint32_t *version, struct cf_detail *detail)
{
    uint32_t given = 0, served = 0, next = 0;
    enum cf_err err = read_given(home, &given, detail);
    if (err == CF_OK)
        err = cf_models_find(home, &served, &next, detail);
    if (err != CF_OK)
        return err;
    const uint32_t known[] = {served, next, read_served(home)}; /* the last may be without its file */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        given = known[i] > given ? known[i] : given;
    if (given == UINT32_MAX)
        return cf_fail(detail, CF_E_INVALID, "%.200s/data/models: version %u of cf was the last possible one",
                       home->root, given);
    err = write_number(home, "cf-given", given + 1, detail);
    if (err == CF_OK)
        *version = given + 1;
    return err;
}

enum cf_err cf_models_serve(const struct cf_home *home, uint32_t version, struct cf_detail *detail)
{
    return write_number(home, "cf-served", version, detail);
}

uint64_t cf_models_put_ms(const struct cf_home *home, uint32_t version)
{
    char path[CF_HOME_PATH_MAX];
    struct stat info;
    if (cf_models_path(home, version, path, sizeof path, NULL) != CF_OK || stat(path, &info) != 0)
        return 0;
    return (uint64_t)info.st_mtim.tv_sec * 1000 + (uint64_t)info.st_mtim.tv_nsec / 1000000;
}
