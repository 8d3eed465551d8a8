/* A space by the name that somebody gave to a command. */
#ifndef CF_CLI_SPACE_H
#define CF_CLI_SPACE_H

#include "common/descriptor/space.h"

/* Any space of this build; `cf` as the fleet of COVERFLEET_HOME has it. CF_E_UNKNOWN_SPACE, and what reading
 * its model and the configuration fails with. */
enum cf_err cf_cli_space(const char *name, const struct cf_space **space,
                         struct cf_detail *detail) CF_MUST_CHECK;

#endif
