/* A request costs the server no allocation: the heap functions of this program are counted. */
#include "mockserver/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

#define CONNECTIONS 8
#define REQUESTS 4000

static atomic_size_t allocations;

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

__attribute__((visibility("default"))) void *malloc(size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, bytes);
}

__attribute__((visibility("default"))) void *realloc(void *memory, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, bytes);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t alignment, size_t bytes)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, bytes);
}

static struct server server;
static struct options options;

static int start(char **arguments, int count)
{
    struct corpus corpus;
    const char *problem = NULL;
    options_parse(count, arguments, &options);
    if (corpus_init_builtin(&corpus) != 0) {
        return -1;
    }
    return server_init(&server, &options, &corpus, &problem);
}

static int dial(void)
{
    unsigned port = 0;
    assert_int_equal(sscanf(server.listener.url, "http://127.0.0.1:%u", &port), 1);
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void receive_reply(int fd)
{
    static char buffer[1 << 20];
    size_t got = 0;
    for (;;) {
        ssize_t bytes = recv(fd, buffer + got, sizeof(buffer) - 1 - got, 0);
        assert_true(bytes > 0);
        got += (size_t)bytes;
        buffer[got] = '\0';
        const char *end = strstr(buffer, "\r\n\r\n");
        const char *length = strstr(buffer, "Content-Length: ");
        if (end != NULL && length != NULL &&
            got == (size_t)(end + 4 - buffer) + strtoul(length + 16, NULL, 10)) {
            return;
        }
    }
}

/* Of every kind: made before, sized, wrong on purpose, not there, delayed. */
static void ask_all(const int fds[CONNECTIONS], unsigned rounds)
{
    static const char *const targets[] = {
        "/flags/cn/cn.gif",
        "/flags/br/metadata.json",
        "/flags/cn/cn.gif?size=200000",
        "/flags/zz/zz.gif",
        "/flags/us/us.gif?fault=status:503",
        "/flags/de/de.gif?delay=100us",
        "/flags/%63n/cn.gif",
        "/nothing",
    };
    unsigned number = 0;
    for (unsigned round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CONNECTIONS; i++) {
            char text[256];
            size_t target = (round + i) % (sizeof(targets) / sizeof(targets[0]));
            int bytes =
                snprintf(text, sizeof(text),
                         "GET %s HTTP/1.1\r\nHost: h\r\nX-Bench: run=a;req=%u;try=1\r\n\r\n",
                         targets[target], number++);
            assert_int_equal(send(fds[i], text, (size_t)bytes, 0), bytes);
        }
        for (size_t i = 0; i < CONNECTIONS; i++) {
            receive_reply(fds[i]);
        }
    }
}

static void test_server__allocates_nothing_for_a_request(void **state)
{
    static char name[] = "mockserver";
    static char loops[] = "--loops=2";
    char *arguments[] = {name, loops, NULL};
    int fds[CONNECTIONS];
    (void)state;
    assert_int_equal(start(arguments, 2), 0);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = dial();
    }
    ask_all(fds, 10); /* what is made once, such as the streams of this program */
    size_t before = atomic_load(&allocations);
    ask_all(fds, REQUESTS / CONNECTIONS);
    assert_int_equal(atomic_load(&allocations) - before, 0);
    assert_true(before > 0); /* it does count */
    for (size_t i = 0; i < CONNECTIONS; i++) {
        (void)close(fds[i]);
    }
    server_release(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server__allocates_nothing_for_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    (void)puts("skipped: a sanitizer, or another C library, has the heap functions");
    return 77;
}

#endif
