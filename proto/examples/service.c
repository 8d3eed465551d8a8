/* A service: reads album ids, one a line, and prints the five albums that look most like each, 256 albums a
 * question. With COLLAPSE, neighbours no farther from each other than that are one (reissues under one
 * cover); with GENRE, only albums of that genre are neighbours.
 *
 *     service [SPACE [COLLAPSE [GENRE]]] < ALBUMS
 *
 * prints "album<TAB>neighbour<TAB>distance<TAB>title<TAB>how many more it stands for", nearest first */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/client/client.h"

enum { NEIGHBORS = 5, BATCH = 256, DEADLINE_MS = 2000, GRACE_MS = 1000 };

struct batch {
    char lines[BATCH][CF_ALBUM_BYTES_MAX + 2];
    struct cf_target targets[BATCH];
    size_t count;
};

static void read_batch(struct batch *batch)
{
    batch->count = 0;
    while (batch->count < BATCH && fgets(batch->lines[batch->count], sizeof batch->lines[0], stdin)) {
        char *line = batch->lines[batch->count];
        line[strcspn(line, "\n")] = '\0';
        batch->targets[batch->count++] = (struct cf_target){.album = cf_str(line)};
    }
}

static void print_result(const char *album, const struct cf_answer_result *result)
{
    if (result->error.len)
        fprintf(stderr, "%s: %.*s: %.*s\n", album, CF_STR_ARG(result->error), CF_STR_ARG(result->detail));
    for (size_t i = 0; i < result->neighbor_count; i++) {
        const struct cf_neighbor *neighbor = &result->neighbors[i];
        printf("%s\t%.*s\t%.6g\t%.*s\t%llu\n", album, CF_STR_ARG(neighbor->album), neighbor->distance,
               CF_STR_ARG(neighbor->title), (unsigned long long)neighbor->same_count);
    }
}

/* `wish` is a query without its targets. */
static enum cf_err ask(struct cf_client *client, const struct cf_query *wish, struct batch *batch,
                       struct cf_detail *detail)
{
    struct cf_msg request = {.kind = CF_KIND_QUERY, .query = *wish};
    request.query.targets = batch->targets;
    request.query.target_count = batch->count;
    struct cf_reply *reply = NULL;
    enum cf_err err = cf_client_call(client, &request, DEADLINE_MS + GRACE_MS, &reply, detail);
    if (err)
        return err;
    const struct cf_answer *answer = &reply->msg.answer;
    for (size_t i = 0; i < answer->result_count && i < batch->count; i++)
        print_result(batch->lines[i], &answer->results[i]);
    cf_reply_free(reply);
    return CF_OK;
}

int main(int argc, char **argv)
{
    static struct batch batch;
    struct cf_detail detail;
    struct cf_client *client = NULL;
    struct cf_str genre = cf_str(argc > 3 ? argv[3] : "");
    struct cf_filter filter = {.key = cf_str("genre"), .values = &genre, .value_count = 1};
    const struct cf_query wish = {.space = cf_str(argc > 1 ? argv[1] : "gist"),
                                  .k = NEIGHBORS,
                                  .deadline_ms = DEADLINE_MS,
                                  .collapse = argc > 2 ? strtod(argv[2], NULL) : 0,
                                  .filters = &filter,
                                  .filter_count = argc > 3};
    enum cf_err err = cf_client_new(NULL, &client, &detail);
    while (!err) {
        read_batch(&batch);
        if (batch.count == 0)
            break;
        err = ask(client, &wish, &batch, &detail);
    }
    if (err)
        fprintf(stderr, "%s: %s\n", cf_err_name(err), detail.text);
    cf_client_free(client);
    return err == CF_E_UNREACHABLE ? 3 : err ? 1 : 0;
}
