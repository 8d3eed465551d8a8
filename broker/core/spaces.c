#include "broker/core/core.h"
#include "common/descriptor/space.h"

enum cf_err cf_core_spaces(const struct cf_config *fleet, struct cf_core_config *config,
                           struct cf_detail *detail)
{
    _Static_assert(CF_SPACE_COUNT <= sizeof config->spaces / sizeof *config->spaces,
                   "more spaces than there is room");
    enum cf_err err = cf_spaces_enable(fleet, NULL, NULL, detail);
    if (err != CF_OK)
        return err;
    config->space_count = 0;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT; i = cf_space_from(i + 1))
        config->spaces[config->space_count++] = cf_str(cf_spaces[i].name);
    config->late_space = cf_str(cf_spaces[CF_SPACE_CF].name);
    return CF_OK;
}
