/* GIST the plain way: one two-dimensional transform after the other, any size. What the fast way is held
 * against. */
#ifndef CF_DESCRIPTOR_GIST_PLAIN_H
#define CF_DESCRIPTOR_GIST_PLAIN_H

#include "common/descriptor/gist.h"

struct cf_gist_plain;

/* As cf_gist_new, cf_gist_free and cf_gist. */
struct cf_gist_plain *cf_gist_plain_new(uint32_t width, uint32_t height);
void cf_gist_plain_free(struct cf_gist_plain *gist);
void cf_gist_plain(struct cf_gist_plain *gist, const uint8_t *rgb, float out[CF_GIST_DIM]);

#endif
