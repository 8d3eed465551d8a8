/* Are covers recognised whatever was done to them? Pushes every picture given into the fleet of
 * COVERFLEET_HOME, attacks some covers of the first folder or tar file (attacks.c), asks the fleet for each
 * attacked picture in several spaces, and counts how often the cover itself comes first (recall@1) and how
 * well one threshold on the distance tells right from wrong (µAP, scores.h). With --labels also how well the
 * genre of a cover follows from its nearest covers (measure.h).
 *
 *     looks --out FOLDER [--queries 1000] [--labels TABLE] [--spaces LIST] [--recall .99] [--seed S]
 * [--threads T] FOLDER_OR_TAR...
 *
 * Writes table.md, table.json, looks.svg and looks.png into FOLDER. tests/bench/looks/run builds it and
 * starts a fleet. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/cpu.h"
#include "common/base/crew.h"
#include "tests/bench/ann/vecs.h"
#include "tests/bench/looks/report.h"

struct call {
    const char *out, *labels;
    struct looks_options options;
};

static bool parse_spaces(const char *text, bool spaces[CF_SPACE_COUNT])
{
    memset(spaces, 0, CF_SPACE_COUNT * sizeof *spaces);
    while (*text) {
        size_t len = strcspn(text, ",");
        const struct cf_space *space = cf_space_find((struct cf_str){text, len});
        if (!space)
            return false;
        spaces[space - cf_spaces] = true;
        text += len + (text[len] == ',');
    }
    return true;
}

static _Noreturn void misuse(const char *sentence)
{
    fprintf(stderr,
            "looks: %s\nusage: looks --out FOLDER [--queries N] [--labels TABLE] [--spaces %s] [--recall "
            "SHARE] [--seed S] "
            "[--threads T] FOLDER_OR_TAR...\n",
            sentence, "gray16,gist,copy");
    exit(2);
}

static struct call parse(int argc, char **argv)
{
    static const struct option names[] = {{"out", 1, NULL, 'o'},     {"queries", 1, NULL, 'n'},
                                          {"labels", 1, NULL, 'l'},  {"spaces", 1, NULL, 's'},
                                          {"recall", 1, NULL, 'r'},  {"seed", 1, NULL, 'S'},
                                          {"threads", 1, NULL, 't'}, {NULL, 0, NULL, 0}};
    struct call call = {.options = {.query_count = 1000, .seed = 1, .threads = 2, .recall = .99}};
    bool known = parse_spaces("gray16,gist,copy", call.options.spaces);
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'o')
            call.out = optarg;
        else if (option == 'n')
            call.options.query_count = strtoull(optarg, NULL, 10);
        else if (option == 'l')
            call.labels = optarg;
        else if (option == 's')
            known = parse_spaces(optarg, call.options.spaces);
        else if (option == 'r')
            call.options.recall = strtod(optarg, NULL);
        else if (option == 'S')
            call.options.seed = strtoull(optarg, NULL, 10);
        else if (option == 't')
            call.options.threads = (unsigned)strtoul(optarg, NULL, 10);
        else
            misuse("an option is wrong");
    }
    if (!known)
        misuse("--spaces names one that there is not");
    if (!call.out || optind >= argc)
        misuse("--out and folders or tar files with pictures are needed");
    if (call.options.query_count < 1 || call.options.query_count > 1000000)
        misuse("--queries is 1 to 1000000");
    if (!(call.options.recall > 0 && call.options.recall <= 1))
        misuse("--recall is above 0 and at most 1");
    if (call.options.threads < 1 || call.options.threads > CF_CREW_THREADS_MAX)
        misuse("--threads is 1 to 64");
    return call;
}

static void write_all(const struct looks_report *report, const char *folder)
{
    char path[4096];
    struct cf_detail detail = {""};
    snprintf(path, sizeof path, "%s/table.md", folder);
    FILE *out = fopen(path, "we");
    bench_must(out ? CF_OK : cf_fail_errno(&detail, path), &detail);
    looks_report_tables(report, out);
    bench_must(fclose(out) ? cf_fail_errno(&detail, path) : CF_OK, &detail);
    snprintf(path, sizeof path, "%s/table.json", folder);
    bench_must(looks_report_json(report, path, &detail), &detail);
    snprintf(path, sizeof path, "%s/looks.svg", folder);
    bench_must(looks_plot(report, path, &detail), &detail);
    snprintf(path, sizeof path, "%s/looks.png", folder);
    bench_must(looks_plot(report, path, &detail), &detail);
    looks_report_tables(report, stdout);
}

int main(int argc, char **argv)
{
    struct looks_gallery gallery;
    struct looks_result *result = bench_alloc(1, sizeof *result);
    struct cf_detail detail = {""};
    struct call call = parse(argc, argv);
    bench_must(cf_cpu_init(&detail), &detail);
    looks_gallery_read(&gallery, argv + optind, (size_t)(argc - optind), call.labels, call.options.seed);
    looks_gallery_push(&gallery);
    looks_measure_attacks(&gallery, &call.options, result);
    looks_measure_genres(&gallery, &call.options, result);
    write_all(&(struct looks_report){&gallery, &call.options, result}, call.out);
    looks_gallery_fini(&gallery);
    free(result);
    return 0;
}
