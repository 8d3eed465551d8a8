/* Every album of the fleet of COVERFLEET_HOME as its shards have it, read beside a running fleet or without
 * one: what commands walk over that need all albums. */
#ifndef CF_CLI_CATALOGUE_H
#define CF_CLI_CATALOGUE_H

#include "common/base/home.h"
#include "common/store/shards.h"

struct cf_catalogue {
    struct cf_shards *shards;
    char private_folder[CF_HOME_PATH_MAX];
    char problem[CF_HOME_PATH_MAX];
};

/* All shards or none: what is missing would look like albums that are not there. One that its worker is just
 * creating, or whose files change under our eyes, gets a moment. `purpose` names the private place below
 * secondaries/. The catalogue must be zeroed before and stay where it is. CF_E_CORRUPT for a shard that
 * cannot be read, CF_E_NOT_FOUND when there are none, each with a sentence. Close in any case. */
enum cf_err cf_catalogue_open(struct cf_catalogue *catalogue, const char *purpose,
                              struct cf_detail *detail) CF_MUST_CHECK;
void cf_catalogue_close(struct cf_catalogue *catalogue); /* after its walks */

#endif
