/**
 * A DNS server that lies, or tells the truth in an unusual way: for answers that the mock server
 * would never give. It hears UDP and TCP on one port of 127.0.0.1.
 */
#ifndef TEST_LYING_DNS_H
#define TEST_LYING_DNS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LYING_DNS_QUESTIONS_MAX 256
#define LYING_DNS_TRUTH 0xc0000201u /* 192.0.2.1: the true address of every name */
#define LYING_DNS_MANY 3
#define LYING_DNS_TTL_S 60        /* who keeps answers may keep these */
#define LYING_DNS_LIE 0xc6336401u /* 198.51.100.1: what the lies say */

enum dns_lie {
    DNS_LIE_NONE,
    DNS_LIE_SHORT,      /* no whole head */
    DNS_LIE_GARBAGE,    /* nothing that makes sense */
    DNS_LIE_ID,         /* an answer, of another id */
    DNS_LIE_QUESTION,   /* to another question */
    DNS_LIE_PORT,       /* from another port */
    DNS_LIE_ECHO,       /* the question itself: a message that says it is no answer */
    DNS_LIE_CUT,        /* an address that ends in the middle */
    DNS_LIE_LOOP,       /* a name that points to itself */
    DNS_LIE_NOT_AUTH,   /* an error code that c-ares does not know: 9 (RFC 2136) */
    DNS_LIE_FLOOD,      /* other ids without an end, as fast as they go */
    DNS_LIE_DRIP,       /* the same, one in 10 ms */
    DNS_TRUTH_OVER_TCP, /* truncated over UDP; over TCP it closes after each answer */
    DNS_TRUTH_LATE_TCP, /* the same, but a connection is made only after a second */
    DNS_TRUTH_MANY,     /* LYING_DNS_MANY addresses from the true one on, first another each time */
    DNS_TRUTH_NO_DATA,  /* the name is there, but has no address */
    DNS_TRUTH_TWICE,    /* every answer comes two times */
};

struct lying_dns {
    enum dns_lie lie;
    bool then_truth; /* a true answer behind the lie */
    char address[32];

    /* whom it heard over UDP, in order; read them when it is stopped */
    uint16_t ports[LYING_DNS_QUESTIONS_MAX];
    size_t questions;
    size_t streams; /* of TCP that brought something */

    /* private */
    int udp_fd;
    int other_fd; /* bound to another port */
    int tcp_fd;
    int filler_fd; /* a connection that leaves no room for another */
    _Atomic bool stop;
    pthread_t thread;
};

void lying_dns_start(struct lying_dns *server, enum dns_lie lie, bool then_truth);
void lying_dns_stop(struct lying_dns *server);

/** How many different ports it was asked from. */
size_t lying_dns_ports(const struct lying_dns *server);

#endif
