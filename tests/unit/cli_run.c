/* deploy/cli: whole calls without a fleet: options, usage, exit codes, describe, config. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "deploy/cli/command.h"
#include "deploy/cli/push.h"
#include "deploy/cli/query_targets.h"

static char folder[] = "/tmp/cf-cli-run-XXXXXX";
static char output[65536], complaint[4096];

static size_t slurp(FILE *file, char *text, size_t size)
{
    rewind(file);
    size_t len = fread(text, 1, size - 1, file);
    text[len] = '\0';
    fclose(file);
    return len;
}

/* Runs one call with its standard streams in `output` and `complaint`; the arguments are split at blanks. */
static enum cf_exit call(const char *line)
{
    char copy[1024];
    const char *argv[32] = {"coverfleet"};
    int argc = 1;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = copy, *rest; (word = strtok_r(word, " ", &rest)); word = NULL)
        argv[argc++] = word;
    FILE *out = tmpfile(), *err = tmpfile();
    fflush(NULL);
    int saved_out = dup(1), saved_err = dup(2);
    dup2(fileno(out), 1);
    dup2(fileno(err), 2);
    enum cf_exit result = cf_cli_run(argc, argv);
    fflush(NULL);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    close(saved_out);
    close(saved_err);
    slurp(out, output, sizeof output);
    slurp(err, complaint, sizeof complaint);
    return result;
}

static void calls(const char *line, enum cf_exit expected, const char *word)
{
    enum cf_exit result = call(line);
    if (result != expected || !strstr(expected == CF_EXIT_DONE ? output : complaint, word))
        fail_msg("%s: exit %d, expected %d with \"%s\":\n%s%s", line, (int)result, (int)expected, word,
                 output, complaint);
    if (expected != CF_EXIT_DONE && strcmp(line, "") != 0) {
        char *end = strchr(complaint, '\n');
        if (!end || end[1])
            fail_msg("%s: the complaint is not one line: %s", line, complaint);
    }
}

static void wrong_calls_exit_with_two_and_say_why(void **state)
{
    (void)state;
    calls("", CF_EXIT_USAGE, "usage:");
    calls("dance", CF_EXIT_USAGE, "dance");
    calls("help dance", CF_EXIT_USAGE, "dance");
    calls("push", CF_EXIT_USAGE, "ALBUM=FILE");
    calls("push nothing-like-it", CF_EXIT_USAGE, "nothing-like-it");
    calls("push a=b --root /x", CF_EXIT_USAGE, "--table");
    calls("push a=b --priority 10", CF_EXIT_USAGE, "--priority is 10");
    calls("push a=b --priority -1", CF_EXIT_USAGE, "--priority");
    calls("push a=b --delay soon", CF_EXIT_USAGE, "--delay");
    calls("push a=b --timeout 0", CF_EXIT_USAGE, "--timeout");
    calls("push a=b --wait=yes", CF_EXIT_USAGE, "--wait");
    calls("query", CF_EXIT_USAGE, "--image");
    calls("query a -k 0", CF_EXIT_USAGE, "--k is 0");
    calls("query a -k 10001", CF_EXIT_USAGE, "--k");
    calls("query a -k ten", CF_EXIT_USAGE, "ten");
    calls("query a -k", CF_EXIT_USAGE, "-k");
    calls("query a --recall 1.5", CF_EXIT_USAGE, "--recall");
    calls("query a --recall nan", CF_EXIT_USAGE, "--recall");
    calls("query a --speed 9", CF_EXIT_USAGE, "--speed");
    calls("redescribe --space ,", CF_EXIT_USAGE, "--space");
    calls("query a --for dancing", CF_EXIT_USAGE, "listening");
    calls("query a --for similar --space gist", CF_EXIT_USAGE, "--for");
    calls("query a --space auto --spaces gist=1", CF_EXIT_USAGE, "--spaces");
    calls("query --vector f --space auto", CF_EXIT_USAGE, "--vector");
    calls("query a --collapse-space copy", CF_EXIT_USAGE, "--collapse");
    calls("query a --radius -1", CF_EXIT_USAGE, "--radius is -1");
    calls("query a --collapse nan", CF_EXIT_USAGE, "--collapse");
    calls("query a --filter artist", CF_EXIT_USAGE, "KEY=VALUE");
    calls("query a --filter =x", CF_EXIT_USAGE, "KEY=VALUE");
    calls("query a --filter artist=", CF_EXIT_USAGE, "KEY=VALUE");
    calls("query a --spaces gist", CF_EXIT_USAGE, "SPACE=WEIGHT");
    calls("query a --spaces gist=1,", CF_EXIT_USAGE, "SPACE=WEIGHT");
    calls("query a --spaces gist=1x", CF_EXIT_USAGE, "SPACE=WEIGHT");
    calls("query a --spaces gist=-1", CF_EXIT_USAGE, "-1");
    calls("query a --spaces gist=nan", CF_EXIT_USAGE, "nan");
    calls("query a --spaces gist=1,gist=2", CF_EXIT_USAGE, "twice");
    calls("query a --spaces gist=1 --space gist", CF_EXIT_USAGE, "--space");
    calls("query --spaces gist=1 --vector f", CF_EXIT_USAGE, "SPACE=FILE");
    calls("query --vector f --vector g", CF_EXIT_USAGE, "one --vector");
    calls("query a --exclude-from nowhere.txt", CF_EXIT_USAGE, "nowhere.txt");
    calls("query a --vector f", CF_EXIT_USAGE, "--vector");
    calls("duplicates a", CF_EXIT_USAGE, "no albums");
    calls("duplicates --threshold 1.5", CF_EXIT_USAGE, "--threshold");
    calls("duplicates --space smell", CF_EXIT_USAGE, "smell");
    calls("duplicates --space gist", CF_EXIT_USAGE, "cosine");
    calls("show", CF_EXIT_USAGE, "one album");
    calls("show a b", CF_EXIT_USAGE, "one album");
    calls("show --why a", CF_EXIT_USAGE, "two albums");
    calls("show --why a b --space smell", CF_EXIT_USAGE, "smell");
    calls("show a --space gist", CF_EXIT_USAGE, "--why");
    calls("remove", CF_EXIT_USAGE, "albums");
    calls("status now", CF_EXIT_USAGE, "now");
    calls("queue", CF_EXIT_USAGE, "list, peek");
    calls("queue burn", CF_EXIT_USAGE, "burn");
    calls("queue purge", CF_EXIT_USAGE, "--all");
    calls("queue retry --all x", CF_EXIT_USAGE, "--all");
    calls("queue list --state indexed", CF_EXIT_USAGE, "indexed");
    calls("queue list x", CF_EXIT_USAGE, "no albums");
    calls("queue peek", CF_EXIT_USAGE, "peek");
    calls("index", CF_EXIT_USAGE, "rebuild");
    calls("index status x", CF_EXIT_USAGE, "x");
    calls("config", CF_EXIT_USAGE, "check");
    calls("config get", CF_EXIT_USAGE, "arguments");
    calls("config get no.such", CF_EXIT_USAGE, "no.such");
}

static void wrong_calls_without_a_fleet_say_why(void **state)
{
    (void)state;
    calls("describe", CF_EXIT_USAGE, "one picture");
    calls("describe x --format png", CF_EXIT_USAGE, "png");
    calls("describe .", CF_EXIT_USAGE, "--out is missing");
    calls("describe --table t", CF_EXIT_USAGE, "--out");
    calls("describe --out v.npy", CF_EXIT_USAGE, "--table");
    calls("describe . --root x --out v.npy", CF_EXIT_USAGE, "--root");
    calls("describe x --ids t", CF_EXIT_USAGE, "--ids");
    calls("describe . --out v.npy --format f32", CF_EXIT_USAGE, "--format");
    calls("describe . --out v.npy --native-size", CF_EXIT_USAGE, "--native-size");
    calls("describe . --out v.npy --threads 0", CF_EXIT_USAGE, "--threads");
    calls("describe nowhere --out v.npy", CF_EXIT_USAGE, "nowhere");
    calls("describe . --out v.npy --space smell", CF_EXIT_USAGE, "unknown_space");
    calls("ann", CF_EXIT_USAGE, "build, search, pairs, info or verify");
    calls("ann dance", CF_EXIT_USAGE, "dance");
    calls("ann build", CF_EXIT_USAGE, "--input");
    calls("ann build --input x.npy", CF_EXIT_USAGE, "--out");
    calls("ann build x.npy", CF_EXIT_USAGE, "x.npy");
    calls("ann build --input x --out y --metric angle", CF_EXIT_USAGE, "angle");
    calls("ann build --input x --out y --threads 0", CF_EXIT_USAGE, "--threads");
    calls("ann build --input x --out y --seed -1", CF_EXIT_USAGE, "--seed");
    calls("ann build --input x --out x", CF_EXIT_USAGE, "would replace");
    calls("ann build --input x --ids y --out y", CF_EXIT_USAGE, "would replace");
    calls("ann build --input x --out /dev/null", CF_EXIT_REFUSED, "no regular file");
    calls("ann search x --queries q.npy --out q.npy", CF_EXIT_USAGE, "would replace");
    calls("ann search x --queries q --out r.npy --distances r.npy", CF_EXIT_USAGE, "would replace");
    calls("ann pairs x --distances x", CF_EXIT_USAGE, "would replace");
    calls("describe --table t --out v.npy --ids t", CF_EXIT_USAGE, "different files");
    calls("ann search", CF_EXIT_USAGE, "one index");
    calls("ann search x", CF_EXIT_USAGE, "--queries");
    calls("ann search x --queries q", CF_EXIT_USAGE, "--out");
    calls("ann search x --queries q --out r.npy --vectors v", CF_EXIT_USAGE, "--exact");
    calls("ann search x --queries q --out r.npy --ids t.tsv", CF_EXIT_USAGE, "--ids goes with --out in .tsv");
    calls("ann search x --queries q --stats --ids t.tsv", CF_EXIT_USAGE, "--ids goes with --out in .tsv");
    calls("ann build --input= --out x.idx", CF_EXIT_USAGE, "--input is empty");
    calls("ann build --input x.npy --out=", CF_EXIT_USAGE, "--out is empty");
    calls("ann search x --queries q -k 0", CF_EXIT_USAGE, "--k");
    calls("ann search x --queries q -k 10001", CF_EXIT_USAGE, "--k");
    calls("ann search x --queries q --recall 1.01", CF_EXIT_USAGE, "--recall");
    calls("ann pairs", CF_EXIT_USAGE, "one index");
    calls("ann pairs x --queries q", CF_EXIT_USAGE, "--queries");
    calls("ann info", CF_EXIT_USAGE, "one index");
    calls("ann verify a b", CF_EXIT_USAGE, "one index");
}

static void help_is_everywhere(void **state)
{
    (void)state;
    static const char *const commands[] = {"push",      "remove",     "show",      "query",    "status",
                                           "queue",     "index",      "describe",  "config",   "ann",
                                           "ann build", "ann search", "ann pairs", "ann info", "ann verify"};
    char line[64];
    calls("help", CF_EXIT_DONE, "Exit codes");
    calls("--help", CF_EXIT_DONE, "usage: coverfleet COMMAND");
    calls("version", CF_EXIT_DONE, "coverfleet ");
    calls("--version", CF_EXIT_DONE, "coverfleet ");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        snprintf(line, sizeof line, "%s --help", commands[i]);
        calls(line, CF_EXIT_DONE, "--help");
        assert_non_null(strstr(output, commands[i]));
        snprintf(line, sizeof line, "help %s", commands[i]);
        calls(line, CF_EXIT_DONE, "usage:");
    }
}

static void an_absent_fleet_is_three_and_soon(void **state)
{
    (void)state;
    uint64_t started_ms = cf_clock_mono_ms();
    calls("status --deadline 200ms", CF_EXIT_UNREACHABLE, "client.sock within 200 ms");
    assert_non_null(strstr(complaint, folder));
    calls("push a=b --deadline 100ms", CF_EXIT_UNREACHABLE, "deploy/up");
    calls("show a --deadline 100ms --endpoint ipc:///nowhere/at-all", CF_EXIT_UNREACHABLE,
          "ipc:///nowhere/at-all");
    assert_true(cf_clock_mono_ms() - started_ms < 5000);
}

static void endpoints_must_be_some(void **state)
{
    (void)state;
    static const char *const bad[] = {"smoke-signals", "ipc://",          "tcp://",
                                      "tcp://host",    "tcp://:5555",     "tcp://host:0",
                                      "tcp://host:x",  "tcp://host:5x",   "tcp://host:65536",
                                      "inproc://x",    "ipc:/some/where", "udp://127.0.0.1:9"};
    char line[128];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "status --deadline 100ms --endpoint %s", bad[i]);
        calls(line, CF_EXIT_USAGE, bad[i]);
    }
}

static void a_forbidden_fleet_is_named_at_once(void **state)
{
    (void)state;
    char path[64], line[256];
    snprintf(path, sizeof path, "%s/locked", folder);
    assert_int_equal(mkdir(path, 0), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0); /* nothing is forbidden to root */
    uint64_t started_ms = cf_clock_mono_ms();
    snprintf(line, sizeof line, "status --json --endpoint ipc://%s/client.sock", path);
    enum cf_exit result = call(line);
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(result, CF_EXIT_UNREACHABLE);
    assert_non_null(strstr(complaint, "permission denied"));
    assert_non_null(strstr(complaint, path));
    assert_ptr_equal(strstr(output, "{\"error\":\"unreachable\",\"detail\":\""), output);
    assert_true(cf_clock_mono_ms() - started_ms < 2000);
}

static void failures_are_json_too(void **state)
{
    (void)state;
    call("show a --json --deadline 100ms");
    assert_ptr_equal(strstr(output, "{\"error\":\"unreachable\",\"detail\":\""), output);
    call("show a\tb --json");
    assert_ptr_equal(strstr(output, "{\"error\":\"bad_album\""), output);
    call("query --image gone.jpg --json");
    assert_ptr_equal(strstr(output, "{\"error\":\"not_found\""), output);
    assert_null(strstr(output, "generation"));
    call("query --image gone.jpg gone2.jpg --json");
    assert_ptr_equal(strstr(output, "{\"error\":\"not_found\""), output);
    assert_non_null(strstr(output, "\"results\":[{\"error\":\"not_found\""));
    call("query --vector gone.f32 --json");
    assert_ptr_equal(strstr(output, "{\"error\":\"not_found\""), output);
    call("show a --deadline 100ms");
    assert_string_equal(output, "");
}

static void pipes_are_no_pictures(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    calls("describe pipe", CF_EXIT_REFUSED, "not a regular file");
    calls("query --image pipe", CF_EXIT_REFUSED, "not a regular file");
    calls("query --vector pipe", CF_EXIT_REFUSED, "not a regular file");
}

static void albums_that_cannot_be_are_refused_here(void **state)
{
    (void)state;
    char line[512] = "show ";
    memset(line + 5, 'x', 300);
    line[305] = '\0';
    calls(line, CF_EXIT_REFUSED, "bad_album");
    calls("show a\tb\x01", CF_EXIT_REFUSED, "bad_album");
}

static void write_bytes(const char *name, const void *bytes, size_t len)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static void pictures_are_described_offline(void **state)
{
    (void)state;
    static const char header[] = "P6\n16 16\n255\n";
    uint8_t picture[sizeof header - 1 + 16 * 16 * 3];
    memcpy(picture, header, sizeof header - 1);
    for (size_t i = sizeof header - 1; i < sizeof picture; i++)
        picture[i] = (uint8_t)(i * 37 % 251);
    write_bytes("p.ppm", picture, sizeof picture);
    write_bytes("text.jpg", "no picture", 10);
    write_bytes("empty.jpg", "", 0);
    calls("describe p.ppm --space gray16 --format json", CF_EXIT_DONE, "\"dim\":256");
    calls("describe p.ppm --space gray16", CF_EXIT_DONE, "\n");
    size_t lines = 0;
    for (const char *p = output; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 256);
    char thumbnail[sizeof output];
    memcpy(thumbnail, output, sizeof output);
    calls("describe p.ppm --space gray16 --native-size", CF_EXIT_DONE, "\n");
    assert_string_not_equal(output, thumbnail); /* the JPEG in between leaves its mark */
    calls("describe text.jpg", CF_EXIT_REFUSED, "not_an_image");
    calls("describe empty.jpg", CF_EXIT_REFUSED, "not_an_image");
    calls("describe missing.jpg", CF_EXIT_REFUSED, "missing.jpg");
    calls("describe p.ppm --space smell", CF_EXIT_USAGE, "unknown_space");
    assert_non_null(strstr(complaint, "gist"));
}

static void vectors_must_be_whole_rows(void **state)
{
    (void)state;
    static const float rows[2 * 256], gist[2 * 960];
    write_bytes("short.f32", rows, 100);
    write_bytes("none.f32", rows, 0);
    write_bytes("two.f32", rows, sizeof rows);
    calls("query --vector short.f32 --space gist", CF_EXIT_USAGE, "bad_vector");
    calls("query --vector none.f32", CF_EXIT_USAGE, "bad_vector");
    calls("query --vector gone.f32", CF_EXIT_REFUSED, "gone.f32");
    struct cf_targets targets = {.kind = CF_TARGET_VECTOR};
    struct cf_target target;
    char path[256];
    snprintf(path, sizeof path, "%s/two.f32", folder);
    assert_int_equal(cf_targets_read_vectors(&targets, path, cf_str("gray16"), NULL), CF_OK);
    assert_int_equal(targets.count, 2);
    assert_int_equal(cf_targets_get(&targets, 1, NULL, NULL, &target, NULL), CF_OK);
    assert_ptr_equal(target.vector.data, targets.files[0].bytes.data + 1024);
    assert_int_equal(target.vector.len, 1024);
    struct cf_detail detail;
    struct cf_space_vector vectors[CF_SPACES_MAX];
    snprintf(path, sizeof path, "%s/gist.f32", folder);
    write_bytes("gist.f32", gist, sizeof gist / 2);
    assert_int_equal(cf_targets_read_vectors(&targets, path, cf_str("gist"), &detail), CF_E_BAD_VECTOR);
    assert_non_null(strstr(detail.text, "1 vectors: the file before it has 2"));
    cf_buf_fini(&targets.files[--targets.file_count].bytes);
    write_bytes("gist.f32", gist, sizeof gist);
    assert_int_equal(cf_targets_read_vectors(&targets, path, cf_str("gist"), &detail), CF_OK);
    targets.several = true;
    assert_int_equal(cf_targets_get(&targets, 1, NULL, vectors, &target, NULL), CF_OK);
    assert_int_equal(target.vector.len, 0);
    assert_int_equal(target.vector_count, 2);
    assert_true(cf_str_is(target.vectors[1].space, "gist"));
    assert_ptr_equal(target.vectors[1].vector.data, targets.files[1].bytes.data + 3840);
    cf_targets_fini(&targets);
}

static void configurations_are_checked_and_read(void **state)
{
    (void)state;
    calls("config home", CF_EXIT_DONE, folder);
    calls("config get descriptor.workers", CF_EXIT_DONE, "2\n");
    assert_string_equal(output, "2\n");
    calls("config get descriptor.roots", CF_EXIT_DONE, "");
    assert_string_equal(output, "");
    static const char good[] = "descriptor { workers = 5\n roots = {\"/a b\", \"/c\"} }\n";
    write_bytes("coverfleet.conf", good, sizeof good - 1);
    calls("config check", CF_EXIT_DONE, "in order");
    calls("config get descriptor.workers", CF_EXIT_DONE, "5\n");
    calls("config get descriptor.roots", CF_EXIT_DONE, "");
    assert_string_equal(output, "/a b\n/c\n");
    calls("config get log.level", CF_EXIT_DONE, "");
    assert_string_equal(output, "info\n");
    calls("config show", CF_EXIT_DONE, "descriptor.workers = 5");
    write_bytes("bad.conf", "broker {\n leese_ms = 5\n}\n", 25);
    calls("config check bad.conf", CF_EXIT_USAGE, "leese_ms");
    calls("config check none.conf", CF_EXIT_REFUSED, "none.conf");
    calls("config check .", CF_EXIT_USAGE, "a folder");
    write_bytes("coverfleet.conf", "broker {\n leese_ms = 5\n}\n", 25);
    calls("config check", CF_EXIT_USAGE, ":2:");
    calls("status", CF_EXIT_USAGE, "leese_ms");
    write_bytes("coverfleet.conf", "", 0);
}

static void errors_map_to_exit_codes(void **state)
{
    (void)state;
    for (int err = CF_OK; err < CF_ERR_COUNT; err++) {
        enum cf_exit expected = CF_EXIT_REFUSED;
        if (err == CF_OK)
            expected = CF_EXIT_DONE;
        else if (err == CF_E_UNREACHABLE)
            expected = CF_EXIT_UNREACHABLE;
        else if (err == CF_E_BAD_K || err == CF_E_UNKNOWN_SPACE || err == CF_E_BAD_VECTOR)
            expected = CF_EXIT_USAGE;
        assert_int_equal(cf_exit_of((enum cf_err)err), expected);
    }
    assert_int_equal(cf_exit_of_many(3, 0, CF_OK), CF_EXIT_DONE);
    assert_int_equal(cf_exit_of_many(2, 1, CF_E_NOT_FOUND), CF_EXIT_PARTLY);
    assert_int_equal(cf_exit_of_many(0, 1, CF_E_NOT_FOUND), CF_EXIT_REFUSED);
    assert_int_equal(cf_exit_of_many(0, 2, CF_E_BAD_K), CF_EXIT_USAGE);
}

static enum cf_exit push_exit(struct cf_push_counts counts, bool wait, size_t open_count, enum cf_err over)
{
    struct cf_pusher pusher = {
        .counts = counts, .options = {.wait = wait}, .open_count = open_count, .over = over};
    return cf_push_exit(&pusher);
}

static void pushes_map_to_exit_codes(void **state)
{
    (void)state;
    assert_int_equal(push_exit((struct cf_push_counts){.accepted = 3}, false, 0, CF_OK), CF_EXIT_DONE);
    assert_int_equal(push_exit((struct cf_push_counts){.unchanged = 3}, true, 0, CF_OK), CF_EXIT_DONE);
    assert_int_equal(push_exit((struct cf_push_counts){0}, true, 0, CF_OK), CF_EXIT_DONE);
    assert_int_equal(push_exit((struct cf_push_counts){.accepted = 2, .refused = 1}, false, 0, CF_OK),
                     CF_EXIT_PARTLY);
    assert_int_equal(push_exit((struct cf_push_counts){.refused = 1}, false, 0, CF_OK), CF_EXIT_REFUSED);
    assert_int_equal(
        push_exit((struct cf_push_counts){.accepted = 2, .described = 1, .dead = 1}, true, 0, CF_OK),
        CF_EXIT_PARTLY);
    assert_int_equal(push_exit((struct cf_push_counts){.accepted = 1, .dead = 1}, true, 0, CF_OK),
                     CF_EXIT_REFUSED);
    assert_int_equal(push_exit((struct cf_push_counts){.accepted = 1, .superseded = 1}, true, 0, CF_OK),
                     CF_EXIT_DONE);
    assert_int_equal(
        push_exit((struct cf_push_counts){.accepted = 2, .described = 1}, true, 1, CF_E_DEADLINE),
        CF_EXIT_PARTLY);
    assert_int_equal(push_exit((struct cf_push_counts){.accepted = 1}, true, 1, CF_E_DEADLINE),
                     CF_EXIT_REFUSED);
    const struct cf_push_counts acknowledged_some = {.accepted = 1, .refused = 1};
    assert_int_equal(push_exit(acknowledged_some, true, 1, CF_E_DEADLINE), CF_EXIT_PARTLY);
    const struct cf_push_counts nothing_good = {.accepted = 1, .dead = 1, .refused = 1};
    assert_int_equal(push_exit(nothing_good, true, 0, CF_OK), CF_EXIT_REFUSED);
    assert_int_equal(
        push_exit((struct cf_push_counts){.accepted = 1, .refused = 1}, false, 0, CF_E_UNREACHABLE),
        CF_EXIT_UNREACHABLE);
}

static enum cf_state verdict(enum cf_state at, uint64_t epoch, uint64_t seq)
{
    const struct cf_album_state state = {.state = (int)at, .version = {epoch, seq}};
    return cf_push_verdict((struct cf_version){2, 10}, &state);
}

static void waiting_goes_by_version(void **state)
{
    (void)state;
    assert_int_equal(verdict(CF_STATE_QUEUED, 2, 10), CF_STATE_QUEUED);
    assert_int_equal(verdict(CF_STATE_DELAYED, 2, 10), CF_STATE_QUEUED);
    assert_int_equal(verdict(CF_STATE_LEASED, 2, 10), CF_STATE_QUEUED);
    assert_int_equal(verdict(CF_STATE_DESCRIBED, 2, 10), CF_STATE_DESCRIBED);
    assert_int_equal(verdict(CF_STATE_INDEXED, 2, 10), CF_STATE_DESCRIBED);
    assert_int_equal(verdict(CF_STATE_DEAD, 2, 10), CF_STATE_DEAD);
    assert_int_equal(verdict(CF_STATE_DESCRIBED, 2, 11), CF_STATE_REMOVED);
    assert_int_equal(verdict(CF_STATE_QUEUED, 3, 1), CF_STATE_REMOVED);
    assert_int_equal(verdict(CF_STATE_DESCRIBED, 1, 99), CF_STATE_REMOVED);
    assert_int_equal(verdict(CF_STATE_REMOVED, 2, 11), CF_STATE_REMOVED);
    assert_int_equal(verdict(CF_STATE_NONE, 0, 0), CF_STATE_REMOVED);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 && setenv("COVERFLEET_HOME", folder, 1) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_calls_exit_with_two_and_say_why),
        cmocka_unit_test(wrong_calls_without_a_fleet_say_why),
        cmocka_unit_test(help_is_everywhere),
        cmocka_unit_test(an_absent_fleet_is_three_and_soon),
        cmocka_unit_test(endpoints_must_be_some),
        cmocka_unit_test(a_forbidden_fleet_is_named_at_once),
        cmocka_unit_test(failures_are_json_too),
        cmocka_unit_test(pipes_are_no_pictures),
        cmocka_unit_test(albums_that_cannot_be_are_refused_here),
        cmocka_unit_test(pictures_are_described_offline),
        cmocka_unit_test(vectors_must_be_whole_rows),
        cmocka_unit_test(configurations_are_checked_and_read),
        cmocka_unit_test(errors_map_to_exit_codes),
        cmocka_unit_test(pushes_map_to_exit_codes),
        cmocka_unit_test(waiting_goes_by_version),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
