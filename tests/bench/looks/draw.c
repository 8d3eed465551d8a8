#include "tests/bench/looks/draw.h"

#include <math.h>
#include <stdlib.h>

#include "common/descriptor/space.h"
#include "tests/bench/ann/vecs.h"

enum { ALBUMS_A_MESSAGE = 64 };

struct asked {
    struct looks_gallery *gallery;
    struct looks_drawing *drawing;
    size_t candidates[ALBUMS_A_MESSAGE], count, wanted;
};

static bool is_twin(const struct looks_drawing *drawing, const char *id)
{
    for (size_t i = 0; i < drawing->twin_count; i++)
        if (memcmp(drawing->twins[i], id, LOOKS_ID_BYTES) == 0)
            return true;
    return false;
}

static void add_twin(struct looks_drawing *drawing, struct cf_str id)
{
    if (drawing->twin_count == drawing->twin_capacity) {
        drawing->twin_capacity = drawing->twin_capacity ? 2 * drawing->twin_capacity : 1024;
        drawing->twins = realloc(drawing->twins, drawing->twin_capacity * sizeof *drawing->twins);
        if (!drawing->twins)
            bench_give_up("out of memory");
    }
    snprintf(drawing->twins[drawing->twin_count++], LOOKS_ID_BYTES, "%.*s", CF_STR_ARG(id));
}

static void take_cover(struct asked *asked, size_t cover, const struct cf_answer_result *result)
{
    struct looks_drawing *drawing = asked->drawing;
    if (is_twin(drawing, asked->gallery->covers[cover].id)) {
        drawing->passed_over++;
        return;
    }
    struct looks_query *query = &drawing->queries[drawing->query_count++];
    *query = (struct looks_query){cover, drawing->twin_count, result->neighbor_count};
    for (size_t i = 0; i < result->neighbor_count; i++)
        add_twin(drawing, result->neighbors[i].album);
}

static void take_answer(void *arg, size_t i, const struct cf_answer *answer)
{
    struct asked *asked = arg;
    (void)i;
    for (size_t t = 0; answer && t < answer->result_count && asked->drawing->query_count < asked->wanted; t++)
        if (answer->results[t].error.len == 0) /* else flagged: without contrast it is nobody's neighbour */
            take_cover(asked, asked->candidates[t], &answer->results[t]);
}

static void ask(struct asked *asked)
{
    struct cf_target targets[ALBUMS_A_MESSAGE] = {{.vector_count = 0}};
    for (size_t i = 0; i < asked->count; i++)
        targets[i].album = cf_str(asked->gallery->covers[asked->candidates[i]].id);
    struct cf_query query = {.space = cf_str(cf_spaces[CF_SPACE_COPY].name),
                             .k = LOOKS_TWINS_MAX,
                             .exact = true,
                             .radius = sqrt(2 - 2 * LOOKS_SAME_COSINE),
                             .targets = targets,
                             .target_count = asked->count};
    looks_gallery_ask(asked->gallery, &query, 1, take_answer, asked);
    asked->count = 0;
}

void looks_draw(struct looks_gallery *gallery, size_t wanted, struct looks_drawing *drawing)
{
    struct asked asked = {.gallery = gallery, .drawing = drawing, .wanted = wanted};
    *drawing = (struct looks_drawing){.queries = bench_alloc(wanted + 1, sizeof *drawing->queries)};
    for (size_t at = 0; at < gallery->count && drawing->query_count < wanted; at++) {
        if (!gallery->covers[at].is_query || !gallery->covers[at].in_fleet)
            continue;
        asked.candidates[asked.count++] = at;
        if (asked.count == ALBUMS_A_MESSAGE)
            ask(&asked);
    }
    if (asked.count > 0 && drawing->query_count < wanted)
        ask(&asked);
}

void looks_drawing_fini(struct looks_drawing *drawing)
{
    free(drawing->queries);
    free(drawing->twins);
    *drawing = (struct looks_drawing){.query_count = 0};
}
