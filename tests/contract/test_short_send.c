/* A request that does not go out at once while the answer already begins: test_short_send NAME, of
 * a model over epoll. URLs are shorter than any socket buffer, so the socket is made to seem full.
 */
#include "backends/clock.h"
#include "backends/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define FIRST_BYTES 10

static const struct bench_backend *backend;
static bool is_full;  /* the socket of the client, from its first send to its first input */
static unsigned sent; /* how often it has sent */

ssize_t __real_send(int fd, const void *data, size_t bytes, int flags);
int __real_epoll_pwait2(int fd, struct epoll_event *events, int count_max,
                        const struct timespec *timeout, const sigset_t *signals);

/* These stand in for the library's (ld --wrap). */
ssize_t __wrap_send(int fd, const void *data, size_t bytes, int flags);
int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int count_max,
                        const struct timespec *timeout, const sigset_t *signals);

ssize_t __wrap_send(int fd, const void *data, size_t bytes, int flags)
{
    if ((flags & MSG_MORE) != 0) { /* the server's */
        return __real_send(fd, data, bytes, flags & ~MSG_MORE);
    }
    if (sent++ == 0) {
        is_full = true;
        return __real_send(fd, data, FIRST_BYTES, flags);
    }
    if (is_full) {
        errno = EAGAIN;
        return -1;
    }
    return __real_send(fd, data, bytes, flags);
}

int __wrap_epoll_pwait2(int fd, struct epoll_event *events, int count_max,
                        const struct timespec *timeout, const sigset_t *signals)
{
    int count = __real_epoll_pwait2(fd, events, count_max, timeout, signals);

    if (count == 1 && is_full) {
        is_full = (events[0].events & EPOLLIN) == 0;
        events[0].events &= ~(uint32_t)EPOLLOUT;
        return events[0].events != 0;
    }
    return count;
}

static bool receive(int fd, char *text, size_t bytes_max, const char *until)
{
    size_t used = strlen(text);

    while (strstr(text, until) == NULL) {
        ssize_t bytes = recv(fd, text + used, bytes_max - used - 1, 0);
        if (bytes <= 0) {
            return false;
        }
        used += (size_t)bytes;
        text[used] = '\0';
    }
    return true;
}

static void put(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_MORE);
}

/* Answers the beginning of a request with an interim response, the whole with the real one. */
static void *serve(void *user)
{
    const int *listen_fd = user;
    const struct timeval limit = {.tv_sec = 5};
    char text[4096] = "";

    int fd = accept(*listen_fd, NULL, NULL);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (receive(fd, text, sizeof text, "GET ")) {
        put(fd, "HTTP/1.1 103 Early Hints\r\n\r\n");
    }
    if (receive(fd, text, sizeof text, "\r\n\r\n")) {
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    }
    (void)close(fd);
    return NULL;
}

static int listen_somewhere(char url[static 64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    (void)snprintf(url, 64, "http://127.0.0.1:%d/", ntohs(address.sin_port));
    return fd;
}

static void test_the_rest_of_a_request_goes_out_beside_its_answer(void **state)
{
    char url[64];
    pthread_t server;
    int listen_fd = listen_somewhere(url);
    const struct transfer_request request = {.url = url};
    struct transfer_result result = {0};
    const struct download_job job = {
        .struct_size = sizeof job,
        .requests = &request,
        .count = 1,
        .concurrency = 1,
        .loops = 1,
        .timeout_ns = 2 * NS_PER_S,
        .body_bytes_max = 4096,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .run_mark = "contract",
    };
    (void)state;

    assert_int_equal(pthread_create(&server, NULL, serve, &listen_fd), 0);
    assert_int_equal(backend->download_many(&job, &result), 0);
    (void)pthread_join(server, NULL);
    (void)close(listen_fd);
    assert_int_equal(result.status, TRANSFER_OK);
    assert_int_equal(result.body_bytes, 5);
    assert_true(sent >= 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rest_of_a_request_goes_out_beside_its_answer),
    };

    backend = argc == 2 ? backend_find(argv[1]) : NULL;
    if (backend == NULL) {
        (void)fprintf(stderr, "usage: test_short_send BACKEND\n");
        return 64;
    }
    return cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
}
