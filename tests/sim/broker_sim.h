/* A whole fleet in one process with fake time: the broker's core over a modelled journal, producers, workers
 * and askers around it, and a network and machines that fail by a seed. Private to the simulator. */
#ifndef CF_TESTS_BROKER_SIM_H
#define CF_TESTS_BROKER_SIM_H

#include "broker/core/core.h"
#include "common/base/rng.h"
#include "tests/sim/model_store.h"

enum {
    ALBUMS = 60,
    PRODUCERS = 3,
    DESCRIPTORS = 3,
    QUERIERS = 2,
    INDEXERS = 1,
    ASKERS = 2,
    ACTORS = PRODUCERS + DESCRIPTORS + QUERIERS + INDEXERS + ASKERS,
    HELD_MAX = 64,
    UNREACHABLE_MAX = 64,
    VERSIONS = 20000, /* sequences of one run */
    STEP_MS = 5,
    JOBS_MAX = 40,
    OUTSTANDING_MAX = 4,
    WAITING_MAX = 8,
    ATTEMPTS_MAX = 3,
    LEASE_MS = 600,
    HEARTBEAT_MS = 50,
    HEARTBEAT_TIMEOUT_MS = 300,
};

enum kind { PRODUCER, DESCRIPTOR, QUERIER, INDEXER, ASKER };

struct held {
    struct cf_version version;
    int album;
    int action;
    char content;
    uint64_t ready_ms;
};

/* What rests in the shard of a descriptor: it survives its death. */
struct rest {
    struct cf_version version;
    uint64_t log_seq;
    bool removed;
};

struct request {
    uint64_t id;
    enum cf_kind kind;
    int albums[4];
    char contents[4];
    uint64_t delays[4];
    int count;
    int op; /* of queue */
    uint64_t sent_ms;
    int tries;
};

struct actor {
    enum kind kind;
    int index, incarnation;
    bool alive, registered;
    uint64_t back_ms, beat_ms, heard_ms, next_ms;
    uint64_t out_ms, in_ms; /* when the newest packet each way arrives: links keep their order */
    struct held held[HELD_MAX];
    int held_count;
    struct rest shard[ALBUMS];
    uint64_t log_seq;
    struct request request;
    uint64_t removed_seq[ALBUMS]; /* querier: told by the broker since it registered */
};

struct packet {
    struct packet *prev, *next;
    uint64_t at_ms;
    bool to_broker;
    int actor, incarnation, broker;
    uint8_t *data, *body;
    size_t len, body_len;
};

/* What was acknowledged of an album, the newest. */
struct promise {
    struct cf_version version;
    enum cf_kind kind;
    bool purged; /* by an operator: nothing is promised any more */
};

/* What a job went through, as the broker saw it. */
struct fate {
    bool alone;        /* leased now, alone */
    bool struck;       /* its picture was struck when it was leased */
    int holder;        /* descriptor that holds it, -1 none */
    uint64_t until_ms; /* when the lease runs out */
    int alone_count, counted_failures;
};

/* A query, by id. */
struct asked {
    int replies;
    int broker; /* incarnation that it was sent to; 0 not arrived */
};

struct sim {
    uint64_t seed;
    struct cf_rng rng;
    struct cf_now now;
    bool chaos;
    struct model *model;
    struct cf_core *core;
    int broker; /* incarnation */
    uint64_t broker_back_ms, reload_ms;
    struct cf_out out;
    struct cf_buf buf;
    struct cf_arena *arena;
    struct actor actors[ACTORS];
    struct packet *packets;
    struct promise promises[ALBUMS];
    struct fate fates[VERSIONS]; /* by seq */
    size_t fate_count;
    struct asked asked[VERSIONS];
    char unreachable[UNREACHABLE_MAX][48]; /* told to the core in the next wake */
    size_t unreachable_count;
    uint64_t cleared_ms; /* when something last may have lifted or cleared a quarantine */
    uint64_t ids;
    const char *broken; /* the first invariant that did not hold */
    /* what happened, so that a run that did nothing does not pass */
    uint64_t acks, crashes, deaths, dead, queries, replies, resent, removals, struck, quarantined;
};

/* broker_sim.c */
bool sim_chance(struct sim *sim, unsigned percent);
uint64_t sim_below(struct sim *sim, uint64_t bound);
void sim_break(struct sim *sim, const char *what);
void sim_send(struct sim *sim, struct actor *actor, const struct cf_msg *msg, struct cf_bytes body);
int sim_album(struct cf_str id); /* -1 for none of ours */
struct cf_str sim_album_id(int album);

/* actors.c */
void actor_start(struct sim *sim, struct actor *actor);
void actor_step(struct sim *sim, struct actor *actor);
void actor_message(struct sim *sim, struct actor *actor, const struct cf_msg *msg, struct cf_bytes body);

/* checks.c */
void check_to_core(struct sim *sim, const struct actor *actor, const struct cf_msg *msg);
void check_from_core(struct sim *sim, const struct actor *actor, const struct cf_out_item *item);
void check_event(struct sim *sim, const struct cf_event *event);
void check_books(struct sim *sim);
void check_end(struct sim *sim);
struct cf_status sim_status(struct sim *sim, struct cf_core *core, struct cf_out *out);

#endif
