#include "backends/raw_socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS_MAX 8
#define WAIT_MS 10000 /* for what is sure to come */

static int listen_fd;
static struct endpoint endpoint;
static int client_fds[CLIENTS_MAX];
static size_t clients;

/* With room for one connection that nobody has accepted, or two: listen(2). */
static int set_up(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)state;

    clients = 0;
    endpoint = (struct endpoint){.address_bytes = sizeof address};
    listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listen_fd, 0) < 0) {
        return -1;
    }
    return getsockname(listen_fd, (struct sockaddr *)&endpoint.address, &endpoint.address_bytes);
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < clients; i++) {
        (void)close(client_fds[i]);
    }
    return close(listen_fd);
}

static int client_open(void)
{
    int fd = raw_socket_open(&endpoint, SOCK_NONBLOCK);
    assert_true(fd >= 0 && clients < CLIENTS_MAX);
    client_fds[clients++] = fd;
    return fd;
}

static void test_raw_socket__is_connected_at_once_to_a_server_on_this_machine(void **state)
{
    (void)state;
    int fd = client_open();
    assert_int_equal(raw_socket_connect(fd, &endpoint), 0);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
    int accepted = accept(listen_fd, NULL, NULL);
    char byte = 0;
    assert_int_equal(recv(accepted, &byte, 1, 0), 1);
    assert_int_equal(byte, 'x');
    (void)close(accepted);
}

static void test_raw_socket__says_at_once_that_nobody_listens(void **state)
{
    (void)state;
    (void)close(listen_fd);
    assert_int_equal(raw_socket_connect(client_open(), &endpoint), -ECONNREFUSED);
    listen_fd = dup(STDERR_FILENO); /* for tear_down */
}

static void test_raw_socket__goes_on_connecting_to_who_does_not_answer_yet(void **state)
{
    int fd = -1;
    int result = 0;
    (void)state;
    while (result == 0) { /* until the queue is full, and the kernel drops who knocks */
        fd = client_open();
        result = raw_socket_connect(fd, &endpoint);
    }
    assert_int_equal(result, -EINPROGRESS);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EAGAIN);
    for (size_t i = 0; i < clients - 1; i++) {
        (void)close(accept(listen_fd, NULL, NULL));
    }
    /* Its next attempt, a second after the first one, is let in. */
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
    assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_raw_socket__is_connected_at_once_to_a_server_on_this_machine),
        TEST(test_raw_socket__says_at_once_that_nobody_listens),
        TEST(test_raw_socket__goes_on_connecting_to_who_does_not_answer_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
