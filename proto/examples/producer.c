/* A producer: pushes covers, many at a time, and prints what became of each.
 *
 *     producer ALBUM=FILE...        exit code 0: all accepted or unchanged, 1: some refused, 3: no fleet */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/hash.h"
#include "proto/client/client.h"

enum { DEADLINE_MS = 30000, FILE_BYTES_MAX = 60 << 20 };

struct producer {
    int refused;
    int unreachable;
};

struct cover {
    struct producer *producer;
    const char *album;
};

static void on_push_ok(void *arg, enum cf_err err, const struct cf_msg *msg, const struct cf_detail *detail)
{
    struct cover *cover = arg;
    static const char *const words[] = {"accepted", "unchanged", "refused"};
    if (err) {
        fprintf(stderr, "%s: %s: %s\n", cover->album, cf_err_name(err), detail->text);
        cover->producer->unreachable += err == CF_E_UNREACHABLE;
        cover->producer->refused += err != CF_E_UNREACHABLE;
    } else if (msg->results.result_count == 1) {
        const struct cf_result *result = &msg->results.results[0];
        printf("%s %s %.*s\n", cover->album, words[result->status], CF_STR_ARG(result->detail));
        cover->producer->refused += result->status == CF_PUSH_REFUSED;
    }
    free(cover);
}

/* The whole file in fresh memory, or NULL with a word on stderr. */
static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    long size = -1;
    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 && size <= FILE_BYTES_MAX)
        bytes = malloc((size_t)size + 1);
    if (bytes) {
        rewind(file);
        *len = fread(bytes, 1, (size_t)size, file);
    }
    if (!bytes || *len != (size_t)size) {
        fprintf(stderr, "%s cannot be read\n", path);
        free(bytes);
        bytes = NULL;
    }
    if (file)
        fclose(file);
    return bytes;
}

/* Sends one cover; while too many are in flight, takes replies first. */
static enum cf_err push(struct cf_client *client, struct cover *cover, struct cf_bytes bytes,
                        struct cf_detail *detail)
{
    uint8_t digest[CF_SHA256_BYTES];
    cf_sha256(bytes, digest);
    struct cf_push_item item = {.album = cf_str(cover->album),
                                .bytes = bytes,
                                .sha256 = {digest, sizeof digest},
                                .priority = CF_PRIORITY_DEFAULT};
    struct cf_msg request = {.kind = CF_KIND_PUSH, .push = {.items = &item, .item_count = 1}};
    enum cf_err err;
    while ((err = cf_client_send(client, &request, DEADLINE_MS, on_push_ok, cover, detail)) == CF_E_BUSY) {
        err = cf_client_poll(client, 100, detail);
        if (err)
            break;
    }
    return err;
}

/* Splits "ALBUM=FILE" in place and pushes it. */
static void push_argument(struct cf_client *client, struct producer *producer, char *argument)
{
    struct cf_detail detail;
    struct cover *cover = malloc(sizeof *cover);
    char *path = strchr(argument, '=');
    size_t len = 0;
    uint8_t *bytes = NULL;
    if (!path)
        fprintf(stderr, "%s is not ALBUM=FILE\n", argument);
    else
        *path++ = '\0';
    if (path && cover)
        bytes = read_file(path, &len);
    if (!bytes) {
        producer->refused++;
        free(cover);
        return;
    }
    *cover = (struct cover){producer, argument};
    enum cf_err err = push(client, cover, (struct cf_bytes){bytes, len}, &detail);
    if (err)
        on_push_ok(cover, err, NULL, &detail);
    free(bytes);
}

int main(int argc, char **argv)
{
    struct cf_detail detail;
    struct cf_client *client = NULL;
    struct producer producer = {0};
    if (argc < 2) {
        fprintf(stderr, "usage: %s ALBUM=FILE...\n", argv[0]);
        return 2;
    }
    enum cf_err err = cf_client_new(NULL, &client, &detail);
    for (int i = 1; !err && i < argc; i++)
        push_argument(client, &producer, argv[i]);
    while (!err && cf_client_pending(client))
        err = cf_client_poll(client, 1000, &detail);
    if (err)
        fprintf(stderr, "%s: %s\n", cf_err_name(err), detail.text);
    cf_client_free(client);
    return err || producer.unreachable ? 3 : producer.refused ? 1 : 0;
}
