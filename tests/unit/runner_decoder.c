/* The decoding child: good pictures, refused ones, and work that misbehaves in every way the sandbox is there
 * for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/decoder/decoder_work.h"

enum { DECODE_MS = 300, PATIENCE_MS = 20000 };

/* ---- work that does as its picture says ---- */

static enum cf_err answer(struct cf_decoded *out, size_t jpeg_bytes)
{
    memset(out, 0, sizeof *out);
    out->jpeg_bytes = jpeg_bytes;
    out->jpeg[0] = 42;
    return CF_OK;
}

static enum cf_err hog_memory(struct cf_detail *detail)
{
    for (int i = 0; i < 1000; i++) {
        char *block = malloc(16 << 20);
        if (!block)
            return cf_fail(detail, CF_E_NO_MEMORY, "no more after %d blocks", i);
        memset(block, i, 4096);
    }
    return cf_fail(detail, CF_E_INVALID, "16 GB were given");
}

/* The memory that the decoder shares with its worker, from a picture in the slot that is named. */
static struct cf_decode_results *results_of(struct cf_decoded *out, size_t slot)
{
    size_t before = offsetof(struct cf_decode_results, slots) + slot * sizeof(struct cf_decode_result) +
                    offsetof(struct cf_decode_result, decoded);
    return (struct cf_decode_results *)(void *)((char *)out - before);
}

/* "l<slot letter><what>": a decoder in somebody's power. */
static enum cf_err lie(struct cf_bytes file, struct cf_decoded *out)
{
    struct cf_decode_results *results = results_of(out, (size_t)(file.data[1] - 'a'));
    switch (file.data[2]) {
    case 't': /* it was at no picture */
        atomic_store(&results->taken, 0);
        raise(SIGKILL);
        break;
    case 'i': /* it was at the first one, and nothing is done */
        atomic_store(&results->done, 0);
        atomic_store(&results->taken, 1);
        raise(SIGKILL);
        break;
    case 'd': /* all is done, and more */
        atomic_store(&results->done, UINT64_MAX);
        for (;;)
            __asm__ volatile("");
    case 'b': /* another one is done now and then, never the oldest */
        for (uint64_t i = 0;; i++)
            atomic_store(&results->done, i % 2);
    case 's': /* asleep, whenever one looks */
        for (;;)
            atomic_store(&results->sleeping, 1);
    }
    return CF_E_INVALID;
}

static enum cf_err make_orders_writable(struct cf_bytes file, struct cf_decoded *out)
{
    uintptr_t page = (uintptr_t)file.data & ~(uintptr_t)(CF_DECODE_PAGE - 1);
    bool given = mprotect((void *)page, CF_DECODE_PAGE, PROT_READ | PROT_WRITE) == 0;
    return given ? CF_E_INVALID : answer(out, file.len);
}

static enum cf_err obey(struct cf_bytes file, const struct cf_image_limits *limits, struct cf_decoded *out,
                        struct cf_detail *detail)
{
    (void)limits;
    switch (file.data[0]) {
    case 'c':
        raise(SIGSEGV);
        return CF_E_INVALID;
    case 'a':
        abort();
    case 's':
        for (;;)
            __asm__ volatile("");
    case 'x':
        _exit(7);
    case 'm':
        return hog_memory(detail);
    case 'o':
        return open("/dev/null", O_RDONLY) < 0 && errno != EMFILE ? CF_E_INVALID : answer(out, 1);
    case 'n':
        return socket(AF_INET, SOCK_STREAM, 0) < 0 ? CF_E_INVALID : answer(out, 1);
    case 'f':
        return fork() < 0 ? CF_E_INVALID : answer(out, 1);
    case 'w':
        return write(STDERR_FILENO, "", 0) < 0 ? CF_E_INVALID : answer(out, 1);
    case 'p':
        return mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? CF_E_INVALID
                                                                                             : answer(out, 1);
    case 'r':
        return cf_fail(detail, CF_E_UNSUPPORTED, "this one not");
    case 'j':
        return answer(out, CF_THUMB_JPEG_BYTES_MAX + 1);
    case 'z':
        return answer(out, 0);
    case 'l':
        return lie(file, out);
    case 'u':
        return make_orders_writable(file, out);
    case 'i':
        return CF_E_IO;
    case 'e':
        return (enum cf_err)9999;
    default:
        return answer(out, file.len);
    }
}

static void configure(struct cf_config *config)
{
    static struct cf_home home;
    cf_config_default(config, &home);
    config->image_decode_ms = DECODE_MS;
    config->image_memory_bytes_max = 64 << 20;
    config->image_bytes_max = 4 << 20;
}

static struct cf_decoder *obedient(void)
{
    struct cf_config config;
    struct cf_decoder *decoder = NULL;
    configure(&config);
    assert_int_equal(cf_decoder_new_with(&config, obey, &decoder, NULL), CF_OK);
    return decoder;
}

static struct cf_bytes picture(const char *text)
{
    return (struct cf_bytes){(const uint8_t *)text, strlen(text)};
}

static void assert_good(struct cf_decoder *decoder)
{
    static struct cf_decoded out;
    struct cf_detail detail = {{0}};
    enum cf_err err = cf_decoder_decode(decoder, picture("good"), &out, &detail);
    assert_string_equal(detail.text, "");
    assert_int_equal(err, CF_OK);
    assert_int_equal(out.jpeg_bytes, 4);
    assert_int_equal(out.jpeg[0], 42);
}

static enum cf_err order(struct cf_decoder *decoder, const char *text, struct cf_detail *detail)
{
    static struct cf_decoded out;
    *detail = (struct cf_detail){{0}};
    return cf_decoder_decode(decoder, picture(text), &out, detail);
}

/* The order costs itself, with that error and that word in the sentence, and nothing else. */
static void assert_costs(const char *text, enum cf_err err, const char *word)
{
    struct cf_decoder *decoder = obedient();
    struct cf_detail detail;
    for (int i = 0; i < 3; i++) {
        assert_good(decoder);
        enum cf_err got = order(decoder, text, &detail);
        if (got != err || !strstr(detail.text, word))
            fail_msg("\"%s\": %s, %s", text, cf_err_name(got), detail.text);
    }
    assert_good(decoder);
    cf_decoder_free(decoder);
}

static void test_crash(void **state)
{
    (void)state;
    assert_costs("crash", CF_E_DECODER_DIED, "signal 11");
    assert_costs("abort", CF_E_DECODER_DIED, "signal 6");
    assert_costs("xit", CF_E_DECODER_DIED, "code 7");
}

static void test_stall(void **state)
{
    (void)state;
    uint64_t start = cf_clock_mono_ms();
    assert_costs("stall", CF_E_TIMEOUT, "300 ms");
    assert_in_range(cf_clock_mono_ms() - start, 3 * DECODE_MS, PATIENCE_MS);
}

static void test_refusal_passes_through(void **state)
{
    (void)state;
    assert_costs("refuse", CF_E_UNSUPPORTED, "this one not");
}

static void test_nonsense_is_not_believed(void **state)
{
    (void)state;
    assert_costs("jpeg of too many bytes", CF_E_DECODER_DIED, "nonsense");
    assert_costs("zero bytes", CF_E_DECODER_DIED, "nonsense");
    assert_costs("error out of the list", CF_E_DECODER_DIED, "nonsense");
}

static void test_sandbox(void **state)
{
    (void)state;
#ifdef CF_SANITIZE
    print_message("a sanitizer's build has no sandbox\n");
    skip();
#else
    struct cf_decoder *decoder = obedient();
    bool filtered = cf_decoder_note(decoder)[0] == '\0';
    if (!filtered)
        print_message("%s\n", cf_decoder_note(decoder));
    cf_decoder_free(decoder);
    assert_costs("memory", CF_E_NO_MEMORY, "no more");
    if (!filtered)
        skip();
    assert_costs("open", CF_E_DECODER_DIED, "signal 31");
    assert_costs("network", CF_E_DECODER_DIED, "signal 31");
    assert_costs("fork", CF_E_DECODER_DIED, "signal 31");
    assert_costs("write", CF_E_DECODER_DIED, "signal 31");
    assert_costs("program", CF_E_DECODER_DIED, "signal 31");
#endif
}

static void test_size_limits(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    static struct cf_decoded out;
    struct cf_bytes none = {NULL, 0}, large = {calloc(1, (4 << 20) + 1), (4 << 20) + 1};
    assert_non_null(large.data);
    assert_int_equal(cf_decoder_decode(decoder, none, &out, NULL), CF_E_NOT_AN_IMAGE);
    assert_int_equal(cf_decoder_decode(decoder, large, &out, NULL), CF_E_TOO_LARGE);
    large.len--;
    assert_int_equal(cf_decoder_decode(decoder, large, &out, NULL),
                     CF_E_DECODER_DIED); /* 4 MB: more than a thumbnail */
    large.len = CF_THUMB_JPEG_BYTES_MAX;
    assert_int_equal(cf_decoder_decode(decoder, large, &out, NULL), CF_OK);
    assert_int_equal(out.jpeg_bytes, CF_THUMB_JPEG_BYTES_MAX);
    free((void *)large.data);
    assert_good(decoder);
    cf_decoder_free(decoder);
    cf_decoder_free(NULL);
}

/* ---- processes ---- */

/* A child of `parent` by that name, or 0. */
static pid_t child_of(pid_t parent, const char *name)
{
    DIR *processes = opendir("/proc");
    pid_t found = 0;
    assert_non_null(processes);
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char path[300], comm[32] = "", alive;
        int pid, ppid;
        snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        FILE *stat = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (!stat)
            continue;
        if (fscanf(stat, "%d (%31[^)]) %c %d", &pid, comm, &alive, &ppid) == 4 && ppid == parent &&
            strcmp(comm, name) == 0 && alive != 'Z')
            found = pid;
        fclose(stat);
    }
    closedir(processes);
    return found;
}

static bool is_running(pid_t pid)
{
    char path[64], alive = 'Z';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "r");
    if (!stat)
        return false;
    if (fscanf(stat, "%*d (%*[^)]) %c", &alive) != 1)
        alive = 'Z';
    fclose(stat);
    return alive != 'Z' && alive != 'X';
}

static void assert_gone(pid_t pid)
{
    uint64_t end = cf_clock_mono_ms() + PATIENCE_MS;
    while (is_running(pid) && cf_clock_mono_ms() < end)
        usleep(1000);
    assert_false(is_running(pid));
}

static void test_idle_death_costs_nothing(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    for (int i = 0; i < 5; i++) {
        pid_t keeper = child_of(getpid(), "cf-keeper");
        assert_true(keeper > 0);
        pid_t child = child_of(keeper, "cf-decoder");
        assert_true(child > 0);
        assert_int_equal(kill(child, SIGKILL), 0);
        if (i % 2)
            assert_gone(child);
        assert_good(decoder);
    }
    cf_decoder_free(decoder);
}

static void test_keeper_death_is_told(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    struct cf_detail detail;
    pid_t keeper = child_of(getpid(), "cf-keeper");
    pid_t child = child_of(keeper, "cf-decoder");
    assert_int_equal(kill(keeper, SIGKILL), 0);
    assert_gone(child);
    assert_int_equal(order(decoder, "good", &detail), CF_E_IO);
    assert_non_null(strstr(detail.text, "restarted"));
    assert_int_equal(order(decoder, "good", &detail), CF_E_IO);
    cf_decoder_free(decoder);
}

/* Neither a stop of the whole group nor a Ctrl-C ends the children before the worker is through. */
static void test_children_leave_signals_to_the_worker(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    pid_t keeper = child_of(getpid(), "cf-keeper");
    pid_t child = child_of(keeper, "cf-decoder");
    assert_int_equal(kill(keeper, SIGTERM), 0);
    assert_int_equal(kill(child, SIGTERM), 0);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_good(decoder);
    assert_int_equal(child_of(keeper, "cf-decoder"), child);
    cf_decoder_free(decoder);
    assert_gone(child);
    assert_gone(keeper);
}

static void test_children_end_with_the_worker(void **state)
{
    (void)state;
    int told[2];
    assert_int_equal(pipe(told), 0);
    fflush(NULL);
    pid_t worker = fork();
    if (worker == 0) {
        struct cf_decoder *decoder = obedient();
        pid_t children[2] = {child_of(getpid(), "cf-keeper"), 0};
        children[1] = child_of(children[0], "cf-decoder");
        assert_good(decoder);
        if (write(told[1], children, sizeof children) != (ssize_t)sizeof children)
            _exit(1);
        for (;;)
            pause();
    }
    close(told[1]);
    pid_t children[2];
    assert_int_equal(read(told[0], children, sizeof children), sizeof children);
    assert_true(children[0] > 0 && children[1] > 0);
    assert_true(is_running(children[0]) && is_running(children[1]));
    kill(worker, SIGKILL);
    assert_int_equal(waitpid(worker, NULL, 0), worker);
    assert_gone(children[0]);
    assert_gone(children[1]);
    char byte;
    assert_int_equal(read(told[0], &byte, 1), 0); /* they hold none of the worker's descriptors */
    close(told[0]);
}

/* ---- decoding ahead ---- */

static void put(struct cf_decoder *decoder, const char *text)
{
    struct cf_detail detail = {{0}};
    if (cf_decoder_put(decoder, picture(text), &detail) != CF_OK)
        fail_msg("%s: %s", text, detail.text);
}

static void assert_next(struct cf_decoder *decoder, const char *text)
{
    static struct cf_decoded out;
    struct cf_detail detail = {{0}};
    static const struct {
        char order;
        enum cf_err err;
    } costs[] = {{'c', CF_E_DECODER_DIED},
                 {'s', CF_E_TIMEOUT},
                 {'r', CF_E_UNSUPPORTED},
                 {'x', CF_E_DECODER_DIED},
                 {'z', CF_E_DECODER_DIED}};
    enum cf_err expected = CF_OK, err = cf_decoder_take(decoder, &out, &detail);
    for (size_t i = 0; i < sizeof costs / sizeof costs[0]; i++)
        if (text[0] == costs[i].order)
            expected = costs[i].err;
    if (err != expected)
        fail_msg("%s: %s, %s", text, cf_err_name(err), detail.text);
    if (err == CF_OK)
        assert_int_equal(out.jpeg_bytes, strlen(text)); /* its own result, in its turn */
}

static void test_each_in_its_turn(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    char text[64] = "";
    unsigned in = 0, out = 0;
    while (out < 1000) {
        unsigned fill = in * 7 % CF_DECODER_AHEAD + 1;
        for (; cf_decoder_in_hand(decoder) < fill; in++) {
            memset(text, 'g', in % 50 + 1);
            text[in % 50 + 1] = '\0';
            put(decoder, text);
        }
        for (; cf_decoder_in_hand(decoder) > fill / 3; out++) {
            memset(text, 'g', out % 50 + 1);
            text[out % 50 + 1] = '\0';
            assert_next(decoder, text);
        }
    }
    cf_decoder_free(decoder);
}

static void test_a_death_costs_nobody_behind(void **state)
{
    (void)state;
    static const char *const pictures[CF_DECODER_AHEAD] = {"go",    "crash", "goo", "good",  "refused",
                                                           "stall", "x",     "z",   "crash", "gooood",
                                                           "x",     "g",     "gg",  "stall"};
    struct cf_decoder *decoder = obedient();
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; pictures[i]; i++)
            put(decoder, pictures[i]);
        for (size_t i = 0; pictures[i]; i++)
            assert_next(decoder, pictures[i]);
        assert_int_equal(cf_decoder_in_hand(decoder), 0);
    }
    assert_good(decoder);
    cf_decoder_free(decoder);
}

static void test_no_more_than_there_is_room(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    struct cf_bytes large = {calloc(1, CF_DECODE_SMALL_BYTES + 1), CF_DECODE_SMALL_BYTES + 1};
    static struct cf_decoded out;
    assert_non_null(large.data);
    put(decoder, "good");
    assert_int_equal(cf_decoder_put(decoder, large, NULL), CF_OK);
    assert_int_equal(cf_decoder_put(decoder, large, NULL), CF_E_BUSY);
    put(decoder, "go");
    assert_int_equal(cf_decoder_in_hand(decoder), 3);
    assert_next(decoder, "good");
    assert_int_equal(cf_decoder_put(decoder, large, NULL), CF_E_BUSY);
    assert_int_equal(cf_decoder_take(decoder, &out, NULL), CF_E_DECODER_DIED); /* more than a thumbnail */
    assert_int_equal(cf_decoder_put(decoder, large, NULL), CF_OK);
    assert_next(decoder, "go");
    assert_int_equal(cf_decoder_take(decoder, &out, NULL), CF_E_DECODER_DIED);
    for (int i = 0; i < CF_DECODER_AHEAD; i++)
        put(decoder, "good");
    assert_int_equal(cf_decoder_put(decoder, picture("good"), NULL), CF_E_BUSY);
    assert_next(decoder, "good");
    put(decoder, "good");
    free((void *)large.data);
    cf_decoder_free(decoder);
}

static void test_what_is_dropped_is_forgotten(void **state)
{
    (void)state;
    static const char *const first[] = {"good", "stall", "crash", "refused"};
    struct cf_decoder *decoder = obedient();
    for (size_t i = 0; i < sizeof first / sizeof first[0]; i++) {
        put(decoder, first[i]);
        put(decoder, "goo");
        put(decoder, "stall");
        cf_decoder_drop(decoder);
        assert_int_equal(cf_decoder_in_hand(decoder), 0);
        assert_good(decoder);
    }
    cf_decoder_drop(decoder);
    assert_good(decoder);
    cf_decoder_free(decoder);
}

/* Killed at any moment, also with results that nobody took yet: at most the picture at work is lost. */
static void test_killed_with_pictures_in_hand(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    int killed = 0;
    for (int round = 0; round < 20; round++) {
        static struct cf_decoded out;
        int lost = 0;
        for (int i = 0; i < CF_DECODER_AHEAD; i++)
            put(decoder, "good");
        if (round % 2)
            assert_next(decoder, "good");
        pid_t child = child_of(child_of(getpid(), "cf-keeper"), "cf-decoder");
        killed += child > 0 && kill(child, SIGKILL) == 0; /* the next one may not be there yet */
        while (cf_decoder_in_hand(decoder)) {
            enum cf_err err = cf_decoder_take(decoder, &out, NULL);
            lost += err != CF_OK;
            assert_true(err == CF_OK || err == CF_E_DECODER_DIED);
        }
        assert_in_range(lost, 0, 1);
    }
    assert_in_range(killed, 5, 20);
    assert_good(decoder);
    cf_decoder_free(decoder);
}

/* ---- a decoder in somebody's power ---- */

static void test_orders_stay_read_only(void **state)
{
    (void)state;
    struct cf_decoder *decoder = obedient();
    struct cf_detail detail;
    assert_int_equal(order(decoder, "unprotect", &detail), CF_OK);
    assert_good(decoder);
    cf_decoder_free(decoder);
}

/* CF_E_IO means that this worker can decode no more: no picture may say so. */
static void test_no_picture_ends_the_worker(void **state)
{
    (void)state;
    assert_costs("io", CF_E_DECODER_DIED, "nonsense");
}

/* Whatever the liar writes, with innocents before and behind: he is charged and nobody else. */
static void test_liars_are_charged(void **state)
{
    (void)state;
    static const char whats[] = "tid";
    for (size_t at = 0; at < sizeof whats - 1; at++) {
        for (size_t liar = 1; liar <= 6; liar++) {
            struct cf_decoder *decoder = obedient();
            static struct cf_decoded out;
            char text[4] = {'l', (char)('a' + liar), whats[at], '\0'};
            for (size_t i = 1; i <= 6; i++)
                put(decoder, i == liar ? text : "good");
            for (size_t i = 1; i <= 6; i++) {
                struct cf_detail detail = {{0}};
                enum cf_err err = cf_decoder_take(decoder, &out, &detail);
                bool charged = err == CF_E_DECODER_DIED || err == CF_E_TIMEOUT;
                if (i == liar ? !charged : err != CF_OK)
                    fail_msg("liar %zu (%c), picture %zu: %s, %s", liar, whats[at], i, cf_err_name(err),
                             detail.text);
            }
            assert_good(decoder);
            cf_decoder_free(decoder);
        }
    }
}

/* Neither by changing its mind nor by never reading does it keep the worker for longer than its time. */
static void test_a_liar_buys_no_time(void **state)
{
    (void)state;
    static const char *const liars[] = {"lcb", "lcs"};
    for (size_t at = 0; at < 2; at++) {
        struct cf_decoder *decoder = obedient();
        assert_good(decoder);
        uint64_t start = cf_clock_mono_ms();
        put(decoder, liars[at]);
        for (int i = 1; i < CF_DECODER_AHEAD; i++) {
            put(decoder, "good");
            usleep(1000); /* the liar gets a turn between two puts */
        }
        static struct cf_decoded out;
        enum cf_err err = cf_decoder_take(decoder, &out, NULL);
        assert_true(err == CF_E_TIMEOUT || err == CF_E_DECODER_DIED);
        assert_in_range(cf_clock_mono_ms() - start, 0, PATIENCE_MS);
        while (cf_decoder_in_hand(decoder))
            assert_int_equal(cf_decoder_take(decoder, &out, NULL), CF_OK);
        cf_decoder_free(decoder);
    }
}

/* ---- real pictures ---- */

static void test_real_picture(void **state)
{
    (void)state;
    struct cf_config config;
    struct cf_decoder *decoder = NULL;
    static struct cf_decoded out;
    static uint8_t pnm[32 + 200 * 100 * 3];
    configure(&config);
    assert_int_equal(cf_decoder_new(&config, &decoder, NULL), CF_OK);
    int head = snprintf((char *)pnm, 32, "P6\n200 100\n255\n");
    for (int i = 0; i < 200 * 100; i++)
        memcpy(pnm + head + i * 3, i % 200 < 100 ? "\xE0\x20\x20" : "\x20\x20\xE0", 3);
    struct cf_bytes file = {pnm, (size_t)head + 200 * 100 * 3};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cf_decoder_decode(decoder, file, &out, NULL), CF_OK);
        assert_int_equal(out.source_width, 200);
        assert_int_equal(out.source_height, 100);
        assert_false(out.partial);
        assert_in_range(out.rgb[0], 0xD8, 0xE8); /* red on the left, blue on the right */
        assert_in_range(out.rgb[(63 * 64 + 63) * 3 + 2], 0xD8, 0xE8);
        uint8_t again[CF_THUMB_RGB_BYTES];
        assert_int_equal(cf_thumb_decode((struct cf_bytes){out.jpeg, out.jpeg_bytes}, again, NULL), CF_OK);
        assert_memory_equal(again, out.rgb, sizeof again);
        struct cf_detail detail = {{0}};
        assert_int_equal(cf_decoder_decode(decoder, picture("no picture at all"), &out, &detail),
                         CF_E_NOT_AN_IMAGE);
        assert_true(detail.text[0] != '\0');
    }
    /* Its own output is a JPEG: the other decoder, in the sandbox. */
    static struct cf_decoded second;
    struct cf_bytes jpeg = {out.jpeg, out.jpeg_bytes};
    assert_int_equal(cf_decoder_decode(decoder, jpeg, &second, NULL), CF_OK);
    assert_int_equal(second.source_width, CF_THUMB_SIDE);
    cf_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_refusal_passes_through),
        cmocka_unit_test(test_nonsense_is_not_believed),
        cmocka_unit_test(test_sandbox),
        cmocka_unit_test(test_size_limits),
        cmocka_unit_test(test_idle_death_costs_nothing),
        cmocka_unit_test(test_keeper_death_is_told),
        cmocka_unit_test(test_children_leave_signals_to_the_worker),
        cmocka_unit_test(test_children_end_with_the_worker),
        cmocka_unit_test(test_each_in_its_turn),
        cmocka_unit_test(test_a_death_costs_nobody_behind),
        cmocka_unit_test(test_no_more_than_there_is_room),
        cmocka_unit_test(test_what_is_dropped_is_forgotten),
        cmocka_unit_test(test_killed_with_pictures_in_hand),
        cmocka_unit_test(test_orders_stay_read_only),
        cmocka_unit_test(test_no_picture_ends_the_worker),
        cmocka_unit_test(test_liars_are_charged),
        cmocka_unit_test(test_a_liar_buys_no_time),
        cmocka_unit_test(test_real_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
