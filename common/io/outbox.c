#include "common/io/outbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

enum { ID_BYTES_MAX = 255, SWEEP_FIRST = 64, PART_OVERHEAD = 128 };

struct key {
    const void *socket;
    size_t len;
    uint8_t id[ID_BYTES_MAX];
};

struct cf_outbox_peer {
    UT_hash_handle hh;
    atomic_size_t bytes;
    struct key key;
};

/* A part's memory, and whose account it is on. */
struct parcel {
    struct cf_outbox_peer *peer;
    size_t charge;
    uint8_t data[];
};

static void forget(struct cf_outbox *outbox, struct cf_outbox_peer *peer)
{
    HASH_DEL(outbox->peers, peer);
    free(peer);
}

void cf_outbox_fini(struct cf_outbox *outbox)
{
    struct cf_outbox_peer *peer, *next;
    HASH_ITER(hh, outbox->peers, peer, next)
    forget(outbox, peer);
}

/* Who owes nothing has no part on its way that could still touch it. */
static void sweep(struct cf_outbox *outbox)
{
    struct cf_outbox_peer *peer, *next;
    HASH_ITER(hh, outbox->peers, peer, next)
    if (atomic_load_explicit(&peer->bytes, memory_order_acquire) == 0)
        forget(outbox, peer);
    outbox->sweep_at = 2 * (size_t)HASH_COUNT(outbox->peers) + SWEEP_FIRST;
}

static struct cf_outbox_peer *add(struct cf_outbox *outbox, const struct key *key)
{
    if (HASH_COUNT(outbox->peers) >= outbox->sweep_at)
        sweep(outbox);
    struct cf_outbox_peer *peer = calloc(1, sizeof *peer);
    if (!peer)
        return NULL;
    atomic_init(&peer->bytes, 0);
    peer->key = *key;
    HASH_ADD(hh, outbox->peers, key, sizeof peer->key, peer);
    if (!peer->hh.tbl) {
        free(peer);
        return NULL;
    }
    return peer;
}

enum cf_err cf_outbox_find(struct cf_outbox *outbox, const void *socket, struct cf_bytes id, size_t bytes,
                           size_t bytes_max, struct cf_outbox_peer **out)
{
    struct key key;
    struct cf_outbox_peer *peer = NULL;
    if (id.len > ID_BYTES_MAX)
        return CF_E_UNREACHABLE;
    memset(&key, 0, sizeof key);
    key.socket = socket;
    key.len = id.len;
    if (id.len)
        memcpy(key.id, id.data, id.len);
    HASH_FIND(hh, outbox->peers, &key, sizeof key, peer);
    if (!peer)
        peer = add(outbox, &key);
    if (!peer)
        return CF_E_NO_MEMORY;
    size_t held = atomic_load_explicit(&peer->bytes, memory_order_acquire);
    if (held && (held > bytes_max || bytes > bytes_max - held))
        return CF_E_BUSY;
    *out = peer;
    return CF_OK;
}

/* On a thread of ZeroMQ's. The subtraction comes last: from then on the peer may be forgotten. */
static void release(void *data, void *hint)
{
    struct parcel *parcel = hint;
    struct cf_outbox_peer *peer = parcel->peer;
    size_t charge = parcel->charge;
    (void)data;
    free(parcel);
    atomic_fetch_sub_explicit(&peer->bytes, charge, memory_order_release);
}

enum cf_err cf_outbox_part(struct cf_outbox_peer *peer, struct cf_bytes bytes, zmq_msg_t *part)
{
    struct parcel *parcel = malloc(sizeof *parcel + bytes.len);
    if (!parcel)
        return CF_E_NO_MEMORY;
    parcel->peer = peer;
    parcel->charge = bytes.len + PART_OVERHEAD;
    if (bytes.len)
        memcpy(parcel->data, bytes.data, bytes.len);
    if (zmq_msg_init_data(part, parcel->data, bytes.len, release, parcel) != 0) {
        free(parcel);
        return CF_E_NO_MEMORY;
    }
    atomic_fetch_add_explicit(&peer->bytes, parcel->charge, memory_order_relaxed);
    return CF_OK;
}
