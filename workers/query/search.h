/* One query message in, one answer message out: checks what was asked, searches every target, writes the
 * reply. Requests for vectors likewise. What is wrong with the whole request, or with its only target, is an
 * error message; a bad target among several fails alone. One context a searching thread. */
#ifndef CF_WORKERS_QUERY_SEARCH_H
#define CF_WORKERS_QUERY_SEARCH_H

#include "common/image/image.h"
#include "workers/query/engine.h"

/* From the bytes of a picture to the pixels of its thumbnail; what cf_decoder_decode refuses. */
typedef enum cf_err cf_search_picture(void *arg, struct cf_bytes file, uint8_t rgb[CF_THUMB_RGB_BYTES],
                                      struct cf_detail *detail);

/* Waits until everything that came to rest before the call can be found, at most until `until_ms`. */
typedef bool cf_search_refresh(void *arg, uint64_t until_ms);

struct cf_search_options {
    struct cf_engine *engine;
    cf_search_refresh *refresh; /* before an album is called unknown; NULL for never */
    void *refresh_arg;
    cf_search_picture *picture;
    void *picture_arg;
    uint64_t k_max, batch_max;
    double recall_default;
    size_t reply_bytes_max;
};

struct cf_search_context;

enum cf_err cf_search_context_new(const struct cf_search_options *options, struct cf_search_context **context,
                                  struct cf_detail *detail) CF_MUST_CHECK;
void cf_search_context_free(struct cf_search_context *context); /* takes NULL */

/* The reply to the query message `body` into `reply`; returns the error that it carries, CF_OK for an answer.
 * At `deadline_ms` (monotonic) the answer is CF_E_DEADLINE: nothing is searched after it. */
enum cf_err cf_search_answer(struct cf_search_context *context, struct cf_bytes body, uint64_t deadline_ms,
                             struct cf_buf *reply);

/* The reply that refuses `body` with `err`, without looking further than the id of its asker. */
void cf_search_refuse(struct cf_arena *arena, struct cf_bytes body, enum cf_err err,
                      const struct cf_detail *detail, struct cf_buf *reply);

#endif
