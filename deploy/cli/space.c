#include "deploy/cli/space.h"

#include <stdlib.h>

/* The dimension of cf, and its model, are the fleet's own. */
static enum cf_err read_cf(struct cf_detail *detail)
{
    struct cf_home home;
    struct cf_config *config = malloc(sizeof *config);
    enum cf_err err =
        config ? cf_home_resolve(&home, detail) : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err)
        err = cf_config_load(config, &home, detail);
    if (!err)
        err = cf_spaces_enable(config, &home, NULL, detail);
    if (!err && !cf_space_is_enabled(CF_SPACE_CF))
        err = cf_fail(detail, CF_E_UNKNOWN_SPACE, "%.200s has no model of the space cf", home.root);
    free(config);
    return err;
}

enum cf_err cf_cli_space(const char *name, const struct cf_space **space, struct cf_detail *detail)
{
    const struct cf_space *found = cf_space_find(cf_str(name));
    if (!found)
        return cf_fail(detail, CF_E_UNKNOWN_SPACE, "there is no space \"%.40s\": there are %s", name,
                       cf_space_names());
    enum cf_err err = found == &cf_spaces[CF_SPACE_CF] ? read_cf(detail) : CF_OK;
    if (!err)
        *space = found;
    return err;
}
