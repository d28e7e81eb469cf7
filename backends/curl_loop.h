/**
 * What the curl_* models with one loop share: the places in flight in a multi handle, who takes
 * which request, what libcurl is through with. Bookkeeping only: when libcurl is called, and where
 * it is waited, is the model's.
 *
 * A model puts a `struct curl_loop` first in its own:
 *
 *     curl_loop_init, curl_loop_start     -> every place has a request, or there is none for it
 *     libcurl's turn, curl_loop_reap      -> what that has ended is answered, the next one begun
 *     curl_loop_stop, curl_loop_release
 *
 * Threads: one.
 */
#ifndef BENCH_CURL_LOOP_H
#define BENCH_CURL_LOOP_H

#include "curl_transfer.h"

/** One transfer after the other. */
struct curl_place {
    struct curl_transfer transfer; /* first: libcurl's private pointer is both */
    struct curl_loop *loop;
    bool in_multi; /* libcurl has the handle */
};

struct curl_loop {
    struct curl_run run;
    CURLM *multi;
    struct curl_place *places;
    size_t place_count;
    size_t next;   /* request that nobody has taken yet */
    size_t active; /* places that are not idle */
    int error;     /* -errno: the run cannot go on */
    bool cancelled;
    /* @return TRANSFER_MORE: curl_place_advance follows; else the step after it.
     * NULL: curl_transfer_save */
    enum transfer_step (*save)(struct curl_place *place);
};

/** A zeroed loop, but for `save`. @return 0 or -errno; stop and release it in both cases */
int curl_loop_init(struct curl_loop *loop, const struct download_job *job,
                   struct transfer_result *results);

/** Libcurl lets go of everything; callbacks of the multi handle are called a last time. */
void curl_loop_stop(struct curl_loop *loop);

/** The places' memory; nobody may be writing their files any more. */
void curl_loop_release(struct curl_loop *loop);

/** Begin; the transfers themselves do in libcurl's next turn. */
void curl_loop_start(struct curl_loop *loop);

/** Whatever libcurl's last turn has ended. */
void curl_loop_reap(struct curl_loop *loop);

/** Take the steps that are due, up to one that has to wait: for a model whose `save` does. */
void curl_place_advance(struct curl_place *place, enum transfer_step step);

/** End everything as cancelled once the caller has asked to stop. A file that is being written is
 *  finished: that is short, and the body is right. */
void curl_loop_poll_cancel(struct curl_loop *loop);

/** The run cannot go on; only the first error counts. */
static inline void curl_loop_fail(struct curl_loop *loop, int error)
{
    if (loop->error == 0) {
        loop->error = error;
    }
}

static inline bool curl_loop_goes_on(const struct curl_loop *loop)
{
    return loop->error == 0;
}

#endif
