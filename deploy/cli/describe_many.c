#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/decoder/decoder.h"
#include "common/vecfile/fresh.h"
#include "common/vecfile/vecfile.h"
#include "deploy/cli/describe.h"
#include "deploy/cli/json.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/push_source.h"
#include "deploy/cli/text.h"

enum { SLOTS_OF_A_THREAD = 64 };

/* A picture between its source and its row. */
struct slot {
    struct cf_arena *arena;
    struct cf_cover cover; /* with its error, if it was refused */
    float *vector;
    bool constant, partial;
    bool done;
};

/* Pictures are claimed in their order by any thread, finished in any order, and written in theirs. */
struct many {
    const struct cf_describe_options *options;
    struct cf_config *config;
    struct cf_source *source;
    struct cf_vecwriter *writer;
    struct cf_fresh *ids;
    struct cf_buf line;
    struct worker *workers;
    unsigned started;

    pthread_mutex_t lock; /* of what follows, of slots between claimed and done, and of the source */
    pthread_cond_t changed;
    struct slot *slots;
    size_t slot_count;
    uint64_t claimed, written;
    bool ended;             /* the source is, or the work shall */
    enum cf_err source_err; /* why it ended early */
    struct cf_detail source_detail;

    struct cf_progress progress;
    uint64_t described, refused, constant, partial, begun_ms;
    bool misnamed; /* the call names what is no cover: nothing was done */
    enum cf_err first_err;
};

struct worker {
    struct many *many;
    pthread_t thread;
    struct cf_decoder *decoder;
    struct cf_describer *describer;
    struct cf_decoded decoded;
    struct cf_buf file;
    struct slot *in_hand[CF_DECODER_AHEAD]; /* at the decoder, oldest first */
    size_t in_hand_count;
};

enum cf_err cf_describe_config(struct cf_config **config, struct cf_detail *detail)
{
    struct cf_home home;
    enum cf_err err = cf_home_resolve(&home, detail);
    if (err)
        return err;
    struct cf_config *loaded = malloc(sizeof *loaded);
    if (!loaded)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    err = cf_config_load(loaded, &home, detail);
    if (err) {
        free(loaded);
        return err;
    }
    *config = loaded;
    return CF_OK;
}

/* ---- a thread ---- */

static void finish_slot(struct many *many, struct slot *slot)
{
    pthread_mutex_lock(&many->lock);
    slot->done = true;
    pthread_cond_broadcast(&many->changed);
    pthread_mutex_unlock(&many->lock);
}

/* With the lock. NULL when the source has ended. */
static struct slot *take_next(struct many *many)
{
    struct slot *slot = &many->slots[many->claimed % many->slot_count];
    bool end = false;
    cf_arena_reset(slot->arena);
    slot->cover = (struct cf_cover){.album = {"", 0}};
    many->source_err = cf_source_next(many->source, slot->arena, &slot->cover, &end, &many->source_detail);
    many->ended = many->source_err || end;
    if (many->ended) {
        pthread_cond_broadcast(&many->changed);
        return NULL;
    }
    slot->done = slot->constant = slot->partial = false;
    many->claimed++;
    return slot;
}

/* The next picture, or NULL when there is none or no room for it; `wait`: until there is either. */
static struct slot *claim(struct many *many, bool wait)
{
    pthread_mutex_lock(&many->lock);
    while (wait && !many->ended && many->claimed - many->written == many->slot_count)
        pthread_cond_wait(&many->changed, &many->lock);
    struct slot *slot = NULL;
    if (!many->ended && many->claimed - many->written < many->slot_count)
        slot = take_next(many);
    pthread_mutex_unlock(&many->lock);
    return slot;
}

static void take_oldest(struct worker *worker)
{
    struct slot *slot = worker->in_hand[0];
    struct cf_cover *cover = &slot->cover;
    cover->err = cf_decoder_take(worker->decoder, &worker->decoded, &cover->detail);
    if (!cover->err)
        cover->err = cf_describe(worker->describer, worker->many->options->space, worker->decoded.rgb,
                                 CF_THUMB_SIDE, CF_THUMB_SIDE, slot->vector, &slot->constant, &cover->detail);
    slot->partial = !cover->err && worker->decoded.partial;
    worker->in_hand_count--;
    memmove(worker->in_hand, worker->in_hand + 1, worker->in_hand_count * sizeof worker->in_hand[0]);
    finish_slot(worker->many, slot);
}

static enum cf_err read_cover(struct worker *worker, const struct cf_cover *cover, struct cf_detail *detail)
{
    if (cover->err)
        return cover->err;
    if (!cover->path)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    enum cf_err err = cf_album_check(cover->album, detail);
    cf_buf_clear(&worker->file);
    return err ? err
               : cf_file_read(cover->path, (size_t)worker->many->config->image_bytes_max, &worker->file,
                              detail);
}

/* Reads the picture and gives it to the decoder; refused, it is done. */
static void begin(struct worker *worker, struct slot *slot)
{
    struct cf_cover *cover = &slot->cover;
    cover->err = read_cover(worker, cover, &cover->detail);
    while (!cover->err) {
        cover->err = cf_decoder_put(worker->decoder, cf_buf_bytes(&worker->file), &cover->detail);
        if (cover->err != CF_E_BUSY)
            break;
        take_oldest(worker);
        cover->err = CF_OK;
    }
    if (cover->err)
        finish_slot(worker->many, slot);
    else
        worker->in_hand[worker->in_hand_count++] = slot;
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (;;) {
        struct slot *slot = NULL;
        if (worker->in_hand_count < CF_DECODER_AHEAD)
            slot = claim(worker->many, worker->in_hand_count == 0);
        if (slot)
            begin(worker, slot);
        else if (worker->in_hand_count > 0)
            take_oldest(worker);
        else
            return NULL;
    }
}

/* ---- the rows ---- */

static void refuse(struct many *many, const struct cf_command *command, const struct slot *slot)
{
    const struct cf_cover *cover = &slot->cover;
    const char *name = cover->path && cover->path[0] ? cover->path : "a cover";
    if (many->refused++ == 0)
        many->first_err = cover->err;
    cf_progress_clear(&many->progress);
    cf_say(command->name, cf_str(name), cover->err, &cover->detail);
}

/* A name may hold anything; a line stays a line. */
static void put_plain(struct cf_buf *line, const char *text)
{
    for (; *text; text++)
        cf_buf_u8(line, iscntrl((unsigned char)*text) ? '?' : (uint8_t)*text);
}

static enum cf_err write_id(struct many *many, const struct slot *slot, struct cf_detail *detail)
{
    struct cf_buf *line = &many->line;
    if (!many->ids)
        return CF_OK;
    cf_buf_clear(line);
    cf_buf_append(line, slot->cover.album.data, slot->cover.album.len);
    cf_buf_u8(line, '\t');
    put_plain(line, slot->cover.path);
    cf_buf_u8(line, '\t');
    put_plain(line, slot->constant  ? slot->partial ? "constant,partial" : "constant"
                    : slot->partial ? "partial"
                                    : "");
    cf_buf_u8(line, '\n');
    return cf_buf_ok(line) ? cf_fresh_write(many->ids, cf_buf_bytes(line), detail)
                           : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
}

static enum cf_err write_row(struct many *many, const struct slot *slot, struct cf_detail *detail)
{
    many->described++;
    many->constant += slot->constant;
    many->partial += slot->partial;
    enum cf_err err = cf_vecwriter_append(many->writer, slot->vector, 1, detail);
    return err ? err : write_id(many, slot, detail);
}

/* The oldest when it is done; NULL when all are written. */
static struct slot *await_oldest(struct many *many)
{
    pthread_mutex_lock(&many->lock);
    struct slot *slot = &many->slots[many->written % many->slot_count];
    while (many->claimed == many->written ? !many->ended : !slot->done)
        pthread_cond_wait(&many->changed, &many->lock);
    if (many->claimed == many->written)
        slot = NULL;
    pthread_mutex_unlock(&many->lock);
    return slot;
}

static void release_oldest(struct many *many, bool stop)
{
    pthread_mutex_lock(&many->lock);
    many->written++;
    many->ended = many->ended || stop;
    pthread_cond_broadcast(&many->changed);
    pthread_mutex_unlock(&many->lock);
}

/* What was claimed is waited for in any case: its memory is in use. */
static enum cf_err write_all(struct many *many, const struct cf_command *command, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    char words[64] = "";
    for (struct slot *slot; (slot = await_oldest(many));) {
        if (!err && slot->cover.err)
            refuse(many, command, slot);
        else if (!err)
            err = write_row(many, slot, detail);
        release_oldest(many, err != CF_OK);
        if (many->refused > 0)
            snprintf(words, sizeof words, "%llu refused", (unsigned long long)many->refused);
        cf_progress_show(&many->progress, many->written, cf_source_total(many->source), words,
                         cf_clock_mono_ms());
    }
    if (!err && many->source_err) {
        *detail = many->source_detail;
        err = many->source_err;
    }
    return err;
}

/* ---- begin and end ---- */

static enum cf_err open_ids(struct many *many, struct cf_detail *detail)
{
    static const char header[] = "album\tcover\tflags\n";
    if (!many->options->ids)
        return CF_OK;
    enum cf_err err = cf_fresh_new(many->options->ids, &many->ids, detail);
    return err ? err
               : cf_fresh_write(many->ids, (struct cf_bytes){(const uint8_t *)header, strlen(header)},
                                detail);
}

static bool allocate(struct many *many)
{
    const struct cf_describe_options *options = many->options;
    many->slot_count = (size_t)options->threads * SLOTS_OF_A_THREAD;
    many->slots = calloc(many->slot_count, sizeof *many->slots);
    many->workers = calloc(options->threads, sizeof *many->workers);
    bool whole = many->slots && many->workers;
    for (size_t i = 0; whole && i < many->slot_count; i++) {
        many->slots[i].arena = cf_arena_new();
        many->slots[i].vector = calloc(options->space->dim, sizeof(float));
        whole = many->slots[i].arena && many->slots[i].vector;
    }
    for (unsigned i = 0; whole && i < options->threads; i++)
        many->workers[i].many = many;
    return whole;
}

/* A model's libraries may start threads: after all decoders were forked. */
static enum cf_err open_describers(struct many *many, struct cf_detail *detail)
{
    const struct cf_describe_options *options = many->options;
    enum cf_err err =
        options->space->metric == CF_METRIC_COSINE ? cf_spaces_load(many->config, detail) : CF_OK;
    for (unsigned i = 0; !err && i < options->threads; i++) {
        many->workers[i].describer = cf_describer_new();
        if (!many->workers[i].describer)
            err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    }
    return err;
}

static enum cf_err open_all(struct many *many, struct cf_detail *detail)
{
    const struct cf_describe_options *options = many->options;
    enum cf_err err = cf_describe_config(&many->config, detail);
    if (!err)
        err = cf_source_new(&many->source, options->names, options->name_count, options->table, options->root,
                            detail);
    many->misnamed = err == CF_E_INVALID && !options->table;
    if (!err)
        cf_source_once(many->source); /* whoever reads the ids takes each once */
    if (!err)
        err = cf_vecwriter_new(options->out, CF_VECFILE_FLOATS, options->space->dim, &many->writer, detail);
    if (!err)
        err = open_ids(many, detail);
    if (!err && !allocate(many))
        err = cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    for (unsigned i = 0; !err && i < options->threads; i++)
        err = cf_decoder_new(many->config, &many->workers[i].decoder, detail);
    if (!err)
        err = open_describers(many, detail);
    if (!err && cf_decoder_note(many->workers[0].decoder)[0])
        fprintf(stderr, "coverfleet describe: %s\n", cf_decoder_note(many->workers[0].decoder));
    return err;
}

/* Only after all decoders were forked. */
static enum cf_err start(struct many *many, struct cf_detail *detail)
{
    for (; many->started < many->options->threads; many->started++) {
        struct worker *worker = &many->workers[many->started];
        if (pthread_create(&worker->thread, NULL, work, worker) != 0)
            break;
    }
    return many->started > 0 ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "no thread could be started");
}

static void fini(struct many *many)
{
    for (unsigned i = 0; many->workers && i < many->options->threads; i++) {
        cf_decoder_free(many->workers[i].decoder);
        cf_describer_free(many->workers[i].describer);
        cf_buf_fini(&many->workers[i].file);
    }
    for (size_t i = 0; many->slots && i < many->slot_count; i++) {
        cf_arena_free(many->slots[i].arena);
        free(many->slots[i].vector);
    }
    free(many->workers);
    free(many->slots);
    cf_buf_fini(&many->line);
    cf_fresh_free(many->ids);
    cf_vecwriter_free(many->writer);
    cf_source_free(many->source);
    free(many->config);
    pthread_cond_destroy(&many->changed);
    pthread_mutex_destroy(&many->lock);
}

static enum cf_err print_json(const struct many *many, double seconds, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_word(json, "space", many->options->space->name);
    cf_json_uint(json, "version", many->options->space->version);
    cf_json_uint(json, "dim", many->options->space->dim);
    cf_json_uint(json, "described", many->described);
    cf_json_uint(json, "refused", many->refused);
    cf_json_uint(json, "passed_over", cf_source_passed_over(many->source));
    cf_json_uint(json, "constant", many->constant);
    cf_json_uint(json, "partial", many->partial);
    cf_json_real(json, "seconds", seconds);
    enum cf_err err = cf_json_print(json, stdout, detail);
    cf_json_free(json);
    return err;
}

static enum cf_err report(const struct many *many, struct cf_detail *detail)
{
    double seconds = (double)(cf_clock_mono_ms() - many->begun_ms) / 1000;
    if (many->options->json)
        return print_json(many, seconds, detail);
    printf("%llu covers described in %.2f s, %llu refused\n", (unsigned long long)many->described, seconds,
           (unsigned long long)many->refused);
    return CF_OK;
}

/* Without a single row there is nothing to keep. */
static enum cf_err publish(struct many *many, struct cf_detail *detail)
{
    if (many->described == 0 && many->refused == 0)
        return cf_fail(detail, CF_E_NOT_FOUND, "there are no covers in %.250s",
                       many->options->table ? many->options->table : many->options->names[0]);
    if (many->described == 0)
        return CF_OK;
    enum cf_err err = many->ids ? cf_fresh_sync(many->ids, detail) : CF_OK;
    if (!err)
        err = cf_vecwriter_finish(many->writer, detail);
    return !err && many->ids ? cf_fresh_finish(many->ids, detail) : err;
}

static enum cf_err run_all(struct many *many, const struct cf_command *command, struct cf_detail *detail)
{
    enum cf_err err = open_all(many, detail);
    if (!err)
        err = start(many, detail);
    if (err)
        return err;
    err = write_all(many, command, detail);
    for (unsigned i = 0; i < many->started; i++)
        pthread_join(many->workers[i].thread, NULL);
    cf_progress_clear(&many->progress);
    if (!err)
        err = publish(many, detail);
    return err ? err : report(many, detail);
}

enum cf_exit cf_describe_many(const struct cf_command *command, const struct cf_describe_options *options)
{
    struct cf_detail detail = {""};
    struct many many = {.options = options, .begun_ms = cf_clock_mono_ms()};
    pthread_mutex_init(&many.lock, NULL);
    pthread_cond_init(&many.changed, NULL);
    cf_buf_init(&many.line);
    cf_progress_init(&many.progress, stderr, options->json, many.begun_ms);
    enum cf_err err = run_all(&many, command, &detail);
    enum cf_exit result = cf_exit_of_many((size_t)many.described, (size_t)many.refused, many.first_err);
    fini(&many);
    if (!err)
        return result;
    if (many.misnamed)
        return cf_say_usage(command->name, &detail);
    cf_say(command->name, cf_str(""), err, &detail);
    if (options->json)
        cf_say_json(cf_str(cf_err_name(err)), cf_str(detail.text));
    return cf_exit_of(err);
}
