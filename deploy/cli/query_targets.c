#include "deploy/cli/query_targets.h"

#include "common/base/file.h"
#include "common/descriptor/space.h"

enum cf_err cf_targets_read_vectors(struct cf_targets *targets, const char *path, struct cf_str space,
                                    struct cf_detail *detail)
{
    if (targets->file_count == CF_SPACES_MAX)
        return cf_fail(detail, CF_E_INVALID, "more than %d files of vectors", CF_SPACES_MAX);
    struct cf_vector_file *file = &targets->files[targets->file_count++];
    enum cf_err err = cf_file_read(path, CF_QUERY_FILE_BYTES_MAX, &file->bytes, detail);
    if (err)
        return err;
    const struct cf_space *known = cf_space_find(space);
    size_t bytes = file->bytes.len, row_bytes = known && known->dim ? known->dim * sizeof(float) : bytes;
    if (bytes == 0 || bytes % row_bytes != 0)
        return cf_fail(detail, CF_E_BAD_VECTOR,
                       "%.120s has %zu bytes: a vector of %.*s is %zu bytes of float32", path, bytes,
                       (int)(space.len < 32 ? space.len : 32), space.data, known ? row_bytes : sizeof(float));
    if (targets->count > 0 && bytes / row_bytes != targets->count)
        return cf_fail(detail, CF_E_BAD_VECTOR, "%.120s has %zu vectors: the file before it has %zu", path,
                       bytes / row_bytes, targets->count);
    file->path = path;
    file->space = space;
    file->row_bytes = row_bytes;
    targets->count = bytes / row_bytes;
    return CF_OK;
}

void cf_targets_fini(struct cf_targets *targets)
{
    for (size_t i = 0; i < targets->file_count; i++)
        cf_buf_fini(&targets->files[i].bytes);
    targets->file_count = 0;
}

struct cf_str cf_targets_name(const struct cf_targets *targets, size_t index)
{
    return cf_str(targets->kind == CF_TARGET_VECTOR ? targets->files[0].path : targets->names[index]);
}

static struct cf_bytes row_of(const struct cf_vector_file *file, size_t index)
{
    return (struct cf_bytes){file->bytes.data + index * file->row_bytes, file->row_bytes};
}

enum cf_err cf_targets_get(const struct cf_targets *targets, size_t index, struct cf_buf *file,
                           struct cf_space_vector vectors[CF_SPACES_MAX], struct cf_target *target,
                           struct cf_detail *detail)
{
    *target = (struct cf_target){.album = {NULL, 0}};
    if (targets->kind == CF_TARGET_VECTOR && !targets->several) {
        target->vector = row_of(&targets->files[0], index);
        return CF_OK;
    }
    if (targets->kind == CF_TARGET_VECTOR) {
        target->vectors = vectors;
        target->vector_count = targets->file_count;
        for (size_t i = 0; i < targets->file_count; i++)
            vectors[i] = (struct cf_space_vector){targets->files[i].space, row_of(&targets->files[i], index)};
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
