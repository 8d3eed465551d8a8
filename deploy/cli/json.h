/* JSON, written as it is told: begin an object or array, add members, end it. The one home of jansson.
 *
 * Failing for memory sticks, and shows when printing. Text that is not UTF-8 is repaired with "?". `key` is
 * NULL inside arrays. One owner. */
#ifndef CF_CLI_JSON_H
#define CF_CLI_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "common/base/album.h"
#include "common/base/err.h"

struct cf_json;

struct cf_json *
cf_json_new(void); /* an open object; NULL when memory is short, which every call below takes */
void cf_json_free(struct cf_json *json);

void cf_json_object(struct cf_json *json, const char *key);
void cf_json_array(struct cf_json *json, const char *key);
void cf_json_end(struct cf_json *json); /* of the innermost open object or array; not of the outermost */

void cf_json_text(struct cf_json *json, const char *key, struct cf_str text);
void cf_json_word(struct cf_json *json, const char *key, const char *word);
void cf_json_uint(struct cf_json *json, const char *key, uint64_t value);
void cf_json_real(struct cf_json *json, const char *key, double value); /* null when it is not finite */
void cf_json_bool(struct cf_json *json, const char *key, bool value);
void cf_json_version(struct cf_json *json, struct cf_version version); /* "version": {"epoch":…, "seq":…} */
/* A text that is JSON itself; as a text when it is not. */
void cf_json_value(struct cf_json *json, const char *key, const char *text);
/* A member whose name somebody else chose. */
void cf_json_pair(struct cf_json *json, struct cf_pair pair);

/* One line. CF_E_NO_MEMORY, CF_E_IO. */
enum cf_err cf_json_print(const struct cf_json *json, FILE *out, struct cf_detail *detail) CF_MUST_CHECK;

#endif
