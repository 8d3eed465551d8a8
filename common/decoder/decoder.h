/* The decoding child: untrusted pictures are decoded in a process of their own, so that a picture that
 * crashes, stalls or bloats its decoder costs that picture and nothing else.
 *
 * cf_decoder_new forks a keeper before any thread or ZeroMQ context exists; the keeper forks the decoder and
 * forks it again whenever it died. Pictures go in and thumbnails come out through shared memory. The decoder
 * runs under resource limits (address space, CPU, no files) and a seccomp filter (no open, no socket, no
 * exec). One thread at a time. */
#ifndef CF_DECODER_H
#define CF_DECODER_H

#include "common/base/config.h"
#include "common/image/image.h"

struct cf_decoder;

struct cf_decoded {
    uint8_t rgb[CF_THUMB_RGB_BYTES]; /* as the stored thumbnail decodes again */
    uint8_t jpeg[CF_THUMB_JPEG_BYTES_MAX];
    size_t jpeg_bytes;
    uint32_t source_width, source_height;
    bool partial;
    char warning[128];
};

/* Call before any thread is started. */
enum cf_err cf_decoder_new(const struct cf_config *config, struct cf_decoder **decoder,
                           struct cf_detail *detail) CF_MUST_CHECK;
void cf_decoder_free(struct cf_decoder *decoder); /* ends keeper and decoder; takes NULL */

/* "" or, for one line of the log, why the decoder runs without its seccomp filter on this machine. Lives as
 * long as it. */
const char *cf_decoder_note(const struct cf_decoder *decoder);

/* Blocks at most about image.decode_ms. What cf_image_decode refuses, and CF_E_TIMEOUT, CF_E_DECODER_DIED
 * (with the signal in the sentence). After the last two the next call finds a fresh decoder. CF_E_IO when the
 * keeper itself is gone. Only while no picture is in hand. */
enum cf_err cf_decoder_decode(struct cf_decoder *decoder, struct cf_bytes file, struct cf_decoded *out,
                              struct cf_detail *detail) CF_MUST_CHECK;

/* Ahead: pictures are put in and their results taken out in the same order, while the decoder works on those
 * between. A picture that ends its decoder costs itself and is tried twice, the second time alone with a
 * fresh decoder, because a decoder that a picture got into its power can pretend to be at another one; those
 * behind it are decoded again.
 *
 * cf_decoder_put copies the picture and never waits. CF_E_BUSY when CF_DECODER_AHEAD are in hand, or one
 * longer than CF_DECODE_SMALL_BYTES and this one is too: take one first. CF_E_NOT_AN_IMAGE, CF_E_TOO_LARGE:
 * it was not put. cf_decoder_take waits for the oldest (there must be one) and returns what cf_decoder_decode
 * would have. */
enum { CF_DECODER_AHEAD = 16 };
enum cf_err cf_decoder_put(struct cf_decoder *decoder, struct cf_bytes file,
                           struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_decoder_take(struct cf_decoder *decoder, struct cf_decoded *out,
                            struct cf_detail *detail) CF_MUST_CHECK;
size_t cf_decoder_in_hand(const struct cf_decoder *decoder);
/* Forgets what is in hand, if need be with the decoder. */
void cf_decoder_drop(struct cf_decoder *decoder);

#endif
