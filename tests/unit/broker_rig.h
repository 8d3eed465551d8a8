/* A broker's core on a modelled journal, for unit tests: say something, run, look at what comes out. */
#ifndef CF_TESTS_BROKER_RIG_H
#define CF_TESTS_BROKER_RIG_H

#include "broker/core/core.h"
#include "tests/sim/model_store.h"

struct rig {
    struct model *model;
    struct cf_core *core;
    struct cf_core_config config;
    struct cf_out out; /* of the last rig_run; what is said before it is in there, too */
    struct cf_now now;
    bool fresh; /* out is of a wake that has ended */
};

void rig_init(struct rig *rig); /* queue of 4 jobs and 100 bytes, 3 attempts, leases of 1 s, heartbeats of 100
                                   ms / 1 s */
void rig_fini(struct rig *rig);
/* Ends the process and starts it again on the same journal. */
void rig_restart(struct rig *rig);

void rig_client(struct rig *rig, const struct cf_msg *msg);
void rig_worker(struct rig *rig, const char *peer, const struct cf_msg *msg);
/* As above with a second frame. */
void rig_worker_body(struct rig *rig, const char *peer, const struct cf_msg *msg, const char *body);
/* After `ms` more, ends the wake and commits. */
void rig_run(struct rig *rig, uint64_t ms);

/* The i-th message of that kind in the last wake, to whom it may be; NULL when there are fewer. */
const struct cf_out_item *rig_out(const struct rig *rig, enum cf_kind kind, size_t i);
/* How often that event was published in the last wake. */
size_t rig_events(const struct rig *rig, const char *event);

/* Asks and runs. */
struct cf_result rig_push(struct rig *rig, const char *album, const char *bytes);
struct cf_result rig_push_item(struct rig *rig, struct cf_push_item item);
struct cf_result rig_remove(struct rig *rig, const char *album);
enum cf_state rig_state(struct rig *rig, const char *album);
struct cf_status rig_status(struct rig *rig);
struct cf_queue_ok rig_queue(struct rig *rig, struct cf_queue queue);

void rig_register(struct rig *rig, const char *peer, const char *name, enum cf_role role, uint64_t pid,
                  uint64_t credit);
void rig_heartbeat(struct rig *rig, const char *peer);
void rig_done(struct rig *rig, const char *peer, struct cf_version version, const char *album,
              uint64_t log_seq);
void rig_failed(struct rig *rig, const char *peer, struct cf_version version, const char *album,
                bool permanent, bool counted);
void rig_published(struct rig *rig, const char *peer, const char *space, uint64_t log_seq);
void rig_query(struct rig *rig, uint64_t id, uint64_t deadline_ms, bool image);

#endif
