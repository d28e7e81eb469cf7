/*
 * Model:    one event loop; libcurl says which sockets to watch, a ring of io_uring watches them
 * Threads:  the caller's
 * Waits in: io_uring_enter(2), which also hands over what is to be watched next
 * Woken by: completions (CQEs) of POLL_ADD; libcurl's one timeout is that of the wait
 * Syscalls per transfer: about 5 (2 poll, 1 send, 1 or 2 recv); io_uring_enter is shared
 * Read next: curl_loop.c, who asks for what; curl_libuv.c, the same over epoll; raw_io_uring.c,
 *            where the ring does the work
 *
 * The ring tells that a socket is ready, no more: libcurl reads and writes it itself. What is
 * gained over epoll is the epoll_ctl: libcurl stops watching a socket when its transfer ends and
 * begins again with the next one, and here that is an entry in memory, submitted with the wait.
 *
 * A POLL_ADD tells once. libcurl need not have read all that was there, so a poll that goes on
 * (multishot) would not do: it tells of what arrives, not of what is left. One that is made anew
 * looks at the socket first. It is made when the loop is about to wait, not when libcurl asks:
 * by then libcurl may have changed its mind several times, even closed the socket and opened
 * another of the same number.
 *
 * Files are written on the loop, as in curl_multi.c: the ring is a poller here and no more. What
 * one can do with files is shown by raw_io_uring.c and ring_save.c.
 */
#include "backend.h"

#if defined(HAVE_LIBURING)

#include "clock.h"
#include "curl_loop.h"
#include "ring_setup.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SQ_ENTRIES_MIN 128
#define SQ_ENTRIES_MAX 256
#define CQ_ENTRIES_MIN 256
#define CQ_ENTRIES_MAX 32768
#define WATCHES_MIN 64

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (CURL_RUN_CANCEL_POLL_MS * NS_PER_MS)
#define TIMEOUT_NONE UINT64_MAX
#define USER_DATA_REMOVAL UINT64_MAX /* of a POLL_REMOVE: no socket has that number */

/* ---- state ---- */

struct loop {
    struct curl_loop curl;
    struct io_uring ring;
    uint64_t timeout_ns;   /* libcurl's only one: when, 0 for at once, or TIMEOUT_NONE */
    struct watch *watches; /* [watch_count], by socket */
    curl_socket_t *stale;  /* [watch_count]: sockets whose poll may have to be made anew */
    size_t watch_count;
    size_t stale_count;
    uint8_t skip_success;     /* IOSQE_CQE_SKIP_SUCCESS where the kernel has it */
    struct io_uring_sqe lost; /* written to when the ring has failed; goes nowhere */
};

/* One socket number; whichever socket of libcurl has it. */
struct watch {
    uint32_t generation; /* of the poll: tells a late completion from a new one */
    short events;        /* that libcurl waits for; 0: none */
    short polled;        /* events of the poll that is armed; 0: none is */
    bool is_stale;       /* in loop->stale */
};

static uint64_t user_data_pack(curl_socket_t socket, const struct watch *watch)
{
    return (uint64_t)socket << 32 | watch->generation;
}

/* ---- submissions ---- */

static void loop_submit(struct loop *loop)
{
    int result = io_uring_submit(&loop->ring);

    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
        curl_loop_fail(&loop->curl, result);
    }
}

/* Never NULL: a full queue is submitted first. When even that fails the run is over, and what
 * the caller writes goes nowhere. */
static struct io_uring_sqe *sqe_get(struct loop *loop)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

    if (sqe == NULL) {
        loop_submit(loop);
        sqe = io_uring_get_sqe(&loop->ring);
    }
    if (sqe == NULL) {
        curl_loop_fail(&loop->curl, -EBUSY);
        sqe = &loop->lost;
    }
    return sqe;
}

/* ---- advance: libcurl's side ---- */

static void loop_act(struct loop *loop, curl_socket_t socket, int events)
{
    int running = 0;

    if (curl_multi_socket_action(loop->curl.multi, socket, events, &running) != CURLM_OK) {
        curl_loop_fail(&loop->curl, -EIO);
    }
    curl_loop_reap(&loop->curl);
}

/* callback from libcurl: when to call it again; -1 means that nothing is due */
static int on_curl_timeout(CURLM *multi, long timeout_ms, void *user)
{
    struct loop *loop = user;

    (void)multi;
    if (timeout_ms < 0) {
        loop->timeout_ns = TIMEOUT_NONE;
    } else if (timeout_ms == 0) {
        loop->timeout_ns = 0;
    } else {
        loop->timeout_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    }
    return 0;
}

/* The table grows with the largest socket number. */
static int watches_reserve(struct loop *loop, curl_socket_t socket)
{
    size_t count = loop->watch_count > 0 ? loop->watch_count : WATCHES_MIN;

    while (count <= (size_t)socket) {
        count *= 2;
    }
    if (count == loop->watch_count) {
        return 0;
    }
    struct watch *watches = realloc(loop->watches, count * sizeof watches[0]);
    if (watches == NULL) {
        return -ENOMEM;
    }
    loop->watches = watches;
    memset(&watches[loop->watch_count], 0, (count - loop->watch_count) * sizeof watches[0]);
    curl_socket_t *stale = realloc(loop->stale, count * sizeof stale[0]);
    if (stale == NULL) {
        return -ENOMEM;
    }
    loop->stale = stale;
    loop->watch_count = count;
    return 0;
}

/* To be looked at before the next wait. */
static void watch_mark(struct loop *loop, curl_socket_t socket)
{
    struct watch *watch = &loop->watches[socket];

    if (!watch->is_stale) {
        watch->is_stale = true;
        loop->stale[loop->stale_count++] = socket;
    }
}

/* Its completion, should it come after all, is known by its generation. Until the kernel has
 * seen this, it keeps the socket open. */
static void watch_stop(struct loop *loop, curl_socket_t socket)
{
    struct watch *watch = &loop->watches[socket];

    if (watch->polled == 0) {
        return;
    }
    struct io_uring_sqe *sqe = sqe_get(loop);
    io_uring_prep_poll_remove(sqe, user_data_pack(socket, watch));
    sqe->flags |= loop->skip_success;
    io_uring_sqe_set_data64(sqe, USER_DATA_REMOVAL);
    watch->polled = 0;
    watch->generation++;
}

static void watch_start(struct loop *loop, curl_socket_t socket)
{
    struct watch *watch = &loop->watches[socket];

    if (watch->events == 0 || watch->polled != 0) {
        return;
    }
    struct io_uring_sqe *sqe = sqe_get(loop);
    io_uring_prep_poll_add(sqe, socket, (unsigned)watch->events);
    io_uring_sqe_set_data64(sqe, user_data_pack(socket, watch));
    watch->polled = watch->events;
}

/* callback from libcurl: what it waits for on a socket from now on */
static int on_curl_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *assigned)
{
    struct loop *loop = user;
    short events = 0;

    (void)easy, (void)assigned;
    int result = watches_reserve(loop, socket);
    if (result < 0) {
        curl_loop_fail(&loop->curl, result);
        return -1;
    }
    if (what != CURL_POLL_REMOVE) {
        events |= (what & CURL_POLL_IN) != 0 ? POLLIN : 0; /* INOUT is both bits */
        events |= (what & CURL_POLL_OUT) != 0 ? POLLOUT : 0;
    }
    struct watch *watch = &loop->watches[socket];
    watch->events = events;
    if (watch->polled != events) {
        watch_stop(loop, socket);
        watch_mark(loop, socket);
    }
    return 0;
}

/*
 * A poll has completed. Of an error or a hang-up libcurl is not told as such: with
 * CURL_CSELECT_ERR it would not read what arrived before a reset, nor the error.
 */
static void socket_ready(struct loop *loop, curl_socket_t socket, int events)
{
    struct watch *watch = &loop->watches[socket];
    int flags = 0;

    watch->polled = 0;
    watch->generation++;
    if (events < 0) {
        curl_loop_fail(&loop->curl, events);
        return;
    }
    if ((events & (POLLERR | POLLHUP)) != 0) {
        events |= watch->events;
    }
    flags |= (events & POLLIN) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    watch_mark(loop, socket);
    loop_act(loop, socket, flags);
}

/* ---- the loop ---- */

static uint64_t loop_patience_ns(const struct loop *loop)
{
    uint64_t patience_ns = curl_run_is_watched(&loop->curl.run) ? CANCEL_POLL_NS : WAIT_MAX_NS;

    if (loop->timeout_ns == TIMEOUT_NONE) {
        return patience_ns;
    }
    uint64_t now_ns = loop->timeout_ns > 0 ? clock_now_ns() : 0;
    if (loop->timeout_ns < now_ns + patience_ns) {
        patience_ns = loop->timeout_ns > now_ns ? loop->timeout_ns - now_ns : 0;
    }
    return patience_ns;
}

/* The one place that waits: submits, and sleeps until a socket is ready or libcurl's timeout. */
static void loop_wait(struct loop *loop)
{
    for (size_t i = 0; i < loop->stale_count; i++) {
        loop->watches[loop->stale[i]].is_stale = false;
        watch_start(loop, loop->stale[i]);
    }
    loop->stale_count = 0;
    const uint64_t patience_ns = loop_patience_ns(loop);
    struct __kernel_timespec timeout = {
        .tv_sec = (int64_t)(patience_ns / NS_PER_S),
        .tv_nsec = (long long)(patience_ns % NS_PER_S),
    };
    struct io_uring_cqe *cqe = NULL;

    int result = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &timeout, NULL);
    if (result < 0 && result != -ETIME && result != -EINTR && result != -EAGAIN &&
        result != -EBUSY) {
        curl_loop_fail(&loop->curl, result);
    }
}

static void loop_dispatch(struct loop *loop, const struct io_uring_cqe *cqe)
{
    const uint64_t user_data = io_uring_cqe_get_data64(cqe);
    const size_t socket = user_data >> 32;

    if (user_data == USER_DATA_REMOVAL) {
        return; /* it found nothing to remove: that has completed before */
    }
    assert(socket < loop->watch_count);
    if (loop->watches[socket].polled != 0 &&
        loop->watches[socket].generation == (uint32_t)user_data) {
        socket_ready(loop, (curl_socket_t)socket, cqe->res);
    }
}

static void loop_reap(struct loop *loop)
{
    const unsigned seen_max = loop->ring.cq.ring_entries; /* so that the timeout gets its turn */
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned seen = 0;

    io_uring_for_each_cqe (&loop->ring, head, cqe) {
        if (seen == seen_max || !curl_loop_goes_on(&loop->curl)) {
            break;
        }
        loop_dispatch(loop, cqe);
        seen++;
    }
    io_uring_cq_advance(&loop->ring, seen);
}

/* When transfers that begin in here fail at once, and others take their places, the sockets get
 * their turn all the same: the wait in between is none. */
static void loop_expire(struct loop *loop)
{
    if (loop->timeout_ns == 0 ||
        (loop->timeout_ns != TIMEOUT_NONE && loop->timeout_ns <= clock_now_ns())) {
        loop->timeout_ns = TIMEOUT_NONE; /* libcurl says when there is another */
        loop_act(loop, CURL_SOCKET_TIMEOUT, 0);
    }
}

/* Until every place is idle. */
static void loop_run(struct loop *loop)
{
    curl_loop_start(&loop->curl);
    while (loop->curl.active > 0 && curl_loop_goes_on(&loop->curl)) {
        loop_wait(loop);
        loop_reap(loop);
        loop_expire(loop); /* last: it may end the last transfer, and then nothing is to come */
        curl_loop_poll_cancel(&loop->curl);
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

/* Room for a poll of each place, and for those that were given up. */
static int ring_init(struct loop *loop, size_t places)
{
    int result = ring_open(&loop->ring, ring_power_of_two(places, SQ_ENTRIES_MIN, SQ_ENTRIES_MAX),
                           ring_power_of_two(2 * places, CQ_ENTRIES_MIN, CQ_ENTRIES_MAX));
    if (result == 0 && (loop->ring.features & IORING_FEAT_CQE_SKIP) != 0) {
        loop->skip_success = IOSQE_CQE_SKIP_SUCCESS;
    }
    return result;
}

/* Reverse order of making. What is still under way after an error ends here; the polls too, some
 * time after the ring is closed, but they hold sockets and no memory of ours. */
static void loop_release(struct loop *loop)
{
    curl_loop_stop(&loop->curl); /* its last sockets: on_curl_socket */
    curl_loop_release(&loop->curl);
    io_uring_queue_exit(&loop->ring);
    free(loop->watches);
    free(loop->stale);
}

static int curl_io_uring_download_many(const struct download_job *job,
                                       struct transfer_result *results)
{
    struct loop loop = {.timeout_ns = TIMEOUT_NONE};

    if (job->count == 0) {
        return 0;
    }
    int result = ring_init(&loop, curl_run_places(job));
    if (result < 0) {
        return result;
    }
    result = curl_loop_init(&loop.curl, job, results);
    if (result == 0) {
        result = multi_init(&loop);
    }
    if (result == 0) {
        loop_run(&loop);
        result = loop.curl.error;
    }
    loop_release(&loop);
    return result;
}

/* ---- can it run here? ---- */

static int curl_io_uring_probe(char reason[BENCH_REASON_BYTES])
{
    static const struct ring_operation needed[] = {
        {IORING_OP_POLL_ADD, "POLL_ADD"},
        {IORING_OP_POLL_REMOVE, "POLL_REMOVE"},
    };

    return ring_probe(needed, sizeof needed / sizeof needed[0], reason);
}

#define UNAVAILABLE NULL
#define PROBE curl_io_uring_probe

#else

#include <errno.h>

static int curl_io_uring_download_many(const struct download_job *job,
                                       struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without liburing"
#define PROBE NULL

#endif

const struct bench_backend backend_curl_io_uring = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_io_uring",
    .engine = "curl",
    .model = "io_uring",
    .waits_in = "io_uring_enter(2)",
    .summary = "libcurl's sockets and timeout, watched by a ring of io_uring",
    .unavailable = UNAVAILABLE,
    .probe = PROBE,
    .download_many = curl_io_uring_download_many,
};
