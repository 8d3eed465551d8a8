#include "broker/core/core.h"
#include "common/descriptor/space.h"

void cf_core_spaces(struct cf_core_config *config)
{
    _Static_assert(CF_SPACE_COUNT <= sizeof config->spaces / sizeof *config->spaces,
                   "more spaces than there is room");
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        config->spaces[i] = cf_str(cf_spaces[i].name);
    config->space_count = CF_SPACE_COUNT;
}
