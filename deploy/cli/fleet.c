#include "deploy/cli/fleet.h"

#include <stdlib.h>

#include "common/base/config.h"
#include "deploy/cli/text.h"

enum cf_exit cf_fleet_tell(const struct cf_fleet *fleet, struct cf_str subject, enum cf_err err,
                           const struct cf_detail *detail)
{
    cf_say(fleet->command, subject, err, detail);
    if (fleet->json)
        cf_say_json(cf_str(cf_err_name(err)), cf_str(detail ? detail->text : ""));
    return cf_exit_of(err);
}

enum cf_exit cf_fleet_open(struct cf_fleet *fleet)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_client_new(fleet->endpoint, &fleet->client, &detail);
    if (!err)
        return CF_EXIT_DONE;
    enum cf_exit result = cf_fleet_tell(fleet, cf_str(""), err, &detail);
    /* An endpoint that is none, or a configuration that is wrong. */
    return err == CF_E_INVALID ? CF_EXIT_USAGE : result;
}

void cf_fleet_close(struct cf_fleet *fleet)
{
    cf_client_free(fleet->client);
    fleet->client = NULL;
}

/* Where the fleet was looked for, and its home when that is what told. */
static void locate(const struct cf_fleet *fleet, char *endpoint, size_t size, char *home_root,
                   size_t root_size)
{
    struct cf_home home;
    struct cf_config *config;
    endpoint[0] = home_root[0] = '\0';
    if (fleet->endpoint) {
        snprintf(endpoint, size, "%.*s", (int)size - 1, fleet->endpoint);
        return;
    }
    config = malloc(sizeof *config);
    if (config && !cf_home_resolve(&home, NULL) && !cf_config_load(config, &home, NULL)) {
        snprintf(endpoint, size, "%.*s", (int)size - 1, config->client_endpoints[0]);
        snprintf(home_root, root_size, "%.*s", (int)root_size - 1, home.root);
    }
    free(config);
}

enum cf_exit cf_fleet_say(const struct cf_fleet *fleet, struct cf_str subject, enum cf_err err,
                          const struct cf_detail *detail)
{
    if (err != CF_E_UNREACHABLE)
        return cf_fleet_tell(fleet, subject, err, detail);
    char endpoint[128], home[128], waited[CF_TEXT_NUMBER_MAX];
    locate(fleet, endpoint, sizeof endpoint, home, sizeof home);
    cf_text_duration(fleet->deadline_ms, waited);
    struct cf_detail said;
    if (home[0])
        (void)cf_fail(&said, err, "no answer from %s within %s: is the fleet of %s up? deploy/up starts it",
                      endpoint, waited, home);
    else
        (void)cf_fail(&said, err, "no answer from %s within %s", endpoint, waited);
    return cf_fleet_tell(fleet, subject, err, &said);
}

enum cf_exit cf_fleet_call(struct cf_fleet *fleet, const struct cf_msg *request, struct cf_str subject,
                           struct cf_reply **reply)
{
    struct cf_detail detail = {""};
    enum cf_err err = cf_client_call(fleet->client, request, fleet->deadline_ms, reply, &detail);
    return err ? cf_fleet_say(fleet, subject, err, &detail) : CF_EXIT_DONE;
}
