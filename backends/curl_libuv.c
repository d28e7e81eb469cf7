/*
 * Model:    one event loop; libcurl says which sockets to watch, libuv watches them
 * Threads:  the caller's; with files to save also libuv's pool (4)
 * Waits in: epoll_wait(2), inside uv_run
 * Woken by: a socket that is ready (uv_poll), libcurl's one timeout (uv_timer), a file operation
 * Syscalls per transfer: 10 to 11 (5 epoll_ctl, 2 poll, 1 ioctl, 1 send, 1 or 2 recv): libcurl
 *           lets go of a socket between two transfers; epoll_wait is shared
 * Read next: curl_transfer.c, what libcurl is asked to do; raw_io_uring.c, the same without it
 *
 * Two libraries that know nothing of each other meet in two callbacks: libcurl tells
 * on_curl_socket what it waits for and on_curl_timeout how long; on_socket_ready and on_timeout
 * tell libcurl (curl_multi_socket_action) when that has come.
 */
#include "backend.h"

#if defined(HAVE_LIBUV)

#include "clock.h"
#include "curl_transfer.h"
#include "uv_save.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <uv.h>

/* The whole run. */
struct loop {
    struct curl_run run;
    uv_loop_t uv;
    uv_timer_t timeout;     /* libcurl's only one */
    uv_timer_t cancel_poll; /* started when the caller may cancel */
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
    bool in_multi;       /* libcurl has the handle */
    struct uv_save save; /* while its file is written */
};

/* One socket of libcurl, from CURL_POLL_IN or OUT to CURL_POLL_REMOVE. */
struct watch {
    uv_poll_t poll;
    struct loop *loop;
    curl_socket_t socket;
    int events; /* that libcurl waits for */
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

/* libcurl answers with on_curl_timeout(0): the transfer really begins in the next turn. */
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

/* Advance: libcurl's side */

static void place_leave_multi(struct place *place)
{
    if (place->in_multi) {
        (void)curl_multi_remove_handle(place->loop->multi, place->transfer.easy);
        place->in_multi = false;
    }
}

/* Whatever has been done by the last curl_multi_socket_action, for a socket or for a timeout. */
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

static void act(struct loop *loop, curl_socket_t socket, int events)
{
    int running = 0;

    if (curl_multi_socket_action(loop->multi, socket, events, &running) != CURLM_OK) {
        loop_fail(loop, -EIO);
    }
    check_done(loop);
}

/* callback from libuv: libcurl's timeout has come */
static void on_timeout(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket_ready(uv_poll_t *poll, int status, int events);

static int watch_start(struct watch *watch)
{
    return uv_poll_start(&watch->poll, watch->events, on_socket_ready);
}

/*
 * callback from libuv: a socket is ready, or in error: then libuv has stopped watching. libcurl
 * is not told CURL_CSELECT_ERR: it would not read what arrived before a reset, nor the error.
 */
static void on_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    int flags = 0;

    if (status < 0) {
        events = watch->events;
        if (watch_start(watch) < 0) {
            loop_fail(watch->loop, -EIO);
            return;
        }
    }
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(watch->loop, watch->socket, flags);
}

/* callback from libcurl: when to call it again; -1 means that nothing is due */
static int on_curl_timeout(CURLM *multi, long timeout_ms, void *user)
{
    struct loop *loop = user;

    (void)multi;
    if (timeout_ms < 0) {
        return uv_timer_stop(&loop->timeout) == 0 ? 0 : -1;
    }
    uv_update_time(&loop->uv); /* timers count from the loop's idea of now */
    return uv_timer_start(&loop->timeout, on_timeout, (uint64_t)timeout_ms, 0) == 0 ? 0 : -1;
}

/* callback from libuv: the handle is closed, its memory ours again */
static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static struct watch *watch_create(struct loop *loop, curl_socket_t socket)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->loop = loop;
    watch->socket = socket;
    if (uv_poll_init_socket(&loop->uv, &watch->poll, socket) != 0) {
        free(watch);
        return NULL;
    }
    watch->poll.data = watch;
    (void)curl_multi_assign(loop->multi, socket, watch);
    return watch;
}

/* callback from libcurl: what it waits for on a socket from now on */
static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned)
{
    struct loop *loop = user;
    struct watch *watch = assigned;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            (void)curl_multi_assign(loop->multi, socket, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = watch_create(loop, socket);
        if (watch == NULL) {
            loop_fail(loop, -ENOMEM);
            return -1;
        }
    }
    watch->events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0; /* INOUT is both bits */
    watch->events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    int result = watch_start(watch);
    if (result < 0) {
        loop_fail(loop, result);
        return -1;
    }
    return 0;
}

/* Advance: files */

/* callback: the file is written, or not */
static void on_saved(struct uv_save *save, int result)
{
    struct place *place = save->user;
    place_finish(place, transfer_saved(&place->transfer.transfer, -result, clock_now_ns()));
}

static void file_start(struct place *place)
{
    struct transfer *transfer = &place->transfer.transfer;

    int result = uv_save_start(&place->save, &place->loop->uv, transfer, on_saved, place);
    if (result < 0) {
        place_finish(place, transfer_saved(transfer, -result, clock_now_ns()));
    }
}

/* Finish */

static void place_finish(struct place *place, enum transfer_step step)
{
    switch (step) {
    case TRANSFER_AGAIN:
        place_advance(place);
        break;
    case TRANSFER_SAVE:
        file_start(place);
        break;
    default:
        assert(step == TRANSFER_DONE);
        place_start(place);
        break;
    }
}

/* A file that is being written is finished: that is short, and the body is right. */
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

/* callback from libuv: has the caller asked to stop? */
static void on_cancel_poll(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    if (!loop->cancelled && transfer_cancelled(loop->run.job)) {
        loop_cancel(loop);
    }
}

/* The loop */

/* Until every place is idle. libcurl's timeout is armed as long as a transfer runs, so that no
 * turn waits for ever. */
static void loop_run(struct loop *loop)
{
    const struct download_hooks *hooks = loop->run.job->hooks;

    if (hooks != NULL && hooks->cancelled != NULL) {
        (void)uv_timer_start(&loop->cancel_poll, on_cancel_poll, 0, CURL_RUN_CANCEL_POLL_MS);
    }
    loop->active = loop->place_count;
    for (size_t i = 0; i < loop->place_count; i++) {
        place_start(&loop->places[i]);
    }
    while (loop->active > 0 && loop_goes_on(loop)) {
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
}

static CURLMcode multi_init(struct loop *loop)
{
    CURLMcode code = CURLM_OK;

    loop->multi = curl_multi_init();
    if (loop->multi == NULL) {
        return CURLM_OUT_OF_MEMORY;
    }
#define SET(option, value)                                                                         \
    (code = code == CURLM_OK ? curl_multi_setopt(loop->multi, option, value) : code)
    SET(CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    SET(CURLMOPT_SOCKETDATA, loop);
    SET(CURLMOPT_TIMERFUNCTION, on_curl_timeout);
    SET(CURLMOPT_TIMERDATA, loop);
    /* The size of the cache, not a ceiling: a place's connection has to survive its idle time. */
    SET(CURLMOPT_MAXCONNECTS, (long)loop->place_count);
#undef SET
    return code;
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

/* The two timers, and watches that libcurl has not given back because a callback failed. */
static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle)) {
        uv_close(handle, uv_handle_get_type(handle) == UV_POLL ? on_watch_closed : NULL);
    }
}

/* Reverse order of making. What is still under way after an error ends here. */
static void loop_release(struct loop *loop)
{
    loop_fail(loop, -ECANCELED); /* nobody starts anything from here on */
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        place_leave_multi(&loop->places[i]);
    }
    (void)curl_multi_cleanup(loop->multi); /* its last sockets: on_curl_socket closes the watches */
    uv_walk(&loop->uv, close_handle, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* files under way, then the close callbacks */
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        curl_transfer_release(&loop->places[i].transfer);
    }
    free(loop->places);
    int result = uv_loop_close(&loop->uv);
    assert(result == 0); /* no handle may be left */
    (void)result;
}

static int libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct loop loop = {.place_count = curl_run_places(job)};

    if (job->count == 0) {
        return 0;
    }
    int result = uv_loop_init(&loop.uv);
    if (result < 0) {
        return result;
    }
    (void)uv_timer_init(&loop.uv, &loop.timeout); /* cannot fail */
    (void)uv_timer_init(&loop.uv, &loop.cancel_poll);
    loop.timeout.data = &loop;
    loop.cancel_poll.data = &loop;
    result = curl_run_init(&loop.run, job, results);
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

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without libuv"

#endif

const struct bench_backend backend_curl_libuv = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_libuv",
    .engine = "curl",
    .model = "libuv",
    .waits_in = "epoll_wait(2)",
    .summary = "libcurl's sockets and timeout, watched by a libuv loop",
    .unavailable = UNAVAILABLE,
    .download_many = libuv_download_many,
};
