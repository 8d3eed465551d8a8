/* The broker as a process: sockets, journal, clock and log around the core. Everything runs on the loop's
 * thread.
 *
 * One wake: messages go into the core, the core runs, what needs no disk is sent, the batch is committed,
 * then the acknowledgements go out: group commit across all that arrived together. When the commit fails,
 * nobody is acknowledged, and the journal is opened again, each second until it works; queries and status are
 * answered meanwhile. */
#ifndef CF_BROKER_BROKER_H
#define CF_BROKER_BROKER_H

#include "common/base/config.h"
#include "common/base/home.h"
#include "common/io/loop.h"

struct cf_broker;

/* Opens the journal and binds the sockets of `config` (borrowed, like `home`, for the broker's life). */
enum cf_err cf_broker_new(struct cf_loop *loop, const struct cf_home *home, const struct cf_config *config,
                          struct cf_broker **broker, struct cf_detail *detail) CF_MUST_CHECK;
/* After the loop has ended and before it is freed. Takes NULL. */
void cf_broker_free(struct cf_broker *broker);

#endif
