/* How many bytes lie in ZeroMQ for each peer of a ROUTER: handed over, and not yet taken by the kernel. The high-water
 * mark counts messages only; a peer that does not read must not hold as much memory as its messages are long.
 *
 * One owner; ZeroMQ's own threads give the bytes back. Private to common/io. */
#ifndef CF_IO_OUTBOX_H
#define CF_IO_OUTBOX_H

#include <zmq.h>

#include "common/base/err.h"
#include "common/base/span.h"

struct cf_outbox {
    struct cf_outbox_peer *peers;
    size_t sweep_at; /* so many peers and those that owe nothing are forgotten */
};

/* After the ZeroMQ context has ended. */
void cf_outbox_fini(struct cf_outbox *outbox);

/* The peer when it may get `bytes` more: below `bytes_max` in all, or there is nothing on its way to it. CF_E_BUSY
 * otherwise. Valid until the next call. `socket` tells the peers of several sockets apart. */
enum cf_err cf_outbox_find(struct cf_outbox *outbox, const void *socket, struct cf_bytes id, size_t bytes,
                           size_t bytes_max, struct cf_outbox_peer **peer) CF_MUST_CHECK;
/* A message part that is on the peer's account until ZeroMQ lets go of it. */
enum cf_err cf_outbox_part(struct cf_outbox_peer *peer, struct cf_bytes bytes, zmq_msg_t *part) CF_MUST_CHECK;

#endif
