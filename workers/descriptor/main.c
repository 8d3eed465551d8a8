/* coverfleet-descriptor: covers in, vectors at rest. */
#include <stdio.h>

#include "common/base/cpu.h"
#include "common/base/log.h"
#include "common/descriptor/space.h"
#include "workers/descriptor/role.h"

/* Whoever asks waits for an answer, covers do not: on full processors queries and the broker go first. */
enum { EXIT_FAILED = 1, LINGER_MS = 500, NICE = 12 };

static int failed(enum cf_err err, const struct cf_detail *detail)
{
    cf_log(CF_LOG_ERROR, "worker_failed", "error=%s detail=\"%s\"", cf_err_name(err), detail->text);
    return EXIT_FAILED;
}

/* From here on there are threads and sockets. */
static enum cf_err run(const struct cf_home *home, const struct cf_config *config, const char *name,
                       struct cf_decoder *decoder, struct cf_detail *detail)
{
    char path[CF_HOME_PATH_MAX];
    struct cf_loop *loop = NULL;
    struct cf_describing *describing = NULL;
    struct cf_descriptor *descriptor = NULL;
    struct cf_redescribing *redescribing = NULL;
    struct cf_runner *runner = NULL;
    struct cf_role_ops ops;
    enum cf_err err = cf_home_path(home, path, sizeof path, detail, "data/shards/%s", name);
    if (err == CF_OK)
        err = cf_loop_new(&loop, detail);
    if (err == CF_OK)
        err = cf_spaces_load(config, detail);
    if (err == CF_OK)
        err = cf_describing_new(config, decoder, path, &describing, detail);
    if (err == CF_OK)
        err = cf_descriptor_new(loop, config, describing, name, &descriptor, detail);
    if (err == CF_OK)
        err = cf_redescribing_new(home, name, describing, &redescribing, detail);
    if (err == CF_OK) {
        cf_descriptor_redescribes(descriptor, redescribing);
        ops = cf_descriptor_ops(descriptor);
        err = cf_runner_new(loop, config, &ops, descriptor, &runner, detail);
    }
    if (err == CF_OK)
        err = cf_runner_run(runner, detail);
    if (err == CF_OK && cf_descriptor_fatal(descriptor) != CF_OK)
        err = cf_fail(detail, cf_descriptor_fatal(descriptor), "the decoder cannot be used any more");
    cf_descriptor_free(descriptor);
    cf_runner_free(runner);
    cf_loop_free(loop, LINGER_MS);
    cf_redescribing_free(redescribing);
    cf_describing_free(describing);
    cf_spaces_unload();
    return err;
}

int main(int argc, char **argv)
{
    static struct cf_home home;
    static struct cf_config config;
    char name[65];
    int code = cf_worker_begin(argc, argv, CF_ROLE_DESCRIPTOR, &home, &config, name, sizeof name);
    if (code >= 0)
        return code;
    struct cf_detail detail = {""};
    struct cf_decoder *decoder = NULL;
    (void)cf_cpu_nice(NICE); /* the first thread's, and of all that come from it */
    /* Its processes are forked before any thread exists. */
    struct cf_detail complaint = {""};
    enum cf_err err = cf_spaces_enable(&config, &home, &complaint, &detail);
    if (err == CF_OK && complaint.text[0])
        cf_log(CF_LOG_ERROR, "model_ignored", "detail=\"%s\"", complaint.text);
    if (err == CF_OK)
        err = cf_decoder_new(&config, &decoder, &detail);
    if (err == CF_OK)
        err = run(&home, &config, name, decoder, &detail);
    cf_decoder_free(decoder);
    return err == CF_OK ? 0 : failed(err, &detail);
}
