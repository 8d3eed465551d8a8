#include "deploy/cli/json.h"

#include <jansson.h>
#include <math.h>
#include <stdio_ext.h>
#include <stdlib.h>

#include "deploy/cli/text.h"

enum { DEPTH_MAX = 8 };

struct cf_json {
    json_t *open[DEPTH_MAX]; /* the outermost first; only that one is owned, the others lie within */
    size_t depth;
    bool failed;
};

struct cf_json *cf_json_new(void)
{
    struct cf_json *json = calloc(1, sizeof *json);
    if (!json)
        return NULL;
    json->open[0] = json_object();
    json->depth = 1;
    json->failed = !json->open[0];
    return json;
}

void cf_json_free(struct cf_json *json)
{
    if (json)
        json_decref(json->open[0]);
    free(json);
}

/* Takes over `value`, which may be NULL for want of memory. */
static void add(struct cf_json *json, const char *key, json_t *value)
{
    if (!json || json->failed || !value) {
        json_decref(value);
        if (json)
            json->failed = true;
        return;
    }
    json_t *into = json->open[json->depth - 1];
    CF_CHECK(json_is_object(into) == (key != NULL));
    int failed = key ? json_object_set_new_nocheck(into, key, value) : json_array_append_new(into, value);
    json->failed = failed != 0;
}

static void descend(struct cf_json *json, const char *key, json_t *value)
{
    add(json, key, value);
    if (!json || json->failed)
        return;
    CF_CHECK(json->depth < DEPTH_MAX);
    json->open[json->depth++] = value;
}

void cf_json_object(struct cf_json *json, const char *key)
{
    descend(json, key, json_object());
}

void cf_json_array(struct cf_json *json, const char *key)
{
    descend(json, key, json_array());
}

void cf_json_end(struct cf_json *json)
{
    if (!json || json->failed)
        return;
    CF_CHECK(json->depth > 1);
    json->depth--;
}

static json_t *string_of(struct cf_str text)
{
    char *room = malloc(text.len + 1);
    if (!room)
        return NULL;
    struct cf_str whole = cf_text_repair(text, room);
    json_t *value = json_stringn_nocheck(whole.len ? whole.data : "", whole.len);
    free(room);
    return value;
}

void cf_json_text(struct cf_json *json, const char *key, struct cf_str text)
{
    add(json, key, string_of(text));
}

void cf_json_word(struct cf_json *json, const char *key, const char *word)
{
    cf_json_text(json, key, cf_str(word));
}

void cf_json_uint(struct cf_json *json, const char *key, uint64_t value)
{
    add(json, key, value <= INT64_MAX ? json_integer((json_int_t)value) : json_real((double)value));
}

void cf_json_real(struct cf_json *json, const char *key, double value)
{
    add(json, key, isfinite(value) ? json_real(value) : json_null());
}

void cf_json_bool(struct cf_json *json, const char *key, bool value)
{
    add(json, key, json_boolean(value));
}

void cf_json_value(struct cf_json *json, const char *key, const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    add(json, key, value ? value : string_of(cf_str(text)));
}

void cf_json_version(struct cf_json *json, struct cf_version version)
{
    cf_json_object(json, "version");
    cf_json_uint(json, "epoch", version.epoch);
    cf_json_uint(json, "seq", version.seq);
    cf_json_end(json);
}

void cf_json_pair(struct cf_json *json, struct cf_pair pair)
{
    char *room = malloc(pair.key.len + 1), *key = malloc(pair.key.len + 1);
    if (room && key) {
        struct cf_str name = cf_text_repair(pair.key, room);
        if (name.len)
            memcpy(key, name.data, name.len);
        key[name.len] = '\0';
        cf_json_text(json, key, pair.value);
    } else if (json) {
        json->failed = true;
    }
    free(room);
    free(key);
}

enum cf_err cf_json_print(const struct cf_json *json, FILE *out, struct cf_detail *detail)
{
    if (!json || json->failed)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    /* Nine digits give a float back as it was. */
    if (json_dumpf(json->open[0], out, JSON_COMPACT | JSON_REAL_PRECISION(9)) == 0 && putc('\n', out) != EOF)
        return CF_OK;
    enum cf_err err = cf_fail_errno(detail, "standard output");
    clearerr(out); /* who calls says it: nobody shall find it again */
    __fpurge(out);
    return err;
}
