/* The gallery: every picture given, pushed into a real fleet and asked for there. An album's id is the
 * beginning of the SHA-256 of its picture in hexadecimals, so that the same pictures are the same albums in
 * every run.
 *
 * Whatever a bench cannot go on without ends the program with a sentence (vecs.h). One thread. */
#ifndef CF_BENCH_LOOKS_GALLERY_H
#define CF_BENCH_LOOKS_GALLERY_H

#include "proto/client/client.h"
#include "tests/bench/ann/pictures.h"

enum { LOOKS_ID_BYTES = 25, LOOKS_GENRES_MAX = CF_FILTER_VALUES_MAX, LOOKS_NO_GENRE = LOOKS_GENRES_MAX };

struct looks_cover {
    struct cf_bytes file;
    char id[LOOKS_ID_BYTES];
    bool is_query; /* of the first input: covers to attack are drawn from these */
    bool in_fleet; /* described: it can be found */
    size_t genre;  /* LOOKS_NO_GENRE: not known */
};

struct looks_gallery {
    struct bench_pictures pictures;
    struct looks_cover *covers; /* one a picture, in an order that depends on contents and seed only */
    size_t count, found_count;
    char *genres[LOOKS_GENRES_MAX];
    size_t genre_count;
    struct cf_client *client;
};

/* Reads folders and tar files; of the first one come the queries. `labels`, which may be NULL, is a table
 * with the columns `cover` (a path from the table's own folder) and `genre`. */
void looks_gallery_read(struct looks_gallery *gallery, char *const *inputs, size_t input_count,
                        const char *labels, uint64_t seed);
void looks_gallery_fini(struct looks_gallery *gallery);

/* Pushes all to the fleet of COVERFLEET_HOME and waits until every one is in the index of every space or
 * given up. What the fleet has already is unchanged. */
void looks_gallery_push(struct looks_gallery *gallery);

/* All at once, so that several query workers can work; returns when all are answered. on_answer gets the
 * number of the query; the answer has a result a target and is borrowed for the call, NULL when its only
 * target has no vector. */
void looks_gallery_ask(struct looks_gallery *gallery, const struct cf_query *queries, size_t count,
                       void (*on_answer)(void *arg, size_t i, const struct cf_answer *answer), void *arg);

#endif
