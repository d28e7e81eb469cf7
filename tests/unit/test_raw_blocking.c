/* Blocking calls that must come back all the same: in time, and not before. */
#include "backends/clock.h"
#include "backends/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
#define TIMEOUT_NS (300 * NS_PER_MS)
#define ROOM_NS (700 * NS_PER_MS) /* for a machine that is busy with something else */
#define FILLERS 8

static const char *const names[] = {"raw_sequential", "raw_threads"};
#define NAMES (sizeof names / sizeof names[0])

/* One connection at a time: the head after a while, then a byte every now and then. */
struct slow_server {
    pthread_t thread;
    int fd;
    int stop[2]; /* a pipe: closed to stop */
    int port;
    int head_after_ms;
    int byte_every_ms;
    size_t bytes; /* of the body, before it falls silent */
};

/* @return false when it is time to stop */
static bool server_sleep(const struct slow_server *server, int ms)
{
    struct pollfd stop = {.fd = server->stop[0], .events = POLLIN};

    return poll(&stop, 1, ms) == 0;
}

static void server_answer(const struct slow_server *server, int fd)
{
    char request[1024];

    if (recv(fd, request, sizeof request, 0) <= 0 || !server_sleep(server, server->head_after_ms)) {
        return;
    }
    (void)send(fd, HEAD, strlen(HEAD), MSG_NOSIGNAL);
    for (size_t i = 0; i < server->bytes; i++) {
        if (server->byte_every_ms > 0 && !server_sleep(server, server->byte_every_ms)) {
            return;
        }
        if (send(fd, "x", 1, MSG_NOSIGNAL) < 0) {
            return;
        }
    }
    (void)recv(fd, request, sizeof request, 0); /* until the client has had enough */
}

static void *server_main(void *user)
{
    struct slow_server *server = user;
    struct pollfd ready[2] = {
        {.fd = server->fd, .events = POLLIN},
        {.fd = server->stop[0], .events = POLLIN},
    };

    while (poll(ready, 2, -1) > 0 && ready[1].revents == 0) {
        int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            server_answer(server, fd);
            (void)close(fd);
        }
    }
    return NULL;
}

static int listen_on_loopback(int backlog, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void server_start(struct slow_server *server)
{
    sigset_t all;
    sigset_t before;

    server->fd = listen_on_loopback(8, &server->port);
    assert_int_equal(pipe(server->stop), 0);
    /* Signals are for the thread that waits for answers. */
    (void)sigfillset(&all);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &all, &before), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, server_main, server), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

static void server_stop(struct slow_server *server)
{
    (void)close(server->stop[1]);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->stop[0]);
    (void)close(server->fd);
}

/* One request. @return how long it took */
static uint64_t run(const char *name, int port, const struct download_hooks *hooks,
                    uint64_t timeout_ns, struct transfer_result *result)
{
    char url[64];
    const struct bench_backend *backend = backend_find(name);
    const struct transfer_request request = {.url = url};
    const struct download_job job = {
        .struct_size = sizeof job,
        .requests = &request,
        .count = 1,
        .concurrency = 1,
        .loops = 1,
        .timeout_ns = timeout_ns,
        .body_bytes_max = 1u << 20,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .hooks = hooks,
    };

    assert_non_null(backend);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d/", port);
    *result = (struct transfer_result){0};
    uint64_t begun_ns = clock_now_ns();
    assert_int_equal(backend->download_many(&job, result), 0);
    return clock_now_ns() - begun_ns;
}

static void assert_times_out(const char *name, int port)
{
    struct transfer_result result;

    uint64_t took_ns = run(name, port, NULL, TIMEOUT_NS, &result);
    assert_int_equal(result.status, TRANSFER_TIMEOUT);
    assert_true(result.finished_ns - result.started_ns >= TIMEOUT_NS);
    assert_true(took_ns < TIMEOUT_NS + ROOM_NS);
}

static void test_raw_blocking__times_out_when_nothing_comes(void **state)
{
    struct slow_server server = {.head_after_ms = 60000};
    (void)state;

    server_start(&server);
    for (size_t i = 0; i < NAMES; i++) {
        assert_times_out(names[i], server.port);
    }
    server_stop(&server);
}

static void test_raw_blocking__times_out_while_bytes_trickle_in(void **state)
{
    struct slow_server server = {.byte_every_ms = 20, .bytes = 1000};
    (void)state;

    server_start(&server);
    for (size_t i = 0; i < NAMES; i++) {
        assert_times_out(names[i], server.port);
    }
    server_stop(&server);
}

/* Nobody accepts, and so many wait for it already that the kernel drops the next one's SYN. */
static void test_raw_blocking__times_out_while_connecting(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fillers[FILLERS];
    int port = 0;
    (void)state;

    int fd = listen_on_loopback(0, &port);
    address.sin_port = htons((uint16_t)port);
    for (size_t i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(fillers[i] >= 0);
        (void)connect(fillers[i], (struct sockaddr *)&address, sizeof address);
    }
    for (size_t i = 0; i < NAMES; i++) {
        assert_times_out(names[i], port);
    }
    for (size_t i = 0; i < FILLERS; i++) {
        (void)close(fillers[i]);
    }
    (void)close(fd);
}

static int is_late(void *user)
{
    const uint64_t *stop_ns = user;

    return clock_now_ns() >= *stop_ns;
}

static void assert_cancels(struct slow_server *server)
{
    uint64_t stop_ns = 0;
    const struct download_hooks hooks = {.user = &stop_ns, .cancelled = is_late};

    server_start(server);
    for (size_t i = 0; i < NAMES; i++) {
        struct transfer_result result;
        stop_ns = clock_now_ns() + 50 * NS_PER_MS;
        (void)run(names[i], server->port, &hooks, 60 * NS_PER_S, &result);
        assert_int_equal(result.status, TRANSFER_CANCELLED);
        assert_true(result.finished_ns >= stop_ns);
        assert_true(result.finished_ns < stop_ns + 100 * NS_PER_MS + ROOM_NS);
    }
    server_stop(server);
}

static void test_raw_blocking__stops_when_told_while_nothing_comes(void **state)
{
    struct slow_server server = {.head_after_ms = 60000};
    (void)state;
    assert_cancels(&server);
}

static void test_raw_blocking__stops_when_told_while_bytes_trickle_in(void **state)
{
    struct slow_server server = {.byte_every_ms = 2, .bytes = 1000};
    (void)state;
    assert_cancels(&server);
}

static void ignore_signal(int number)
{
    (void)number;
}

static void test_raw_blocking__goes_on_after_signals(void **state)
{
    struct slow_server server = {.head_after_ms = 100, .bytes = 1000};
    struct sigaction action = {.sa_handler = ignore_signal}; /* without SA_RESTART */
    struct sigaction before;
    const struct itimerval often = {.it_interval.tv_usec = 3000, .it_value.tv_usec = 3000};
    const struct itimerval never = {0};
    struct transfer_result result;
    (void)state;

    server_start(&server);
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (size_t i = 0; i < NAMES; i++) {
        (void)run(names[i], server.port, NULL, 60 * NS_PER_S, &result);
        assert_int_equal(result.status, TRANSFER_OK);
        assert_int_equal(result.body_bytes, 1000);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    server_stop(&server);
}

/* Woken early by the patience of a wait before, it waits on. */
static void test_raw_blocking__waits_longer_than_a_socket_is_told_to(void **state)
{
    struct slow_server server = {.head_after_ms = 1300, .bytes = 1000};
    struct transfer_result result;
    (void)state;

    server_start(&server);
    for (size_t i = 0; i < NAMES; i++) {
        (void)run(names[i], server.port, NULL, 60 * NS_PER_S, &result);
        assert_int_equal(result.status, TRANSFER_OK);
    }
    server_stop(&server);
}

/* All but an eighth of it is a second less 125 ns, which is no number of microseconds. */
static void test_raw_blocking__can_be_told_to_wait_for_almost_a_second(void **state)
{
    struct slow_server server = {.bytes = 1000};
    struct transfer_result result;
    (void)state;

    server_start(&server);
    for (size_t i = 0; i < NAMES; i++) {
        (void)run(names[i], server.port, NULL, 1142857000, &result);
        assert_int_equal(result.status, TRANSFER_OK);
    }
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw_blocking__times_out_when_nothing_comes),
        cmocka_unit_test(test_raw_blocking__times_out_while_bytes_trickle_in),
        cmocka_unit_test(test_raw_blocking__times_out_while_connecting),
        cmocka_unit_test(test_raw_blocking__stops_when_told_while_nothing_comes),
        cmocka_unit_test(test_raw_blocking__stops_when_told_while_bytes_trickle_in),
        cmocka_unit_test(test_raw_blocking__goes_on_after_signals),
        cmocka_unit_test(test_raw_blocking__waits_longer_than_a_socket_is_told_to),
        cmocka_unit_test(test_raw_blocking__can_be_told_to_wait_for_almost_a_second),
    };
    return cmocka_run_group_tests_name("raw_blocking", tests, NULL, NULL);
}
