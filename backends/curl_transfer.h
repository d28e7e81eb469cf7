/**
 * What the curl_* backends share: a place in flight with its easy handle, set up the same way
 * for every model, and the one map from CURLcode to status. libcurl does HTTP; attempts,
 * redirects, limits and hashes go through transfer.h, so that both engines answer alike.
 *
 * The life of a place in flight, in any model:
 *
 *     curl_transfer_start                             -> the step to take:
 *        TRANSFER_AGAIN  have libcurl run `easy`, then curl_transfer_finish
 *        TRANSFER_SAVE   write the file, then transfer_saved (or curl_transfer_save)
 *        TRANSFER_DONE   next request
 */
#ifndef BENCH_CURL_TRANSFER_H
#define BENCH_CURL_TRANSFER_H

#include "backend.h"
#include "http1.h"
#include "transfer.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CURL_RUN_CANCEL_POLL_MS 50 /* backend.h asks for 100 ms at most */

/** One call of download_many. */
struct curl_run {
    const struct download_job *job;
    struct transfer_result *results;
    _Atomic uint32_t connections; /* opened so far */
    /* [65536]: the number of the connection that has this local port, to know it again */
    _Atomic uint32_t *number_of_port;
};

/** A place in flight; one easy handle for all its transfers, with CURLOPT_PRIVATE
 *  pointing here. Stays where it is. */
struct curl_transfer {
    struct transfer transfer;
    struct curl_run *run;
    CURL *easy;
    CURLM *watched;               /* only when the caller may cancel: see curl_transfer_perform */
    struct curl_slist headers[3]; /* ours, so that `mark` is rewritten in place */
    char *mark;                   /* the X-Bench line */
    size_t mark_capacity;

    /* of the response at hand */
    struct http1_parser parser; /* sees its heads, not its body */
    bool head_done;             /* the final head is complete */
    uint64_t trailer_bytes;
    uint32_t trailers;

    /* why a callback made libcurl stop; UNSET: none did */
    enum transfer_status stop_status;
    int stop_error;
    const char *stop_message;
};

/** @return 0, -ENOMEM, or -ENOTSUP when libcurl cannot start */
int curl_run_init(struct curl_run *run, const struct download_job *job,
                  struct transfer_result *results);
void curl_run_release(struct curl_run *run);

/** How many places a model needs: never more than there are transfers. */
static inline size_t curl_run_places(const struct download_job *job)
{
    return job->count < job->concurrency ? job->count : job->concurrency;
}

/** Does the caller want to be asked whether to stop? */
static inline bool curl_run_is_watched(const struct curl_run *run)
{
    return run->job->hooks != NULL && run->job->hooks->cancelled != NULL;
}

/** @return 0 or -ENOMEM; release it in both cases */
int curl_transfer_init(struct curl_transfer *self, struct curl_run *run);

/** The easy handle must not be in a multi handle any more. A zeroed place is fine. */
void curl_transfer_release(struct curl_transfer *self);

/** Begin request `index`. @return TRANSFER_AGAIN; TRANSFER_DONE when it failed at once */
enum transfer_step curl_transfer_start(struct curl_transfer *self, size_t index);

/** libcurl is through with `easy`. @return TRANSFER_AGAIN, TRANSFER_SAVE or TRANSFER_DONE */
enum transfer_step curl_transfer_finish(struct curl_transfer *self, CURLcode code);

/** curl_easy_perform, for models that block; ends early when the caller cancels. */
CURLcode curl_transfer_perform(struct curl_transfer *self);

/** Write the file, for models that block. @return TRANSFER_DONE */
enum transfer_step curl_transfer_save(struct curl_transfer *self);

#endif
