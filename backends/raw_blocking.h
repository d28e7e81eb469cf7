/**
 * One place in flight with blocking calls: what raw_sequential does once and raw_threads in every
 * thread. Here are the calls themselves, since both wait in the same recv(2) and differ only in
 * how many of them wait at once. The order of the calls is written down in each model.
 *
 * Each call blocks until it is over, the deadline of the attempt has passed or the caller wants
 * to stop, and returns the step to take next: TRANSFER_MORE is the call that follows.
 *
 * Threads: a place belongs to one thread.
 */
#ifndef BENCH_RAW_BLOCKING_H
#define BENCH_RAW_BLOCKING_H

#include "exchange.h"
#include "job_run.h"

struct blocking_place {
    struct job_run *run;
    struct exchange exchange;
    char *buffer;
    uint64_t now_ns; /* when the latest call returned */

    /* the connection, kept from request to request */
    int fd;
    uint32_t number;
    const struct endpoint *peer;
    uint64_t send_patience_ns;    /* SO_SNDTIMEO of the socket; 0: not set, or no longer good */
    uint64_t receive_patience_ns; /* SO_RCVTIMEO */
    size_t unsent_bytes;          /* of the request, at its end */
    bool used;                    /* has carried a request */
};

/** @return 0 or -ENOMEM; blocking_place_release is fine either way */
int blocking_place_init(struct blocking_place *place, struct job_run *run);
void blocking_place_release(struct blocking_place *place);

/** Begin request `index`. @return TRANSFER_AGAIN: ask; TRANSFER_DONE: it failed at once */
enum transfer_step blocking_start(struct blocking_place *place, size_t index);

/** connect(2), unless there is a connection that may carry another request. */
enum transfer_step blocking_connect(struct blocking_place *place);

/** send(2) the whole request. */
enum transfer_step blocking_send(struct blocking_place *place);

/** recv(2) what has arrived, once. */
enum transfer_step blocking_receive(struct blocking_place *place);

/** Write the file. */
enum transfer_step blocking_save(struct blocking_place *place);

#endif
