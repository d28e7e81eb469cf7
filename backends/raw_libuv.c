/*
 * Model:    callbacks: libuv waits, reads and says what has come; we only ever answer it
 * Threads:  one, or one for each of `loops`; with files to save also libuv's pool (4)
 * Waits in: epoll_wait(2), inside uv_run
 * Woken by: a connection that is made, bytes that were read, a file operation, the first deadline
 * Syscalls per transfer: 2 (read, write); epoll_wait is shared by all that became ready together
 * Read next: raw_epoll.c, the same without the library: what libuv does in its place;
 *            curl_libuv.c, the same loop for sockets of libcurl; uv_save.c, the files
 *
 * libuv reads before it calls: on_read gets bytes, not readiness. They lie in one buffer for all
 * connections of a loop (on_alloc), because nothing is left in it when on_read returns. A request
 * is written at once (uv_try_write), and by the loop (uv_write) only when the socket is full.
 *
 * A handle that is closed is libuv's until its callback: a place that needs a new connection waits
 * for on_closed, at the end of the same turn. What a callback of the old connection could still
 * tell, it tells as UV_ECANCELED, before on_closed; none is left when the next one begins.
 */
#include "backend.h"

#if defined(HAVE_LIBUV)

#include "clock.h"
#include "deadlines.h"
#include "exchange.h"
#include "job_run.h"
#include "raw_socket.h"
#include "tcp_reno.h"
#include "uv_save.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <uv.h>

#define BUFFER_BYTES 65536
#define STARTS_PER_TURN 64 /* as in raw_epoll.c */

#define WAIT_MAX_NS NS_PER_S
#define CANCEL_POLL_NS (50 * NS_PER_MS) /* backend.h: every 100 ms at least */

/* ---- state ---- */

enum place_state {
    PLACE_IDLE,       /* nothing left to do */
    PLACE_CONNECTING, /* or about to: when the handle is free */
    PLACE_EXCHANGING,
    PLACE_SAVING,
};

/* One of the places in flight: a request at a time, and its connection. */
struct place {
    struct exchange exchange;
    struct loop *loop;
    struct deadline_link deadline; /* in loop->deadlines while asking */
    enum place_state state;

    /* the connection, kept from request to request */
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write; /* of what uv_try_write has left over */
    uint32_t number;
    const struct endpoint *peer;
    bool open;    /* from connect_start to connection_close */
    bool closing; /* from there to on_closed */
    bool writing;
    bool used; /* has carried a request */

    struct uv_save *save; /* NULL when the job saves nothing */
};

struct loop {
    struct job_run *run;
    uv_loop_t uv;
    uv_idle_t starter;   /* until every place has begun */
    uv_timer_t patience; /* goes off at the first deadline, or to look around */
    uint64_t due_ns;     /* when it will */
    struct place *places;
    uint32_t place_count;
    uint32_t started; /* places that have begun */
    uint32_t active;  /* places that are not idle */
    bool cancelled;
    uint64_t now_ns;
    struct deadlines deadlines;
    struct uv_save *saves; /* one for each place */
    char *buffer;
};

static struct place *place_of_deadline(struct deadline_link *link)
{
    return (struct place *)(void *)((char *)link - offsetof(struct place, deadline));
}

static void place_advance(struct place *place, enum transfer_step step);
static enum transfer_step connect_start(struct place *place);

static void place_fail(struct place *place, int os_error)
{
    place_advance(place, exchange_fail(&place->exchange, os_error, place->loop->now_ns));
}

/* ---- start ---- */

/* callback from libuv: where to read to */
static void on_alloc(uv_handle_t *handle, size_t suggested_bytes, uv_buf_t *buffer)
{
    const struct place *place = handle->data;

    (void)suggested_bytes;
    *buffer = uv_buf_init(place->loop->buffer, BUFFER_BYTES);
}

/* When the socket has hung up, libuv calls it the end after the last bytes, without another read
 * that would tell of a reset. @return 0 or the errno value */
static int end_error(const struct place *place)
{
    int os_error = 0;
    socklen_t bytes = sizeof os_error;
    uv_os_fd_t fd = -1;

    int result = uv_fileno((const uv_handle_t *)&place->tcp, &fd);
    if (result < 0) {
        return -result;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &os_error, &bytes) < 0 ? errno : os_error;
}

static enum transfer_step exchange_advance(struct place *place, ssize_t bytes)
{
    struct exchange *exchange = &place->exchange;
    const struct loop *loop = place->loop;

    if (bytes > 0) {
        return exchange_feed(exchange, loop->buffer, (size_t)bytes, loop->now_ns);
    }
    int os_error = bytes == UV_EOF ? end_error(place) : (int)-bytes;
    return os_error == 0 ? exchange_eof(exchange, loop->now_ns)
                         : exchange_fail(exchange, os_error, loop->now_ns);
}

/* callback from libuv: the handle is ours again */
static void on_closed(uv_handle_t *handle)
{
    struct place *place = handle->data;

    place->closing = false;
    if (place->state == PLACE_CONNECTING && job_run_goes_on(place->loop->run)) {
        place->loop->now_ns = clock_now_ns();
        place_advance(place, connect_start(place));
    }
}

/* The descriptor is closed at once, the handle later. */
static void connection_close(struct place *place)
{
    if (place->open) {
        place->open = false;
        place->closing = true;
        uv_close((uv_handle_t *)&place->tcp, on_closed);
    }
}

/* callback from libuv: bytes, an end or an error. Reading goes on from exchange to exchange; what
 * comes while a file is written was not asked for, and ends the connection. */
static void on_read(uv_stream_t *stream, ssize_t bytes, const uv_buf_t *buffer)
{
    struct place *place = stream->data;

    (void)buffer;
    if (bytes == 0) {
        return; /* EAGAIN */
    }
    if (place->state != PLACE_EXCHANGING) {
        connection_close(place);
        return;
    }
    place->loop->now_ns = clock_now_ns(); /* now, not when the batch began: it may be a long one */
    place_advance(place, exchange_advance(place, bytes));
}

/* callback from libuv: the rest of a request is out, or never will be */
static void on_written(uv_write_t *write, int status)
{
    struct place *place = write->data;

    if (status == UV_ECANCELED) {
        return; /* closed; the place may be about other things already */
    }
    place->writing = false;
    if (status < 0 && place->state == PLACE_EXCHANGING &&
        !exchange_send_failed(&place->exchange, -status)) {
        place->loop->now_ns = clock_now_ns();
        place_fail(place, -status);
    }
}

/* @return 0 or -errno */
static int request_write(struct place *place)
{
    const struct exchange *exchange = &place->exchange;
    uv_stream_t *stream = (uv_stream_t *)&place->tcp;
    uv_buf_t text = uv_buf_init(exchange->request, (unsigned int)exchange->request_bytes);

    int sent = uv_try_write(stream, &text, 1);
    if (sent < 0 && sent != UV_EAGAIN) {
        return exchange_send_failed(&place->exchange, -sent) ? 0 : sent;
    }
    if (sent > 0) {
        text.base += sent;
        text.len -= (size_t)sent;
    }
    if (text.len == 0) {
        return 0;
    }
    /* libuv keeps a pointer to the text, not the text. It stays until the answer is complete, and a
     * connection that still writes then is closed, with which the writing ends. */
    place->writing = true;
    place->write.data = place;
    return uv_write(&place->write, stream, &text, 1, on_written);
}

static enum transfer_step request_send(struct place *place)
{
    struct exchange *exchange = &place->exchange;
    bool reads = place->used;

    exchange_connected(exchange, place->number, place->used);
    place->used = true;
    place->state = PLACE_EXCHANGING;
    int result = request_write(place);
    if (result == 0 && !reads) {
        result = uv_read_start((uv_stream_t *)&place->tcp, on_alloc, on_read);
    }
    return result < 0 ? exchange_fail(exchange, -result, place->loop->now_ns) : TRANSFER_MORE;
}

/* callback from libuv: connected, or not */
static void on_connect(uv_connect_t *connect, int status)
{
    struct place *place = connect->data;

    if (status == UV_ECANCELED) {
        return; /* closed; the place may be about other things already */
    }
    place->loop->now_ns = clock_now_ns();
    if (status < 0) {
        place_fail(place, -status);
        return;
    }
    place->number = job_run_connection(place->loop->run);
    place_advance(place, request_send(place));
}

static void socket_use_reno(const struct place *place)
{
    uv_os_fd_t fd = -1;

    if (uv_fileno((const uv_handle_t *)&place->tcp, &fd) == 0) {
        tcp_use_reno(fd);
    }
}

static enum transfer_step connect_start(struct place *place)
{
    const struct endpoint *peer = place->exchange.endpoint;

    place->state = PLACE_CONNECTING;
    if (place->closing) {
        return TRANSFER_MORE; /* on_closed comes back to it */
    }
    (void)uv_tcp_init(&place->loop->uv, &place->tcp); /* only fills in the handle */
    (void)uv_tcp_nodelay(&place->tcp, 1);             /* noted until there is a socket */
    place->tcp.data = place;
    place->connect.data = place;
    place->peer = peer;
    place->open = true;
    place->writing = false;
    place->used = false;
    int result = uv_tcp_connect(&place->connect, &place->tcp,
                                (const struct sockaddr *)&peer->address, on_connect);
    socket_use_reno(place); /* uv_tcp_connect has made it */
    return result < 0 ? exchange_fail(&place->exchange, -result, place->loop->now_ns)
                      : TRANSFER_MORE;
}

/* ---- advance ---- */

static bool connection_is_kept(const struct place *place)
{
    return place->open && exchange_keeps_connection(&place->exchange) && !place->writing;
}

static enum transfer_step place_ask(struct place *place)
{
    if (connection_is_kept(place) && place->peer == place->exchange.endpoint) {
        return request_send(place);
    }
    connection_close(place);
    return connect_start(place);
}

/* What has come while the file was written is for on_read, which may have its turn after us. */
static bool connection_is_quiet(const struct place *place)
{
    uv_os_fd_t fd = -1;

    return uv_fileno((const uv_handle_t *)&place->tcp, &fd) == 0 && raw_socket_is_quiet(fd);
}

/* callback: the file is written, or not */
static void on_saved(struct uv_save *save, int result)
{
    struct place *place = save->user;

    place->loop->now_ns = clock_now_ns();
    if (connection_is_kept(place) && !connection_is_quiet(place)) {
        connection_close(place);
    }
    place_advance(place, exchange_saved(&place->exchange, -result, place->loop->now_ns));
}

static enum transfer_step place_save(struct place *place)
{
    assert(place->save != NULL);
    place->state = PLACE_SAVING;
    int result =
        uv_save_start(place->save, &place->loop->uv, &place->exchange.transfer, on_saved, place);
    return result < 0 ? exchange_saved(&place->exchange, -result, place->loop->now_ns)
                      : TRANSFER_MORE;
}

/* Closes first and starts then, so that no transfer's time holds the end of another. */
static enum transfer_step place_next(struct place *place)
{
    struct loop *loop = place->loop;
    size_t index = 0;

    if (place->open && !connection_is_kept(place)) {
        connection_close(place);
        loop->now_ns = clock_now_ns();
    }
    while (job_run_take(loop->run, &index, loop->now_ns)) {
        if (exchange_start(&place->exchange, index, loop->now_ns) == TRANSFER_MORE) {
            return TRANSFER_AGAIN;
        }
    }
    connection_close(place);
    place->state = PLACE_IDLE;
    loop->active--;
    if (loop->active == 0) {
        uv_stop(&loop->uv);
    }
    return TRANSFER_MORE;
}

static void patience_start(struct loop *loop);

static void place_set_deadline(struct place *place)
{
    struct loop *loop = place->loop;
    uint64_t deadline_ns = place->exchange.transfer.deadline_ns;

    if (deadlines_set(&loop->deadlines, &place->deadline, deadline_ns) &&
        deadline_ns < loop->due_ns) {
        patience_start(loop);
    }
}

/* Take the steps that are due, up to one that a callback has to tell of. */
static void place_advance(struct place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        switch (step) {
        case TRANSFER_AGAIN:
            place_set_deadline(place);
            step = place_ask(place);
            break;
        case TRANSFER_SAVE:
            deadlines_remove(&place->deadline);
            step = place_save(place);
            break;
        default:
            deadlines_remove(&place->deadline);
            step = place_next(place);
            break;
        }
    }
}

/* ---- finish ---- */

static void loop_expire(struct loop *loop)
{
    struct deadline_link *first = deadlines_first(&loop->deadlines);

    while (first != NULL && first->deadline_ns <= loop->now_ns) {
        place_fail(place_of_deadline(first), ETIMEDOUT);
        first = deadlines_first(&loop->deadlines);
    }
}

/* What was not started is answered by the place that comes to take it. A file that is being
 * written is finished: that is short, and the body is right. */
static void loop_cancel(struct loop *loop)
{
    struct deadline_link *first = NULL;

    loop->cancelled = true;
    while ((first = deadlines_first(&loop->deadlines)) != NULL) {
        place_fail(place_of_deadline(first), ECANCELED);
    }
}

/* ---- the loop ---- */

static uint64_t loop_patience_ns(const struct loop *loop)
{
    const struct deadline_link *first = deadlines_first(&loop->deadlines);
    uint64_t patience_ns = job_run_is_watched(loop->run) ? CANCEL_POLL_NS : WAIT_MAX_NS;

    if (first != NULL && first->deadline_ns < loop->now_ns + patience_ns) {
        patience_ns = first->deadline_ns > loop->now_ns ? first->deadline_ns - loop->now_ns : 0;
    }
    return patience_ns;
}

/* callback from libuv: a deadline may have passed, somebody may want to stop. It may come a
 * little early: timers count milliseconds, from when the turn began. */
static void on_patience(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    loop->now_ns = clock_now_ns();
    loop_expire(loop);
    if (!loop->cancelled && transfer_cancelled(loop->run->job)) {
        loop_cancel(loop);
    }
    if (!job_run_goes_on(loop->run)) {
        uv_stop(&loop->uv);
    }
    patience_start(loop);
}

/* Deadlines move away: the timer is set for the first one that there is, and again when it has
 * gone off, not for each transfer. */
static void patience_start(struct loop *loop)
{
    uint64_t patience_ms = (loop_patience_ns(loop) + NS_PER_MS - 1) / NS_PER_MS;

    loop->due_ns = loop->now_ns + patience_ms * NS_PER_MS;
    (void)uv_timer_start(&loop->patience, on_patience, patience_ms, 0);
}

/* callback from libuv: once a turn, and it does not wait meanwhile */
static void on_start(uv_idle_t *starter)
{
    struct loop *loop = starter->data;

    for (int i = 0; i < STARTS_PER_TURN && loop->started < loop->place_count; i++) {
        loop->now_ns = clock_now_ns();
        place_advance(&loop->places[loop->started++], TRANSFER_DONE);
    }
    if (loop->started == loop->place_count) {
        (void)uv_idle_stop(starter);
    }
}

static void loop_run(struct loop *loop)
{
    loop->active = loop->place_count;
    loop->now_ns = clock_now_ns();
    patience_start(loop);
    (void)uv_idle_start(&loop->starter, on_start);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until uv_stop */
}

/* ---- set up and torn down ---- */

static int places_init(struct loop *loop, uint32_t place_count)
{
    struct job_run *run = loop->run;

    loop->buffer = malloc(BUFFER_BYTES);
    loop->places = calloc(place_count, sizeof loop->places[0]);
    if (loop->buffer == NULL || loop->places == NULL) {
        return -ENOMEM;
    }
    if (run->job->output_dir_fd >= 0) {
        loop->saves = calloc(place_count, sizeof loop->saves[0]);
        if (loop->saves == NULL) {
            return -ENOMEM;
        }
    }
    loop->place_count = place_count;
    for (uint32_t i = 0; i < place_count; i++) {
        struct place *place = &loop->places[i];
        exchange_init(&place->exchange, run->job, run->results, &run->targets);
        place->loop = loop;
        place->save = loop->saves != NULL ? &loop->saves[i] : NULL;
    }
    return 0;
}

static int loop_init(struct loop *loop, struct job_run *run)
{
    *loop = (struct loop){.run = run};
    deadlines_init(&loop->deadlines);
    int result = uv_loop_init(&loop->uv);
    if (result < 0) {
        return result;
    }
    (void)uv_idle_init(&loop->uv, &loop->starter); /* these two cannot fail */
    (void)uv_timer_init(&loop->uv, &loop->patience);
    loop->starter.data = loop;
    loop->patience.data = loop;
    return 0;
}

/* What is still under way after an error ends here: files, then the close callbacks. */
static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        connection_close(&loop->places[i]);
    }
    uv_close((uv_handle_t *)&loop->starter, NULL);
    uv_close((uv_handle_t *)&loop->patience, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        /* again, for a uv_stop in between */
    }
    for (uint32_t i = 0; i < loop->place_count; i++) {
        exchange_release(&loop->places[i].exchange);
    }
    free(loop->saves);
    free(loop->places);
    free(loop->buffer);
    int result = uv_loop_close(&loop->uv);
    assert(result == 0); /* no handle may be left */
    (void)result;
}

/* libuv does not write with MSG_NOSIGNAL: what a closed connection would send this thread waits
 * until we are done, and is then taken back. */
static void pipe_signal_block(sigset_t *before)
{
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &signals, before);
}

static void pipe_signal_restore(const sigset_t *before)
{
    const struct timespec at_once = {0};
    sigset_t signals;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGPIPE);
    if (sigismember(before, SIGPIPE) == 0) {
        (void)sigtimedwait(&signals, NULL, &at_once);
    }
    (void)pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* On a thread of its own when there are several. */
static void loop_main(struct job_run *run, uint32_t number)
{
    struct loop loop;
    sigset_t before;

    int result = loop_init(&loop, run);
    if (result < 0) {
        job_run_fail(run, result);
        return;
    }
    pipe_signal_block(&before);
    result = places_init(&loop, job_run_share(run, number, job_run_loops(run)));
    if (result < 0) {
        job_run_fail(run, result);
    } else {
        loop_run(&loop);
    }
    loop_release(&loop);
    pipe_signal_restore(&before);
}

static int raw_libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct job_run run;

    if (job->count == 0) {
        return 0;
    }
    int result = job_run_init_http(&run, job, results);
    if (result == 0) {
        result = job_run_threads(&run, job_run_loops(&run), JOB_RUN_STACK_DEFAULT, loop_main);
    }
    job_run_release(&run);
    return result;
}

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int raw_libuv_download_many(const struct download_job *job, struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without libuv"

#endif

const struct bench_backend backend_raw_libuv = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_LOOPS,
    .name = "raw_libuv",
    .engine = "raw",
    .model = "libuv",
    .waits_in = "epoll_wait(2)",
    .summary = "callbacks of a libuv loop: it reads, we answer",
    .unavailable = UNAVAILABLE,
    .download_many = raw_libuv_download_many,
};
