#include "tests/bench/looks/report.h"

#include <math.h>

#include "deploy/cli/json.h"

/* ---- Markdown ---- */

static void print_head(const struct looks_report *report, FILE *out)
{
    const struct looks_result *result = report->result;
    const struct looks_gallery *gallery = report->gallery;
    fprintf(out,
            "%zu covers, each attacked in %zu ways, asked for by picture among the %zu albums of a fleet "
            "(%zu pictures, %zu of "
            "which it refused); recall %g asked of its trees, seed %llu. %zu other pictures with a cosine "
            "above %g in "
            "`copy` with one of the covers do not count where it is asked for, so that each question has one "
            "right "
            "answer.\n\n",
            result->query_count, looks_attack_count, gallery->found_count, gallery->count,
            gallery->count - gallery->found_count, report->options->recall,
            (unsigned long long)report->options->seed, result->twin_count, LOOKS_SAME_COSINE);
}

static void print_scores(const struct looks_report *report, const struct looks_score *scores, FILE *out)
{
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        if (report->options->spaces[s])
            fprintf(out, " %.3f |", scores[s].recall1);
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        if (report->options->spaces[s])
            fprintf(out, " %.3f |", scores[s].uap);
}

static void print_attacks(const struct looks_report *report, FILE *out)
{
    char words[LOOKS_WORDS_MAX];
    struct looks_score means[CF_SPACE_COUNT];
    size_t refused = 0;
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        means[s] = looks_mean(report->result, s);
    fprintf(out, "| attack | what is done |");
    for (int uap = 0; uap < 2; uap++)
        for (size_t s = 0; s < CF_SPACE_COUNT; s++)
            if (report->options->spaces[s])
                fprintf(out, " %s %s |", cf_spaces[s].name, uap ? "µAP" : "recall@1");
    fprintf(out, "\n|---|---|");
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        if (report->options->spaces[s])
            fprintf(out, "---|---|");
    for (size_t a = 0; a < looks_attack_count; a++) {
        looks_attack_words(&looks_attacks[a], words);
        fprintf(out, "\n| %s | %s |", looks_attacks[a].name, words);
        print_scores(report, report->result->scores[a], out);
        for (size_t s = 0; s < CF_SPACE_COUNT; s++)
            refused += report->result->scores[a][s].refused;
    }
    fprintf(out, "\n| **mean of the single attacks** | |");
    print_scores(report, means, out);
    fprintf(out, "\n");
    if (refused > 0)
        fprintf(
            out,
            "\n%zu questions had nothing to search by, no contrast being left; they count as not found.\n",
            refused);
}

static void print_genres(const struct looks_report *report, FILE *out)
{
    if (report->result->labelled == 0)
        return;
    fprintf(out,
            "\nGenre from the %d nearest of the %zu covers whose genre is known (%zu genres), mean AUC over "
            "genres; .5 is "
            "chance:\n\n|",
            LOOKS_GENRE_K, report->result->labelled, report->gallery->genre_count);
    for (size_t m = 0; m < LOOKS_MIX_COUNT; m++)
        fprintf(out, " %s |", looks_mixes[m].name);
    fprintf(out, "\n|");
    for (size_t m = 0; m < LOOKS_MIX_COUNT; m++)
        fprintf(out, "---|");
    fprintf(out, "\n|");
    for (size_t m = 0; m < LOOKS_MIX_COUNT; m++)
        fprintf(out, " %.3f |", report->result->genre_auc[m]);
    fprintf(out, "\n");
}

void looks_report_tables(const struct looks_report *report, FILE *out)
{
    print_head(report, out);
    print_attacks(report, out);
    print_genres(report, out);
}

/* ---- JSON ---- */

static void add_scores(struct cf_json *json, const struct looks_report *report,
                       const struct looks_score *scores)
{
    for (size_t s = 0; s < CF_SPACE_COUNT; s++) {
        if (!report->options->spaces[s])
            continue;
        cf_json_object(json, cf_spaces[s].name);
        cf_json_real(json, "recall1", scores[s].recall1);
        cf_json_real(json, "uap", scores[s].uap);
        cf_json_uint(json, "refused", scores[s].refused);
        cf_json_end(json);
    }
}

static void add_attacks(struct cf_json *json, const struct looks_report *report)
{
    struct looks_score means[CF_SPACE_COUNT];
    char words[LOOKS_WORDS_MAX];
    cf_json_array(json, "attacks");
    for (size_t a = 0; a < looks_attack_count; a++) {
        looks_attack_words(&looks_attacks[a], words);
        cf_json_object(json, NULL);
        cf_json_word(json, "attack", looks_attacks[a].name);
        cf_json_word(json, "steps", words);
        cf_json_bool(json, "combined", looks_attacks[a].combined);
        cf_json_object(json, "spaces");
        add_scores(json, report, report->result->scores[a]);
        cf_json_end(json);
        cf_json_end(json);
    }
    cf_json_end(json);
    for (size_t s = 0; s < CF_SPACE_COUNT; s++)
        means[s] = looks_mean(report->result, s);
    cf_json_object(json, "single_mean");
    add_scores(json, report, means);
    cf_json_end(json);
}

enum cf_err looks_report_json(const struct looks_report *report, const char *path, struct cf_detail *detail)
{
    FILE *out = fopen(path, "we");
    if (!out)
        return cf_fail_errno(detail, path);
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "pictures", report->gallery->count);
    cf_json_uint(json, "albums", report->gallery->found_count);
    cf_json_uint(json, "queries", report->result->query_count);
    cf_json_uint(json, "twins", report->result->twin_count);
    cf_json_uint(json, "passed_over", report->result->passed_over);
    cf_json_uint(json, "seed", report->options->seed);
    cf_json_real(json, "recall_asked", report->options->recall);
    add_attacks(json, report);
    cf_json_uint(json, "labelled", report->result->labelled);
    cf_json_uint(json, "genres", report->gallery->genre_count);
    cf_json_object(json, "genre_auc");
    for (size_t m = 0; m < LOOKS_MIX_COUNT; m++)
        cf_json_real(json, looks_mixes[m].name, report->result->genre_auc[m]);
    cf_json_end(json);
    enum cf_err err = cf_json_print(json, out, detail);
    cf_json_free(json);
    return fclose(out) && !err ? cf_fail_errno(detail, path) : err;
}
