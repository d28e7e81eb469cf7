/*
 * Model:    one event loop, libcurl's own: it keeps the sockets and asks the kernel about them
 * Threads:  the caller's
 * Waits in: poll(2), inside curl_multi_poll, on all sockets at once
 * Woken by: any socket that is ready; libcurl's next timeout
 * Syscalls per transfer: about 6 at 64 in flight (4 poll, 1 send, 1 recv)
 * Read next: curl_libuv.c, where another loop watches the sockets and names those that are ready
 *
 * curl_multi_poll does not tell whose socket was ready: curl_multi_perform goes through all
 * transfers, and each of them asks for its own. When many are ready at once they share the price:
 * then nothing that libcurl offers is cheaper. When a thousand are in flight and answer one by
 * one, it is 300 system calls for each, and three times the CPU time of curl_libuv. Files are
 * written here, on the loop.
 */
#include "backend.h"
#include "clock.h"
#include "curl_transfer.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define WAIT_MAX_MS 1000

/* The whole run. */
struct loop {
    struct curl_run run;
    CURLM *multi;
    struct place *places;
    size_t place_count;
    size_t next;   /* request that nobody has taken yet */
    size_t active; /* places in flight */
    int error;     /* -errno: the run cannot go on */
    bool cancelled;
};

/* One transfer after the other. */
struct place {
    struct curl_transfer transfer; /* first: libcurl's private pointer is both */
    struct loop *loop;
    bool in_multi; /* libcurl has the handle */
};

static void place_finish(struct place *place, enum transfer_step step);

static void loop_fail(struct loop *loop, int error)
{
    if (loop->error == 0) {
        loop->error = error;
    }
}

_Static_assert(offsetof(struct place, transfer) == 0, "check_done relies on it");

static bool loop_goes_on(const struct loop *loop)
{
    return loop->error == 0;
}

/* Start */

/* The transfer really begins in the next curl_multi_perform. */
static void place_advance(struct place *place)
{
    struct loop *loop = place->loop;

    place->in_multi = true;
    if (curl_multi_add_handle(loop->multi, place->transfer.easy) != CURLM_OK) {
        place->in_multi = false;
        loop_fail(loop, -ENOMEM);
    }
}

/* The next request, or none: then the place is idle for good. */
static void place_start(struct place *place)
{
    struct loop *loop = place->loop;
    const struct download_job *job = loop->run.job;

    while (loop->next < job->count && loop_goes_on(loop)) {
        size_t index = loop->next++;
        if (loop->cancelled) {
            transfer_cancel_unstarted(job, loop->run.results, index, clock_now_ns());
        } else if (curl_transfer_start(&place->transfer, index) == TRANSFER_AGAIN) {
            place_advance(place);
            return;
        }
    }
    loop->active--;
}

/* Advance */

static void place_leave_multi(struct place *place)
{
    if (place->in_multi) {
        (void)curl_multi_remove_handle(place->loop->multi, place->transfer.easy);
        place->in_multi = false;
    }
}

/* Whatever has been done by the last curl_multi_perform. */
static void check_done(struct loop *loop)
{
    const CURLMsg *message = NULL;
    int left = 0;

    while ((message = curl_multi_info_read(loop->multi, &left)) != NULL) {
        char *private = NULL;
        CURLcode code = message->data.result; /* the message dies with remove_handle */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct place *place = (struct place *)(void *)private;
        place_leave_multi(place);
        place_finish(place, curl_transfer_finish(&place->transfer, code));
    }
}

static void act(struct loop *loop)
{
    int running = 0;

    if (curl_multi_perform(loop->multi, &running) != CURLM_OK) {
        loop_fail(loop, -EIO);
    }
    check_done(loop);
}

/* Finish */

static void place_finish(struct place *place, enum transfer_step step)
{
    switch (step) {
    case TRANSFER_AGAIN:
        place_advance(place);
        break;
    case TRANSFER_SAVE:
        (void)curl_transfer_save(&place->transfer);
        place_start(place);
        break;
    default:
        assert(step == TRANSFER_DONE);
        place_start(place);
        break;
    }
}

static void loop_cancel(struct loop *loop)
{
    loop->cancelled = true;
    for (size_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        if (place->in_multi) {
            place_leave_multi(place);
            place_finish(place, curl_transfer_finish(&place->transfer, CURLE_ABORTED_BY_CALLBACK));
        }
    }
}

/* The loop */

/* The one place that waits: until a socket is ready or libcurl's next timeout. It knows that one
 * itself; ours only keeps the wait short enough to see that the caller cancels. */
static void loop_wait(struct loop *loop)
{
    const struct download_hooks *hooks = loop->run.job->hooks;
    bool watched = hooks != NULL && hooks->cancelled != NULL;
    int patience_ms = watched ? CURL_RUN_CANCEL_POLL_MS : WAIT_MAX_MS;

    if (curl_multi_poll(loop->multi, NULL, 0, patience_ms, NULL) != CURLM_OK) {
        loop_fail(loop, -EIO);
    }
}

/* Until every place is idle. A handle just added is due at once: libcurl does not wait then. */
static void loop_run(struct loop *loop)
{
    loop->active = loop->place_count;
    for (size_t i = 0; i < loop->place_count; i++) {
        place_start(&loop->places[i]);
    }
    while (loop->active > 0 && loop_goes_on(loop)) {
        loop_wait(loop);
        act(loop);
        if (!loop->cancelled && transfer_cancelled(loop->run.job)) {
            loop_cancel(loop);
        }
    }
}

static CURLMcode multi_init(struct loop *loop)
{
    loop->multi = curl_multi_init();
    if (loop->multi == NULL) {
        return CURLM_OUT_OF_MEMORY;
    }
    /* The size of the cache, not a ceiling: a place's connection has to survive its idle time. */
    return curl_multi_setopt(loop->multi, CURLMOPT_MAXCONNECTS, (long)loop->place_count);
}

static int places_init(struct loop *loop)
{
    loop->places = calloc(loop->place_count, sizeof loop->places[0]);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        place->loop = loop;
        int result = curl_transfer_init(&place->transfer, &loop->run);
        if (result < 0) {
            return result;
        }
    }
    return 0;
}

/* Reverse order of making. What is still under way after an error ends here. */
static void loop_release(struct loop *loop)
{
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        place_leave_multi(&loop->places[i]);
    }
    (void)curl_multi_cleanup(loop->multi);
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        curl_transfer_release(&loop->places[i].transfer);
    }
    free(loop->places);
}

static int multi_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct loop loop = {.place_count = curl_run_places(job)};

    if (job->count == 0) {
        return 0;
    }
    int result = curl_run_init(&loop.run, job, results);
    if (result < 0) {
        goto out;
    }
    if (multi_init(&loop) != CURLM_OK) {
        result = -ENOMEM;
        goto out;
    }
    result = places_init(&loop);
    if (result < 0) {
        goto out;
    }
    loop_run(&loop);
    result = loop.error;
out:
    loop_release(&loop);
    curl_run_release(&loop.run);
    return result;
}

const struct bench_backend backend_curl_multi = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_multi",
    .engine = "curl",
    .model = "multi",
    .waits_in = "poll(2)",
    .summary = "libcurl's own loop over all its sockets",
    .download_many = multi_download_many,
};
