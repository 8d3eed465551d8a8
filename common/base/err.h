/* The one list of errors: what functions return and what the protocol carries by name.
 *
 * A fallible function returns `enum cf_err` (zero is success), leaves its out-parameters untouched on
 * failure, and may put one sentence for people into an optional, caller-owned `struct cf_detail`.
 * Names are part of the protocol (proto/PROTOCOL.md): add at the end of a group, never rename. */
#ifndef CF_BASE_ERR_H
#define CF_BASE_ERR_H

#include <stddef.h>

#define CF_MUST_CHECK __attribute__((warn_unused_result))
#define CF_PRINTF(fmt_index, first_arg) __attribute__((format(printf, fmt_index, first_arg)))

/* X(constant, wire name) */
#define CF_ERR_LIST(X)                                                                                       \
    X(CF_OK, "ok")                                                                                           \
    /* general */                                                                                            \
    X(CF_E_INVALID, "invalid")                     /* malformed message, field out of range, bad argument */ \
    X(CF_E_NO_MEMORY, "no_memory")                                                                           \
    X(CF_E_IO, "io")                                                                                         \
    X(CF_E_DISK_FULL, "disk_full")                                                                           \
    X(CF_E_NOT_FOUND, "not_found")                                                                           \
    X(CF_E_CORRUPT, "corrupt")                     /* a file of ours is damaged or foreign */                \
    X(CF_E_LOCKED, "locked")                       /* another process holds the database */                  \
    /* protocol */                                                                                           \
    X(CF_E_BAD_VERSION, "bad_version")             /* protocol or file version that we do not speak */       \
    X(CF_E_UNKNOWN_KIND, "unknown_kind")                                                                     \
    X(CF_E_TOO_LARGE, "too_large")                 /* message, picture or batch over its limit */            \
    X(CF_E_BUSY, "busy")                           /* a bounded queue is full: try later */                  \
    X(CF_E_DEADLINE, "deadline_exceeded")                                                                    \
    X(CF_E_UNREACHABLE, "unreachable")             /* no answer from the fleet */                            \
    X(CF_E_NO_WORKER, "no_worker")                 /* no worker of the needed role came in time */           \
    X(CF_E_SHUTTING_DOWN, "shutting_down")                                                                   \
    X(CF_E_BAD_ALBUM, "bad_album")                 /* album id: empty, over 255 bytes, control characters */ \
    X(CF_E_BAD_VECTOR, "bad_vector")               /* wrong length, NaN or infinity */                       \
    X(CF_E_BAD_K, "bad_k")                                                                                   \
    X(CF_E_UNKNOWN_SPACE, "unknown_space")                                                                   \
    X(CF_E_FLAGGED, "flagged")                     /* the album has no direction to search by */             \
    X(CF_E_NOT_DESCRIBED, "not_described")         /* known, but no vector yet */                            \
    /* pictures */                                                                                           \
    X(CF_E_NOT_AN_IMAGE, "not_an_image")                                                                     \
    X(CF_E_NO_PIXELS, "no_pixels")                 /* an image, but nothing of it decodes */                 \
    X(CF_E_UNSUPPORTED, "unsupported")             /* an image of a kind that we do not decode */            \
    X(CF_E_TIMEOUT, "timeout")                     /* decoding took longer than its limit */                 \
    X(CF_E_DECODER_DIED, "decoder_died")           /* the picture killed the decoding process */             \
    X(CF_E_OUTSIDE_ROOTS, "outside_roots")         /* a file outside descriptor.roots */                     \
    X(CF_E_CONTENT_CHANGED, "content_changed")     /* the fetched bytes are not the bytes that were pushed */\
    X(CF_E_WORKER_DIED, "worker_died")             /* alone with this album, workers died again and again */ \
    X(CF_E_LEASE_EXPIRED, "lease_expired")                                                                   \
    X(CF_E_SUPERSEDED, "superseded")               /* a newer push or removal of the album took its place */ \
    X(CF_E_REMOVED, "removed")                                                                               \
    X(CF_E_QUARANTINED, "quarantined")             /* the same picture was given up before */

enum cf_err {
#define CF_ERR_ENUM(constant, name) constant,
    CF_ERR_LIST(CF_ERR_ENUM)
#undef CF_ERR_ENUM
    CF_ERR_COUNT
};

/* One sentence for people about a failure: names the culprit and what to do. Always terminated. */
struct cf_detail {
    char text[320];
};

/* The wire name of an error; "invalid" for a value outside the list. Any thread. */
const char *cf_err_name(enum cf_err err);

/* The error of that wire name; CF_E_INVALID for a name that is not in the list. */
enum cf_err cf_err_from_name(const char *name, size_t len);

/* Formats the sentence into `detail` (may be NULL) and returns `err`, so that a failure is one line:
 *     return cf_fail(detail, CF_E_INVALID, "k is %u: it must be 1 to %u", k, k_max);           */
enum cf_err cf_fail(struct cf_detail *detail, enum cf_err err, const char *fmt, ...) CF_PRINTF(3, 4);

/* As cf_fail, from errno: ENOSPC and EDQUOT give CF_E_DISK_FULL, ENOENT CF_E_NOT_FOUND, ENOMEM CF_E_NO_MEMORY, the rest
 * CF_E_IO. `what` names the file or call; the text of errno follows it. */
enum cf_err cf_fail_errno(struct cf_detail *detail, const char *what);

/* For programmer errors only, always on, no side effects in the condition. Prints and aborts. */
#define CF_CHECK(condition)                                                                                  \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            cf_check_failed(#condition, __FILE__, __LINE__);                                                 \
    } while (0)
_Noreturn void cf_check_failed(const char *condition, const char *file, int line);

#endif
