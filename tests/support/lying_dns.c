#include "lying_dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HEAD_BYTES 12
#define RECORD_BYTES 16
#define MESSAGE_BYTES 512
#define ANSWER_BYTES (MESSAGE_BYTES + LYING_DNS_MANY * RECORD_BYTES)
#define STOP_POLL_MS 20
#define DRIP_MS 10
#define ROOM_TURNS 10    /* of STOP_POLL_MS, since the latest question */
#define FLAG_ANSWER 0x80 /* QR, in byte 2 */
#define FLAG_TRUNCATED 0x02

/* Who asked, and what: to be answered again and again. */
struct question {
    struct sockaddr_in client;
    uint8_t data[MESSAGE_BYTES]; /* head and question, without what may follow */
    size_t bytes;
};

/* @return the bytes of head and question; 0 when there is no whole question */
static size_t question_bytes(const uint8_t *data, size_t bytes)
{
    size_t at = HEAD_BYTES;

    while (at < bytes && data[at] != 0) {
        at += (size_t)data[at] + 1;
    }
    return at + 5 <= bytes ? at + 5 : 0;
}

/* @return its bytes */
static size_t write_answer(const struct question *question, const uint32_t *addresses, size_t count,
                           uint8_t *out)
{
    const uint8_t record[] = {0xc0, HEAD_BYTES, 0, 1, 0, 1, 0, 0, 0, LYING_DNS_TTL_S, 0, 4};
    uint8_t *at = out + question->bytes;

    memcpy(out, question->data, question->bytes);
    out[2] |= FLAG_ANSWER;
    memset(out + 6, 0, 6);
    out[7] = (uint8_t)count; /* ANCOUNT */
    for (size_t i = 0; i < count; i++) {
        const uint32_t in_order = htonl(addresses[i]);
        memcpy(at, record, sizeof record);
        memcpy(at + sizeof record, &in_order, sizeof in_order);
        at += RECORD_BYTES;
    }
    return (size_t)(at - out);
}

/* @return its bytes */
static size_t write_truth(const struct lying_dns *server, const struct question *question,
                          uint8_t *out)
{
    uint32_t addresses[LYING_DNS_MANY] = {LYING_DNS_TRUTH};
    size_t count = server->lie == DNS_TRUTH_NO_DATA ? 0 : 1;

    if (server->lie == DNS_TRUTH_MANY) {
        count = LYING_DNS_MANY;
        for (size_t i = 0; i < count; i++) {
            addresses[i] = LYING_DNS_TRUTH + (uint32_t)((i + server->questions) % count);
        }
    }
    return write_answer(question, addresses, count, out);
}

/* @return its bytes */
static size_t write_lie(enum dns_lie lie, const struct question *question, uint8_t *out)
{
    size_t bytes = write_answer(question, &(uint32_t){LYING_DNS_LIE}, 1, out);

    switch (lie) {
    case DNS_LIE_SHORT:
        return 5;
    case DNS_LIE_GARBAGE:
        for (size_t i = 0; i < bytes; i++) {
            out[i] = (uint8_t)(i * 151 + 89);
        }
        return bytes;
    case DNS_LIE_ID:
    case DNS_LIE_FLOOD:
    case DNS_LIE_DRIP:
        out[0] ^= 0x55;
        return bytes;
    case DNS_LIE_QUESTION:
        out[HEAD_BYTES + 1] ^= 0x01;
        return bytes;
    case DNS_LIE_ECHO:
        memcpy(out, question->data, question->bytes);
        return question->bytes;
    case DNS_LIE_CUT:
        return bytes - 2;
    case DNS_LIE_LOOP:
        out[question->bytes + 1] = (uint8_t)question->bytes;
        return bytes;
    case DNS_LIE_NOT_AUTH:
        out[3] = (uint8_t)((out[3] & 0xf0) | 9);
        out[7] = 0;
        return question->bytes;
    case DNS_TRUTH_OVER_TCP:
    case DNS_TRUTH_LATE_TCP:
        out[2] |= FLAG_TRUNCATED;
        out[7] = 0;
        return question->bytes;
    default:
        return bytes;
    }
}

static void send_to(int fd, const struct question *question, const uint8_t *data, size_t bytes)
{
    (void)sendto(fd, data, bytes, MSG_DONTWAIT, (const struct sockaddr *)&question->client,
                 sizeof question->client);
}

static void send_truth(const struct lying_dns *server, const struct question *question)
{
    uint8_t out[ANSWER_BYTES];

    send_to(server->udp_fd, question, out, write_truth(server, question, out));
}

static void send_lie(const struct lying_dns *server, const struct question *question)
{
    uint8_t out[ANSWER_BYTES];
    size_t bytes = write_lie(server->lie, question, out);

    send_to(server->lie == DNS_LIE_PORT ? server->other_fd : server->udp_fd, question, out, bytes);
}

static bool tells_truth(enum dns_lie lie)
{
    return lie == DNS_LIE_NONE || lie == DNS_TRUTH_TWICE || lie == DNS_TRUTH_MANY ||
           lie == DNS_TRUTH_NO_DATA;
}

static void answer(const struct lying_dns *server, const struct question *question)
{
    if (tells_truth(server->lie)) {
        send_truth(server, question);
    } else {
        send_lie(server, question);
    }
    if (server->then_truth || server->lie == DNS_TRUTH_TWICE) {
        send_truth(server, question);
    }
}

static bool hear_udp(struct lying_dns *server, struct question *question)
{
    uint8_t data[MESSAGE_BYTES];
    socklen_t address_bytes = sizeof question->client;

    ssize_t bytes = recvfrom(server->udp_fd, data, sizeof data, MSG_DONTWAIT,
                             (struct sockaddr *)&question->client, &address_bytes);
    question->bytes = bytes > 0 ? question_bytes(data, (size_t)bytes) : 0;
    if (question->bytes == 0 || server->questions == LYING_DNS_QUESTIONS_MAX) {
        return false;
    }
    memcpy(question->data, data, question->bytes);
    server->ports[server->questions++] = ntohs(question->client.sin_port);
    return true;
}

/* One question over TCP (RFC 1035 section 4.2.2), its answer, and the end. */
static void serve_tcp(struct lying_dns *server)
{
    const struct timeval patience = {.tv_sec = 5};
    struct question question = {.bytes = 0};
    uint8_t data[2 + MESSAGE_BYTES];
    uint8_t out[2 + ANSWER_BYTES];

    int fd = accept4(server->tcp_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ssize_t bytes = recv(fd, data, sizeof data, 0); /* loopback brings it in one piece */
    server->streams += bytes > 0;
    question.bytes = bytes > 2 ? question_bytes(data + 2, (size_t)bytes - 2) : 0;
    if (question.bytes > 0) {
        memcpy(question.data, data + 2, question.bytes);
        size_t out_bytes = write_truth(server, &question, out + 2);
        out[0] = (uint8_t)(out_bytes >> 8);
        out[1] = (uint8_t)out_bytes;
        (void)send(fd, out, 2 + out_bytes, MSG_NOSIGNAL);
    }
    (void)close(fd);
}

/* Leave no room for a connection: its first SYN is lost, and comes again after a second (RFC 6298
 * section 2). */
static void fill_up(struct lying_dns *server)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;

    assert_int_equal(getsockname(server->tcp_fd, (struct sockaddr *)&address, &bytes), 0);
    server->filler_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(server->filler_fd, (struct sockaddr *)&address, bytes), 0);
}

/* When the SYN is lost. */
static void make_room(struct lying_dns *server)
{
    (void)close(server->filler_fd);
    server->filler_fd = -1;
}

static void *serve(void *user)
{
    struct lying_dns *server = user;
    struct question question = {.bytes = 0};
    int idle_turns = 0;

    while (!atomic_load(&server->stop)) {
        struct pollfd polled[] = {{.fd = server->udp_fd, .events = POLLIN},
                                  {.fd = server->tcp_fd, .events = POLLIN}};
        bool repeats =
            question.bytes > 0 && (server->lie == DNS_LIE_FLOOD || server->lie == DNS_LIE_DRIP);
        int patience_ms = !repeats ? STOP_POLL_MS : server->lie == DNS_LIE_FLOOD ? 0 : DRIP_MS;
        int ready = poll(polled, server->filler_fd < 0 ? 2 : 1, patience_ms);
        idle_turns = ready > 0 ? 0 : idle_turns + 1;
        if (server->filler_fd >= 0 && question.bytes > 0 && idle_turns == ROOM_TURNS) {
            make_room(server);
            continue;
        }
        if (repeats) {
            send_lie(server, &question);
        }
        if (ready > 0 && polled[0].revents != 0 && hear_udp(server, &question)) {
            answer(server, &question);
        }
        if (ready > 0 && server->filler_fd < 0 && polled[1].revents != 0) {
            serve_tcp(server);
        }
    }
    return NULL;
}

static int bound_socket(int type, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t bytes = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        (void)close(fd);
        return -1;
    }
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

void lying_dns_start(struct lying_dns *server, enum dns_lie lie, bool then_truth)
{
    uint16_t port = 0;
    uint16_t other_port = 0;

    *server =
        (struct lying_dns){.lie = lie, .then_truth = then_truth, .tcp_fd = -1, .filler_fd = -1};
    for (int i = 0; i < 100 && server->tcp_fd < 0; i++) { /* a port that is free of both kinds */
        if (i > 0) {
            (void)close(server->udp_fd);
        }
        port = 0;
        server->udp_fd = bound_socket(SOCK_DGRAM, &port);
        server->tcp_fd = bound_socket(SOCK_STREAM, &port);
    }
    assert_true(server->tcp_fd >= 0);
    assert_int_equal(listen(server->tcp_fd, lie == DNS_TRUTH_LATE_TCP ? 0 : 16), 0);
    if (lie == DNS_TRUTH_LATE_TCP) {
        fill_up(server);
    }
    server->other_fd = bound_socket(SOCK_DGRAM, &other_port);
    (void)snprintf(server->address, sizeof server->address, "127.0.0.1:%u", (unsigned)port);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

void lying_dns_stop(struct lying_dns *server)
{
    atomic_store(&server->stop, true);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    (void)close(server->udp_fd);
    (void)close(server->other_fd);
    (void)close(server->tcp_fd);
    if (server->filler_fd >= 0) {
        (void)close(server->filler_fd);
    }
}

size_t lying_dns_ports(const struct lying_dns *server)
{
    size_t count = 0;

    for (size_t i = 0; i < server->questions; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) {
            seen = server->ports[k] == server->ports[i];
        }
        count += !seen;
    }
    return count;
}
