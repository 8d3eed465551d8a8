#include "tests/bench/looks/gallery.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "deploy/cli/progress.h"
#include "deploy/cli/table.h"
#include "tests/bench/ann/vecs.h"

enum {
    PUSH_ITEMS = 256,
    PUSH_BYTES = 16 << 20,
    CALL_MS = 300000,
    LOOK_MS = 200,
    FILE_BYTES_MAX = 64 << 20,
    PATH_BYTES = 4096
};

/* ---- what there is ---- */

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, CF_SHA256_BYTES);
}

/* Digests of the first input's pictures, in order. */
static uint8_t *digests_of(const struct bench_pictures *pictures)
{
    uint8_t *digests = bench_alloc(pictures->count + 1, CF_SHA256_BYTES);
    for (size_t i = 0; i < pictures->count; i++)
        memcpy(digests + i * CF_SHA256_BYTES, pictures->items[i].digest, CF_SHA256_BYTES);
    qsort(digests, pictures->count, CF_SHA256_BYTES, by_digest);
    return digests;
}

struct label {
    uint8_t digest[CF_SHA256_BYTES];
    size_t genre;
};

static size_t genre_number(struct looks_gallery *gallery, struct cf_str genre)
{
    for (size_t i = 0; i < gallery->genre_count; i++)
        if (cf_str_is(genre, gallery->genres[i]))
            return i;
    if (genre.len == 0)
        return LOOKS_NO_GENRE;
    if (gallery->genre_count == LOOKS_GENRES_MAX)
        bench_give_up("the table has more than 64 genres");
    gallery->genres[gallery->genre_count] = strndup(genre.data, genre.len);
    CF_CHECK(gallery->genres[gallery->genre_count]);
    return gallery->genre_count++;
}

/* False when there is no such file: the table may name more covers than are there. */
static bool digest_of_cover(const char *table, struct cf_str cover, uint8_t digest[CF_SHA256_BYTES])
{
    char path[PATH_BYTES];
    const char *slash = strrchr(table, '/');
    struct cf_buf file;
    cf_buf_init(&file);
    snprintf(path, sizeof path, "%.*s%.*s", slash ? (int)(slash - table + 1) : 0, table, CF_STR_ARG(cover));
    bool there = cf_file_read(path, FILE_BYTES_MAX, &file, NULL) == CF_OK;
    if (there)
        cf_sha256(cf_buf_bytes(&file), digest);
    cf_buf_fini(&file);
    return there;
}

static struct label *read_labels(struct looks_gallery *gallery, const char *path, size_t *count)
{
    static const char *const required[] = {"cover", "genre", NULL};
    struct cf_table *table = bench_alloc(1, sizeof *table);
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    struct cf_detail detail = {""};
    struct label *labels = NULL;
    size_t capacity = 0;
    FILE *in = fopen(path, "re");
    bench_must(in ? cf_table_init(table, in, path, required, &detail) : cf_fail_errno(&detail, path),
               &detail);
    size_t cover = cf_table_column(table, "cover"), genre = cf_table_column(table, "genre");
    for (bool end = false;;) {
        bench_must(cf_table_next(table, fields, &end, &detail), &detail);
        if (end)
            break;
        if (*count == capacity)
            labels = realloc(labels, (capacity = capacity ? 2 * capacity : 1024) * sizeof *labels);
        CF_CHECK(labels);
        if (digest_of_cover(path, fields[cover], labels[*count].digest))
            labels[(*count)++].genre = genre_number(gallery, fields[genre]);
    }
    fclose(in);
    free(table);
    if (labels)
        qsort(labels, *count, sizeof *labels, by_digest);
    return labels;
}

static void make_covers(struct looks_gallery *gallery, const uint8_t *first, size_t first_count,
                        const struct label *labels, size_t label_count)
{
    gallery->count = gallery->pictures.count;
    gallery->covers = bench_alloc(gallery->count + 1, sizeof *gallery->covers);
    for (size_t i = 0; i < gallery->count; i++) {
        struct looks_cover *cover = &gallery->covers[i];
        uint8_t digest[CF_SHA256_BYTES];
        cover->file = gallery->pictures.items[i].file;
        cf_sha256(cover->file, digest);
        cf_hex((struct cf_bytes){digest, (LOOKS_ID_BYTES - 1) / 2}, cover->id);
        cover->is_query = bsearch(digest, first, first_count, CF_SHA256_BYTES, by_digest) != NULL;
        const struct label *label =
            label_count ? bsearch(digest, labels, label_count, sizeof *labels, by_digest) : NULL;
        cover->genre = label ? label->genre : LOOKS_NO_GENRE;
    }
}

void looks_gallery_read(struct looks_gallery *gallery, char *const *inputs, size_t input_count,
                        const char *labels, uint64_t seed)
{
    struct cf_detail detail = {""};
    size_t first_count = 0, label_count = 0;
    uint8_t *first = NULL;
    *gallery = (struct looks_gallery){.count = 0};
    for (size_t i = 0; i < input_count; i++) {
        bench_must(bench_pictures_add(&gallery->pictures, inputs[i], &detail), &detail);
        if (i == 0) {
            first = digests_of(&gallery->pictures);
            first_count = gallery->pictures.count;
        }
    }
    struct label *table = labels ? read_labels(gallery, labels, &label_count) : NULL;
    bench_pictures_settle(&gallery->pictures, seed);
    make_covers(gallery, first, first_count, table, label_count);
    free(table);
    free(first);
    bench_must(cf_client_new(NULL, &gallery->client, &detail), &detail);
}

void looks_gallery_fini(struct looks_gallery *gallery)
{
    cf_client_free(gallery->client);
    for (size_t i = 0; i < gallery->genre_count; i++)
        free(gallery->genres[i]);
    free(gallery->covers);
    bench_pictures_fini(&gallery->pictures);
}

/* ---- into the fleet ---- */

static struct cf_reply *call(struct looks_gallery *gallery, const struct cf_msg *request)
{
    struct cf_reply *reply = NULL;
    struct cf_detail detail = {""};
    bench_must(cf_client_call(gallery->client, request, CALL_MS, &reply, &detail), &detail);
    return reply;
}

/* How many were refused because the queue is full; whatever else is refused has no place in the gallery. */
static size_t push_some(struct looks_gallery *gallery, struct cf_push_item *items, size_t count)
{
    struct cf_msg request = {.kind = CF_KIND_PUSH, .push = {.items = items, .item_count = count}};
    struct cf_reply *reply = call(gallery, &request);
    size_t busy = 0;
    for (size_t i = 0; i < reply->msg.results.result_count; i++)
        busy += cf_str_is(reply->msg.results.results[i].error, "busy");
    cf_reply_free(reply);
    return busy;
}

/* From the cover `at` on as many as go into one message; returns the first that did not. */
static size_t push_from(struct looks_gallery *gallery, size_t at)
{
    struct cf_push_item items[PUSH_ITEMS];
    struct cf_pair genres[PUSH_ITEMS];
    size_t count = 0;
    for (size_t bytes = 0; at < gallery->count && count < PUSH_ITEMS && bytes < PUSH_BYTES; at++, count++) {
        const struct looks_cover *cover = &gallery->covers[at];
        items[count] = (struct cf_push_item){
            .album = cf_str(cover->id), .bytes = cover->file, .priority = CF_PRIORITY_DEFAULT};
        if (cover->genre != LOOKS_NO_GENRE) {
            genres[count] = (struct cf_pair){cf_str("genre"), cf_str(gallery->genres[cover->genre])};
            items[count].meta = &genres[count];
            items[count].meta_count = 1;
        }
        bytes += cover->file.len;
    }
    while (push_some(gallery, items, count) > 0)
        (void)poll(NULL, 0, LOOK_MS);
    return at;
}

static bool is_settled(struct looks_gallery *gallery, uint64_t *described)
{
    struct cf_reply *reply = call(gallery, &(struct cf_msg){.kind = CF_KIND_STATUS});
    const struct cf_status *status = &reply->msg.status;
    bool settled = status->queued + status->delayed + status->leased + status->described == 0;
    *described = status->described + status->indexed;
    cf_reply_free(reply);
    return settled;
}

static void look_up(struct looks_gallery *gallery)
{
    struct cf_str albums[PUSH_ITEMS];
    gallery->found_count = 0;
    for (size_t at = 0; at < gallery->count; at += PUSH_ITEMS) {
        size_t count = gallery->count - at < PUSH_ITEMS ? gallery->count - at : PUSH_ITEMS;
        for (size_t i = 0; i < count; i++)
            albums[i] = cf_str(gallery->covers[at + i].id);
        struct cf_reply *reply =
            call(gallery, &(struct cf_msg){.kind = CF_KIND_STATES,
                                           .albums = {.albums = albums, .album_count = count}});
        for (size_t i = 0; i < count && i < reply->msg.states.state_count; i++) {
            bool in_fleet = reply->msg.states.states[i].state == CF_STATE_INDEXED;
            gallery->covers[at + i].in_fleet = in_fleet;
            gallery->found_count += in_fleet;
        }
        cf_reply_free(reply);
    }
}

void looks_gallery_push(struct looks_gallery *gallery)
{
    struct cf_progress progress;
    uint64_t described = 0;
    cf_progress_init(&progress, stderr, false, cf_clock_mono_ms());
    for (size_t at = 0; at < gallery->count;) {
        at = push_from(gallery, at);
        cf_progress_show(&progress, at, gallery->count, "pictures pushed", cf_clock_mono_ms());
    }
    cf_progress_clear(&progress);
    cf_progress_init(&progress, stderr, false, cf_clock_mono_ms());
    while (!is_settled(gallery, &described)) {
        cf_progress_show(&progress, described, 0, "albums described; until all are indexed",
                         cf_clock_mono_ms());
        (void)poll(NULL, 0, LOOK_MS);
    }
    cf_progress_clear(&progress);
    look_up(gallery);
}

/* ---- asking ---- */

struct asking {
    void (*on_answer)(void *arg, size_t i, const struct cf_answer *answer);
    void *arg;
};
struct question {
    const struct asking *asking;
    size_t number;
};

static void on_reply(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    const struct question *question = arg;
    /* What is wrong with the only target of a message is said as if it were the message's. */
    bool nothing = err == CF_E_FLAGGED || err == CF_E_NOT_FOUND || err == CF_E_NOT_DESCRIBED;
    if (!nothing)
        bench_must(err, detail);
    question->asking->on_answer(question->asking->arg, question->number, nothing ? NULL : &msg->answer);
}

void looks_gallery_ask(struct looks_gallery *gallery, const struct cf_query *queries, size_t count,
                       void (*on_answer)(void *arg, size_t i, const struct cf_answer *answer), void *arg)
{
    const struct asking asking = {on_answer, arg};
    struct question *questions = bench_alloc(count + 1, sizeof *questions);
    struct cf_detail detail = {""};
    for (size_t i = 0; i < count; i++) {
        struct cf_msg request = {.kind = CF_KIND_QUERY, .query = queries[i]};
        questions[i] = (struct question){&asking, i};
        request.query.deadline_ms = CALL_MS;
        bench_must(
            cf_client_send(gallery->client, &request, CALL_MS + 1000, on_reply, &questions[i], &detail),
            &detail);
    }
    while (cf_client_pending(gallery->client) > 0)
        bench_must(cf_client_poll(gallery->client, 1000, &detail), &detail);
    free(questions);
}
