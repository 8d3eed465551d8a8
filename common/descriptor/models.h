/* Which models of the space `cf` a fleet's home holds: HOME/data/models/cf-VERSION.cfmap, and which of them
 * is served. Beside them cf-served and cf-given each hold a number: the served version, and the highest that
 * was ever given. */
#ifndef CF_DESCRIPTOR_MODELS_H
#define CF_DESCRIPTOR_MODELS_H

#include "common/base/home.h"
#include "common/descriptor/cfmap.h"

/* The version in HOME/data/models/cf-served, or, where that names none that is there, the lowest (0: there is
 * none); and the highest above it, which is to take its place (0: none). CF_E_INVALID, CF_E_IO. */
enum cf_err cf_models_find(const struct cf_home *home, uint32_t *served, uint32_t *next,
                           struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_models_path(const struct cf_home *home, uint32_t version, char *path, size_t size,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* Until the descriptor is closed nobody else has this lock: who publishes holds it from cf_models_give until
 * its own file is there. Makes the folder; waits. CF_E_IO. */
enum cf_err cf_models_lock(const struct cf_home *home, int *lock, struct cf_detail *detail) CF_MUST_CHECK;
/* The next version, above all that were ever given, also those whose files were deleted since: albums may
 * still have vectors of them. It is noted before anything is done with it, so that one given to somebody who
 * then fails is not given again. With the lock. CF_E_CORRUPT when the note is no number, CF_E_INVALID after
 * the last number, CF_E_IO. */
enum cf_err cf_models_give(const struct cf_home *home, uint32_t *version,
                           struct cf_detail *detail) CF_MUST_CHECK;
/* From now on that version is served. */
enum cf_err cf_models_serve(const struct cf_home *home, uint32_t version,
                            struct cf_detail *detail) CF_MUST_CHECK;
/* When the model's file was put there, wall clock; 0 unknown. */
uint64_t cf_models_put_ms(const struct cf_home *home, uint32_t version);

#endif
