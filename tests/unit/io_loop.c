/* The event loop: real sockets over ipc and loopback TCP, both ends on one loop. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/clock.h"
#include "common/io/loop.h"

enum { PATIENCE_MS = 10000 };

/* What one socket heard last, and how much in all. */
struct ear {
    size_t count;
    size_t frames;
    bool truncated;
    char id[64];
    size_t id_len;
    char text[256];
    size_t last_len;
    struct cf_socket *reply_to; /* a ROUTER that answers "pong" */
    bool close_self;
};

struct pair {
    struct cf_loop *loop;
    struct cf_socket *router, *dealer;
    struct ear router_ear, dealer_ear;
    char folder[64], endpoint[128];
};

static void listen_to(void *arg, struct cf_socket *socket, const struct cf_frames *frames)
{
    struct ear *ear = arg;
    ear->count++;
    ear->frames = frames->count;
    ear->truncated = frames->truncated;
    struct cf_bytes last = frames->frame[frames->count - 1];
    ear->last_len = last.len;
    snprintf(ear->text, sizeof ear->text, "%.*s", last.len < 200 ? (int)last.len : 200,
             (const char *)last.data);
    if (frames->frame[0].len <= sizeof ear->id) {
        ear->id_len = frames->frame[0].len;
        memcpy(ear->id, frames->frame[0].data, ear->id_len);
    }
    if (ear->reply_to) {
        struct cf_bytes answer[] = {frames->frame[0], {(const uint8_t *)"pong", 4}};
        assert_int_equal(cf_socket_send(ear->reply_to, answer, 2), CF_OK);
    }
    if (ear->close_self)
        cf_socket_close(socket, 0);
}

static struct cf_bytes text(const char *words)
{
    return (struct cf_bytes){(const uint8_t *)words, strlen(words)};
}

static struct cf_socket *open_socket(struct pair *pair, enum cf_socket_type type, size_t bytes_max, int mark,
                                     struct ear *ear)
{
    struct cf_socket_options options = {.type = type,
                                        .message_bytes_max = bytes_max,
                                        .high_water_mark = mark,
                                        .on_message = type == CF_SOCKET_PUB ? NULL : listen_to,
                                        .arg = ear};
    struct cf_socket *socket = NULL;
    assert_int_equal(cf_socket_open(pair->loop, &options, &socket, NULL), CF_OK);
    return socket;
}

static void pair_start(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    snprintf(pair->folder, sizeof pair->folder, "/tmp/cf-io-XXXXXX");
    assert_non_null(mkdtemp(pair->folder));
    snprintf(pair->endpoint, sizeof pair->endpoint, "ipc://%s/sock", pair->folder);
    assert_int_equal(cf_loop_new_plain(&pair->loop, NULL), CF_OK);
}

static void pair_connect(struct pair *pair, size_t bytes_max, int mark)
{
    pair_start(pair);
    pair->router = open_socket(pair, CF_SOCKET_ROUTER, bytes_max, mark, &pair->router_ear);
    pair->dealer = open_socket(pair, CF_SOCKET_DEALER, bytes_max, mark, &pair->dealer_ear);
    assert_int_equal(cf_socket_bind(pair->router, pair->endpoint, NULL), CF_OK);
    assert_int_equal(cf_socket_connect(pair->dealer, pair->endpoint, NULL), CF_OK);
}

static void pair_end(struct pair *pair)
{
    char command[128];
    cf_loop_free(pair->loop, 0);
    snprintf(command, sizeof command, "%s/sock", pair->folder);
    unlink(command);
    assert_int_equal(rmdir(pair->folder), 0);
}

/* Turns the loop until `ear` heard `count` messages. */
static void turn_until(struct pair *pair, const struct ear *ear, size_t count)
{
    uint64_t end = cf_clock_mono_ms() + PATIENCE_MS;
    while (ear->count < count) {
        assert_true(cf_clock_mono_ms() < end);
        assert_int_equal(cf_loop_once(pair->loop, 100, NULL), CF_OK);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 100);
    pair.router_ear.reply_to = pair.router;
    struct cf_bytes ping[] = {text("head"), text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 2), CF_OK);
    turn_until(&pair, &pair.dealer_ear, 1);
    assert_int_equal(pair.router_ear.frames, 3);
    assert_string_equal(pair.router_ear.text, "ping");
    assert_false(pair.router_ear.truncated);
    assert_string_equal(pair.dealer_ear.text, "pong");
    pair_end(&pair);
}

static void test_empty_frames_survive(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 100);
    struct cf_bytes frames[] = {text("x"), {NULL, 0}};
    assert_int_equal(cf_socket_send(pair.dealer, frames, 2), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    assert_int_equal(pair.router_ear.frames, 3);
    assert_int_equal(pair.router_ear.last_len, 0);
    pair_end(&pair);
}

static void test_too_many_frames_are_truncated(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 100);
    struct cf_bytes frames[] = {text("a"), text("b"), text("c"), text("d")};
    assert_int_equal(cf_socket_send(pair.dealer, frames, 4), CF_OK); /* the router sees five */
    assert_int_equal(cf_socket_send(pair.dealer, frames, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    if (pair.router_ear.count == 1) {
        assert_true(pair.router_ear.truncated);
        assert_int_equal(pair.router_ear.frames, CF_FRAMES_MAX);
        assert_string_equal(pair.router_ear.text, "c");
    }
    turn_until(&pair, &pair.router_ear, 2);
    assert_false(pair.router_ear.truncated);
    assert_int_equal(pair.router_ear.frames, 2);
    assert_string_equal(pair.router_ear.text, "a");
    pair_end(&pair);
}

static void test_unknown_peer_is_unreachable(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 100);
    struct cf_bytes stray[] = {text("nobody"), text("hello"), text("body")};
    assert_int_equal(cf_socket_send(pair.router, stray, 3), CF_E_UNREACHABLE);
    /* Nothing of it is left half-sent: the next message arrives whole and alone. */
    struct cf_bytes ping[] = {text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    struct cf_bytes answer[] = {
        {(const uint8_t *)pair.router_ear.id, pair.router_ear.id_len}, text("one"), text("two")};
    assert_int_equal(cf_socket_send(pair.router, answer, 3), CF_OK);
    turn_until(&pair, &pair.dealer_ear, 1);
    assert_int_equal(pair.dealer_ear.frames, 2);
    assert_string_equal(pair.dealer_ear.text, "two");
    pair_end(&pair);
}

/* A peer that does not read: BUSY, and every message that was taken arrives whole when it reads again. */
static void test_full_peer_is_busy(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 10);
    struct cf_bytes ping[] = {text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    static uint8_t block[64 * 1024];
    struct cf_bytes flood[] = {
        {(const uint8_t *)pair.router_ear.id, pair.router_ear.id_len}, text("head"), {block, sizeof block}};
    size_t taken = 0;
    enum cf_err err = CF_OK;
    while (taken < 100000 && (err = cf_socket_send(pair.router, flood, 3)) == CF_OK)
        taken++;
    assert_int_equal(err, CF_E_BUSY);
    assert_true(taken >= 10);
    turn_until(&pair, &pair.dealer_ear, taken);
    assert_int_equal(pair.dealer_ear.frames, 2);
    assert_int_equal(pair.dealer_ear.last_len, sizeof block);
    pair_end(&pair);
}

/* Long messages to one that does not read: bounded in bytes long before the high-water mark. When it
 * reads again it gets all that was taken, and then more. */
static void test_bytes_to_a_peer_are_bounded(void **state)
{
    enum { BLOCK = 64 * 1024, BOUND = 1 << 20, MARK = 5000 };
    (void)state;
    struct pair pair;
    pair_start(&pair);
    const struct cf_socket_options options = {.type = CF_SOCKET_ROUTER,
                                              .high_water_mark = MARK,
                                              .inbound_mark = 4,
                                              .send_bytes_max = BOUND,
                                              .on_message = listen_to,
                                              .arg = &pair.router_ear};
    assert_int_equal(cf_socket_open(pair.loop, &options, &pair.router, NULL), CF_OK);
    assert_int_equal(cf_socket_bind(pair.router, pair.endpoint, NULL), CF_OK);
    pair.dealer = open_socket(&pair, CF_SOCKET_DEALER, 1 << 22, 2, &pair.dealer_ear);
    assert_int_equal(cf_socket_connect(pair.dealer, pair.endpoint, NULL), CF_OK);
    struct cf_bytes ping[] = {text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    static uint8_t block[4 * BOUND];
    struct cf_bytes id = {(const uint8_t *)pair.router_ear.id, pair.router_ear.id_len};
    struct cf_bytes whole[] = {id, {block, 3 * BOUND}}, flood[] = {id, {block, BLOCK}};
    /* One message may be longer than the bound. */
    assert_int_equal(cf_socket_send(pair.router, whole, 2), CF_OK);
    turn_until(&pair, &pair.dealer_ear, 1);
    size_t taken = 0, busy = 0;
    for (uint64_t end = cf_clock_mono_ms() + 200; cf_clock_mono_ms() < end;) {
        if (cf_socket_send(pair.router, flood, 2) == CF_OK)
            taken++;
        else
            busy++;
    }
    assert_true(busy > 0);
    assert_true(taken < MARK / 4); /* the bound, what the kernel holds, and what the reader has fetched */
    turn_until(&pair, &pair.dealer_ear, 1 + taken);
    assert_int_equal(pair.dealer_ear.last_len, BLOCK);
    assert_int_equal(cf_socket_send(pair.router, flood, 2), CF_OK);
    turn_until(&pair, &pair.dealer_ear, 2 + taken);
    pair_end(&pair);
}

static void test_dealer_without_peer_is_busy_when_full(void **state)
{
    (void)state;
    struct pair pair;
    pair_start(&pair);
    struct cf_socket *dealer = open_socket(&pair, CF_SOCKET_DEALER, 1 << 20, 5, &pair.dealer_ear);
    assert_int_equal(cf_socket_connect(dealer, pair.endpoint, NULL), CF_OK);
    struct cf_bytes frames[] = {text("a"), text("b")};
    for (int i = 0; i < 5; i++)
        assert_int_equal(cf_socket_send(dealer, frames, 2), CF_OK);
    assert_int_equal(cf_socket_send(dealer, frames, 2), CF_E_BUSY);
    pair_end(&pair);
}

static void test_oversized_message_is_refused(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1000, 100);
    static uint8_t block[1001];
    struct cf_bytes fits[] = {{block, 1000}}, exceeds[] = {{block, 1001}};
    assert_int_equal(cf_socket_send(pair.dealer, exceeds, 1), CF_OK);
    /* The connection is cut, with what was under way behind it; then it comes back. */
    uint64_t end = cf_clock_mono_ms() + PATIENCE_MS;
    while (pair.router_ear.count == 0 && cf_clock_mono_ms() < end) {
        enum cf_err err = cf_socket_send(pair.dealer, fits, 1);
        assert_true(err == CF_OK || err == CF_E_BUSY);
        assert_int_equal(cf_loop_once(pair.loop, 20, NULL), CF_OK);
    }
    assert_int_equal(pair.router_ear.last_len, 1000);
    pair_end(&pair);
}

static void test_batch_per_wake_is_bounded(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 10000);
    struct cf_bytes ping[] = {text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    while (pair.router_ear.count < 2001) {
        size_t before = pair.router_ear.count;
        assert_int_equal(cf_loop_once(pair.loop, 1000, NULL), CF_OK);
        assert_in_range(pair.router_ear.count - before, 0, 256);
    }
    pair_end(&pair);
}

static void test_socket_closed_in_its_own_callback(void **state)
{
    (void)state;
    struct pair pair;
    pair_connect(&pair, 1 << 20, 100);
    pair.router_ear.close_self = true;
    struct cf_bytes ping[] = {text("ping")};
    for (int i = 0; i < 3; i++)
        assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cf_loop_once(pair.loop, 1, NULL), CF_OK);
    assert_int_equal(pair.router_ear.count, 1);
    pair_end(&pair);
}

static void test_publish_and_subscribe(void **state)
{
    (void)state;
    struct pair pair;
    pair_start(&pair);
    struct ear ear = {0};
    struct cf_socket *pub = open_socket(&pair, CF_SOCKET_PUB, 1 << 20, 100, NULL);
    struct cf_socket *sub = open_socket(&pair, CF_SOCKET_SUB, 1 << 20, 100, &ear);
    char endpoint[128];
    assert_int_equal(cf_socket_bind(pub, "tcp://127.0.0.1:*", NULL), CF_OK);
    assert_int_equal(cf_socket_endpoint(pub, endpoint, sizeof endpoint, NULL), CF_OK);
    assert_null(strchr(endpoint, '*'));
    assert_int_equal(cf_socket_subscribe(sub, cf_str("dead"), NULL), CF_OK);
    assert_int_equal(cf_socket_connect(sub, endpoint, NULL), CF_OK);
    struct cf_bytes other[] = {text("stored"), text("x")}, wanted[] = {text("dead"), text("R-1")};
    uint64_t end = cf_clock_mono_ms() + PATIENCE_MS;
    while (ear.count == 0 && cf_clock_mono_ms() < end) { /* until the subscription has arrived */
        assert_int_equal(cf_socket_send(pub, other, 2), CF_OK);
        assert_int_equal(cf_socket_send(pub, wanted, 2), CF_OK);
        assert_int_equal(cf_loop_once(pair.loop, 5, NULL), CF_OK);
    }
    assert_true(ear.count > 0);
    assert_string_equal(ear.text, "R-1");
    assert_memory_equal(ear.id, "dead", 4);
    cf_loop_free(pair.loop, 0);
    assert_int_equal(rmdir(pair.folder), 0);
}

static void test_stale_ipc_file_is_taken_over(void **state)
{
    (void)state;
    struct pair pair;
    pair_start(&pair);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", pair.folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);

    struct cf_socket *router = open_socket(&pair, CF_SOCKET_ROUTER, 1 << 20, 100, &pair.router_ear);
    struct cf_detail detail = {{0}};
    assert_int_equal(cf_socket_bind(router, pair.endpoint, &detail), CF_E_LOCKED);
    assert_non_null(strstr(detail.text, pair.endpoint));
    struct stat info;
    assert_int_equal(stat(address.sun_path, &info), 0); /* the living one keeps its file */

    close(fd); /* as if its process had died: the file stays */
    assert_int_equal(stat(address.sun_path, &info), 0);
    assert_int_equal(cf_socket_bind(router, pair.endpoint, NULL), CF_OK);
    pair.dealer = open_socket(&pair, CF_SOCKET_DEALER, 1 << 20, 100, &pair.dealer_ear);
    assert_int_equal(cf_socket_connect(pair.dealer, pair.endpoint, NULL), CF_OK);
    struct cf_bytes ping[] = {text("ping")};
    assert_int_equal(cf_socket_send(pair.dealer, ping, 1), CF_OK);
    turn_until(&pair, &pair.router_ear, 1);
    pair_end(&pair);
}

static void test_bad_endpoints(void **state)
{
    (void)state;
    struct pair pair;
    pair_start(&pair);
    struct cf_socket *router = open_socket(&pair, CF_SOCKET_ROUTER, 1 << 20, 100, &pair.router_ear);
    struct cf_detail detail = {{0}};
    assert_int_equal(cf_socket_bind(router, "nonsense", &detail), CF_E_INVALID);
    assert_non_null(strstr(detail.text, "nonsense"));
    assert_int_equal(cf_socket_connect(router, "carrier-pigeon://x", NULL), CF_E_INVALID);
    assert_int_not_equal(cf_socket_bind(router, "ipc:///no/such/folder/sock", NULL), CF_OK);
    char path[200] = "ipc:///tmp/";
    memset(path + strlen(path), 'x', 150);
    assert_int_equal(cf_socket_bind(router, path, NULL), CF_E_INVALID);
    assert_int_equal(cf_socket_bind(router, "tcp://127.0.0.1:*", NULL), CF_OK);
    char taken[128];
    assert_int_equal(cf_socket_endpoint(router, taken, sizeof taken, NULL), CF_OK);
    struct cf_socket *second = open_socket(&pair, CF_SOCKET_ROUTER, 1 << 20, 100, &pair.router_ear);
    assert_int_equal(cf_socket_bind(second, taken, NULL), CF_E_LOCKED);
    cf_loop_free(pair.loop, 0);
    assert_int_equal(rmdir(pair.folder), 0);
}

/* ---- posts, descriptors, time, signals ---- */

enum { POSTS = 20000 };

struct posts {
    struct cf_loop *loop;
    uintptr_t next;
    bool in_order;
};

static void on_post(void *arg, void *item)
{
    struct posts *posts = arg;
    posts->in_order = posts->in_order && (uintptr_t)item == posts->next + 1;
    posts->next = (uintptr_t)item;
    if (posts->next == POSTS)
        cf_loop_stop(posts->loop);
}

static void *post_many(void *arg)
{
    struct posts *posts = arg;
    for (uintptr_t i = 1; i <= POSTS; i++) {
        if (i % 3 == 0) {
            if (cf_loop_post_reserve(posts->loop) != CF_OK)
                return NULL;
            cf_loop_post_reserved(posts->loop, (void *)i);
        } else if (cf_loop_post(posts->loop, (void *)i) != CF_OK) {
            return NULL;
        }
    }
    return posts;
}

static void test_posts_arrive_in_order(void **state)
{
    (void)state;
    struct posts posts = {.in_order = true};
    assert_int_equal(cf_loop_new(&posts.loop, NULL), CF_OK);
    cf_loop_on_post(posts.loop, on_post, &posts);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_many, &posts), 0);
    assert_int_equal(cf_loop_run(posts.loop, NULL), CF_OK);
    void *result;
    pthread_join(thread, &result);
    assert_ptr_equal(result, &posts);
    assert_true(posts.in_order);
    cf_loop_free(posts.loop, 0);
}

struct pipe_reader {
    struct cf_loop *loop;
    int reads;
};

static void on_readable(void *arg, int fd)
{
    struct pipe_reader *reader = arg;
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    reader->reads++;
    cf_loop_remove_fd(reader->loop, fd);
}

static void test_watched_descriptor(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct pipe_reader reader = {0};
    assert_int_equal(cf_loop_new_plain(&reader.loop, NULL), CF_OK);
    assert_int_equal(cf_loop_add_fd(reader.loop, ends[0], on_readable, &reader), CF_OK);
    assert_int_equal(write(ends[1], "ab", 2), 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cf_loop_once(reader.loop, 0, NULL), CF_OK);
    assert_int_equal(reader.reads, 1); /* removed by its own callback, though one byte is left */
    cf_loop_free(reader.loop, 0);
    close(ends[0]);
    close(ends[1]);
}

struct ticks {
    struct cf_loop *loop;
    int count;
};

static uint64_t on_tick(void *arg, uint64_t now_ms)
{
    struct ticks *ticks = arg;
    assert_in_range(cf_clock_mono_ms() - now_ms, 0, 1000);
    if (++ticks->count == 5)
        cf_loop_stop(ticks->loop);
    return 10;
}

static void test_tick_comes_when_asked(void **state)
{
    (void)state;
    struct ticks ticks = {0};
    assert_int_equal(cf_loop_new_plain(&ticks.loop, NULL), CF_OK);
    cf_loop_on_tick(ticks.loop, on_tick, &ticks);
    uint64_t start = cf_clock_mono_ms();
    assert_int_equal(cf_loop_run(ticks.loop, NULL), CF_OK);
    assert_int_equal(ticks.count, 5);
    assert_in_range(cf_clock_mono_ms() - start, 39, PATIENCE_MS); /* the first at once, then four waits */
    cf_loop_free(ticks.loop, 0);
}

static void on_stop(void *arg)
{
    struct ticks *ticks = arg;
    ticks->count++;
    cf_loop_stop(ticks->loop);
}

static void test_signal_stops_the_loop(void **state)
{
    (void)state;
    struct ticks ticks = {0};
    assert_int_equal(cf_loop_new(&ticks.loop, NULL), CF_OK);
    cf_loop_on_stop(ticks.loop, on_stop, &ticks);
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    assert_int_equal(cf_loop_run(ticks.loop, NULL), CF_OK);
    assert_int_equal(ticks.count, 1);
    cf_loop_free(ticks.loop, 0);
}

static void on_stop_hang(void *arg)
{
    (void)arg;
    kill(getpid(), SIGINT);
    for (;;)
        pause();
}

static void test_second_signal_ends_the_process(void **state)
{
    (void)state;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct cf_loop *loop;
        if (cf_loop_new(&loop, NULL) != CF_OK)
            _exit(3);
        cf_loop_on_stop(loop, on_stop_hang, NULL);
        kill(getpid(), SIGTERM);
        _exit(cf_loop_run(loop, NULL) == CF_OK ? 4 : 5);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGINT);
}

static void test_plain_loop_leaves_signals_alone(void **state)
{
    (void)state;
    sigset_t before, after;
    sigemptyset(&before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    struct cf_loop *loop;
    assert_int_equal(cf_loop_new_plain(&loop, NULL), CF_OK);
    assert_int_equal(cf_loop_once(loop, 0, NULL), CF_OK);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), 0);
    assert_int_equal(sigismember(&after, SIGPIPE), 0);
    cf_loop_free(loop, 0);
    cf_loop_free(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_loop_leaves_signals_alone),
        cmocka_unit_test(test_second_signal_ends_the_process),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bytes_to_a_peer_are_bounded),
        cmocka_unit_test(test_empty_frames_survive),
        cmocka_unit_test(test_too_many_frames_are_truncated),
        cmocka_unit_test(test_unknown_peer_is_unreachable),
        cmocka_unit_test(test_full_peer_is_busy),
        cmocka_unit_test(test_dealer_without_peer_is_busy_when_full),
        cmocka_unit_test(test_oversized_message_is_refused),
        cmocka_unit_test(test_batch_per_wake_is_bounded),
        cmocka_unit_test(test_socket_closed_in_its_own_callback),
        cmocka_unit_test(test_publish_and_subscribe),
        cmocka_unit_test(test_stale_ipc_file_is_taken_over),
        cmocka_unit_test(test_bad_endpoints),
        cmocka_unit_test(test_posts_arrive_in_order),
        cmocka_unit_test(test_watched_descriptor),
        cmocka_unit_test(test_tick_comes_when_asked),
        cmocka_unit_test(test_signal_stops_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
