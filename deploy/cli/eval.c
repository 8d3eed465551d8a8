#include "deploy/cli/eval.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/crew.h"
#include "common/base/file.h"
#include "deploy/cli/progress.h"

void cf_eval_fini(struct cf_eval *eval)
{
    for (size_t i = 0; i < eval->result_count; i++)
        free(eval->results[i].scored);
    cf_eval_looks_fini(eval);
    cf_eval_groups_fini(&eval->groups);
    cf_matrix_fini(&eval->by_user);
    cf_matrix_fini(&eval->by_album);
    cf_listens_fini(&eval->listens);
    cf_thumbs_fini(&eval->thumbs);
    cf_thumbs_fini(&eval->liked);
    cf_names_free(eval->users);
    cf_names_free(eval->albums);
}

struct cf_eval_result *cf_eval_add(struct cf_eval *eval, const char *name, enum cf_eval_by by)
{
    CF_CHECK(eval->result_count < CF_EVAL_RESULTS_MAX);
    struct cf_eval_result *result = &eval->results[eval->result_count];
    *result = (struct cf_eval_result){
        .name = name, .by = by, .scored = calloc(eval->thumbs.count + 1, sizeof *result->scored)};
    if (!result->scored)
        return NULL;
    for (size_t i = 0; i < eval->thumbs.count; i++) {
        const struct cf_thumb *t = &eval->thumbs.items[i];
        result->scored[i] = (struct cf_scored){.user = t->user, .group = eval->groups.of[i], .up = t->up};
    }
    eval->result_count++;
    return result;
}

/* ---- leaks ---- */

/* What must not be trained on: the judged pairs, and of a user with judged times all that came after the
 * first; with --cut-all of every user all that came after the first of all, or may have. */
struct judged {
    uint64_t *pairs;
    size_t count;
    uint32_t *since;   /* by user; 0: no time */
    uint32_t earliest; /* of all users, where all are cut there; else 0 */
};

static bool is_judged(const struct judged *judged, uint32_t user, uint32_t album, uint32_t time)
{
    uint64_t pair = cf_eval_pair(user, album);
    if (judged->earliest && (!time || time >= judged->earliest))
        return true;
    return bsearch(&pair, judged->pairs, judged->count, sizeof pair, cf_eval_compare_numbers) ||
           (time && judged->since[user] && time >= judged->since[user]);
}

static enum cf_err judged_init(const struct cf_eval *eval, struct judged *judged, struct cf_detail *detail)
{
    judged->count = eval->thumbs.count;
    judged->pairs = calloc(judged->count + 1, sizeof *judged->pairs);
    judged->since = calloc((size_t)cf_names_count(eval->users) + 1, sizeof *judged->since);
    if (!judged->pairs || !judged->since)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory to look for leaks");
    for (size_t i = 0; i < judged->count; i++) {
        const struct cf_thumb *t = &eval->thumbs.items[i];
        uint32_t *since = &judged->since[t->user];
        judged->pairs[i] = cf_eval_pair(t->user, t->album);
        *since = t->time && (!*since || t->time < *since) ? t->time : *since;
        if (eval->options.cut_all && t->time && (!judged->earliest || t->time < judged->earliest))
            judged->earliest = t->time;
    }
    if (eval->options.cut_all && !judged->earliest)
        return cf_fail(detail, CF_E_INVALID, "%.200s: no thumb has a time: --cut-all has nothing to cut at",
                       eval->options.thumbs);
    qsort(judged->pairs, judged->count, sizeof *judged->pairs, cf_eval_compare_numbers);
    return CF_OK;
}

/* Takes out of the training what is judged, and counts it. */
static enum cf_err remove_leaks(struct cf_eval *eval, struct cf_detail *detail)
{
    struct judged judged = {0};
    enum cf_err err = judged_init(eval, &judged, detail);
    size_t listens = 0, liked = 0;
    for (size_t i = 0; i < eval->listens.count && !err; i++) {
        const struct cf_listen *l = &eval->listens.items[i];
        if (!is_judged(&judged, l->user, l->album, l->time))
            eval->listens.items[listens++] = *l;
    }
    for (size_t i = 0; i < eval->liked.count && !err; i++) {
        const struct cf_thumb *t = &eval->liked.items[i];
        if (!is_judged(&judged, t->user, t->album, t->time))
            eval->liked.items[liked++] = *t;
    }
    if (!err) {
        eval->leaks = eval->listens.count - listens + eval->liked.count - liked;
        eval->listens.count = listens;
        eval->liked.count = liked;
        if (listens == 0)
            err = cf_fail(detail, CF_E_INVALID,
                          "%.200s: nothing is left to train on: every listen is judged, or came after%s",
                          eval->options.listens,
                          judged.earliest ? " the first judged thumb of anybody, or has no time" : "");
    }
    free(judged.pairs);
    free(judged.since);
    return err;
}

/* ---- the call ---- */

/* Before anything long begins. */
static enum cf_err check_thumbs(const struct cf_eval *eval, struct cf_detail *detail)
{
    size_t ups = 0;
    for (size_t i = 0; i < eval->thumbs.count; i++)
        ups += eval->thumbs.items[i].up;
    return ups && ups < eval->thumbs.count
               ? CF_OK
               : cf_fail(detail, CF_E_INVALID, "%.200s: of %zu thumbs all are %s: an AUC needs both kinds",
                         eval->options.thumbs, eval->thumbs.count, ups ? "up" : "down");
}

static void on_read(void *arg, uint64_t done, uint64_t all)
{
    enum { MIB = 1 << 20 };
    cf_progress_show(arg, done / MIB, all / MIB, "MiB of a table", cf_clock_mono_ms());
}

enum cf_err cf_eval_read(struct cf_eval *eval, struct cf_detail *detail)
{
    const struct cf_eval_options *o = &eval->options;
    struct cf_progress progress;
    eval->users = cf_names_new();
    eval->albums = cf_names_new();
    if (!eval->users || !eval->albums)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for tables");
    cf_progress_init(&progress, stderr, o->json, cf_clock_mono_ms());
    enum cf_err err =
        cf_listens_read(o->listens, eval->users, eval->albums, &eval->listens, on_read, &progress, detail);
    if (!err && o->thumbs)
        err = cf_thumbs_read(o->thumbs, eval->users, eval->albums, &eval->thumbs, on_read, &progress, detail);
    if (!err && o->liked)
        err = cf_thumbs_read(o->liked, eval->users, eval->albums, &eval->liked, on_read, &progress, detail);
    cf_progress_clear(&progress);
    return err;
}

enum cf_exit cf_eval_say(const struct cf_eval *eval, enum cf_err err, const struct cf_detail *detail)
{
    if (err && !eval->told)
        cf_say(eval->command->name, cf_str(""), err, detail);
    if (err && eval->options.json)
        cf_say_json(cf_str(cf_err_name(err)), cf_str(detail->text));
    return cf_exit_of(err);
}

static enum cf_err read_tables(struct cf_eval *eval, struct cf_detail *detail)
{
    enum cf_err err = cf_eval_read(eval, detail);
    if (!err)
        err = check_thumbs(eval, detail);
    if (!err)
        err = remove_leaks(eval, detail);
    if (!err)
        err = cf_eval_groups_init(&eval->thumbs, cf_names_count(eval->users), &eval->groups, detail);
    if (!err)
        err = cf_matrix_of(&eval->listens, cf_names_count(eval->users), cf_names_count(eval->albums),
                           &eval->by_user, detail);
    return err ? err : cf_matrix_transpose(&eval->by_user, &eval->by_album, detail);
}

static enum cf_err eval_all(struct cf_eval *eval, struct cf_detail *detail)
{
    const char *out = eval->options.out;
    enum cf_err err = read_tables(eval, detail);
    if (!err && out)
        err = cf_file_make_dirs(out, detail); /* what cannot be is told before anything long begins */
    if (!err)
        err = cf_eval_describe(eval, detail);
    if (!err)
        err = cf_eval_models(eval, detail);
    if (!err)
        err = cf_eval_covers(eval, detail);
    if (!err)
        err = cf_eval_mapped(eval, detail);
    if (!err)
        err = cf_eval_blends(eval, detail);
    if (!err)
        err = cf_eval_judge(eval, detail);
    return err ? err : cf_eval_report(eval, detail);
}

static enum cf_exit run(const struct cf_command *command, int argc, const char *const *argv)
{
    struct cf_eval eval = {.command = command, .options = {.threads = cf_crew_processors(), .seed = 1}};
    struct cf_eval_options *o = &eval.options;
    const struct cf_opt opts[] = {
        {.name = "listens",
         .kind = CF_OPT_TEXT,
         .value = &o->listens,
         .placeholder = "L.tsv",
         .help = "what models are trained on: user, album, count, time"},
        {.name = "thumbs",
         .kind = CF_OPT_TEXT,
         .value = &o->thumbs,
         .placeholder = "T.tsv",
         .help = "what is judged by, never trained on: user, album, thumb (+1 or -1)"},
        {.name = "liked",
         .kind = CF_OPT_TEXT,
         .value = &o->liked,
         .placeholder = "U.tsv",
         .help = "older thumbs: trained on, and what covers are compared with (default: all listens)"},
        {.name = "cut-all",
         .kind = CF_OPT_FLAG,
         .value = &o->cut_all,
         .help =
             "trains on nothing of anybody from the first judged thumb on (default: of each user from the "
             "user's own)"},
        {.name = "covers",
         .kind = CF_OPT_TEXT,
         .value = &o->covers,
         .placeholder = "C.tsv",
         .help = "a table with columns album and cover: judges every space too"},
        {.name = "fleet",
         .kind = CF_OPT_FLAG,
         .value = &o->fleet,
         .help = "judges every space by the vectors of the fleet's shards"},
        {.name = "root",
         .kind = CF_OPT_TEXT,
         .value = &o->root,
         .placeholder = "DIR",
         .help = "where the table's covers lie (default: beside it)"},
        {.name = "out",
         .kind = CF_OPT_TEXT,
         .value = &o->out,
         .placeholder = "DIR",
         .help = "writes auc.svg, auc.png and auc.json there"},
        {.name = "threads",
         .kind = CF_OPT_UINT,
         .value = &o->threads,
         .low = 1,
         .high = CF_CREW_THREADS_MAX,
         .placeholder = "N",
         .help = "for training (default: all processors)"},
        {.name = "seed",
         .kind = CF_OPT_UINT,
         .value = &o->seed,
         .low = 0,
         .high = UINT32_MAX,
         .placeholder = "S",
         .help = "of everything random (default 1)"},
        CF_OPT_JSON(&o->json),
        {.name = NULL}};
    struct cf_args args;
    struct cf_detail detail = {""};
    enum cf_exit result = CF_EXIT_DONE;
    if (cf_command_parse(command, argc, argv, opts, &args, &result)) {
        if (!o->listens || !o->thumbs)
            result = cf_command_misuse(command, "--listens and --thumbs are needed");
        else if (o->covers && o->fleet)
            result = cf_command_misuse(command, "either --covers or --fleet can be given");
        else if (args.rest_count)
            result = cf_command_misuse(command, "%.60s: only options are taken", args.rest[0]);
        else {
            enum cf_err err = eval_all(&eval, &detail);
            result = cf_eval_say(&eval, err, &detail);
        }
    }
    cf_eval_fini(&eval);
    cf_args_free(&args);
    return result;
}

const struct cf_command cf_command_eval = {
    .name = "eval",
    .usage = "--listens L.tsv --thumbs T.tsv [OPTION...]",
    .summary = "judge covers and models of listening by users' thumbs",
    .about = "Trains popularity, item_item, rnn, koren and vector_exp on the listens, scores every thumb "
             "with each, and gives\n"
             "the AUC: the chance that an album with a thumb up is ranked above one with a thumb down (0.5 "
             "is chance). The\n"
             "figure to quote is the one per user. Intervals are 95 %, by drawing users again 1,000 times.",
    .run = run,
};
