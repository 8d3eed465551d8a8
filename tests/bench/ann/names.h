/* What the files of a set are called: "FOLDER/gist-base.fvecs" and so on. */
#ifndef CF_BENCH_ANN_NAMES_H
#define CF_BENCH_ANN_NAMES_H

#include <stdio.h>

enum { BENCH_PATH_BYTES = 4096, BENCH_TRUTH_K = 100, BENCH_QUERIES = 1000 };

/* The kinds of queries: pictures that the base has never seen, and other versions of pictures in it. */
enum bench_query_kind { BENCH_HELD, BENCH_PERT, BENCH_QUERY_KINDS };
static const char *const bench_query_names[BENCH_QUERY_KINDS] = {"held", "pert"};

static inline const char *bench_path(char path[BENCH_PATH_BYTES], const char *folder, const char *space,
                                     const char *part, const char *kind, const char *suffix)
{
    snprintf(path, BENCH_PATH_BYTES, "%s/%s-%s%s%s.%s", folder, space, part, kind ? "-" : "",
             kind ? kind : "", suffix);
    return path;
}

#endif
