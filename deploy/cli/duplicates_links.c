#include "deploy/cli/duplicates_links.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "common/base/arena.h"

struct entry {
    struct cf_str id;
    uint32_t number;
    UT_hash_handle hh;
};

struct cf_links {
    struct cf_arena *arena; /* of texts and entries */
    struct entry *by_id;
    struct cf_linked *albums;
    struct cf_link *links; /* while they are told, of numbers: a below b */
    size_t album_count, album_capacity, link_count, link_capacity;

    /* Of the last grouping. */
    uint32_t *parents, *members, *places;
    struct cf_link *placed; /* the links once more, of places */
    struct cf_link_group *groups;
};

struct cf_links *cf_links_new(void)
{
    struct cf_links *links = calloc(1, sizeof *links);
    if (links && !(links->arena = cf_arena_new())) {
        free(links);
        return NULL;
    }
    return links;
}

static void drop_groups(struct cf_links *links)
{
    free(links->parents);
    free(links->members);
    free(links->places);
    free(links->placed);
    free(links->groups);
    links->placed = NULL;
    links->parents = links->members = links->places = NULL;
    links->groups = NULL;
}

void cf_links_free(struct cf_links *links)
{
    if (!links)
        return;
    drop_groups(links);
    HASH_CLEAR(hh, links->by_id);
    cf_arena_free(links->arena);
    free(links->albums);
    free(links->links);
    free(links);
}

/* Room for one more; NULL when memory is short, and the items stay. */
static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    size_t wanted = *capacity ? 2 * *capacity : 256;
    void *more = realloc(items, wanted * size);
    if (more)
        *capacity = wanted;
    return more;
}

/* ---- what is told ---- */

static bool keep_text(struct cf_links *links, struct cf_str *text, struct cf_str given)
{
    if (text->len == 0 && given.len > 0)
        *text = cf_arena_str(links->arena, given);
    return given.len == 0 || text->data;
}

static struct entry *add_album(struct cf_links *links, struct cf_str id)
{
    struct cf_linked *albums =
        grow(links->albums, links->album_count, &links->album_capacity, sizeof *albums);
    if (!albums || links->album_count == UINT32_MAX)
        return NULL;
    links->albums = albums;
    struct entry *entry = cf_arena_alloc(links->arena, 1, sizeof *entry);
    if (!entry || !(entry->id = cf_arena_str(links->arena, id)).data)
        return NULL;
    entry->number = (uint32_t)links->album_count;
    HASH_ADD_KEYPTR(hh, links->by_id, entry->id.data, entry->id.len, entry);
    if (!entry->hh.tbl)
        return NULL;
    albums[links->album_count++] = (struct cf_linked){.id = entry->id};
    return entry;
}

enum cf_err cf_links_album(struct cf_links *links, struct cf_str id, struct cf_str artist,
                           struct cf_str title, uint32_t *number)
{
    struct entry *entry = NULL;
    HASH_FIND(hh, links->by_id, id.data, id.len, entry);
    if (!entry)
        entry = add_album(links, id);
    if (!entry)
        return CF_E_NO_MEMORY;
    struct cf_linked *album = &links->albums[entry->number];
    if (!keep_text(links, &album->artist, artist) || !keep_text(links, &album->title, title))
        return CF_E_NO_MEMORY;
    *number = entry->number;
    return CF_OK;
}

enum cf_err cf_links_add(struct cf_links *links, uint32_t a, uint32_t b)
{
    if (a == b)
        return CF_OK;
    struct cf_link *more = grow(links->links, links->link_count, &links->link_capacity, sizeof *more);
    if (!more)
        return CF_E_NO_MEMORY;
    links->links = more;
    more[links->link_count++] = a < b ? (struct cf_link){a, b} : (struct cf_link){b, a};
    return CF_OK;
}

void cf_links_mark_full(struct cf_links *links, uint32_t number)
{
    links->albums[number].full = true;
}

const struct cf_linked *cf_links_get(const struct cf_links *links, uint32_t number)
{
    return &links->albums[number];
}

/* ---- groups ---- */

static int by_ends(const void *a, const void *b)
{
    const struct cf_link *x = a, *y = b;
    if (x->a != y->a)
        return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static void drop_repeated(struct cf_links *links)
{
    size_t kept = 0;
    if (links->link_count > 0)
        qsort(links->links, links->link_count, sizeof *links->links, by_ends);
    for (size_t i = 0; i < links->link_count; i++)
        if (kept == 0 || by_ends(&links->links[kept - 1], &links->links[i]) != 0)
            links->links[kept++] = links->links[i];
    links->link_count = kept;
}

static uint32_t root_of(uint32_t *parents, uint32_t number)
{
    while (parents[number] != number) {
        parents[number] = parents[parents[number]];
        number = parents[number];
    }
    return number;
}

static int compare_ids(struct cf_str a, struct cf_str b)
{
    int order = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* What the two orders below compare by. */
struct ordering {
    const struct cf_links *links;
    const uint32_t *parents; /* roots */
};

static int by_root_and_links(const void *a, const void *b, void *arg)
{
    const struct ordering *ordering = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    const struct cf_linked *left = &ordering->links->albums[x], *right = &ordering->links->albums[y];
    if (ordering->parents[x] != ordering->parents[y])
        return ordering->parents[x] < ordering->parents[y] ? -1 : 1;
    if (left->link_count != right->link_count)
        return left->link_count > right->link_count ? -1 : 1;
    return compare_ids(left->id, right->id);
}

static int by_size_and_id(const void *a, const void *b, void *arg)
{
    const struct cf_links *links = arg;
    const struct cf_link_group *x = a, *y = b;
    if (x->member_count != y->member_count)
        return x->member_count > y->member_count ? -1 : 1;
    return compare_ids(links->albums[x->members[0]].id, links->albums[y->members[0]].id);
}

static int by_group(const void *a, const void *b, void *arg)
{
    const struct ordering *ordering = arg;
    const struct cf_link *x = a, *y = b;
    uint32_t left = ordering->parents[x->a], right = ordering->parents[y->a];
    if (left != right)
        return left < right ? -1 : 1;
    return by_ends(a, b);
}

static void find_roots(struct cf_links *links)
{
    uint32_t *parents = links->parents;
    for (uint32_t i = 0; i < links->album_count; i++) {
        parents[i] = i;
        links->albums[i].link_count = 0;
    }
    for (size_t i = 0; i < links->link_count; i++) {
        const struct cf_link *link = &links->links[i];
        uint32_t a = root_of(parents, link->a), b = root_of(parents, link->b);
        parents[a > b ? a : b] = a > b ? b : a;
        links->albums[link->a].link_count++;
        links->albums[link->b].link_count++;
    }
    for (uint32_t i = 0; i < links->album_count; i++)
        parents[i] = root_of(parents, i);
}

/* From members and links in the order of their roots. An album without a link is no group. */
static size_t cut(struct cf_links *links)
{
    size_t count = 0, link = 0;
    for (size_t at = 0, end; at < links->album_count; at = end) {
        uint32_t root = links->parents[links->members[at]];
        struct cf_link_group *group = &links->groups[count];
        for (end = at; end < links->album_count && links->parents[links->members[end]] == root; end++)
            links->places[links->members[end]] = (uint32_t)(end - at);
        *group = (struct cf_link_group){links->members + at, end - at, links->placed + link, 0};
        for (; link < links->link_count && links->parents[links->links[link].a] == root; link++) {
            const struct cf_link *from = &links->links[link];
            links->placed[link] = (struct cf_link){links->places[from->a], links->places[from->b]};
            group->link_count++;
        }
        count += group->link_count > 0;
    }
    return count;
}

enum cf_err cf_links_group(struct cf_links *links, const struct cf_link_group **groups, size_t *count)
{
    size_t room = links->album_count + 1;
    struct ordering ordering = {.links = links};
    drop_groups(links);
    links->parents = calloc(room, sizeof *links->parents);
    links->members = calloc(room, sizeof *links->members);
    links->places = calloc(room, sizeof *links->places);
    links->groups = calloc(room, sizeof *links->groups);
    drop_repeated(links);
    links->placed = calloc(links->link_count + 1, sizeof *links->placed);
    if (!links->parents || !links->members || !links->places || !links->placed || !links->groups)
        return CF_E_NO_MEMORY;
    find_roots(links);
    ordering.parents = links->parents;
    for (uint32_t i = 0; i < links->album_count; i++)
        links->members[i] = i;
    if (links->album_count > 0)
        qsort_r(links->members, links->album_count, sizeof *links->members, by_root_and_links, &ordering);
    if (links->link_count > 0)
        qsort_r(links->links, links->link_count, sizeof *links->links, by_group, &ordering);
    *count = cut(links);
    if (*count > 0)
        qsort_r(links->groups, *count, sizeof *links->groups, by_size_and_id, links);
    *groups = links->groups;
    return CF_OK;
}

/* ---- what holds a group together ---- */

static int by_cosine(const void *a, const void *b, void *arg)
{
    const double *cosines = arg;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (cosines[x] < cosines[y] || cosines[x] > cosines[y])
        return cosines[x] > cosines[y] ? -1 : 1;
    return (x > y) - (x < y);
}

double cf_links_weakest(const struct cf_link_group *group, const double *cosines, uint32_t *order,
                        uint32_t *parents)
{
    double weakest = 1;
    for (uint32_t i = 0; i < group->member_count; i++)
        parents[i] = i;
    for (uint32_t i = 0; i < group->link_count; i++)
        order[i] = i;
    qsort_r(order, group->link_count, sizeof *order, by_cosine, (void *)(uintptr_t)cosines);
    for (size_t i = 0; i < group->link_count; i++) {
        const struct cf_link *link = &group->links[order[i]];
        uint32_t a = root_of(parents, link->a), b = root_of(parents, link->b);
        if (a == b)
            continue;
        parents[a] = b;
        weakest = cosines[order[i]];
    }
    return weakest;
}
