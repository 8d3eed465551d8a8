#include "common/descriptor/cfmap.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/file.h"
#include "common/base/hash.h"

enum {
    FORMAT = 2,
    FORMAT_PLAIN = 1,
    HEAD_BYTES = 40,
    RECORD_BYTES = CF_CFMAP_NAME_BYTES + 8,
    FILE_BYTES_MAX = 64 << 20
};
static const char magic[8] = "CFCFMAP\n";

static size_t float_count(const struct cf_cfmap *map)
{
    size_t last = (size_t)(map->hidden ? map->hidden : map->inputs) * map->outputs;
    return 2 * (size_t)map->inputs + (size_t)map->inputs * map->hidden + map->hidden + last + map->outputs;
}

static bool has_sane_sizes(const struct cf_cfmap *map)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < map->space_count && i < CF_CFMAP_SPACES_MAX; i++) {
        const struct cf_cfmap_space *space = &map->spaces[i];
        if (space->dim == 0 || space->dim > CF_CFMAP_INPUTS_MAX || !space->name[0] ||
            !memchr(space->name, 0, sizeof space->name))
            return false;
        sum += space->dim;
    }
    return map->version && map->space_count && map->space_count <= CF_CFMAP_SPACES_MAX &&
           sum <= CF_CFMAP_INPUTS_MAX && map->hidden <= CF_CFMAP_HIDDEN_MAX && map->outputs &&
           map->outputs <= CF_CFMAP_OUTPUTS_MAX && sum == map->inputs;
}

static void place(struct cf_cfmap *map, const float *values)
{
    map->means = values;
    map->scales = map->means + map->inputs;
    map->first = map->hidden ? map->scales + map->inputs : NULL;
    map->first_shift = map->hidden ? map->first + (size_t)map->inputs * map->hidden : NULL;
    map->last = map->hidden ? map->first_shift + map->hidden : map->scales + map->inputs;
    map->last_shift = map->last + (size_t)(map->hidden ? map->hidden : map->inputs) * map->outputs;
}

/* ---- reading ---- */

static enum cf_err corrupt(const char *path, const char *what, struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_CORRUPT, "%.200s: no model of the space cf: %s", path, what);
}

static void read_spaces(struct cf_cursor *cursor, struct cf_cfmap *map)
{
    for (uint32_t i = 0; i < map->space_count; i++) {
        struct cf_cfmap_space *space = &map->spaces[i];
        struct cf_bytes name = cf_cursor_bytes(cursor, sizeof space->name);
        if (name.len == sizeof space->name)
            memcpy(space->name, name.data, name.len);
        space->version = cf_cursor_u32(cursor);
        space->dim = cf_cursor_u32(cursor);
        map->inputs += space->dim <= CF_CFMAP_INPUTS_MAX ? space->dim : 0;
    }
}

/* The numbers, and the origin that stands behind them. */
static enum cf_err read_values(const char *path, struct cf_bytes payload, size_t origin_bytes,
                               struct cf_cfmap *map, struct cf_detail *detail)
{
    size_t count = float_count(map), bytes = count * sizeof(float);
    if (payload.len != bytes + origin_bytes)
        return corrupt(path, "its numbers do not fit its sizes", detail);
    map->values = calloc(1, payload.len + 1);
    if (!map->values)
        return cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory for a model", path);
    memcpy(map->values, payload.data, payload.len);
    map->origin = origin_bytes ? (const char *)map->values + bytes : NULL;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(map->values[i]))
            return corrupt(path, "a number is not finite", detail);
    place(map, map->values);
    return CF_OK;
}

static enum cf_err parse(const char *path, struct cf_bytes file, struct cf_cfmap *map,
                         struct cf_detail *detail)
{
    if (file.len < HEAD_BYTES || memcmp(file.data, magic, sizeof magic) != 0)
        return corrupt(path, "it does not begin like one", detail);
    struct cf_cursor cursor = cf_cursor((struct cf_bytes){file.data + sizeof magic, file.len - sizeof magic});
    uint32_t format = cf_cursor_u32(&cursor);
    if (format != FORMAT && format != FORMAT_PLAIN)
        return cf_fail(detail, CF_E_BAD_VERSION, "%.200s: format %u of the file: %d is wanted", path, format,
                       FORMAT);
    map->version = cf_cursor_u32(&cursor);
    map->hidden = cf_cursor_u32(&cursor);
    map->outputs = cf_cursor_u32(&cursor);
    map->space_count = cf_cursor_u32(&cursor);
    uint32_t bytes = cf_cursor_u32(&cursor), crc = cf_cursor_u32(&cursor);
    const struct cf_bytes body = {file.data + HEAD_BYTES, file.len - HEAD_BYTES};
    if (cf_crc32(body) != crc)
        return corrupt(path, "its checksum is wrong", detail);
    uint32_t origin = cf_cursor_u32(&cursor);
    size_t behind = (size_t)bytes + origin;
    if (map->space_count > CF_CFMAP_SPACES_MAX || origin > (format == FORMAT ? CF_CFMAP_ORIGIN_MAX : 0) ||
        body.len != (size_t)map->space_count * RECORD_BYTES + behind)
        return corrupt(path, "its sizes are wrong", detail);
    read_spaces(&cursor, map);
    if (!has_sane_sizes(map))
        return corrupt(path, "its sizes are wrong", detail);
    const struct cf_bytes payload = {file.data + file.len - behind, behind};
    return read_values(path, payload, origin, map, detail);
}

enum cf_err cf_cfmap_read(const char *path, struct cf_cfmap *out, struct cf_detail *detail)
{
    struct cf_cfmap map = {.version = 0};
    struct cf_buf file;
    cf_buf_init(&file);
    enum cf_err err = cf_file_read(path, FILE_BYTES_MAX, &file, detail);
    if (err == CF_OK)
        err = parse(path, cf_buf_bytes(&file), &map, detail);
    cf_buf_fini(&file);
    if (err == CF_OK)
        *out = map;
    else
        cf_cfmap_fini(&map);
    return err;
}

void cf_cfmap_fini(struct cf_cfmap *map)
{
    free(map->values);
    *map = (struct cf_cfmap){.version = 0};
}

/* ---- writing ---- */

static void put_floats(struct cf_buf *buf, const float *values, size_t count)
{
    if (values)
        cf_buf_append(buf, values, count * sizeof *values);
}

static void put_body(struct cf_buf *body, const struct cf_cfmap *map)
{
    size_t between = map->hidden ? map->hidden : map->inputs;
    for (uint32_t i = 0; i < map->space_count; i++) {
        char name[CF_CFMAP_NAME_BYTES] = "";
        memcpy(name, map->spaces[i].name, strlen(map->spaces[i].name));
        cf_buf_append(body, name, sizeof name);
        cf_buf_u32(body, map->spaces[i].version);
        cf_buf_u32(body, map->spaces[i].dim);
    }
    put_floats(body, map->means, map->inputs);
    put_floats(body, map->scales, map->inputs);
    if (map->hidden) {
        put_floats(body, map->first, (size_t)map->inputs * map->hidden);
        put_floats(body, map->first_shift, map->hidden);
    }
    put_floats(body, map->last, between * map->outputs);
    put_floats(body, map->last_shift, map->outputs);
    if (map->origin)
        cf_buf_append(body, map->origin, strlen(map->origin));
}

enum cf_err cf_cfmap_write(const char *path, const struct cf_cfmap *map, struct cf_detail *detail)
{
    size_t origin = map->origin ? strlen(map->origin) : 0;
    if (!has_sane_sizes(map) || origin > CF_CFMAP_ORIGIN_MAX)
        return cf_fail(detail, CF_E_INVALID,
                       "%.200s: a model of %u inputs, %u hidden and %u outputs cannot be kept", path,
                       map->inputs, map->hidden, map->outputs);
    struct cf_buf body, file;
    cf_buf_init(&body);
    cf_buf_init(&file);
    put_body(&body, map);
    const uint32_t head[] = {FORMAT,
                             map->version,
                             map->hidden,
                             map->outputs,
                             map->space_count,
                             (uint32_t)(float_count(map) * sizeof(float)),
                             cf_crc32(cf_buf_bytes(&body)),
                             (uint32_t)origin};
    cf_buf_append(&file, magic, sizeof magic);
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        cf_buf_u32(&file, head[i]);
    cf_buf_append(&file, body.data, body.len);
    enum cf_err err = cf_buf_ok(&body) && cf_buf_ok(&file)
                          ? cf_file_publish(path, cf_buf_bytes(&file), detail)
                          : cf_fail(detail, CF_E_NO_MEMORY, "%.200s: no memory to write it", path);
    cf_buf_fini(&file);
    cf_buf_fini(&body);
    return err;
}

/* ---- computing ---- */

static void multiply(const float *x, uint32_t inputs, const float *weights, const float *shift,
                     uint32_t outputs, double *out)
{
    for (uint32_t o = 0; o < outputs; o++)
        out[o] = (double)shift[o];
    for (uint32_t i = 0; i < inputs; i++)
        for (uint32_t o = 0; o < outputs; o++)
            out[o] += (double)x[i] * (double)weights[(size_t)i * outputs + o];
}

void cf_cfmap_apply(const struct cf_cfmap *map, float *x, float *out)
{
    double sums[CF_CFMAP_OUTPUTS_MAX], square = 0;
    _Static_assert((int)CF_CFMAP_HIDDEN_MAX <= (int)CF_CFMAP_OUTPUTS_MAX, "one array is for both");
    for (uint32_t i = 0; i < map->inputs; i++)
        x[i] = (x[i] - map->means[i]) * map->scales[i];
    if (map->hidden) {
        multiply(x, map->inputs, map->first, map->first_shift, map->hidden, sums);
        for (uint32_t i = 0; i < map->hidden; i++)
            x[i] = (float)fmax(sums[i], 0);
    }
    multiply(x, map->hidden ? map->hidden : map->inputs, map->last, map->last_shift, map->outputs, sums);
    for (uint32_t o = 0; o < map->outputs; o++)
        square += sums[o] * sums[o];
    for (uint32_t o = 0; o < map->outputs; o++)
        out[o] = square > 0 ? (float)(sums[o] / sqrt(square)) : 0;
}
