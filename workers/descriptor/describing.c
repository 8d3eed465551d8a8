#include "workers/descriptor/describing.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/descriptor/space.h"
#include "common/store/shard.h"
#include "proto/container.h"
#include "workers/descriptor/fetch.h"
#include "workers/descriptor/given.h"

enum { COMMIT_MS = 1000 };

struct cf_describing {
    const struct cf_config *config;
    struct cf_decoder *decoder;
    struct cf_describer *describer;
    char *path;
    struct cf_shard *shard; /* NULL after a failed write, until it is opened again */
    struct cf_buf file;
    struct cf_decoded decoded;
    uint64_t put, taken; /* pictures put to the decoder and taken back */
    float *values[CF_SPACE_COUNT];
};

/* Why a cover could not be settled: its own failure (of vectors that it brought: for ever, whatever the
 * error), a file that this machine does not give now, or a failure of the worker's that ends the batch. */
enum fault { FAULT_COVER, FAULT_GIVEN, FAULT_FILES, FAULT_STORE, FAULT_WORKER };

struct failure {
    enum fault fault;
    enum cf_err err;
    struct cf_detail detail;
};

enum cf_err cf_describing_new(const struct cf_config *config, struct cf_decoder *decoder, const char *path,
                              struct cf_describing **out, struct cf_detail *detail)
{
    struct cf_describing *describing = calloc(1, sizeof *describing);
    if (!describing)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for a describing thread");
    describing->config = config;
    describing->decoder = decoder;
    describing->path = strdup(path);
    describing->describer = cf_describer_new();
    bool complete = describing->path && describing->describer;
    for (size_t i = 0; i < CF_SPACE_COUNT; i++) {
        describing->values[i] = calloc(cf_spaces[i].dim, sizeof(float));
        complete = complete && describing->values[i];
    }
    enum cf_err err = complete ? cf_shard_open(path, &describing->shard, detail)
                               : cf_fail(detail, CF_E_NO_MEMORY, "no memory for a describing thread");
    if (err != CF_OK) {
        cf_describing_free(describing);
        return err;
    }
    *out = describing;
    return CF_OK;
}

void cf_describing_free(struct cf_describing *describing)
{
    if (!describing)
        return;
    cf_shard_free(describing->shard);
    cf_buf_fini(&describing->file);
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        free(describing->values[i]);
    cf_describer_free(describing->describer);
    free(describing->path);
    free(describing);
}

/* ---- failures ---- */

/* The shard's word about one album: damaged records are that album's, anything else is the shard's. */
static enum cf_err shard_failed(struct failure *failure, enum cf_err err)
{
    bool own =
        err == CF_E_SUPERSEDED || err == CF_E_CORRUPT || err == CF_E_BAD_VERSION || err == CF_E_BAD_ALBUM;
    failure->fault = own ? FAULT_COVER : FAULT_STORE;
    return failure->err = err;
}

static enum cf_err cover_failed(struct failure *failure, enum cf_err err)
{
    failure->fault = FAULT_COVER;
    return failure->err = err;
}

/* What happened to a cover by its own fault: once and for all, or worth another attempt. */
static enum cf_outcome outcome_of(enum cf_err err)
{
    switch (err) {
    case CF_E_NOT_AN_IMAGE:
    case CF_E_NO_PIXELS:
    case CF_E_TOO_LARGE:
    case CF_E_UNSUPPORTED:
    case CF_E_OUTSIDE_ROOTS:
    case CF_E_NOT_FOUND:
    case CF_E_CONTENT_CHANGED:
    case CF_E_BAD_VECTOR:
    case CF_E_BAD_ALBUM:
    case CF_E_SUPERSEDED:
        return CF_OUTCOME_REFUSED;
    default:
        return CF_OUTCOME_ATTEMPTED;
    }
}

/* ---- one cover ---- */

static enum cf_err fetch(struct cf_describing *describing, const struct cf_job *job, struct cf_bytes *file,
                         uint8_t sha256[CF_SHA256_BYTES], struct failure *failure)
{
    struct cf_detail *detail = &failure->detail;
    *file = job->bytes;
    if (job->file.len) {
        cf_buf_clear(&describing->file);
        bool ours;
        enum cf_err err = cf_fetch_file(describing->config, job->file, &describing->file, &ours, detail);
        if (err != CF_OK) {
            failure->fault = ours ? FAULT_FILES : FAULT_COVER;
            return failure->err = err;
        }
        *file = cf_buf_bytes(&describing->file);
    }
    cf_sha256(*file, sha256);
    if (job->sha256.len == CF_SHA256_BYTES && memcmp(job->sha256.data, sha256, CF_SHA256_BYTES) != 0)
        return cover_failed(failure,
                            cf_fail(detail, CF_E_CONTENT_CHANGED,
                                    "the %zu bytes are not those that were pushed: push the album again",
                                    file->len));
    return CF_OK;
}

/* The oldest picture at the decoder. */
static enum cf_err take_decoded(struct cf_describing *describing, struct failure *failure)
{
    enum cf_err err = cf_decoder_take(describing->decoder, &describing->decoded, &failure->detail);
    describing->taken++;
    if (err == CF_OK)
        return CF_OK;
    failure->fault =
        err == CF_E_IO ? FAULT_WORKER : FAULT_COVER; /* without its keeper nothing decodes any more */
    return failure->err = err;
}

bool cf_vector_is_finite(const float *values, size_t dim)
{
    for (size_t i = 0; i < dim; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static enum cf_err compute(struct cf_describing *describing, struct cf_shard_vector *vectors, size_t *count,
                           bool *constant, struct failure *failure)
{
    *count = 0;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        const struct cf_space *space = &cf_spaces[i];
        bool flat = false;
        enum cf_err err = cf_describe(describing->describer, space, describing->decoded.rgb, CF_THUMB_SIDE,
                                      CF_THUMB_SIDE, describing->values[i], &flat, &failure->detail);
        if (err != CF_OK)
            return cover_failed(failure, err);
        if (!cf_vector_is_finite(describing->values[i], space->dim))
            return cover_failed(failure, cf_fail(&failure->detail, CF_E_BAD_VECTOR,
                                                 "its %s vector is not finite", space->name));
        vectors[(*count)++] =
            (struct cf_shard_vector){cf_str(space->name), space->version, describing->values[i], space->dim};
        *constant = *constant || flat;
    }
    return CF_OK;
}

/* The decoder's word and ours, kept with the album. */
static void warn(struct cf_cover *cover, const struct cf_decoded *decoded, bool constant)
{
    struct cf_str texts[2];
    size_t count = 0;
    if (decoded->warning[0])
        texts[count++] = cf_str(decoded->warning);
    if (constant)
        texts[count++] = cf_str("the cover has no contrast: it is left out of neighbours");
    cover->warnings = cf_arena_alloc(cover->arena, count, sizeof *cover->warnings);
    for (size_t i = 0; cover->warnings && i < count; i++) {
        struct cf_str copy = cf_arena_str(cover->arena, texts[i]);
        if (copy.data)
            cover->warnings[cover->warning_count++] = copy;
    }
    cover->flags = (constant ? CF_FLAG_CONSTANT : 0u) | (decoded->partial ? CF_FLAG_PARTIAL : 0u);
}

static enum cf_err put(struct cf_describing *describing, struct cf_cover *cover, struct cf_shard_album *album,
                       const struct cf_shard_vector *vectors, size_t vector_count, struct cf_bytes thumb,
                       struct failure *failure)
{
    album->version = cover->job.version;
    album->stored_ms = cf_clock_wall_ms();
    enum cf_err err = cf_shard_put(describing->shard, cover->job.album, album, vectors, vector_count, thumb,
                                   &failure->detail);
    if (err != CF_OK)
        return shard_failed(failure, err);
    cover->log_seq = album->log_seq;
    return CF_OK;
}

static enum cf_err remove_album(struct cf_describing *describing, struct cf_cover *cover,
                                struct failure *failure)
{
    struct cf_shard_album album = {.removed = true};
    return put(describing, cover, &album, NULL, 0, (struct cf_bytes){0}, failure);
}

/* A cover whose picture was decoded. */
static enum cf_err describe_album(struct cf_describing *describing, struct cf_cover *cover,
                                  struct failure *failure)
{
    const struct cf_job *job = &cover->job;
    struct cf_shard_album album = {.meta = job->meta, .meta_count = job->meta_count};
    struct cf_shard_vector vectors[CF_SPACE_COUNT];
    size_t count = 0;
    bool constant = false;
    enum cf_err err = take_decoded(describing, failure);
    if (err == CF_OK)
        err = compute(describing, vectors, &count, &constant, failure);
    if (err != CF_OK)
        return err;
    const struct cf_decoded *decoded = &describing->decoded;
    warn(cover, decoded, constant);
    memcpy(album.sha256, cover->sha256, sizeof album.sha256);
    album.flags = cover->flags;
    album.width = decoded->source_width;
    album.height = decoded->source_height;
    album.source = job->file.len ? job->file : cf_str("bytes");
    album.warnings = cover->warnings;
    album.warning_count = cover->warning_count;
    struct cf_bytes thumb = {decoded->jpeg, decoded->jpeg_bytes};
    return put(describing, cover, &album, vectors, count, thumb, failure);
}

/* An album that brought its vectors: nothing to decode, no thumbnail, only the spaces that it names. */
static enum cf_err take_given(struct cf_describing *describing, struct cf_cover *cover, struct cf_bytes file,
                              struct failure *failure)
{
    const struct cf_job *job = &cover->job;
    struct cf_shard_album album = {
        .meta = job->meta, .meta_count = job->meta_count, .source = cf_str("vectors")};
    struct cf_shard_vector vectors[CF_SPACE_COUNT];
    size_t count = 0;
    enum cf_err err = cf_given_vectors(file, describing->values, vectors, &count, &failure->detail);
    if (err != CF_OK) {
        failure->fault = FAULT_GIVEN;
        return failure->err = err;
    }
    memcpy(album.sha256, cover->sha256, sizeof album.sha256);
    err = put(describing, cover, &album, vectors, count, (struct cf_bytes){0}, failure);
    if (err == CF_OK)
        cover->outcome = CF_OUTCOME_DONE;
    return err;
}

/* An answer from what the shard has already: after a lost acknowledgement the same version comes again. */
static enum cf_err look_up(struct cf_describing *describing, struct cf_cover *cover, bool *known,
                           struct failure *failure)
{
    struct cf_shard_album album;
    enum cf_err err =
        cf_shard_album(describing->shard, cover->job.album, cover->arena, &album, &failure->detail);
    if (err == CF_E_NOT_FOUND)
        return CF_OK;
    if (err != CF_OK)
        return shard_failed(failure, err);
    int order = cf_version_compare(cover->job.version, album.version);
    if (order < 0)
        return cover_failed(failure, cf_fail(&failure->detail, CF_E_SUPERSEDED,
                                             "a newer push or removal of the album rests in the shard"));
    *known = order == 0 && album.removed == (cover->job.action == CF_ACTION_REMOVE);
    if (*known) {
        cover->log_seq = album.log_seq;
        cover->flags = album.flags;
        cover->warnings = album.warnings;
        cover->warning_count = album.warning_count;
    }
    return CF_OK;
}

/* The lease may run out before a cover's turn comes; handed back in time it costs nobody an attempt. */
static bool is_late(const struct cf_describing *describing, const struct cf_cover *cover)
{
    return cf_clock_mono_ms() - cover->leased_ms > (uint64_t)describing->config->broker_lease_ms / 2;
}

static enum cf_err begin_describing(struct cf_describing *describing, struct cf_cover *cover,
                                    struct failure *failure)
{
    struct cf_bytes file;
    enum cf_err err = fetch(describing, &cover->job, &file, cover->sha256, failure);
    if (err != CF_OK)
        return err;
    if (cf_container_is(file))
        return take_given(describing, cover, file, failure);
    err = cf_decoder_put(describing->decoder, file, &failure->detail);
    if (err == CF_OK)
        cover->picture = ++describing->put;
    return err == CF_OK || err == CF_E_BUSY ? err : cover_failed(failure, err);
}

/* The first half of a cover: settled without decoding, or on its way to the decoder. CF_E_BUSY: not yet. */
static enum cf_err begin(struct cf_describing *describing, struct cf_cover *cover, struct failure *failure)
{
    bool known = false;
    enum cf_err err = look_up(describing, cover, &known, failure);
    if (err == CF_OK && known)
        cover->outcome = CF_OUTCOME_DONE;
    else if (err == CF_OK && cover->job.action != CF_ACTION_REMOVE)
        err = begin_describing(describing, cover, failure);
    return err;
}

/* The second half, in the order of the batch. */
static enum cf_err end(struct cf_describing *describing, struct cf_cover *cover, struct failure *failure)
{
    enum cf_err err = cover->picture ? describe_album(describing, cover, failure)
                                     : remove_album(describing, cover, failure);
    if (err == CF_OK)
        cover->outcome = CF_OUTCOME_DONE;
    return err;
}

/* ---- one batch ---- */

static void forget_decoding(struct cf_describing *describing)
{
    cf_decoder_drop(describing->decoder);
    describing->taken = describing->put;
}

static void hand_back(struct cf_describing *describing, struct cf_cover_batch *batch, size_t first,
                      enum cf_err err, const struct cf_detail *detail)
{
    forget_decoding(describing);
    for (size_t i = first; i < batch->count; i++)
        if (batch->covers[i]->outcome == CF_OUTCOME_NONE || batch->covers[i]->outcome == CF_OUTCOME_DONE)
            cf_cover_fail(batch->covers[i], CF_OUTCOME_BACK, err, detail);
    batch->settled = batch->count;
}

static enum cf_err open_again(struct cf_describing *describing, struct cf_detail *detail)
{
    return describing->shard ? CF_OK : cf_shard_open(describing->path, &describing->shard, detail);
}

struct cf_shard *cf_describing_shard(struct cf_describing *describing, struct cf_detail *detail)
{
    return open_again(describing, detail) == CF_OK ? describing->shard : NULL;
}

void cf_describing_lose_shard(struct cf_describing *describing)
{
    cf_shard_free(describing->shard);
    describing->shard = NULL;
}

/* CF_OK when the failure was this one cover's and is noted. */
static enum cf_err note(struct cf_cover_batch *batch, struct cf_cover *cover, enum cf_err err,
                        const struct failure *failure)
{
    if (err == CF_OK || failure->fault == FAULT_STORE || failure->fault == FAULT_WORKER)
        return err;
    bool own = failure->fault != FAULT_FILES;
    cf_cover_fail(cover,
                  failure->fault == FAULT_GIVEN ? CF_OUTCOME_REFUSED
                  : own                         ? outcome_of(err)
                                                : CF_OUTCOME_BACK,
                  err, &failure->detail);
    if (!own && batch->files_err == CF_OK) {
        batch->files_err = err;
        batch->files_detail = failure->detail;
    }
    return CF_OK;
}

/* Keeps the decoder supplied: begins covers from `*ahead` on until it has no room for more. */
static enum cf_err begin_some(struct cf_describing *describing, struct cf_cover_batch *batch, size_t *ahead,
                              struct failure *failure)
{
    for (; *ahead < batch->count && cf_decoder_in_hand(describing->decoder) < CF_DECODER_AHEAD; ++*ahead) {
        struct cf_cover *cover = batch->covers[*ahead];
        *failure = (struct failure){FAULT_COVER, CF_OK, {""}};
        if (is_late(describing, cover)) {
            cover->begun = true;
            (void)cf_fail(&failure->detail, CF_E_LEASE_EXPIRED,
                          "its lease was half over before its turn came");
            cf_cover_fail(cover, CF_OUTCOME_BACK, CF_E_LEASE_EXPIRED, &failure->detail);
            continue;
        }
        enum cf_err err = begin(describing, cover, failure);
        if (err == CF_E_BUSY && failure->fault == FAULT_COVER)
            return CF_OK;
        cover->begun = true;
        err = note(batch, cover, err, failure);
        if (err != CF_OK)
            return err;
    }
    return CF_OK;
}

/* Where the last call stopped: behind the covers that the decoder has. Anything else that it has belongs to
 * nobody any more. */
static size_t find_ahead(struct cf_describing *describing, const struct cf_cover_batch *batch)
{
    size_t ahead = batch->settled;
    while (ahead < batch->count && batch->covers[ahead]->begun &&
           (batch->covers[ahead]->picture == 0 || batch->covers[ahead]->picture > describing->taken))
        ahead++;
    if (ahead == batch->settled)
        forget_decoding(describing);
    return ahead;
}

static enum cf_err settle_next(struct cf_describing *describing, struct cf_cover_batch *batch, size_t *ahead,
                               struct failure *failure)
{
    struct cf_cover *cover = batch->covers[batch->settled];
    if (cover->begun && cover->outcome == CF_OUTCOME_NONE && is_late(describing, cover)) {
        forget_decoding(describing); /* this one goes back, those behind it start once more */
        *ahead = batch->settled;
    }
    enum cf_err err = begin_some(describing, batch, ahead, failure);
    if (err != CF_OK || cover->outcome != CF_OUTCOME_NONE)
        return err;
    *failure = (struct failure){FAULT_COVER, CF_OK, {""}};
    return note(batch, cover, end(describing, cover, failure), failure);
}

/* CF_OK, or a failure that is not a cover's. */
static enum cf_err settle_some(struct cf_describing *describing, struct cf_cover_batch *batch,
                               struct failure *failure)
{
    uint64_t until_ms = cf_clock_mono_ms() + COMMIT_MS;
    size_t first = batch->settled, ahead = find_ahead(describing, batch);
    for (; batch->settled < batch->count; batch->settled++) {
        if (batch->settled > first && cf_clock_mono_ms() >= until_ms)
            return CF_OK;
        enum cf_err err = settle_next(describing, batch, &ahead, failure);
        if (err != CF_OK)
            return err;
    }
    return CF_OK;
}

/* Nothing of the batch from `first` on is in the shard; it is opened again next time. */
static void store_failed(struct cf_describing *describing, struct cf_cover_batch *batch, size_t first,
                         enum cf_err err, const struct cf_detail *detail)
{
    cf_shard_free(describing->shard);
    describing->shard = NULL;
    batch->store_err = err;
    batch->detail = *detail;
    hand_back(describing, batch, first, err, detail);
}

void cf_describing_run(struct cf_describing *describing, struct cf_cover_batch *batch)
{
    size_t first = batch->settled;
    struct failure failure = {FAULT_STORE, CF_OK, {""}};
    enum cf_err err = open_again(describing, &failure.detail);
    if (err == CF_OK)
        err = settle_some(describing, batch, &failure);
    if (err != CF_OK && failure.fault == FAULT_STORE) {
        store_failed(describing, batch, first, err, &failure.detail);
        return;
    }
    if (err != CF_OK) {
        batch->fatal_err = err;
        batch->detail = failure.detail;
    }
    struct cf_detail detail = {""};
    enum cf_err commit_err = cf_shard_commit(describing->shard, &detail);
    if (commit_err != CF_OK)
        store_failed(describing, batch, first, commit_err, &detail);
    else if (batch->fatal_err != CF_OK)
        hand_back(describing, batch, batch->settled, batch->fatal_err, &batch->detail);
    for (size_t i = first; i < batch->settled; i++)
        batch->committed = batch->committed || batch->covers[i]->outcome == CF_OUTCOME_DONE;
}
