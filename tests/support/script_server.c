#include "script_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The whole request is read first: closing with unread bytes would turn a FIN into a RST. */
static bool read_request(int fd, char *text, size_t text_bytes)
{
    size_t used = 0;

    while (used + 1 < text_bytes) {
        ssize_t bytes = recv(fd, text + used, text_bytes - used - 1, 0);
        if (bytes <= 0) {
            return false;
        }
        used += (size_t)bytes;
        text[used] = '\0';
        if (strstr(text, "\r\n\r\n") != NULL) {
            return true;
        }
    }
    return false;
}

static const struct script_answer *find(const struct script_server *server, const char *request)
{
    for (size_t i = 0; i < server->count; i++) {
        size_t bytes = strlen(server->answers[i].path);
        if (strncmp(request, "GET ", 4) == 0 &&
            strncmp(request + 4, server->answers[i].path, bytes) == 0 &&
            request[4 + bytes] == ' ') {
            return &server->answers[i];
        }
    }
    return NULL;
}

static void put_answer(const struct script_server *server, const struct script_answer *answer,
                       int fd)
{
    char text[1024];
    const char *mark = strstr(answer->bytes, "%s");

    if (mark == NULL) {
        (void)snprintf(text, sizeof text, "%s", answer->bytes);
    } else {
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - answer->bytes), answer->bytes,
                       server->origin, mark + 2);
    }
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL);
    char padding[4096];
    memset(padding, 'x', sizeof padding);
    for (size_t left = answer->padding_bytes; left > 0;) {
        size_t bytes = left < sizeof padding ? left : sizeof padding;
        if (send(fd, padding, bytes, MSG_NOSIGNAL) < 0) {
            break;
        }
        left -= bytes;
    }
}

static void put_unasked(const struct script_server *server, const struct script_answer *answer,
                        int fd)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 5;
    (void)sem_timedwait(&server->signals->answered, &until);
    (void)send(fd, answer->unasked, strlen(answer->unasked), MSG_NOSIGNAL);
    if (!answer->keep) {
        (void)shutdown(fd, SHUT_WR);
    }
    (void)sem_post(&server->signals->unasked_sent);
}

/* @return whether the connection goes on */
static bool serve_one(const struct script_server *server, int fd)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    char request[4096];

    if (!read_request(fd, request, sizeof request)) {
        return false;
    }
    const struct script_answer *answer = find(server, request);
    if (answer == NULL) {
        return false;
    }
    put_answer(server, answer, fd);
    if (answer->unasked != NULL) {
        put_unasked(server, answer, fd);
    }
    if (answer->reset) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    return answer->keep;
}

static void serve(const struct script_server *server, int fd)
{
    struct timeval limit = {.tv_sec = 5};

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    while (serve_one(server, fd)) {
        /* the next request */
    }
    (void)close(fd);
}

static _Noreturn void run(const struct script_server *server)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        int fd = accept(server->listen_fd, NULL, NULL);
        if (fd < 0) {
            _exit(EXIT_SUCCESS); /* shut down */
        }
        serve(server, fd);
    }
}

static struct script_signals *signals_new(void)
{
    struct script_signals *signals =
        mmap(NULL, sizeof *signals, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(signals != MAP_FAILED);
    assert_int_equal(sem_init(&signals->answered, 1, 0), 0);
    assert_int_equal(sem_init(&signals->unasked_sent, 1, 0), 0);
    return signals;
}

void script_server_start(struct script_server *server, const struct script_answer *answers,
                         size_t count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;

    *server = (struct script_server){.answers = answers, .count = count};
    server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listen_fd >= 0);
    assert_int_equal(bind(server->listen_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listen_fd, 64), 0);
    assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &bytes), 0);
    (void)snprintf(server->origin, sizeof server->origin, "http://127.0.0.1:%d",
                   ntohs(address.sin_port));
    server->signals = signals_new();
    server->pid = fork();
    assert_true(server->pid >= 0);
    if (server->pid == 0) {
        run(server);
    }
}

void script_server_stop(struct script_server *server)
{
    int status = -1;

    (void)shutdown(server->listen_fd, SHUT_RDWR); /* makes accept return */
    assert_int_equal(waitpid(server->pid, &status, 0), server->pid);
    assert_int_equal(status, 0);
    (void)close(server->listen_fd);
    (void)sem_destroy(&server->signals->answered);
    (void)sem_destroy(&server->signals->unasked_sent);
    (void)munmap(server->signals, sizeof *server->signals);
}
