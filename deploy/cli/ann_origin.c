#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "deploy/cli/ann.h"
#include "deploy/cli/progress.h"

/* "coverfleet ann 1", count u64, dim u32, sum u64: what another version means would begin with another word.
 */
static const char magic[] = "coverfleet ann 1";

enum cf_err cf_origin_encode(const struct cf_origin *origin, struct cf_buf *out)
{
    cf_buf_str(out, cf_str(magic));
    cf_buf_u64(out, origin->count);
    cf_buf_u32(out, origin->dim);
    cf_buf_u64(out, origin->sum.hash);
    return cf_buf_ok(out) ? CF_OK : CF_E_NO_MEMORY;
}

enum cf_err cf_origin_of(const struct cf_ann *ann, const char *path, struct cf_origin *origin,
                         struct cf_detail *detail)
{
    struct cf_cursor cursor = cf_cursor(cf_ann_attachment(ann));
    bool ours = cf_str_is(cf_cursor_str(&cursor), magic);
    struct cf_origin found = {.count = cf_cursor_u64(&cursor)};
    found.dim = cf_cursor_u32(&cursor);
    found.sum.hash = cf_cursor_u64(&cursor);
    if (!ours || !cf_cursor_ok(&cursor) || cf_cursor_left(&cursor) > 0)
        return cf_fail(detail, CF_E_INVALID,
                       "%.200s was not made by ann build: it does not say which vectors are its own", path);
    *origin = found;
    return CF_OK;
}

enum cf_err cf_origin_full_path(const char *path, char *out, size_t size, struct cf_detail *detail)
{
    if ((size_t)snprintf(out, size, "%s.full.npy", path) < size)
        return CF_OK;
    return cf_fail(detail, CF_E_INVALID, "%.200s…: the path is too long", path);
}

static enum cf_err sum_up(const struct cf_vecfile *file, bool quiet, struct cf_vecfile_sum *sum,
                          struct cf_detail *detail)
{
    struct cf_progress progress;
    struct cf_vecstream *stream = cf_vecstream_new(file);
    const void *row = NULL;
    enum cf_err err = stream ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    cf_progress_init(&progress, stderr, quiet, cf_clock_mono_ms());
    for (uint64_t i = 0; !err; i++) {
        err = cf_vecstream_next(stream, &row, detail);
        if (err || !row)
            break;
        cf_vecfile_sum_row(sum, row, cf_vecfile_dim(file));
        if (i % 1024 == 0)
            cf_progress_show(&progress, i, cf_vecfile_count(file), "checking the vectors",
                             cf_clock_mono_ms());
    }
    cf_progress_clear(&progress);
    cf_vecstream_free(stream);
    return err;
}

static enum cf_err check(const struct cf_vecfile *file, const struct cf_origin *origin, const char *path,
                         bool quiet, struct cf_detail *detail)
{
    struct cf_vecfile_sum sum = {0};
    unsigned long long count = cf_vecfile_count(file);
    if (count != origin->count || cf_vecfile_dim(file) != origin->dim)
        return cf_fail(detail, CF_E_INVALID,
                       "%.100s holds %llu vectors of dimension %u, but %.100s was built from %llu of %u",
                       cf_vecfile_path(file), count, cf_vecfile_dim(file), path,
                       (unsigned long long)origin->count, origin->dim);
    enum cf_err err = sum_up(file, quiet, &sum, detail);
    if (!err && sum.hash != origin->sum.hash)
        err = cf_fail(detail, CF_E_INVALID, "%.120s does not hold the vectors that %.120s was built from",
                      cf_vecfile_path(file), path);
    return err;
}

enum cf_err cf_origin_open(const struct cf_ann *ann, const char *path, const char *vectors, bool quiet,
                           struct cf_vecfile **file, struct cf_detail *detail)
{
    char beside[PATH_MAX];
    struct cf_origin origin;
    struct cf_vecfile *found = NULL;
    enum cf_err err = cf_origin_of(ann, path, &origin, detail);
    if (!err && !vectors) {
        err = cf_origin_full_path(path, beside, sizeof beside, detail);
        vectors = beside;
        if (!err && access(beside, F_OK) != 0)
            err =
                cf_fail(detail, CF_E_NOT_FOUND,
                        "exact answers need the vectors themselves: give --vectors, the input of the build, "
                        "or build with --full (there is no %.120s)",
                        beside);
    }
    if (!err)
        err = cf_vecfile_open(vectors, CF_VECFILE_FLOATS, &found, detail);
    if (!err)
        err = check(found, &origin, path, quiet, detail);
    if (err) {
        cf_vecfile_free(found);
        return err;
    }
    *file = found;
    return CF_OK;
}
