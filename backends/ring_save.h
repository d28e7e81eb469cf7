/**
 * Writing a verified body through a ring: the steps of save.h, each a submission, so that the loop
 * goes on while a disk is slow. What is to be submitted next, and what a completion means; nothing
 * here submits or waits:
 *
 *     ring_save_start                 -> prepare and submit
 *     ring_save_completed: true       -> prepare and submit the next one
 *                          false      -> over, with `error`
 *
 * Threads: a file belongs to the thread of its ring.
 */
#ifndef BENCH_RING_SAVE_H
#define BENCH_RING_SAVE_H

#include "save.h"

#include <liburing.h>

/** One file at a time. */
struct ring_save {
    int error; /* of the first step that failed; errno value */

    /* private */
    const struct transfer *transfer;
    enum io_uring_op step; /* due, or under way */
    int fd;
    size_t written;
    size_t size_before; /* of a file written in place */
    bool creates;       /* it is not there, or to be a new one */
    bool temporary_cleared;
    bool temporary_exists;
    char temporary[SAVE_PATH_BYTES_MAX];
};

/** Before the first file. */
void ring_save_init(struct ring_save *save);

/** The file of a transfer whose step is TRANSFER_SAVE; both are left alone until it is over.
 *  @return whether there is something to submit */
bool ring_save_start(struct ring_save *save, const struct transfer *transfer);

/** The step that is due. user_data is the caller's. */
void ring_save_prepare(struct ring_save *save, struct io_uring_sqe *sqe);

/** It has completed with this result. @return whether there is something to submit */
bool ring_save_completed(struct ring_save *save, int result);

/** Of a file that is not over: close it, remove what is half done. Nothing may be under way. */
void ring_save_abandon(struct ring_save *save);

#endif
