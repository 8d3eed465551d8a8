/* What a push must be, before it costs anything. */
#include "broker/core/state.h"
#include "common/base/hash.h"

static bool path_has_dot_dot(struct cf_str path)
{
    for (size_t i = 0; i + 2 < path.len + 1; i++) {
        bool starts = i == 0 || path.data[i - 1] == '/';
        bool ends = i + 2 == path.len || path.data[i + 2] == '/';
        if (starts && ends && path.data[i] == '.' && path.data[i + 1] == '.')
            return true;
    }
    return false;
}

static bool path_is_below(struct cf_str path, struct cf_str root)
{
    while (root.len && root.data[root.len - 1] == '/')
        root.len--;
    return path.len > root.len + 1 && memcmp(path.data, root.data, root.len) == 0 &&
           path.data[root.len] == '/';
}

static enum cf_err check_file(const struct cf_core *core, struct cf_str file, struct cf_detail *detail)
{
    if (file.data[0] != '/' || memchr(file.data, '\0', file.len) || path_has_dot_dot(file))
        return cf_fail(detail, CF_E_OUTSIDE_ROOTS, "the path %.*s is not absolute or contains \"..\"",
                       (int)(file.len < 200 ? file.len : 200), file.data);
    for (size_t i = 0; i < core->config.root_count; i++)
        if (path_is_below(file, core->config.roots[i]))
            return CF_OK;
    return cf_fail(detail, CF_E_OUTSIDE_ROOTS,
                   "%.*s is below none of the %zu configured roots (descriptor.roots)",
                   (int)(file.len < 200 ? file.len : 200), file.data, core->config.root_count);
}

static enum cf_err check_bytes(const struct cf_core *core, const struct cf_push_item *item,
                               uint8_t sha256[32], struct cf_detail *detail)
{
    if (item->bytes.len == 0)
        return cf_fail(detail, CF_E_NOT_AN_IMAGE, "the cover is empty: neither bytes nor a file");
    if (item->bytes.len > core->config.image_bytes_max)
        return cf_fail(detail, CF_E_TOO_LARGE, "the cover has %zu bytes: at most %llu (%.*s)",
                       item->bytes.len, (unsigned long long)core->config.image_bytes_max,
                       CF_STR_ARG(core->config.image_limit));
    cf_sha256(item->bytes, sha256);
    if (item->sha256.len && memcmp(sha256, item->sha256.data, CF_SHA256_BYTES) != 0)
        return cf_fail(detail, CF_E_INVALID, "sha256 is not that of the bytes");
    return CF_OK;
}

enum cf_err push_check(const struct cf_core *core, const struct cf_push_item *item, uint8_t sha256[32],
                       bool *has_sha256, struct cf_detail *detail)
{
    enum cf_err err = cf_album_check(item->album, detail);
    if (err)
        return err;
    if (item->sha256.len != 0 && item->sha256.len != CF_SHA256_BYTES)
        return cf_fail(detail, CF_E_INVALID, "sha256 has %zu bytes: it must be 32", item->sha256.len);
    if (item->priority > CF_PRIORITY_MAX)
        return cf_fail(detail, CF_E_INVALID, "priority is %llu: it must be 0 to %d",
                       (unsigned long long)item->priority, CF_PRIORITY_MAX);
    if (item->bytes.len && item->file.len)
        return cf_fail(detail, CF_E_INVALID, "both bytes and a file: it must be one of them");
    if (item->file.len == 0) {
        *has_sha256 = true;
        return check_bytes(core, item, sha256, detail);
    }
    *has_sha256 = item->sha256.len != 0;
    if (*has_sha256)
        memcpy(sha256, item->sha256.data, CF_SHA256_BYTES);
    return check_file(core, item->file, detail);
}

enum cf_err push_room(const struct cf_core *core, uint64_t bytes, uint64_t freed_jobs, uint64_t freed_bytes,
                      struct cf_detail *detail)
{
    const struct cf_core_config *config = &core->config;
    if (core->job_count - freed_jobs >= config->queue_jobs_max)
        return cf_fail(detail, CF_E_BUSY,
                       "the queue holds %llu jobs, its most (broker.queue_jobs_max): try later",
                       (unsigned long long)core->job_count);
    if (bytes && core->job_bytes - freed_bytes + bytes > config->queue_bytes_max)
        return cf_fail(detail, CF_E_BUSY,
                       "the queue holds %llu bytes of pictures (broker.queue_bytes_max): try later",
                       (unsigned long long)core->job_bytes);
    return CF_OK;
}

static bool meta_has(const struct cf_pair *meta, size_t count, const struct cf_pair *pair)
{
    for (size_t i = 0; i < count; i++)
        if (cf_str_equal(meta[i].key, pair->key) && cf_str_equal(meta[i].value, pair->value))
            return true;
    return false;
}

/* As sets: the order of pairs says nothing. */
static bool meta_equal(const struct cf_pair *a, size_t a_count, const struct cf_pair *b, size_t b_count)
{
    if (a_count != b_count)
        return false;
    for (size_t i = 0; i < a_count; i++)
        if (!meta_has(b, b_count, &a[i]) || !meta_has(a, a_count, &b[i]))
            return false;
    return true;
}

bool push_unchanged(struct cf_core *core, const struct cf_push_item *item, struct cf_bytes sha256,
                    const struct cf_album_record *known)
{
    if (known->state != CF_STATE_DESCRIBED &&
        (known->state != CF_STATE_QUEUED || !job_find(core, known->seq)))
        return false;
    return sha256.len && cf_bytes_equal(sha256, known->sha256) &&
           meta_equal(item->meta, item->meta_count, known->meta, known->meta_count);
}
