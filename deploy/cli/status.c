#include <stdlib.h>

#include "deploy/cli/fleet.h"
#include "deploy/cli/tabular.h"
#include "deploy/cli/text.h"
#include "deploy/cli/view.h"

static void albums_json(struct cf_json *json, const struct cf_status *status)
{
    cf_json_object(json, "albums");
    cf_json_uint(json, "queued", status->queued);
    cf_json_uint(json, "delayed", status->delayed);
    cf_json_uint(json, "leased", status->leased);
    cf_json_uint(json, "described", status->described);
    cf_json_uint(json, "indexed", status->indexed);
    cf_json_uint(json, "dead", status->dead);
    cf_json_uint(json, "removed", status->removed);
    cf_json_end(json);
    cf_json_uint(json, "quarantined", status->quarantined);
}

static void queue_json(struct cf_json *json, const struct cf_status *status)
{
    cf_json_object(json, "queue");
    cf_json_uint(json, "oldest_ms", status->oldest_ms);
    cf_json_uint(json, "bytes", status->queue_bytes);
    cf_json_uint(json, "jobs_max", status->queue_jobs_max);
    cf_json_bool(json, "paused", status->paused);
    cf_json_end(json);
    cf_json_text(json, "refusing", status->refusing);
}

static void worker_json(struct cf_json *json, const struct cf_worker_status *worker)
{
    cf_json_object(json, NULL);
    cf_json_text(json, "name", worker->name);
    cf_json_word(json, "role", cf_role_name((enum cf_role)worker->role));
    cf_json_uint(json, "pid", worker->pid);
    cf_json_uint(json, "credit", worker->credit);
    cf_json_uint(json, "leased", worker->leased);
    cf_json_uint(json, "done", worker->done);
    cf_json_uint(json, "failed", worker->failed);
    cf_json_real(json, "rate", worker->rate);
    cf_json_uint(json, "age_ms", worker->age_ms);
    cf_json_uint(json, "silent_ms", worker->silent_ms);
    if (worker->unreadable_shards > 0)
        cf_json_uint(json, "unreadable_shards", worker->unreadable_shards);
    cf_json_end(json);
}

static void counters_json(struct cf_json *json, const struct cf_status *status)
{
    cf_json_object(json, "queries");
    cf_json_uint(json, "answered", status->queries_answered);
    cf_json_uint(json, "failed", status->queries_failed);
    cf_json_uint(json, "late", status->queries_late);
    cf_json_uint(json, "resent", status->queries_resent);
    cf_json_uint(json, "waiting", status->queries_waiting);
    cf_json_end(json);
    cf_json_object(json, "pushes");
    cf_json_uint(json, "accepted", status->pushes_accepted);
    cf_json_uint(json, "unchanged", status->pushes_unchanged);
    cf_json_uint(json, "refused", status->pushes_refused);
    cf_json_end(json);
    cf_json_object(json, "broker");
    cf_json_text(json, "version", status->version);
    cf_json_uint(json, "epoch", status->epoch);
    cf_json_uint(json, "uptime_ms", status->uptime_ms);
    cf_json_uint(json, "disk_free_bytes", status->disk_free_bytes);
    cf_json_array(json, "roots");
    for (size_t i = 0; i < status->root_count; i++)
        cf_json_text(json, NULL, status->roots[i]);
    cf_json_end(json);
    cf_json_end(json);
}

void cf_view_status_json(struct cf_json *json, const struct cf_status *status)
{
    albums_json(json, status);
    queue_json(json, status);
    cf_json_array(json, "workers");
    for (size_t i = 0; i < status->worker_count; i++)
        worker_json(json, &status->workers[i]);
    cf_json_end(json);
    cf_view_indexes_json(json, status->indexes, status->index_count);
    counters_json(json, status);
}

static void albums_text(const struct cf_status *status, FILE *out)
{
    fprintf(out,
            "albums   %llu queued, %llu delayed, %llu leased, %llu described, %llu indexed, %llu dead, %llu "
            "removed\n",
            (unsigned long long)status->queued, (unsigned long long)status->delayed,
            (unsigned long long)status->leased, (unsigned long long)status->described,
            (unsigned long long)status->indexed, (unsigned long long)status->dead,
            (unsigned long long)status->removed);
    if (status->quarantined)
        fprintf(out,
                "pictures %llu in quarantine: they killed or stalled workers and are not decoded again\n",
                (unsigned long long)status->quarantined);
    char oldest[CF_TEXT_NUMBER_MAX], bytes[CF_TEXT_NUMBER_MAX], disk[CF_TEXT_NUMBER_MAX],
        uptime[CF_TEXT_NUMBER_MAX];
    cf_text_duration(status->oldest_ms, oldest);
    cf_text_size(status->queue_bytes, bytes);
    cf_text_size(status->disk_free_bytes, disk);
    cf_text_duration(status->uptime_ms, uptime);
    fprintf(out, "queue    %s%llu of at most %llu jobs, %s of pictures", status->paused ? "PAUSED, " : "",
            (unsigned long long)(status->queued + status->delayed + status->leased),
            (unsigned long long)status->queue_jobs_max, bytes);
    if (status->queued > 0)
        fprintf(out, ", the oldest waits for %s", oldest);
    if (status->refusing.len > 0) {
        fputs("\npushes   REFUSED: ", out);
        cf_text_put(out, status->refusing);
    }
    fprintf(out, "\nqueries  %llu answered, %llu failed, %llu late, %llu waiting\n",
            (unsigned long long)status->queries_answered, (unsigned long long)status->queries_failed,
            (unsigned long long)status->queries_late, (unsigned long long)status->queries_waiting);
    fputs("broker   version ", out);
    cf_text_put(out, status->version);
    fprintf(out, ", up %s, epoch %llu, %s of disk free\n", uptime, (unsigned long long)status->epoch, disk);
}

static int by_name(const void *a, const void *b)
{
    const struct cf_worker_status *const *left = a, *const *right = b;
    struct cf_str l = (*left)->name, r = (*right)->name;
    int order = memcmp(l.data, r.data, l.len < r.len ? l.len : r.len);
    return order ? order : l.len < r.len ? -1 : l.len > r.len;
}

/* Pointers to the workers in the order of their names; NULL when memory is short. */
static const struct cf_worker_status **sorted(const struct cf_status *status)
{
    const struct cf_worker_status **workers =
        calloc(status->worker_count + 1, sizeof(struct cf_worker_status *));
    for (size_t i = 0; workers && i < status->worker_count; i++)
        workers[i] = &status->workers[i];
    if (workers)
        qsort(workers, status->worker_count, sizeof(struct cf_worker_status *), by_name);
    return workers;
}

static enum cf_err workers_text(const struct cf_status *status, FILE *out)
{
    static const char *const headings[] = {"WORKER",  "ROLE",   ">PID", ">RATE", ">DONE",
                                           ">FAILED", ">HOLDS", ">UP",  NULL};
    const struct cf_worker_status **workers = sorted(status);
    if (!workers)
        return CF_E_NO_MEMORY;
    struct cf_tabular *tabular = cf_tabular_new(headings);
    for (size_t i = 0; i < status->worker_count; i++) {
        const struct cf_worker_status *worker = workers[i];
        char age[CF_TEXT_NUMBER_MAX];
        cf_text_duration(worker->age_ms, age);
        cf_tabular_cell(tabular, worker->name);
        cf_tabular_cell(tabular, cf_str(cf_role_name((enum cf_role)worker->role)));
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)worker->pid);
        cf_tabular_cellf(tabular, "%.1f/s", worker->rate);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)worker->done);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)worker->failed);
        cf_tabular_cellf(tabular, "%llu", (unsigned long long)worker->leased);
        cf_tabular_cell(tabular, cf_str(age));
    }
    enum cf_err err = cf_tabular_print(tabular, "", out);
    cf_tabular_free(tabular);
    for (size_t i = 0; i < status->worker_count && err == CF_OK; i++) {
        if (workers[i]->unreadable_shards == 0)
            continue;
        fputs("WARNING: ", out);
        cf_text_put(out, workers[i]->name);
        fprintf(out, " cannot read %llu shard%s: its log says which\n",
                (unsigned long long)workers[i]->unreadable_shards,
                workers[i]->unreadable_shards == 1 ? "" : "s");
    }
    free(workers);
    return err;
}

enum cf_err cf_view_status_text(const struct cf_status *status, FILE *out)
{
    albums_text(status, out);
    putc('\n', out);
    enum cf_err err = workers_text(status, out);
    if (err)
        return err;
    putc('\n', out);
    return cf_view_indexes_text(status->indexes, status->index_count, out);
}

/* Albums in the fullest index: a space with fewer may have been added since they were described. */
static void hint_text(const struct cf_status *status, FILE *out)
{
    uint64_t most = 0;
    for (size_t i = 0; i < status->index_count; i++)
        most = status->indexes[i].count > most ? status->indexes[i].count : most;
    for (size_t i = 0; i < status->index_count; i++)
        if (status->indexes[i].generation && status->indexes[i].count < most) {
            fputs("NOTE: ", out);
            cf_text_put(out, status->indexes[i].space);
            fprintf(out,
                    " has %llu albums fewer than the fullest index: \"coverfleet redescribe\" describes them "
                    "from "
                    "their thumbnails, if they have any\n",
                    (unsigned long long)(most - status->indexes[i].count));
        }
}

static void redescribed_text(const struct cf_status *status, const struct cf_redescribed *redescribed,
                             FILE *out)
{
    if (redescribed->order == 0 || redescribed->finished)
        hint_text(status, out);
    if (redescribed->order == 0)
        return;
    fputs("\nredescribe ", out);
    cf_view_redescribed_text(redescribed, out);
}

static enum cf_exit print(const struct cf_status *status, const struct cf_redescribed *redescribed,
                          bool as_json)
{
    struct cf_detail detail = {""};
    enum cf_err err;
    if (as_json) {
        struct cf_json *json = cf_json_new();
        cf_view_status_json(json, status);
        cf_json_object(json, "redescribe");
        cf_view_redescribed_json(json, redescribed);
        cf_json_end(json);
        err = cf_json_print(json, stdout, &detail);
        cf_json_free(json);
    } else {
        err = cf_view_status_text(status, stdout);
        redescribed_text(status, redescribed, stdout);
    }
    if (err)
        cf_say("status", cf_str(""), err, &detail);
    return cf_exit_of(err);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_fleet fleet = {.command = command->name, .deadline_ms = CF_FLEET_DEADLINE_MS};
    const struct cf_opt opts[] = {CF_OPT_JSON(&fleet.json), CF_FLEET_OPTS(&fleet), {.name = NULL}};
    struct cf_args args;
    struct cf_reply *reply = NULL, *redescribed = NULL;
    const struct cf_msg how_far = {.kind = CF_KIND_REDESCRIBE, .redescribe = {.op = CF_REDESCRIBE_STATUS}};
    enum cf_exit result;
    if (!cf_command_parse(command, argc, argv, opts, &args, &result))
        goto out;
    if (args.rest_count > 0) {
        result = cf_command_misuse(command, "takes no arguments, but got %.60s", args.rest[0]);
        goto out;
    }
    result = cf_fleet_open(&fleet);
    if (!result)
        result = cf_fleet_call(&fleet, &(struct cf_msg){.kind = CF_KIND_STATUS}, cf_str(""), &reply);
    /* A broker without its journal can tell its status only. */
    static const struct cf_redescribed unknown;
    if (!result && cf_client_call(fleet.client, &how_far, fleet.deadline_ms, &redescribed, NULL) != CF_OK)
        redescribed = NULL;
    if (!result)
        result =
            print(&reply->msg.status, redescribed ? &redescribed->msg.redescribed : &unknown, fleet.json);
out:
    cf_reply_free(redescribed);
    cf_reply_free(reply);
    cf_fleet_close(&fleet);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_status = {
    .name = "status",
    .usage = "[--json]",
    .summary = "Queue, workers, indexes and queries of the fleet",
    .about = "Every album is in one state: queued, delayed (by --delay or before another attempt), leased to "
             "a worker,\n"
             "described (found by queries, not in an index yet), indexed, dead (coverfleet queue list "
             "--state dead), removed.",
    .run = run,
};
