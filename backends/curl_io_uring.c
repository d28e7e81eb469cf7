/*
 * Model:    one event loop; libcurl says which sockets to watch, a ring of io_uring watches them
 * Threads:  the caller's
 * Waits in: io_uring_enter(2), which also hands over what is to be watched next
 * Woken by: completions (CQEs) of POLL_ADD; libcurl's one timeout is that of the wait
 * Syscalls per transfer: about 5 (2 poll, 1 send, 1 recv); io_uring_enter is shared
 * Read next: curl_libuv.c, the same over epoll; raw_io_uring.c, where the ring does the work
 *
 * The ring tells that a socket is ready, no more: libcurl reads and writes it itself. What is
 * gained over epoll is the epoll_ctl: libcurl stops watching a socket when its transfer ends and
 * begins again with the next one, and here that is an entry in memory, submitted with the wait.
 *
 * A POLL_ADD tells once. libcurl need not have read all that was there, so a poll that goes on
 * (multishot) would not do: it tells of what arrives, not of what is left. One that is made anew
 * looks at the socket first. It is made when the loop is about to wait, not when libcurl asks:
 * by then libcurl may have changed its mind several times, even closed the socket and opened
 * another of the same number. Files are written here, on the loop.
 */
#include "backend.h"

#if defined(HAVE_LIBURING)

#include "clock.h"
#include "curl_transfer.h"
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

/* The whole run. */
struct loop {
    struct curl_run run;
    struct io_uring ring;
    uint64_t timeout_ns; /* libcurl's only one: when, 0 for at once, or TIMEOUT_NONE */
    CURLM *multi;
    struct place *places;
    size_t place_count;
    struct watch *watches; /* [watch_count], by socket */
    curl_socket_t *stale;  /* [watch_count]: sockets whose poll may have to be made anew */
    size_t watch_count;
    size_t stale_count;
    size_t next;          /* request that nobody has taken yet */
    size_t active;        /* places in flight */
    int error;            /* -errno: the run cannot go on */
    uint8_t skip_success; /* IOSQE_CQE_SKIP_SUCCESS where the kernel has it */
    bool cancelled;
    struct io_uring_sqe lost; /* written to when the ring has failed; goes nowhere */
};

/* One transfer after the other. */
struct place {
    struct curl_transfer transfer; /* first: libcurl's private pointer is both */
    struct loop *loop;
    bool in_multi; /* libcurl has the handle */
};

/* One socket number; whichever socket of libcurl has it. */
struct watch {
    uint32_t generation; /* of the poll: tells a late completion from a new one */
    short events;        /* that libcurl waits for; 0: none */
    short polled;        /* events of the poll that is armed; 0: none is */
    bool is_stale;       /* in loop->stale */
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

static uint64_t user_data_pack(curl_socket_t socket, const struct watch *watch)
{
    return (uint64_t)socket << 32 | watch->generation;
}

/* Submissions */

static void loop_submit(struct loop *loop)
{
    int result = io_uring_submit(&loop->ring);

    if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY) {
        loop_fail(loop, result);
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
        loop_fail(loop, -EBUSY);
        sqe = &loop->lost;
    }
    return sqe;
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
        loop_fail(loop, result);
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
        loop_fail(loop, events);
        return;
    }
    if ((events & (POLLERR | POLLHUP)) != 0) {
        events |= watch->events;
    }
    flags |= (events & POLLIN) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    watch_mark(loop, socket);
    act(loop, socket, flags);
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

static uint64_t loop_patience_ns(const struct loop *loop)
{
    const struct download_hooks *hooks = loop->run.job->hooks;
    uint64_t patience_ns = hooks != NULL && hooks->cancelled != NULL ? CANCEL_POLL_NS : WAIT_MAX_NS;

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
        loop_fail(loop, result);
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
        if (seen == seen_max || !loop_goes_on(loop)) {
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
        act(loop, CURL_SOCKET_TIMEOUT, 0);
    }
}

/* Until every place is idle. */
static void loop_run(struct loop *loop)
{
    loop->active = loop->place_count;
    for (size_t i = 0; i < loop->place_count; i++) {
        place_start(&loop->places[i]);
    }
    while (loop->active > 0 && loop_goes_on(loop)) {
        loop_expire(loop);
        loop_wait(loop);
        loop_reap(loop);
        if (!loop->cancelled && transfer_cancelled(loop->run.job)) {
            loop_cancel(loop);
        }
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

/* Room for a poll of each place, and for those that were given up. */
static int ring_init(struct loop *loop)
{
    const size_t places = loop->place_count;

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
    loop_fail(loop, -ECANCELED); /* nobody starts anything from here on */
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        place_leave_multi(&loop->places[i]);
    }
    (void)curl_multi_cleanup(loop->multi); /* its last sockets: on_curl_socket */
    for (size_t i = 0; loop->places != NULL && i < loop->place_count; i++) {
        curl_transfer_release(&loop->places[i].transfer);
    }
    free(loop->places);
    io_uring_queue_exit(&loop->ring);
    free(loop->watches);
    free(loop->stale);
}

static int io_uring_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct loop loop = {.place_count = curl_run_places(job), .timeout_ns = TIMEOUT_NONE};

    if (job->count == 0) {
        return 0;
    }
    int result = ring_init(&loop);
    if (result < 0) {
        return result;
    }
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

/* Can it run here? */

static int io_uring_backend_probe(char reason[BENCH_REASON_BYTES])
{
    static const struct ring_operation needed[] = {
        {IORING_OP_POLL_ADD, "POLL_ADD"},
        {IORING_OP_POLL_REMOVE, "POLL_REMOVE"},
    };

    return ring_probe(needed, sizeof needed / sizeof needed[0], reason);
}

#define UNAVAILABLE NULL
#define PROBE io_uring_backend_probe

#else

#include <errno.h>

static int io_uring_download_many(const struct download_job *job, struct transfer_result *results)
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
    .download_many = io_uring_download_many,
};
