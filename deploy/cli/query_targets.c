#include "deploy/cli/query_targets.h"

#include "common/base/file.h"
#include "common/descriptor/space.h"

enum cf_err cf_targets_read_vectors(struct cf_targets *targets, const char *path, const char *space,
                                    struct cf_detail *detail)
{
    enum cf_err err = cf_file_read(path, CF_QUERY_FILE_BYTES_MAX, &targets->vectors, detail);
    if (err)
        return err;
    const struct cf_space *known = cf_space_find(cf_str(space));
    size_t bytes = targets->vectors.len, row_bytes = known ? known->dim * sizeof(float) : bytes;
    if (bytes == 0 || bytes % row_bytes != 0)
        return cf_fail(detail, CF_E_BAD_VECTOR,
                       "%.120s has %zu bytes: a vector of %.32s is %zu bytes of float32", path, bytes, space,
                       known ? row_bytes : sizeof(float));
    targets->vector_path = path;
    targets->row_bytes = row_bytes;
    targets->count = bytes / row_bytes;
    return CF_OK;
}

void cf_targets_fini(struct cf_targets *targets)
{
    cf_buf_fini(&targets->vectors);
}

struct cf_str cf_targets_name(const struct cf_targets *targets, size_t index)
{
    return cf_str(targets->kind == CF_TARGET_VECTOR ? targets->vector_path : targets->names[index]);
}

enum cf_err cf_targets_get(const struct cf_targets *targets, size_t index, struct cf_buf *file,
                           struct cf_target *target, struct cf_detail *detail)
{
    *target = (struct cf_target){.album = {NULL, 0}};
    if (targets->kind == CF_TARGET_VECTOR) {
        target->vector =
            (struct cf_bytes){targets->vectors.data + index * targets->row_bytes, targets->row_bytes};
        return CF_OK;
    }
    const char *name = targets->names[index];
    if (targets->kind == CF_TARGET_ALBUM) {
        target->album = cf_str(name);
        return cf_album_check(target->album, detail);
    }
    enum cf_err err = cf_file_read(name, CF_QUERY_FILE_BYTES_MAX, file, detail);
    if (!err && file->len == 0)
        err = cf_fail(detail, CF_E_NOT_AN_IMAGE, "the file is empty");
    target->image = cf_buf_bytes(file);
    return err;
}
