#include "deploy/cli/seen.h"

#include <search.h>
#include <stdlib.h>

struct named {
    struct cf_str album;
    const char *path; /* behind the album's bytes */
    char bytes[];
};

struct cf_seen {
    void *tree;
};

static int by_album(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    size_t shorter = x->album.len < y->album.len ? x->album.len : y->album.len;
    int order = shorter ? memcmp(x->album.data, y->album.data, shorter) : 0;
    return order ? order : (x->album.len > y->album.len) - (x->album.len < y->album.len);
}

struct cf_seen *cf_seen_new(void)
{
    return calloc(1, sizeof(struct cf_seen));
}

void cf_seen_free(struct cf_seen *seen)
{
    if (seen)
        tdestroy(seen->tree, free);
    free(seen);
}

static struct named *named_new(struct cf_str album, const char *path)
{
    size_t path_size = strlen(path) + 1;
    struct named *named = malloc(sizeof *named + album.len + path_size);
    if (!named)
        return NULL;
    if (album.len)
        memcpy(named->bytes, album.data, album.len);
    memcpy(named->bytes + album.len, path, path_size);
    named->album = (struct cf_str){named->bytes, album.len};
    named->path = named->bytes + album.len;
    return named;
}

enum cf_err cf_seen_add(struct cf_seen *seen, struct cf_str album, const char *path, const char **earlier)
{
    struct named *named = named_new(album, path);
    struct named **found = named ? tsearch(named, &seen->tree, by_album) : NULL;
    if (!found) {
        free(named);
        return CF_E_NO_MEMORY;
    }
    *earlier = NULL;
    if (*found != named) {
        *earlier = (*found)->path;
        free(named);
    }
    return CF_OK;
}
