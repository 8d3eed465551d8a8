/* A fleet under load: many clients that ask at a fixed rate while covers arrive and full rebuilds are
 * ordered.
 *
 *     fleet_load --ids FILE [--vectors FILE] [--covers FOLDER] [OPTIONS]     (--help lists them)
 *
 * Asks the fleet of COVERFLEET_HOME, or --endpoint, which must be up and know the albums of --ids (header row
 * `album`). Two phases of --seconds each follow a warm-up, the second one with `index rebuild` ordered every
 * --rebuild-every; without that there is only the first. fleet_load.py starts a fleet, imports vectors into
 * it and runs this.
 *
 * Open loop: each of --clients asks at its own times, --rate a second in all, evenly spaced, whether answers
 * came or not, and a latency counts from the time when the query was due, so that neither a slow fleet nor a
 * late generator hides anything. How late the generator itself sent is reported beside it. Half of the
 * queries are by id, the others (with --vectors) by one of 16,384 rows of that file, each number of it
 * changed by up to 3 %. A query that gets no answer within 10 s, an error, or no neighbours has failed.
 *
 * --push-rate covers a second are pushed, the pictures of --covers (as JPEG) again and again under new ids,
 * each time with other quantization tables (so other pixels). Every --probe one that was just acknowledged is
 * followed: from the time at which the broker noted it as described until a query by id with itself included
 * finds it.
 *
 * Nothing here passes or fails, but the exit code is 1 when anything failed or was lost. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "deploy/cli/args.h"
#include "deploy/cli/json.h"
#include "deploy/cli/table.h"
#include "load.h"

/* ---- samples ---- */

void load_sample(struct load_samples *samples, uint64_t value)
{
    if (samples->count == samples->capacity) {
        samples->capacity = samples->capacity ? 2 * samples->capacity : 1024;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        CF_CHECK(samples->values);
    }
    samples->values[samples->count++] = value;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

uint64_t load_percentile(struct load_samples *samples, double share)
{
    if (samples->count == 0)
        return 0;
    qsort(samples->values, samples->count, sizeof *samples->values, by_value);
    size_t at = (size_t)(share * (double)samples->count);
    return samples->values[at < samples->count ? at : samples->count - 1];
}

void load_merge(struct load_samples *into, struct load_samples *from)
{
    for (size_t i = 0; i < from->count; i++)
        load_sample(into, from->values[i]);
    free(from->values);
    *from = (struct load_samples){0};
}

/* ---- what all threads use ---- */

uint64_t load_now_us(void)
{
    return cf_clock_mono_us();
}

int load_phase_of(const struct load *load, uint64_t at_us)
{
    for (size_t i = 0; i < load->phase_count; i++)
        if (at_us >= load->phases[i].from_us && at_us < load->phases[i].until_us)
            return (int)i;
    return -1;
}

static void stop_with(enum cf_err err, const struct cf_detail *detail)
{
    fprintf(stderr, "fleet_load: %s: %s\n", cf_err_name(err), detail->text);
    exit(1);
}

struct cf_client *load_client(const struct load *load)
{
    struct cf_client *client = NULL;
    struct cf_detail detail = {""};
    enum cf_err err = cf_client_new(load->options.endpoint, &client, &detail);
    if (err)
        stop_with(err, &detail);
    return client;
}

static void sleep_us(uint64_t us)
{
    struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

void load_wait(struct cf_client *client, uint64_t until_us)
{
    for (uint64_t now_us; (now_us = load_now_us()) < until_us;) {
        uint64_t left_us = until_us - now_us;
        struct cf_detail detail = {""};
        if (cf_client_pending(client) == 0 || left_us < 1000) {
            sleep_us(left_us);
            continue;
        }
        enum cf_err err = cf_client_poll(client, left_us / 1000, &detail);
        if (err)
            stop_with(err, &detail);
    }
    if (cf_client_pending(client))
        (void)!cf_client_poll(client, 0, NULL);
}

/* ---- what is asked for ---- */

static void read_ids(struct load *load)
{
    static const char *const required[] = {"album", NULL};
    static struct cf_table table;
    struct cf_str fields[CF_TABLE_COLUMNS_MAX];
    struct cf_detail detail = {""};
    FILE *file = fopen(load->options.ids, "re");
    enum cf_err err = file ? cf_table_init(&table, file, load->options.ids, required, &detail)
                           : cf_fail_errno(&detail, load->options.ids);
    size_t column = err ? 0 : cf_table_column(&table, "album"), capacity = 0;
    for (bool end = false; !err && !(err = cf_table_next(&table, fields, &end, &detail)) && !end;) {
        if (load->id_count == capacity) {
            capacity = capacity ? 2 * capacity : 4096;
            load->ids = realloc(load->ids, capacity * sizeof *load->ids);
            CF_CHECK(load->ids);
        }
        load->ids[load->id_count] = strndup(fields[column].data, fields[column].len);
        CF_CHECK(load->ids[load->id_count]);
        load->id_count++;
    }
    if (!err && load->id_count == 0)
        err = cf_fail(&detail, CF_E_INVALID, "%s names no albums", load->options.ids);
    if (err)
        stop_with(err, &detail);
    fclose(file);
}

/* Evenly out of the whole file. */
static void read_rows(struct load *load)
{
    struct cf_vecfile *file = NULL;
    struct cf_detail detail = {""};
    enum cf_err err = cf_vecfile_open(load->options.vectors, CF_VECFILE_FLOATS, &file, &detail);
    uint64_t count = err ? 0 : cf_vecfile_count(file);
    if (!err && count == 0)
        err = cf_fail(&detail, CF_E_INVALID, "%s has no vectors", load->options.vectors);
    if (err)
        stop_with(err, &detail);
    load->dim = cf_vecfile_dim(file);
    load->row_count = count < ROWS_MAX ? count : ROWS_MAX;
    load->rows = malloc(load->row_count * load->dim * sizeof *load->rows);
    CF_CHECK(load->rows);
    for (size_t i = 0; i < load->row_count && !err; i++)
        err = cf_vecfile_read(file, i * count / load->row_count, 1, load->rows + i * load->dim, &detail);
    if (err)
        stop_with(err, &detail);
    cf_vecfile_free(file);
}

/* ---- rebuilds ---- */

struct standing {
    uint64_t generation, build_ms, tail, count;
};

static struct standing index_op(struct cf_client *client, const char *space, enum cf_index_op op)
{
    struct cf_reply *reply = NULL;
    struct cf_detail detail = {""};
    struct cf_msg request = {.kind = CF_KIND_INDEX, .index = {.op = (int)op, .space = cf_str(space)}};
    struct standing standing = {0};
    enum cf_err err = cf_client_call(client, &request, CALL_MS, &reply, &detail);
    if (err)
        stop_with(err, &detail);
    for (size_t i = 0; i < reply->msg.indexes.index_count; i++) {
        const struct cf_index_status *index = &reply->msg.indexes.indexes[i];
        if (cf_str_is(index->space, space))
            standing = (struct standing){index->generation, index->build_ms, index->tail, index->count};
    }
    cf_reply_free(reply);
    return standing;
}

struct published {
    uint64_t count, build_ms_max, tail_max;
};

/* Follows the index through all phases, and orders rebuilds from the end of the first one on. */
static void conduct(struct load *load, struct published published[PHASE_COUNT])
{
    struct cf_client *client = load_client(load);
    uint64_t generation = 0, every_us = load->options.rebuild_ms * 1000;
    uint64_t order_us = every_us ? load->phases[0].until_us : UINT64_MAX;
    for (uint64_t at_us; (at_us = load_now_us()) < load->end_us; load_wait(client, at_us + 250000)) {
        bool order = at_us >= order_us;
        struct standing standing =
            index_op(client, load->options.space, order ? CF_INDEX_REBUILD : CF_INDEX_STATUS);
        order_us += order ? every_us : 0;
        int phase = load_phase_of(load, at_us);
        if (phase >= 0) {
            struct published *now = &published[phase];
            now->count +=
                generation && standing.generation > generation ? standing.generation - generation : 0;
            now->build_ms_max = standing.build_ms > now->build_ms_max ? standing.build_ms : now->build_ms_max;
            now->tail_max = standing.tail > now->tail_max ? standing.tail : now->tail_max;
        }
        generation = standing.generation;
    }
    cf_client_free(client);
}

/* ---- the report ---- */

struct report {
    struct load_samples took[PHASE_COUNT], late;
    uint64_t failed[PHASE_COUNT];
    struct published published[PHASE_COUNT];
    const char *failure;
};

static double ms(uint64_t us)
{
    return (double)us / 1000;
}

static const char *const phase_names[PHASE_COUNT] = {"no full rebuild ordered", "full rebuilds"};

static void print_times(struct cf_json *json, const char *key, struct load_samples *samples)
{
    cf_json_object(json, key);
    cf_json_uint(json, "count", samples->count);
    cf_json_real(json, "p50_ms", ms(load_percentile(samples, 0.5)));
    cf_json_real(json, "p99_ms", ms(load_percentile(samples, 0.99)));
    cf_json_real(json, "max_ms", ms(load_percentile(samples, 1)));
    cf_json_end(json);
}

static void print_json(struct load *load, struct report *report, struct load_pusher *pusher,
                       struct load_prober *prober, double ratio)
{
    struct cf_detail detail = {""};
    struct cf_json *json = cf_json_new();
    cf_json_array(json, "phases");
    for (size_t i = 0; i < load->phase_count; i++) {
        cf_json_object(json, NULL);
        cf_json_word(json, "phase", phase_names[i]);
        print_times(json, "queries", &report->took[i]);
        cf_json_uint(json, "failed", report->failed[i]);
        cf_json_uint(json, "pushed", pusher->pushed[i]);
        cf_json_uint(json, "push_failed", pusher->failed[i]);
        print_times(json, "described_to_findable", &prober->took[i]);
        cf_json_uint(json, "lost", prober->lost[i]);
        cf_json_uint(json, "generations", report->published[i].count);
        cf_json_uint(json, "build_ms_max", report->published[i].build_ms_max);
        cf_json_uint(json, "tail_max", report->published[i].tail_max);
        cf_json_end(json);
    }
    cf_json_end(json);
    print_times(json, "generator_late", &report->late);
    cf_json_real(json, "p99_ratio", ratio);
    enum cf_err err = cf_json_print(json, stdout, &detail);
    cf_json_free(json);
    if (err)
        stop_with(err, &detail);
}

static void print_text(struct load *load, struct report *report, struct load_pusher *pusher,
                       struct load_prober *prober, double ratio)
{
    printf("| | queries | failed | p50 ms | p99 ms | max ms | pushed | refused | findable p50 ms | p99 ms | "
           "max ms | "
           "followed | lost | generations | longest build s | longest tail |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < load->phase_count; i++)
        printf("| %s | %zu | %llu | %.2f | %.2f | %.2f | %llu | %llu | %.0f | %.0f | %.0f | %zu | %llu | "
               "%llu | %.1f | "
               "%llu |\n",
               phase_names[i], report->took[i].count, (unsigned long long)report->failed[i],
               ms(load_percentile(&report->took[i], 0.5)), ms(load_percentile(&report->took[i], 0.99)),
               ms(load_percentile(&report->took[i], 1)), (unsigned long long)pusher->pushed[i],
               (unsigned long long)pusher->failed[i], ms(load_percentile(&prober->took[i], 0.5)),
               ms(load_percentile(&prober->took[i], 0.99)), ms(load_percentile(&prober->took[i], 1)),
               prober->took[i].count, (unsigned long long)prober->lost[i],
               (unsigned long long)report->published[i].count,
               (double)report->published[i].build_ms_max / 1000,
               (unsigned long long)report->published[i].tail_max);
    printf("\nThe generator sent its queries late by p50 %.2f, p99 %.2f, at most %.2f ms; that is in the "
           "latencies.\n",
           ms(load_percentile(&report->late, 0.5)), ms(load_percentile(&report->late, 0.99)),
           ms(load_percentile(&report->late, 1)));
    if (load->phase_count > 1)
        printf("p99 with full rebuilds is %.2f times that without.\n", ratio);
    if (report->failure)
        printf("The first failure: %s\n", report->failure);
}

static bool tell(struct load *load, struct report *report, struct load_pusher *pusher,
                 struct load_prober *prober)
{
    bool good = true;
    double ratio = 0;
    for (size_t i = 0; i < load->phase_count; i++)
        good = good && report->failed[i] == 0 && pusher->failed[i] == 0 && prober->lost[i] == 0;
    if (load->phase_count > 1 && report->took[0].count)
        ratio =
            (double)load_percentile(&report->took[1], 0.99) / (double)load_percentile(&report->took[0], 0.99);
    if (load->options.json)
        print_json(load, report, pusher, prober, ratio);
    else
        print_text(load, report, pusher, prober, ratio);
    return good;
}

/* ---- the run ---- */

static void set_times(struct load *load)
{
    uint64_t span_us = load->options.seconds * 1000000, warm_us = load->options.warm_ms * 1000;
    load->phase_count = load->options.rebuild_ms ? PHASE_COUNT : 1;
    load->start_us = load_now_us() + 200000;
    load->end_us = load->start_us;
    for (size_t i = 0; i < load->phase_count; i++) {
        load->phases[i].from_us = load->end_us + warm_us;
        load->end_us = load->phases[i].until_us = load->phases[i].from_us + span_us;
    }
}

static bool run(struct load *load)
{
    static struct load_asker askers[CLIENTS_MAX];
    struct load_pusher pusher = {.load = load};
    struct load_prober prober = {.load = load};
    struct report report = {.failure = NULL};
    bool pushing = load->options.covers && load->options.push_rate > 0;
    if (pushing && !load_pictures(&pusher))
        return false;
    set_times(load);
    for (size_t i = 0; i < load->options.clients; i++) {
        askers[i] = (struct load_asker){.load = load, .number = i};
        CF_CHECK(pthread_create(&askers[i].thread, NULL, load_ask, &askers[i]) == 0);
    }
    if (pushing) {
        CF_CHECK(pthread_create(&pusher.thread, NULL, load_push, &pusher) == 0);
        CF_CHECK(pthread_create(&prober.thread, NULL, load_probe, &prober) == 0);
    }
    conduct(load, report.published);
    if (pushing) {
        pthread_join(pusher.thread, NULL);
        pthread_join(prober.thread, NULL);
        report.failure = pusher.failure[0] ? pusher.failure : prober.failure[0] ? prober.failure : NULL;
    }
    for (size_t i = 0; i < load->options.clients; i++) {
        pthread_join(askers[i].thread, NULL);
        for (size_t p = 0; p < load->phase_count; p++) {
            load_merge(&report.took[p], &askers[i].took[p]);
            report.failed[p] += askers[i].failed[p];
        }
        load_merge(&report.late, &askers[i].late);
        if (!report.failure && askers[i].failure[0])
            report.failure = askers[i].failure;
    }
    bool good = tell(load, &report, &pusher, &prober);
    for (size_t i = 0; i < PHASE_COUNT; i++) {
        free(report.took[i].values);
        free(prober.took[i].values);
    }
    free(report.late.values);
    load_pusher_fini(&pusher);
    return good;
}

#define TEXT(option, field, what, words)                                                                     \
    {                                                                                                        \
        .name = option, .kind = CF_OPT_TEXT, .value = &o->field, .placeholder = what, .help = words          \
    }
#define UINT(option, field, from, to, words)                                                                 \
    {                                                                                                        \
        .name = option, .kind = CF_OPT_UINT, .value = &o->field, .low = from, .high = to,                    \
        .placeholder = "N", .help = words                                                                    \
    }
#define REAL(option, field, from, to, words)                                                                 \
    {                                                                                                        \
        .name = option, .kind = CF_OPT_REAL, .value = &o->field, .real_low = from, .real_high = to,          \
        .placeholder = "N", .help = words                                                                    \
    }
#define TIME(option, field, from, words)                                                                     \
    {                                                                                                        \
        .name = option, .kind = CF_OPT_DURATION, .value = &o->field, .low = from, .high = 3600000,           \
        .placeholder = "TIME", .help = words                                                                 \
    }

/* The exit code, or -1 to go on. */
static int parse(struct load_options *o, int argc, char **argv, struct cf_args *args)
{
    const struct cf_opt opts[] = {
        TEXT("endpoint", endpoint, "ENDPOINT", "default: of COVERFLEET_HOME"),
        TEXT("space", space, "SPACE", "gist (default) or gray16"),
        TEXT("ids", ids, "FILE", "table of albums to ask by; required"),
        TEXT("vectors", vectors, "FILE", ".npy or .fvecs to ask by"),
        REAL("by-vector", by_vector, 0, 1, "share of the queries, with --vectors (default 0.5)"),
        TEXT("covers", covers, "FOLDER", "pictures to push; without: none"),
        REAL("push-rate", push_rate, 0, 10000, "covers a second (default 300)"),
        UINT("clients", clients, 1, CLIENTS_MAX, "default 20"),
        REAL("rate", rate, 0.1, 1e6, "queries a second, of all clients (default 500)"),
        UINT("neighbors", k, 1, 10000, "default 10"),
        REAL("recall", recall, 0, 1, "default: the fleet's"),
        UINT("seconds", seconds, 1, 86400, "of each phase (default 30)"),
        TIME("warm", warm_ms, 0, "before each phase, not counted (default 5s)"),
        TIME("rebuild-every", rebuild_ms, 0, "a second phase, with full rebuilds ordered so often"),
        TIME("probe", probe_ms, 1, "follow a fresh cover so often (default 100ms)"),
        UINT("seed", seed, 0, 1000000, "of the choices (default 1)"),
        {.name = "json", .kind = CF_OPT_FLAG, .value = &o->json, .help = "one object instead of the table"},
        {.name = NULL},
    };
    struct cf_detail detail = {""};
    enum cf_err err = cf_args_parse(args, argc, (const char *const *)argv, opts, &detail);
    if (!err && args->help) {
        cf_args_explain(opts, stdout);
        return 0;
    }
    if (!err && (!o->ids || args->rest_count))
        err = cf_fail(&detail, CF_E_INVALID, "--ids is missing, or something is too much (--help explains)");
    if (err)
        fprintf(stderr, "fleet_load: %s\n", detail.text);
    return err ? 2 : -1;
}

int main(int argc, char **argv)
{
    static struct load load;
    struct cf_args args;
    load.options = (struct load_options){.space = "gist",
                                         .clients = 20,
                                         .rate = 500,
                                         .k = 10,
                                         .seconds = 30,
                                         .warm_ms = 5000,
                                         .push_rate = 300,
                                         .by_vector = 0.5,
                                         .probe_ms = 100,
                                         .seed = 1};
    int code = parse(&load.options, argc, argv, &args);
    if (code < 0) {
        pthread_mutex_init(&load.lock, NULL);
        read_ids(&load);
        if (load.options.vectors)
            read_rows(&load);
        code = run(&load) ? 0 : 1;
        free(load.rows);
    }
    cf_args_free(&args);
    return code;
}
