/* coverfleet-indexer: vectors at rest in, index generations out. */
#include "common/base/log.h"
#include "common/descriptor/space.h"
#include "workers/indexer/role.h"

enum { EXIT_FAILED = 1, LINGER_MS = 500 };

static enum cf_err run(const struct cf_home *home, const struct cf_config *config, const char *name,
                       struct cf_detail *detail)
{
    struct cf_loop *loop = NULL;
    struct cf_indexing *indexing = NULL;
    struct cf_indexer *indexer = NULL;
    struct cf_runner *runner = NULL;
    struct cf_role_ops ops;
    struct cf_detail complaint = {""};
    enum cf_err err = cf_spaces_enable(config, home, &complaint, detail);
    if (err == CF_OK && complaint.text[0])
        cf_log(CF_LOG_ERROR, "model_ignored", "detail=\"%s\"", complaint.text);
    if (err == CF_OK)
        err = cf_loop_new(&loop, detail);
    if (err == CF_OK)
        err = cf_indexing_new(home, config, name, &indexing, detail);
    if (err == CF_OK)
        err = cf_indexer_new(loop, config, indexing, name, &indexer, detail);
    if (err == CF_OK) {
        ops = cf_indexer_ops(indexer);
        err = cf_runner_new(loop, config, &ops, indexer, &runner, detail);
    }
    if (err == CF_OK)
        err = cf_runner_run(runner, detail);
    cf_indexer_free(indexer);
    cf_runner_free(runner);
    cf_loop_free(loop, LINGER_MS);
    cf_indexing_free(indexing);
    return err;
}

int main(int argc, char **argv)
{
    static struct cf_home home;
    static struct cf_config config;
    char name[65];
    int code = cf_worker_begin(argc, argv, CF_ROLE_INDEXER, &home, &config, name, sizeof name);
    if (code >= 0)
        return code;
    struct cf_detail detail = {""};
    enum cf_err err = run(&home, &config, name, &detail);
    if (err == CF_OK)
        return 0;
    cf_log(CF_LOG_ERROR, "worker_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail.text);
    return EXIT_FAILED;
}
