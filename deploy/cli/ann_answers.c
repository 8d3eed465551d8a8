#include "deploy/cli/ann_answers.h"

#include <float.h>
#include <stdlib.h>
#include <strings.h>

#include "common/vecfile/fresh.h"
#include "deploy/cli/idtable.h"

struct cf_answers {
    const struct cf_ann *ann;
    struct cf_answers_options options;
    struct cf_vecwriter *numbers, *distances;
    struct cf_fresh *table;
    struct cf_idtable *query_ids;
    struct cf_buf line;
    uint64_t queries;
    int32_t *number_row;
    float *distance_row;
};

bool cf_answers_is_table(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcasecmp(path + len - 4, ".tsv") == 0;
}

static enum cf_err open_table(struct cf_answers *answers, struct cf_detail *detail)
{
    static const char header[] = "query\trank\titem\tdistance\n";
    enum cf_err err = cf_fresh_new(answers->options.out, &answers->table, detail);
    if (!err && answers->options.query_ids)
        err = cf_idtable_open(answers->options.query_ids, &answers->query_ids, detail);
    if (!err)
        err = cf_fresh_write(answers->table, (struct cf_bytes){(const uint8_t *)header, strlen(header)},
                             detail);
    return err;
}

static enum cf_err open_out(struct cf_answers *answers, struct cf_detail *detail)
{
    const char *out = answers->options.out;
    if (!out)
        return CF_OK;
    if (cf_answers_is_table(out))
        return open_table(answers, detail);
    enum cf_vecfile_kind kind;
    enum cf_err err = cf_vecfile_kind_of(out, CF_VECFILE_INTS, &kind, detail);
    if (err)
        return cf_fail(detail, err, "%.200s: its name must end in .ivecs, .npy or .tsv", out);
    return cf_vecwriter_new(out, CF_VECFILE_INTS, answers->options.k, &answers->numbers, detail);
}

enum cf_err cf_answers_new(const struct cf_ann *ann, const struct cf_answers_options *options,
                           struct cf_answers **answers, struct cf_detail *detail)
{
    struct cf_answers *made = calloc(1, sizeof *made);
    if (!made)
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    made->ann = ann;
    made->options = *options;
    cf_buf_init(&made->line);
    made->number_row = calloc(options->k, sizeof *made->number_row);
    made->distance_row = calloc(options->k, sizeof *made->distance_row);
    enum cf_err err =
        made->number_row && made->distance_row ? CF_OK : cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    if (!err && cf_ann_info(ann).count > INT32_MAX)
        err = cf_fail(detail, CF_E_TOO_LARGE, "the index has more items than an int32 counts");
    if (!err)
        err = open_out(made, detail);
    if (!err && options->distances)
        err = cf_vecwriter_new(options->distances, CF_VECFILE_FLOATS, options->k, &made->distances, detail);
    if (err) {
        cf_answers_free(made);
        return err;
    }
    *answers = made;
    return CF_OK;
}

void cf_answers_free(struct cf_answers *answers)
{
    if (!answers)
        return;
    cf_vecwriter_free(answers->numbers);
    cf_vecwriter_free(answers->distances);
    cf_fresh_free(answers->table);
    cf_idtable_free(answers->query_ids);
    cf_buf_fini(&answers->line);
    free(answers->number_row);
    free(answers->distance_row);
    free(answers);
}

/* ---- the table ---- */

static void put_text(struct cf_buf *line, const char *text)
{
    cf_buf_append(line, text, strlen(text));
}

static void put_item(struct cf_answers *answers, uint64_t item)
{
    char number[24];
    struct cf_bytes id = cf_ann_id(answers->ann, item);
    snprintf(number, sizeof number, "%llu", (unsigned long long)item);
    if (id.len > 0)
        cf_buf_append(&answers->line, id.data, id.len);
    else
        put_text(&answers->line, number);
}

static enum cf_err query_name(struct cf_answers *answers, struct cf_str *name, struct cf_detail *detail)
{
    bool end = false;
    if (!answers->query_ids)
        return CF_OK;
    enum cf_err err = cf_idtable_next(answers->query_ids, name, &end, detail);
    if (!err && end)
        err = cf_fail(detail, CF_E_INVALID, "%.200s has fewer ids than there are queries",
                      answers->options.query_ids);
    return err;
}

static enum cf_err add_lines(struct cf_answers *answers, const struct cf_ann_hit *hits, size_t count,
                             struct cf_detail *detail)
{
    struct cf_str name = {"", 0};
    char number[64];
    enum cf_err err = query_name(answers, &name, detail);
    if (err)
        return err;
    cf_buf_clear(&answers->line);
    for (size_t i = 0; i < count; i++) {
        snprintf(number, sizeof number, "%llu", (unsigned long long)answers->queries);
        if (name.len > 0)
            cf_buf_append(&answers->line, name.data, name.len);
        else if (answers->options.pairs)
            put_item(answers, answers->queries);
        else
            put_text(&answers->line, number);
        snprintf(number, sizeof number, "\t%zu\t", i + 1);
        put_text(&answers->line, number);
        put_item(answers, hits[i].item);
        snprintf(number, sizeof number, "\t%.9g\n", (double)hits[i].distance);
        put_text(&answers->line, number);
    }
    if (!cf_buf_ok(&answers->line))
        return cf_fail(detail, CF_E_NO_MEMORY, "out of memory");
    return cf_fresh_write(answers->table, cf_buf_bytes(&answers->line), detail);
}

/* ---- all of them ---- */

static void fill_rows(struct cf_answers *answers, const struct cf_ann_hit *hits, size_t count)
{
    for (size_t i = 0; i < answers->options.k; i++) {
        answers->number_row[i] = i < count ? (int32_t)hits[i].item : CF_ANN_NONE;
        answers->distance_row[i] = i < count ? hits[i].distance : FLT_MAX;
    }
}

enum cf_err cf_answers_add(struct cf_answers *answers, const struct cf_ann_hit *hits, size_t count,
                           struct cf_detail *detail)
{
    enum cf_err err = CF_OK;
    fill_rows(answers, hits, count);
    if (answers->table)
        err = add_lines(answers, hits, count, detail);
    if (!err && answers->numbers)
        err = cf_vecwriter_append(answers->numbers, answers->number_row, 1, detail);
    if (!err && answers->distances)
        err = cf_vecwriter_append(answers->distances, answers->distance_row, 1, detail);
    answers->queries++;
    return err;
}

static enum cf_err check_ids_end(struct cf_answers *answers, struct cf_detail *detail)
{
    struct cf_str id;
    bool end = true;
    enum cf_err err = answers->query_ids ? cf_idtable_next(answers->query_ids, &id, &end, detail) : CF_OK;
    if (!err && !end)
        err = cf_fail(detail, CF_E_INVALID, "%.200s has more ids than there are queries",
                      answers->options.query_ids);
    return err;
}

enum cf_err cf_answers_finish(struct cf_answers *answers, struct cf_detail *detail)
{
    enum cf_err err = check_ids_end(answers, detail);
    if (!err && answers->distances)
        err = cf_vecwriter_sync(answers->distances, detail);
    if (!err && answers->table)
        err = cf_fresh_finish(answers->table, detail);
    if (!err && answers->numbers)
        err = cf_vecwriter_finish(answers->numbers, detail);
    if (!err && answers->distances)
        err = cf_vecwriter_finish(answers->distances, detail);
    return err;
}
