#include "workers/query/loader.h"

#include "common/base/cpu.h"
#include "common/base/log.h"

void cf_loader_init(struct cf_loader *loader, const struct cf_home *home, const struct cf_space *space)
{
    *loader = (struct cf_loader){.home = home, .space = space};
}

/* ---- which ---- */

struct choice {
    uint64_t whole, small; /* 0: none */
};

static uint64_t number_of(const struct cf_served *served, size_t part)
{
    return served && served->parts[part] ? served->parts[part]->generation.generation : 0;
}

static bool is_refused(const struct cf_loader *loader, uint64_t generation)
{
    size_t count = loader->refused_count;
    for (size_t i = 0; i < CF_LOADER_REFUSED_MAX && i < count; i++)
        if (loader->refused[i] == generation)
            return true;
    return false;
}

/* The newest that was not refused of the whole ones (base 0), or of the small ones of a base. */
static uint64_t newest_good(const struct cf_loader *loader, uint64_t base)
{
    uint64_t generation = 0;
    while (cf_generation_newest_small(loader->home, loader->space->folder, base, generation, &generation,
                                      NULL) == CF_OK)
        if (!is_refused(loader, generation))
            return generation;
    return 0;
}

/* Never back to something older than what is served, also when its files are gone. */
static struct choice choose(const struct cf_loader *loader, const struct cf_served *current)
{
    struct choice now = {number_of(current, CF_PART_WHOLE), number_of(current, CF_PART_SMALL)};
    uint64_t whole = newest_good(loader, 0);
    if (whole < now.whole)
        whole = now.whole;
    uint64_t small = whole ? newest_good(loader, whole) : 0;
    if (whole == now.whole && small < now.small)
        small = now.small;
    return (struct choice){whole, small};
}

static bool is_newer(struct choice choice, const struct cf_served *current)
{
    return choice.whole != number_of(current, CF_PART_WHOLE) ||
           choice.small != number_of(current, CF_PART_SMALL);
}

bool cf_loader_sees_newer(const struct cf_loader *loader, const struct cf_served *current)
{
    return is_newer(choose(loader, current), current);
}

/* ---- loading ---- */

/* Whether to look at the generation never again. */
static bool is_final(enum cf_err err)
{
    return err == CF_E_CORRUPT || err == CF_E_BAD_VERSION || err == CF_E_INVALID;
}

static void refuse(struct cf_loader *loader, uint64_t generation, enum cf_err err,
                   const struct cf_detail *detail)
{
    if (is_final(err))
        loader->refused[loader->refused_count++ % CF_LOADER_REFUSED_MAX] = generation;
    if (err != CF_E_NOT_FOUND) /* pruned while we looked: there is a newer one */
        cf_log(CF_LOG_ERROR, "index_refused", "space=%s generation=%llu error=%s detail=\"%s\"",
               loader->space->name, (unsigned long long)generation, cf_err_name(err), detail->text);
}

/* Those that add to a whole one that was refused are of no use without it. */
static void refuse_small_of(struct cf_loader *loader, uint64_t base)
{
    struct cf_detail detail;
    for (uint64_t small; (small = newest_good(loader, base));) {
        enum cf_err err = cf_fail(&detail, CF_E_INVALID, "it adds to generation %llu, which was refused",
                                  (unsigned long long)base);
        refuse(loader, small, err, &detail);
    }
}

/* Part of a pair: what is there already (from `current` or an earlier attempt), or else the file. */
static enum cf_err open_part(struct cf_loader *loader, const struct cf_served *current, size_t part,
                             uint64_t generation, uint64_t base, struct cf_mapped **mapped)
{
    struct cf_detail detail = {{0}};
    if (*mapped && (*mapped)->generation.generation == generation)
        return CF_OK;
    cf_mapped_free(*mapped);
    *mapped = NULL;
    if (generation == 0)
        return CF_OK;
    if (generation == number_of(current, part)) {
        *mapped = cf_mapped_share(current->parts[part]);
        return CF_OK;
    }
    enum cf_err err = cf_mapped_open(loader->home, loader->space, generation, base, mapped, &detail);
    if (err != CF_OK)
        refuse(loader, generation, err, &detail);
    if (is_final(err) && part == CF_PART_WHOLE)
        refuse_small_of(loader, generation);
    return err;
}

enum cf_err cf_loader_load(struct cf_loader *loader, const struct cf_served *current,
                           struct cf_served **served)
{
    struct cf_mapped *parts[CF_PART_COUNT] = {NULL, NULL};
    struct cf_detail detail = {{0}};
    enum cf_err err = CF_E_CORRUPT;
    for (int tries = 0; is_final(err) && tries < CF_LOADER_REFUSED_MAX; tries++) {
        struct choice choice = choose(loader, current);
        err = is_newer(choice, current) ? CF_OK : CF_E_NOT_FOUND;
        if (err == CF_OK)
            err = open_part(loader, current, CF_PART_WHOLE, choice.whole, 0, &parts[CF_PART_WHOLE]);
        if (err == CF_OK)
            err =
                open_part(loader, current, CF_PART_SMALL, choice.small, choice.whole, &parts[CF_PART_SMALL]);
    }
    if (err == CF_OK) {
        err = cf_served_new(&parts[CF_PART_WHOLE], &parts[CF_PART_SMALL], served, &detail);
        if (err == CF_OK)
            cf_served_sketch(*served, current);
        else
            cf_log(CF_LOG_ERROR, "index_not_loaded", "space=%s error=%s detail=\"%s\"", loader->space->name,
                   cf_err_name(err), detail.text);
    }
    for (size_t i = 0; i < CF_PART_COUNT; i++)
        cf_mapped_free(parts[i]);
    return err;
}

/* ---- the thread ---- */

static void *load(void *arg)
{
    struct cf_loader *loader = arg;
    cf_cpu_background();
    loader->err = cf_loader_load(loader, loader->current, &loader->served);
    atomic_store(&loader->finished, true);
    return NULL;
}

enum cf_err cf_loader_start(struct cf_loader *loader, struct cf_served *current, struct cf_detail *detail)
{
    CF_CHECK(!loader->running);
    loader->current = current ? cf_served_share(current) : NULL;
    loader->served = NULL;
    atomic_store(&loader->finished, false);
    if (pthread_create(&loader->thread, NULL, load, loader) != 0) {
        cf_served_free(loader->current);
        loader->current = NULL;
        return cf_fail(detail, CF_E_NO_MEMORY, "no thread to load an index with");
    }
    loader->running = true;
    return CF_OK;
}

static void join(struct cf_loader *loader)
{
    int failed = pthread_join(loader->thread, NULL);
    CF_CHECK(!failed);
    loader->running = false;
    cf_served_free(loader->current);
    loader->current = NULL;
}

bool cf_loader_take(struct cf_loader *loader, struct cf_served **served, enum cf_err *err)
{
    if (!loader->running || !atomic_load(&loader->finished))
        return false;
    join(loader);
    *err = loader->err;
    *served = loader->served;
    loader->served = NULL;
    return true;
}

void cf_loader_fini(struct cf_loader *loader)
{
    if (loader->running)
        join(loader);
    cf_served_free(loader->served);
    loader->served = NULL;
}
