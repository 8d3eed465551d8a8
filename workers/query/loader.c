#include "workers/query/loader.h"

void cf_loader_init(struct cf_loader *loader, const struct cf_home *home, const struct cf_space *space)
{
    *loader = (struct cf_loader){.home = home, .space = space};
}

static void *load(void *arg)
{
    struct cf_loader *loader = arg;
    loader->err =
        cf_mapped_open(loader->home, loader->space, loader->generation, &loader->mapped, &loader->detail);
    atomic_store(&loader->finished, true);
    return NULL;
}

enum cf_err cf_loader_start(struct cf_loader *loader, uint64_t generation, struct cf_detail *detail)
{
    CF_CHECK(loader->generation == 0 && generation != 0);
    loader->mapped = NULL;
    loader->detail = (struct cf_detail){{0}};
    loader->generation = generation;
    atomic_store(&loader->finished, false);
    if (pthread_create(&loader->thread, NULL, load, loader) != 0) {
        loader->generation = 0;
        return cf_fail(detail, CF_E_NO_MEMORY, "no thread to load an index with");
    }
    return CF_OK;
}

static void join(struct cf_loader *loader)
{
    int failed = pthread_join(loader->thread, NULL);
    CF_CHECK(!failed);
    loader->generation = 0;
}

bool cf_loader_take(struct cf_loader *loader, uint64_t *generation, struct cf_mapped **mapped,
                    enum cf_err *err, struct cf_detail *detail)
{
    if (loader->generation == 0 || !atomic_load(&loader->finished))
        return false;
    *generation = loader->generation;
    join(loader);
    *err = loader->err;
    *detail = loader->detail;
    *mapped = loader->mapped;
    loader->mapped = NULL;
    return true;
}

void cf_loader_fini(struct cf_loader *loader)
{
    if (loader->generation)
        join(loader);
    cf_mapped_free(loader->mapped);
    loader->mapped = NULL;
}
