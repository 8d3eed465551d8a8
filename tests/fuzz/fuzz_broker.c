/* Any messages from anybody, in any order, with time passing: the core keeps its books and its head. */
#include "broker/core/core.h"
#include "tests/sim/model_store.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct model *model;
    struct cf_core *core;
    struct cf_out out;
    struct cf_arena *arena;
    struct cf_now now;
};

static void world_init(struct world *world)
{
    const struct cf_core_config config = {
        .queue_jobs_max = 50,
        .queue_bytes_max = 10000,
        .lease_ms = 1000,
        .attempts_max = 2,
        .retry_base_ms = 10,
        .retry_cap_ms = 100,
        .heartbeat_ms = 100,
        .heartbeat_timeout_ms = 500,
        .query_deadline_ms = 500,
        .query_outstanding_max = 4,
        .query_waiting_max = 4,
        .query_bytes_max = 10000,
        .image_bytes_max = 1000,
        .quarantine_max = 4,
        .spaces = {cf_str("gist")},
        .space_count = 1,
    };
    world->model = model_new(7);
    struct cf_store store = model_store(world->model);
    world->arena = cf_arena_new();
    CF_CHECK(world->arena && cf_out_init(&world->out) == CF_OK);
    CF_CHECK(cf_core_new(&config, &store, world->now, &world->core) == CF_OK);
    CF_CHECK(cf_core_load(world->core, world->now, &world->out, NULL) == CF_OK);
}

static void say(struct world *world, uint8_t who, struct cf_bytes bytes)
{
    struct cf_msg msg;
    struct cf_detail detail;
    const uint8_t peer[] = {'p', (uint8_t)(who & 7)};
    const struct cf_bytes from = {peer, sizeof peer};
    enum cf_out_to side = who & 8 ? CF_OUT_WORKER : CF_OUT_CLIENT;
    cf_arena_reset(world->arena);
    enum cf_err err = cf_msg_decode(bytes, world->arena, &msg, &detail);
    if (err)
        cf_core_bad(world->core, side, from, msg.id, err, &detail, &world->out);
    else if (side == CF_OUT_CLIENT)
        cf_core_client(world->core, world->now, from, &msg, bytes, &world->out);
    else
        cf_core_worker(world->core, world->now, from, &msg, bytes, &world->out);
}

/* Whatever the core wants to say can be said. */
static void run(struct world *world, uint64_t ms)
{
    struct cf_buf buf;
    cf_buf_init(&buf);
    world->now.mono_ms += ms;
    world->now.wall_ms += ms;
    (void)cf_core_run(world->core, world->now, &world->out);
    CF_CHECK(world->out.err == CF_OK);
    for (size_t i = 0; i < world->out.count; i++) {
        cf_buf_clear(&buf);
        if (!world->out.items[i].raw)
            CF_CHECK(cf_msg_encode(&world->out.items[i].msg, &buf, NULL) == CF_OK);
    }
    model_commit(world->model, world->out.sync);
    cf_out_reset(&world->out);
    cf_buf_fini(&buf);
}

/* Steps: who (bit 7: time passes instead), length (two bytes, little-endian), the message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world = {.now = {1000, 1700000000000}};
    struct cf_cursor cursor = cf_cursor((struct cf_bytes){data, size});
    world_init(&world);
    while (cf_cursor_left(&cursor) >= 3) {
        uint8_t who = cf_cursor_u8(&cursor);
        size_t len = cf_cursor_u8(&cursor);
        len |= (size_t)cf_cursor_u8(&cursor) << 8;
        if (who & 0x80) {
            run(&world, len);
            continue;
        }
        size_t left = cf_cursor_left(&cursor);
        say(&world, who, cf_cursor_bytes(&cursor, len < left ? len : left));
    }
    run(&world, 1);
    cf_core_free(world.core);
    model_free(world.model);
    cf_out_fini(&world.out);
    cf_arena_free(world.arena);
    return 0;
}
