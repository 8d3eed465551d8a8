/* Covers as a model: the pictures of a table described as a fleet would, then distances to what each user
 * liked. */
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/vecfile/vecfile.h"
#include "deploy/cli/apart.h"
#include "deploy/cli/describe.h"
#include "deploy/cli/eval.h"
#include "deploy/cli/table.h"
#include "deploy/cli/vectors.h"

enum { WAYS = CF_COVERS_WAY_COUNT };

struct describing {
    const struct cf_eval *eval;
    const struct cf_space *space;
    char vectors[PATH_MAX + 32], ids[PATH_MAX + 32]; /* files in its folder */
};

/* Users' seeds, the likes of a table or else all listens, by user. */
struct likes {
    uint32_t *liked, *disliked;           /* albums, user after user */
    size_t *first_liked, *first_disliked; /* [users + 1] */
};

/* ---- vectors ---- */

static enum cf_err no_memory(struct cf_detail *detail)
{
    return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the vectors of the covers");
}

static enum cf_err place_rows(struct cf_eval *eval, struct cf_eval_look *look, FILE *ids,
                              const char *ids_path, struct cf_vecfile *file, struct cf_detail *detail)
{
    static const char *const required[] = {"album", NULL};
    struct cf_table *table = malloc(sizeof *table);
    if (!table)
        return no_memory(detail);
    enum cf_err err = cf_table_init(table, ids, ids_path, required, detail);
    size_t album = err ? 0 : cf_table_column(table, "album"),
           flags = err ? 0 : cf_table_column(table, "flags");
    for (uint64_t row = 0; !err && row < cf_vecfile_count(file); row++) {
        struct cf_str fields[CF_TABLE_COLUMNS_MAX];
        float *to = look->values + row * look->space->dim;
        bool end = false;
        err = cf_table_next(table, fields, &end, detail);
        if (!err && !end)
            err = cf_vecfile_read(file, row, 1, to, detail);
        uint32_t number = err || end ? CF_NO_NUMBER : cf_names_number(eval->albums, fields[album], false);
        /* What has no contrast has no vector; covers of albums that nobody heard of are passed over. */
        if (number != CF_NO_NUMBER && (flags == table->column_count || fields[flags].len == 0))
            look->vectors[number] = to;
    }
    free(table);
    return err;
}

static enum cf_err read_rows(struct cf_eval *eval, struct cf_eval_look *look, const char *vectors,
                             const char *ids, struct cf_detail *detail)
{
    struct cf_vecfile *file = NULL;
    FILE *in = fopen(ids, "re");
    enum cf_err err =
        in ? cf_vecfile_open(vectors, CF_VECFILE_FLOATS, &file, detail) : cf_fail_errno(detail, ids);
    if (!err) {
        look->values = calloc((size_t)cf_vecfile_count(file) * look->space->dim + 1, sizeof(float));
        look->vectors = calloc((size_t)cf_names_count(eval->albums) + 1, sizeof *look->vectors);
        err =
            look->values && look->vectors ? place_rows(eval, look, in, ids, file, detail) : no_memory(detail);
    }
    look->covers = (struct cf_covers){look->vectors, cf_names_count(eval->albums), look->space->dim};
    cf_vecfile_free(file);
    if (in)
        fclose(in);
    return err;
}

/* In a process of its own: decoders are forked, and what a model or a store starts as threads ends with it.
 */
static enum cf_exit write_vectors(const struct cf_eval *eval, const struct cf_space *space,
                                  const char *vectors, const char *ids)
{
    const struct cf_describe_options describe = {.table = eval->options.covers,
                                                 .root = eval->options.root,
                                                 .space = space,
                                                 .out = vectors,
                                                 .ids = ids,
                                                 .threads = (unsigned)eval->options.threads,
                                                 .json = eval->options.json};
    const struct cf_vectors_options export = {space, vectors, ids, NULL};
    /* What is printed there is the report alone: people see the counts of covers beside it, machines do not.
     */
    int beside = eval->options.json ? open("/dev/null", O_WRONLY | O_CLOEXEC) : STDERR_FILENO;
    (void)dup2(beside, STDOUT_FILENO);
    return eval->options.fleet ? cf_vectors_export(&export, eval->command->name, false)
                               : cf_describe_many(eval->command, &describe);
}

static int write_apart(void *arg)
{
    const struct describing *describing = arg;
    return write_vectors(describing->eval, describing->space, describing->vectors, describing->ids);
}

static enum cf_err describe_into(struct cf_eval *eval, struct cf_apart *apart, struct describing *describing,
                                 struct cf_detail *detail)
{
    int code = 0;
    enum cf_err err = cf_apart_run(apart, write_apart, describing, &code, detail);
    if (err)
        return err;
    bool done = code == CF_EXIT_DONE || code == CF_EXIT_PARTLY;
    eval->told = !done && code >= 0;
    return done ? CF_OK
                : cf_fail(detail, CF_E_INVALID, "%.200s: the covers have no vectors of %s",
                          eval->options.fleet ? "the fleet" : eval->options.covers, describing->space->name);
}

/* The vectors go through files, as `describe --out` and `vectors export` write them, in a folder of their
 * own. */
static enum cf_err describe_covers(struct cf_eval *eval, struct cf_eval_look *look, struct cf_detail *detail)
{
    struct cf_apart apart;
    struct describing describing = {.eval = eval, .space = look->space};
    enum cf_err err = cf_apart_begin(&apart, detail);
    if (err)
        return err;
    snprintf(describing.vectors, sizeof describing.vectors, "%s/covers.fvecs", apart.folder);
    snprintf(describing.ids, sizeof describing.ids, "%s/covers.tsv", apart.folder);
    err = describe_into(eval, &apart, &describing, detail);
    if (!err)
        err = read_rows(eval, look, describing.vectors, describing.ids, detail);
    cf_apart_end(&apart);
    return err;
}

static void look_fini(struct cf_eval_look *look)
{
    free(look->values);
    free(look->vectors);
    *look = (struct cf_eval_look){0};
}

void cf_eval_looks_fini(struct cf_eval *eval)
{
    for (size_t i = 0; i < CF_SPACE_COUNT; i++)
        look_fini(&eval->looks[i]);
}

static bool has_vectors(const struct cf_eval_look *look)
{
    for (uint32_t album = 0; album < look->covers.album_count; album++)
        if (look->vectors[album])
            return true;
    return false;
}

/* A space that a fleet does not describe is no error beside others that it does. */
static void tell_passed_over(const struct cf_eval *eval)
{
    for (size_t i = cf_space_from(0), at = 0; i < CF_SPACE_COUNT; i = cf_space_from(i + 1)) {
        if (at < eval->look_count && eval->looks[at].space == &cf_spaces[i])
            at++;
        else
            cf_say_named(eval->command->name, cf_str(cf_spaces[i].name), cf_str(""),
                         cf_str("no album of the tables has a vector: passed over"));
    }
}

enum cf_err cf_eval_describe(struct cf_eval *eval, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    bool asked = eval->options.covers || eval->options.fleet;
    for (size_t i = cf_space_from(0); i < CF_SPACE_COUNT && !err && asked; i = cf_space_from(i + 1)) {
        struct cf_eval_look *look = &eval->looks[eval->look_count];
        look->space = &cf_spaces[i];
        err = describe_covers(eval, look, detail);
        if (!err && has_vectors(look))
            eval->look_count++;
        else
            look_fini(look);
    }
    if (!err && asked && eval->look_count == 0)
        err = cf_fail(detail, CF_E_INVALID,
                      "%.200s: no album of the tables has a vector: are the ids the same?",
                      eval->options.fleet ? "the fleet" : eval->options.covers);
    if (!err && asked)
        tell_passed_over(eval);
    return err;
}

/* ---- seeds ---- */

static bool likes_init(struct likes *likes, size_t users, size_t thumbs)
{
    likes->liked = calloc(thumbs + 1, sizeof *likes->liked);
    likes->disliked = calloc(thumbs + 1, sizeof *likes->disliked);
    likes->first_liked = calloc(users + 2, sizeof *likes->first_liked);
    likes->first_disliked = calloc(users + 2, sizeof *likes->first_disliked);
    return likes->liked && likes->disliked && likes->first_liked && likes->first_disliked;
}

static void likes_fini(struct likes *likes)
{
    free(likes->liked);
    free(likes->disliked);
    free(likes->first_liked);
    free(likes->first_disliked);
}

static void sum_up(size_t *first, size_t users)
{
    for (size_t i = 2; i < users + 2; i++)
        first[i] += first[i - 1];
}

/* `every`: 0 all thumbs; else those whose number is not a multiple of it. */
static void gather_thumbs(const struct cf_thumbs *thumbs, size_t users, size_t every, struct likes *likes)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < thumbs->count; i++) {
            const struct cf_thumb *t = &thumbs->items[i];
            size_t *first = t->up ? likes->first_liked : likes->first_disliked;
            if (every && i % every == 0)
                continue;
            if (pass == 0)
                first[t->user + 2]++;
            else
                (t->up ? likes->liked : likes->disliked)[first[t->user + 1]++] = t->album;
        }
        if (pass == 0) {
            sum_up(likes->first_liked, users);
            sum_up(likes->first_disliked, users);
        }
    }
}

static void gather_listens(const struct cf_listens *listens, size_t users, struct likes *likes)
{
    for (size_t i = 0; i < listens->count; i++)
        likes->first_liked[listens->items[i].user + 2]++;
    sum_up(likes->first_liked, users);
    for (size_t i = 0; i < listens->count; i++)
        likes->liked[likes->first_liked[listens->items[i].user + 1]++] = listens->items[i].album;
}

static struct cf_seeds seeds_of(const struct likes *likes, uint32_t user)
{
    size_t up = likes->first_liked[user], down = likes->first_disliked[user];
    return (struct cf_seeds){likes->liked + up, likes->disliked + down, likes->first_liked[user + 1] - up,
                             likes->first_disliked[user + 1] - down};
}

/* ---- scores ---- */

/* Of a group's scores. */
struct known {
    double sum, count;
};

enum cf_err cf_eval_fill_unknown(struct cf_scored *scored, size_t count, size_t *unknown,
                                 struct cf_detail *detail)
{
    uint32_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = scored[i].group > most ? scored[i].group : most;
    struct known *groups = calloc((size_t)most + 1, sizeof *groups);
    if (!groups)
        return cf_fail(detail, CF_E_NO_MEMORY, "no memory for the means of %zu thumbs", count);
    for (size_t i = 0; i < count; i++)
        if (!isnan(scored[i].score)) {
            groups[scored[i].group].sum += scored[i].score;
            groups[scored[i].group].count++;
        }
    *unknown = 0;
    for (size_t i = 0; i < count; i++)
        if (isnan(scored[i].score)) {
            const struct known *known = &groups[scored[i].group];
            scored[i].score = known->count > 0 ? known->sum / known->count : 0;
            ++*unknown;
        }
    free(groups);
    return CF_OK;
}

static enum cf_err score_all(const struct cf_eval_look *look, enum cf_covers_way way,
                             const struct likes *likes, const struct cf_thumbs *thumbs,
                             const struct cf_eval_groups *groups, size_t every, struct cf_scored *scored,
                             size_t *scored_count, size_t *unknown, struct cf_detail *detail)
{
    size_t count = 0;
    for (size_t i = 0; i < thumbs->count; i++) {
        const struct cf_thumb *t = &thumbs->items[i];
        if (every && i % every != 0)
            continue;
        struct cf_seeds seeds = seeds_of(likes, t->user);
        if (t->seed != CF_NO_NUMBER)
            seeds = (struct cf_seeds){&t->seed, NULL, 1, 0};
        double score = cf_covers_score(&look->covers, way, &seeds, t->album);
        scored[count++] = (struct cf_scored){t->user, groups->of[i], score, t->up};
    }
    *scored_count = count;
    return cf_eval_fill_unknown(scored, count, unknown, detail);
}

/* The way that serves best on the likes of fold 0, given the others. */
static enum cf_err choose_way(struct cf_eval *eval, const struct cf_eval_look *look, enum cf_covers_way *best,
                              struct cf_detail *detail)
{
    size_t users = cf_names_count(eval->users), unknown;
    const struct cf_auc_options quick = {.resamples = 1, .seed = eval->options.seed};
    struct cf_scored *scored = calloc(eval->liked.count + 1, sizeof *scored);
    struct likes likes = {0};
    struct cf_eval_groups groups = {0};
    double most = -1;
    enum cf_err err = scored && likes_init(&likes, users, eval->liked.count) ? CF_OK : no_memory(detail);
    if (!err)
        err = cf_eval_groups_init(&eval->liked, (uint32_t)users, &groups, detail);
    if (!err)
        gather_thumbs(&eval->liked, users, CF_EVAL_FOLDS, &likes);
    for (int way = 0; way < WAYS && !err; way++) {
        struct cf_auc auc;
        size_t count;
        err = score_all(look, (enum cf_covers_way)way, &likes, &eval->liked, &groups, CF_EVAL_FOLDS, scored,
                        &count, &unknown, detail);
        if (!err)
            err = cf_auc_per_user(scored, count, &quick, &auc, detail);
        if (!err && auc.value > most) {
            most = auc.value;
            *best = (enum cf_covers_way)way;
        }
    }
    likes_fini(&likes);
    cf_eval_groups_fini(&groups);
    free(scored);
    return err;
}

static enum cf_err score_look(struct cf_eval *eval, const struct cf_eval_look *look, struct cf_detail *detail)
{
    enum cf_covers_way way = CF_COVERS_MEAN;
    size_t users = cf_names_count(eval->users);
    struct likes likes = {0};
    struct cf_eval_result *result = cf_eval_add(eval, look->space->name, CF_EVAL_BY_LOOK);
    size_t seeds = eval->liked.count ? eval->liked.count : eval->listens.count;
    enum cf_err err = result && likes_init(&likes, users, seeds) ? CF_OK : no_memory(detail);
    if (!err && cf_eval_fold_tells(eval, 0))
        err = choose_way(eval, look, &way, detail);
    if (!err && eval->liked.count)
        gather_thumbs(&eval->liked, users, 0, &likes);
    else if (!err)
        gather_listens(&eval->listens, users, &likes);
    if (!err) {
        size_t count;
        err = score_all(look, way, &likes, &eval->thumbs, &eval->groups, 0, result->scored, &count,
                        &result->unknown, detail);
        snprintf(result->how, sizeof result->how, "%s", cf_covers_way_name(way));
        /* A distance to a seed and one to all that somebody liked are two measures. */
        result->folded = eval->groups.seeded && eval->groups.seeded < eval->thumbs.count;
    }
    likes_fini(&likes);
    return err;
}

enum cf_err cf_eval_covers(struct cf_eval *eval, struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    for (size_t i = 0; i < eval->look_count && !err; i++)
        err = score_look(eval, &eval->looks[i], detail);
    return err;
}
