/**
 * One lookup after the other by c-ares: what every dns_* model shares, but the waiting. c-ares
 * makes and reads the messages, and sends and receives them itself; it never waits. Which sockets
 * it wants watched it tells the model, which tells it when they are ready.
 *
 * The life of a place in flight, in any model:
 *
 *     dns_channel_start                        -> TRANSFER_AGAIN
 *        TRANSFER_AGAIN  dns_channel_ask
 *        TRANSFER_MORE   wait for a socket (dns_channel_ready), no longer than look_ns
 *                        (dns_channel_look)
 *        TRANSFER_DONE   next request
 *
 * Outcomes: TRANSFER_OK, the name has addresses: they are the body, four bytes each, sorted, so
 * that models can be compared. TRANSFER_NOT_FOUND: no such name, or it has no address.
 * TRANSFER_UNRESOLVED: the server failed or refused. TRANSFER_TIMEOUT: no answer in
 * job->timeout_ns. An attempt is one question to each server that there is, in turn, until one
 * answers; that it has failed is an answer (getaddrinfo(3) asks the next one).
 *
 * A place has a channel and so a socket of its own: one channel for all would carry every question
 * over one socket, and there would be nothing left to wait for. It is kept from lookup to lookup,
 * unless DOWNLOAD_FRESH_CONNECTIONS asks for a new one, and with it a new port, each time.
 *
 * Threads: a channel belongs to one thread at a time.
 */
#ifndef BENCH_DNS_CHANNEL_H
#define BENCH_DNS_CHANNEL_H

#include "dns_url.h"
#include "job_run.h"
#include "transfer.h"

#include <ares.h>
#include <stdbool.h>

struct dns_channel;

/**
 * c-ares wants `fd` watched from now on: for reading, for writing, for both; for neither: no
 * more, it will be closed next. Called from within the functions below.
 */
typedef void dns_watch(void *user, int fd, bool readable, bool writable);

struct dns_channel {
    struct transfer transfer;
    struct job_run *run;
    uint64_t now_ns;  /* when the latest call returned */
    uint64_t look_ns; /* when to call dns_channel_look at the latest */

    /* private */
    dns_watch *watch;
    void *user;
    ares_channel ares; /* NULL until the first lookup */
    char server[DNS_SERVER_BYTES];
    uint64_t turn_ns;    /* that a server gets before it is the next one's turn */
    uint32_t connection; /* number of the socket that is kept; 0: there is none */
    bool over_tcp;       /* an answer did not fit into a datagram */
    bool asking;
    int answer; /* ARES_SUCCESS or what went wrong */
};

/** Once for a job, on the thread that runs it. @return 0 or -ENOMEM */
int dns_engine_init(void);
void dns_engine_release(void);

/** @param watch  NULL when the model asks which sockets there are: ares_getsock(3) */
void dns_channel_init(struct dns_channel *channel, struct job_run *run, dns_watch *watch,
                      void *user);

/** Gives up its sockets: `watch` is told. A zeroed channel is fine. */
void dns_channel_release(struct dns_channel *channel);

/** Begin request `index`. @return TRANSFER_AGAIN */
enum transfer_step dns_channel_start(struct dns_channel *channel, size_t index, uint64_t now_ns);

/** Is there a question that waits for its answer? */
static inline bool dns_channel_is_asking(const struct dns_channel *channel)
{
    return channel->asking;
}

/** Send the question. @return TRANSFER_MORE, or the step to take when it failed at once */
enum transfer_step dns_channel_ask(struct dns_channel *channel);

/** A socket is ready. A late event, of a socket that is gone, does no harm.
 *  @param readable_fd, writable_fd  -1: not */
enum transfer_step dns_channel_ready(struct dns_channel *channel, int readable_fd, int writable_fd);

/** look_ns has come: the next server's turn, or a timeout. */
enum transfer_step dns_channel_look(struct dns_channel *channel);

/** The caller wants to stop. @return TRANSFER_DONE */
enum transfer_step dns_channel_cancel(struct dns_channel *channel);

#endif
