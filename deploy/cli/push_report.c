#include "common/base/clock.h"
#include "deploy/cli/json.h"
#include "deploy/cli/push.h"
#include "deploy/cli/text.h"

static void problem_json(struct cf_pusher *pusher, const char *status, struct cf_str album,
                         struct cf_str error, struct cf_str detail)
{
    struct cf_json *json = cf_json_new();
    struct cf_detail why = {""};
    cf_json_text(json, "album", album);
    cf_json_word(json, "status", status);
    cf_json_text(json, "error", error);
    cf_json_text(json, "detail", detail);
    enum cf_err err = cf_json_print(json, stdout, &why);
    cf_json_free(json);
    if (err && !pusher->failed) {
        pusher->failed = err;
        pusher->failed_detail = why;
    }
}

void cf_push_problem(struct cf_pusher *pusher, const char *status, struct cf_str album, struct cf_str error,
                     struct cf_str detail)
{
    pusher->problems++;
    if (pusher->options.json) {
        problem_json(pusher, status, album, error, detail);
        return;
    }
    if (pusher->problem_lines == CF_PUSH_PROBLEM_LINES_MAX)
        return;
    pusher->problem_lines++;
    cf_progress_clear(&pusher->progress);
    cf_say_named(pusher->fleet.command, album, error, detail);
}

void cf_push_refuse(struct cf_pusher *pusher, struct cf_str album, enum cf_err err,
                    const struct cf_detail *detail)
{
    pusher->counts.refused++;
    cf_push_problem(pusher, "refused", album, cf_str(cf_err_name(err)), cf_str(detail ? detail->text : ""));
}

void cf_push_show_progress(struct cf_pusher *pusher, uint64_t now_ms)
{
    const struct cf_push_counts *counts = &pusher->counts;
    uint64_t acknowledged = counts->accepted + counts->unchanged;
    uint64_t done = acknowledged + counts->refused - pusher->open_count;
    char words[96] = "";
    if (pusher->options.wait)
        snprintf(words, sizeof words, "%llu acknowledged, %llu described%s", (unsigned long long)acknowledged,
                 (unsigned long long)counts->described, pusher->again.head ? ", the fleet is busy" : "");
    else if (pusher->again.head)
        snprintf(words, sizeof words, "the fleet is busy");
    cf_progress_show(&pusher->progress, done, cf_source_total(pusher->source), words, now_ms);
}

enum cf_err cf_push_print_counts(const struct cf_push_counts *counts, FILE *out, struct cf_detail *detail)
{
    struct cf_json *json = cf_json_new();
    cf_json_uint(json, "accepted", counts->accepted);
    cf_json_uint(json, "unchanged", counts->unchanged);
    cf_json_uint(json, "refused", counts->refused);
    cf_json_uint(json, "described", counts->described);
    cf_json_uint(json, "dead", counts->dead);
    enum cf_err err = cf_json_print(json, out, detail);
    cf_json_free(json);
    return err;
}

static void print_counts(const struct cf_pusher *pusher)
{
    const struct cf_push_counts *counts = &pusher->counts;
    char time[CF_TEXT_NUMBER_MAX];
    cf_text_duration(cf_clock_mono_ms() - pusher->started_ms, time);
    printf("%llu accepted, %llu unchanged, %llu refused", (unsigned long long)counts->accepted,
           (unsigned long long)counts->unchanged, (unsigned long long)counts->refused);
    if (pusher->options.wait)
        printf("; %llu described, %llu dead", (unsigned long long)counts->described,
               (unsigned long long)counts->dead);
    if (counts->by_later > 0)
        printf(", %llu superseded by a later line", (unsigned long long)counts->by_later);
    if (counts->superseded > 0)
        printf(", %llu replaced or removed meanwhile", (unsigned long long)counts->superseded);
    if (pusher->open_count > 0)
        printf(", %zu still on their way", pusher->open_count);
    if (cf_source_passed_over(pusher->source) > 0)
        printf(", %llu passed over", (unsigned long long)cf_source_passed_over(pusher->source));
    printf(" in %s\n", time);
}

void cf_push_summarize(struct cf_pusher *pusher)
{
    cf_progress_clear(&pusher->progress);
    if (!pusher->options.json && pusher->problems > pusher->problem_lines)
        fprintf(stderr, "coverfleet %s: and %zu more\n", pusher->fleet.command,
                pusher->problems - pusher->problem_lines);
    if (pusher->over)
        cf_say(pusher->fleet.command, cf_str(""), pusher->over, &pusher->over_detail);
    if (!pusher->options.json)
        print_counts(pusher);
    else if (!pusher->failed)
        pusher->failed = cf_push_print_counts(&pusher->counts, stdout, &pusher->failed_detail);
    if (pusher->failed)
        cf_say(pusher->fleet.command, cf_str(""), pusher->failed, &pusher->failed_detail);
}

enum cf_exit cf_push_exit(const struct cf_pusher *pusher)
{
    const struct cf_push_counts *counts = &pusher->counts;
    uint64_t good = counts->unchanged +
                    (pusher->options.wait ? counts->described + counts->superseded : counts->accepted);
    if (counts->refused > 0)
        good += pusher->open_count; /* at least acknowledged, which others are not */
    bool bad = counts->refused > 0 || counts->dead > 0 || pusher->open_count > 0 || pusher->failed;
    if (pusher->over == CF_E_UNREACHABLE)
        return CF_EXIT_UNREACHABLE;
    if (!bad)
        return CF_EXIT_DONE;
    return good > 0 ? CF_EXIT_PARTLY : CF_EXIT_REFUSED;
}
