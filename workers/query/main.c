/* coverfleet-query: maps the newest index generations, follows the shards, answers queries. It joins the
 * fleet when everything that the shards hold can be found. */
#include "common/base/log.h"
#include "common/descriptor/space.h"
#include "workers/query/role.h"

struct worker {
    struct cf_home home;
    struct cf_config config;
    char name[64];
    struct cf_decoder *decoder;
    struct cf_loop *loop;
    struct cf_engine *engine;
    struct cf_follower *follower;
    struct cf_query_role *role;
    struct cf_runner *runner;
    /* Of the first round of the follower, posted to the loop when it is over. */
    enum cf_err first_err;
    struct cf_detail first_detail;
    bool first_over, stopped;
};

enum { SWAP_JITTER_MS = 200, LINGER_MS = 500, WAKE_MS = 1000 };

/* On the follower's thread. Without the post nobody would ever learn of it. */
static void on_first(void *arg, enum cf_err err, const struct cf_detail *detail)
{
    struct worker *worker = arg;
    worker->first_err = err;
    worker->first_detail = *detail;
    enum cf_err posted = cf_loop_post(worker->loop, worker);
    CF_CHECK(posted == CF_OK);
}

static void on_first_posted(void *arg, void *item)
{
    struct worker *worker = arg;
    worker->first_over = item == worker;
}

static void on_stop(void *arg)
{
    struct worker *worker = arg;
    worker->stopped = true;
}

/* CF_E_SHUTTING_DOWN when a signal came first. */
static enum cf_err wait_for_first(struct worker *worker, struct cf_detail *detail)
{
    cf_loop_on_post(worker->loop, on_first_posted, worker);
    cf_loop_on_stop(worker->loop, on_stop, worker);
    enum cf_err err = cf_follower_start(worker->follower, on_first, worker, detail);
    while (err == CF_OK && !worker->first_over && !worker->stopped)
        err = cf_loop_once(worker->loop, WAKE_MS, detail);
    if (err != CF_OK)
        return err;
    if (worker->stopped)
        return CF_E_SHUTTING_DOWN;
    return worker->first_err == CF_OK ? CF_OK
                                      : cf_fail(detail, worker->first_err, "%s", worker->first_detail.text);
}

static enum cf_err run(struct worker *worker, struct cf_detail *detail)
{
    const struct cf_follower_options options = {.home = &worker->home,
                                                .name = worker->name,
                                                .poll_ms = (uint64_t)worker->config.query_poll_ms,
                                                .swap_jitter_ms = SWAP_JITTER_MS};
    const struct cf_role_ops ops = cf_query_role_ops(worker->name);
    struct cf_detail complaint = {""};
    enum cf_err err = cf_spaces_enable(&worker->config, &worker->home, &complaint, detail);
    if (err == CF_OK && complaint.text[0])
        cf_log(CF_LOG_ERROR, "model_ignored", "detail=\"%s\"", complaint.text);
    if (err == CF_OK)
        err = cf_decoder_new(&worker->config, &worker->decoder, detail); /* forks: before any thread */
    if (err == CF_OK)
        err = cf_spaces_load(&worker->config, detail);
    if (err == CF_OK)
        err = cf_loop_new(&worker->loop, detail);
    if (err == CF_OK)
        err = cf_engine_new(&worker->engine, detail);
    if (err == CF_OK)
        err = cf_follower_new(&options, worker->engine, &worker->follower, detail);
    if (err == CF_OK)
        err = wait_for_first(worker, detail);
    if (err == CF_OK)
        err = cf_query_role_new(worker->loop, &worker->config, worker->engine, worker->follower,
                                worker->decoder, &worker->role, detail);
    if (err == CF_OK)
        err = cf_runner_new(worker->loop, &worker->config, &ops, worker->role, &worker->runner, detail);
    return err == CF_OK ? cf_runner_run(worker->runner, detail) : err;
}

/* Searches end before the follower closes the shards, and its thread before the loop that it posts to. */
static void fini(struct worker *worker)
{
    cf_query_role_free(worker->role);
    cf_follower_free(worker->follower);
    cf_runner_free(worker->runner);
    if (worker->loop)
        cf_loop_free(worker->loop, LINGER_MS);
    cf_engine_free(worker->engine);
    cf_spaces_unload();
    cf_decoder_free(worker->decoder);
}

int main(int argc, char **argv)
{
    static struct worker worker;
    int code = cf_worker_begin(argc, argv, CF_ROLE_QUERY, &worker.home, &worker.config, worker.name,
                               sizeof worker.name);
    if (code >= 0)
        return code;
    struct cf_detail detail = {{0}};
    enum cf_err err = run(&worker, &detail);
    fini(&worker);
    if (err != CF_OK && err != CF_E_SHUTTING_DOWN) {
        cf_log(CF_LOG_ERROR, "worker_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
        return 1;
    }
    return 0;
}
