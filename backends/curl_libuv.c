/*
 * Model:    one event loop; libcurl says which sockets to watch, libuv watches them
 * Threads:  the caller's; with files to save also libuv's pool (4)
 * Waits in: epoll_wait(2), inside uv_run
 * Woken by: a socket that is ready (uv_poll), libcurl's one timeout (uv_timer), a file operation
 * Syscalls per transfer: 10 to 11 (5 epoll_ctl, 2 poll, 1 ioctl, 1 send, 1 or 2 recv): libcurl
 *           lets go of a socket between two transfers; epoll_wait is shared
 * Read next: curl_loop.c, who asks for what; curl_transfer.c, what libcurl is asked to do;
 *            raw_libuv.c, the same without it
 *
 * Two libraries that know nothing of each other meet in two callbacks: libcurl tells
 * on_curl_socket what it waits for and on_curl_timeout how long; on_socket_ready and on_timeout
 * tell libcurl (curl_multi_socket_action) when that has come.
 *
 * Files go through libuv's pool, because that is how libuv does files (uv_save.c).
 */
#include "backend.h"

#if defined(HAVE_LIBUV)

#include "clock.h"
#include "curl_loop.h"
#include "uv_save.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <uv.h>

/* ---- state ---- */

struct loop {
    struct curl_loop curl; /* first: a place's loop is both */
    uv_loop_t uv;
    uv_timer_t timeout;     /* libcurl's only one */
    uv_timer_t cancel_poll; /* started when the caller may cancel */
    struct uv_save *saves;  /* one for each place; NULL when the job saves nothing */
};

_Static_assert(offsetof(struct loop, curl) == 0, "place_save relies on it");

/* One socket of libcurl, from CURL_POLL_IN or OUT to CURL_POLL_REMOVE. */
struct watch {
    uv_poll_t poll;
    struct loop *loop;
    curl_socket_t socket;
    int events; /* that libcurl waits for */
};

/* ---- advance: libcurl's side ---- */

static void loop_act(struct loop *loop, curl_socket_t socket, int events)
{
    int running = 0;

    if (curl_multi_socket_action(loop->curl.multi, socket, events, &running) != CURLM_OK) {
        curl_loop_fail(&loop->curl, -EIO);
    }
    curl_loop_reap(&loop->curl);
}

/* callback from libuv: libcurl's timeout has come */
static void on_timeout(uv_timer_t *timer)
{
    loop_act(timer->data, CURL_SOCKET_TIMEOUT, 0);
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
        int result = watch_start(watch);
        if (result < 0) {
            curl_loop_fail(&watch->loop->curl, result);
            return;
        }
    }
    flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    loop_act(watch->loop, watch->socket, flags);
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
    (void)curl_multi_assign(loop->curl.multi, socket, watch);
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
            (void)curl_multi_assign(loop->curl.multi, socket, NULL);
            uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
        }
        return 0;
    }
    if (watch == NULL) {
        watch = watch_create(loop, socket);
        if (watch == NULL) {
            curl_loop_fail(&loop->curl, -ENOMEM);
            return -1;
        }
    }
    watch->events = (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0; /* INOUT is both bits */
    watch->events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    int result = watch_start(watch);
    if (result < 0) {
        curl_loop_fail(&loop->curl, result);
        return -1;
    }
    return 0;
}

/* ---- advance: files ---- */

/* callback: the file is written, or not */
static void on_saved(struct uv_save *save, int result)
{
    struct curl_place *place = save->user;

    curl_place_advance(place, transfer_saved(&place->transfer.transfer, -result, clock_now_ns()));
}

static enum transfer_step place_save(struct curl_place *place)
{
    struct loop *loop = (struct loop *)(void *)place->loop;
    struct transfer *transfer = &place->transfer.transfer;

    int result = uv_save_start(&loop->saves[place - loop->curl.places], &loop->uv, transfer,
                               on_saved, place);
    return result < 0 ? transfer_saved(transfer, -result, clock_now_ns()) : TRANSFER_MORE;
}

/* ---- finish ---- */

/* callback from libuv: has the caller asked to stop? */
static void on_cancel_poll(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    curl_loop_poll_cancel(&loop->curl);
}

/* ---- the loop ---- */

/* Until every place is idle. libcurl's timeout is armed as long as a transfer runs, so that no
 * turn waits for ever. */
static void loop_run(struct loop *loop)
{
    if (curl_run_is_watched(&loop->curl.run)) {
        (void)uv_timer_start(&loop->cancel_poll, on_cancel_poll, 0, CURL_RUN_CANCEL_POLL_MS);
    }
    curl_loop_start(&loop->curl);
    while (loop->curl.active > 0 && curl_loop_goes_on(&loop->curl)) {
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
}

/* ---- set up and torn down ---- */

static int multi_init(struct loop *loop)
{
    CURLM *multi = loop->curl.multi;
    CURLMcode code = CURLM_OK;

#define SET(option, value)                                                                         \
    (code = code == CURLM_OK ? curl_multi_setopt(multi, option, value) : code)
    SET(CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    SET(CURLMOPT_SOCKETDATA, loop);
    SET(CURLMOPT_TIMERFUNCTION, on_curl_timeout);
    SET(CURLMOPT_TIMERDATA, loop);
#undef SET
    return code == CURLM_OK ? 0 : -ENOMEM;
}

static int loop_init(struct loop *loop, const struct download_job *job,
                     struct transfer_result *results)
{
    (void)uv_timer_init(&loop->uv, &loop->timeout); /* cannot fail */
    (void)uv_timer_init(&loop->uv, &loop->cancel_poll);
    loop->timeout.data = loop;
    loop->cancel_poll.data = loop;
    int result = curl_loop_init(&loop->curl, job, results);
    if (result < 0) {
        return result;
    }
    if (job->output_dir_fd >= 0) {
        loop->saves = calloc(loop->curl.place_count, sizeof loop->saves[0]);
        if (loop->saves == NULL) {
            return -ENOMEM;
        }
    }
    return multi_init(loop);
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
    curl_loop_stop(&loop->curl); /* its last sockets: on_curl_socket closes the watches */
    uv_walk(&loop->uv, close_handle, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* files under way, then the close callbacks */
    curl_loop_release(&loop->curl);
    free(loop->saves);
    int result = uv_loop_close(&loop->uv);
    assert(result == 0); /* no handle may be left */
    (void)result;
}

static int curl_libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct loop loop = {.curl.save = place_save};

    if (job->count == 0) {
        return 0;
    }
    int result = uv_loop_init(&loop.uv);
    if (result < 0) {
        return result;
    }
    result = loop_init(&loop, job, results);
    if (result == 0) {
        loop_run(&loop);
        result = loop.curl.error;
    }
    loop_release(&loop);
    return result;
}

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int curl_libuv_download_many(const struct download_job *job, struct transfer_result *results)
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
    .download_many = curl_libuv_download_many,
};
