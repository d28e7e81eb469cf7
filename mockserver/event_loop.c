#include "event_loop.h"

#include "connection.h"

#include "backends/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SWEEP_MS 1000
#define DUE_PER_TURN 4 /* before the sockets are looked at again: about 30 us */

/* To sleep until a deadline is to wake up late: by 10 to 50 us, on a virtual machine. So the
 * timer is set that much early, and the rest is spent looking at the sockets. It costs no more
 * than the sleep, which is why it is not longer. */
#define AWAKE_NS (30 * NS_PER_US)

/* Whoever opens one connection often opens many, and would pay for waking who accepts them each
 * time: about 40 us apart, as long as a handshake takes. */
#define OPENING_NS (60 * NS_PER_US)

/* As of 1.44 uv_backend_timeout is 0 when sockets are watched that the kernel does not know of. */
#define UV_TELLS_CHANGES 0x012c00u

uint64_t event_loop_turn(struct event_loop *loop)
{
    uint64_t now_ns = clock_now_ns();
    if (!loop->in_turn) {
        loop->in_turn = true;
        loop->turn_began_ns = now_ns;
    }
    return now_ns;
}

void event_loop_serve_due(struct event_loop *loop, uint64_t now_ns, size_t limit)
{
    if (deadline_queue_is_due(&loop->deadlines, now_ns)) {
        (void)deadline_queue_run(&loop->deadlines, clock_now_ns(), limit);
    }
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    (void)poll; /* on_prepare sees what is due */
    (void)status;
    (void)events;
}

static void on_awake(uv_idle_t *awake)
{
    (void)awake; /* that it is active is enough */
}

static void end_turn(struct event_loop *loop, uint64_t now_ns)
{
    if (loop->in_turn && loop->turns != NULL) {
        histogram_add(loop->turns, now_ns - loop->turn_began_ns);
    }
    loop->in_turn = false;
}

static uint64_t send_answers(struct event_loop *loop)
{
    if (!loop->completions.is_open) {
        return connection_send_batch(loop);
    }
    connection_hand_batch(loop);
    return clock_now_ns();
}

static bool is_opening(struct event_loop *loop)
{
    if (loop->opened_ns != 0 && clock_now_ns() > loop->opened_ns + OPENING_NS) {
        loop->opened_ns = 0;
    }
    return loop->opened_ns != 0;
}

static void stay_awake(struct event_loop *loop, bool awake)
{
    if (awake) {
        (void)uv_idle_start(&loop->awake, on_awake);
    } else {
        (void)uv_idle_stop(&loop->awake);
    }
}

/* Right before the loop looks at its sockets again, and sleeps if there is nothing. */
static void finish_turn(struct event_loop *loop)
{
    struct deadline_queue *deadlines = &loop->deadlines;
    if (deadlines->count == 0 && !loop->in_turn) {
        stay_awake(loop, is_opening(loop));
        deadline_queue_arm(deadlines, 0);
        return;
    }
    uint64_t now_ns = clock_now_ns();
    if (deadline_queue_is_due(deadlines, now_ns)) {
        (void)event_loop_turn(loop);
        now_ns = deadline_queue_run(deadlines, now_ns, DUE_PER_TURN);
    }
    if (loop->sends.count > 0) { /* also those that the last deadline has brought on */
        now_ns = send_answers(loop);
    }
    if (loop->sends.departed == 0) {
        end_turn(loop, now_ns);
    }
    bool is_near = deadline_queue_is_due(deadlines, now_ns + AWAKE_NS);
    stay_awake(loop, is_near || is_opening(loop));
    if (!is_near) {
        deadline_queue_arm(deadlines, AWAKE_NS);
    }
}

/* Where the ring sleeps, libuv has only looked in. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct event_loop *loop = prepare->data;
    if (!loop->completions.is_open) {
        finish_turn(loop);
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct event_loop *loop = timer->data;
    (void)event_loop_turn(loop);
    connection_close_idle(loop);
}

static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

/* Own handles only: those of connections are closed through their connections, those of
 * others by their owners. */
static void close_own(struct event_loop *loop)
{
    close_handle((uv_handle_t *)&loop->timer_poll, NULL);
    close_handle((uv_handle_t *)&loop->prepare, NULL);
    close_handle((uv_handle_t *)&loop->awake, NULL);
    close_handle((uv_handle_t *)&loop->sweep, NULL);
    close_handle((uv_handle_t *)&loop->wake, NULL);
}

static void take_handed(struct event_loop *loop)
{
    for (;;) {
        (void)pthread_mutex_lock(&loop->handoff.lock);
        int fd = loop->handoff.count > 0 ? loop->handoff.fds[--loop->handoff.count] : -1;
        (void)pthread_mutex_unlock(&loop->handoff.lock);
        if (fd < 0) {
            return;
        }
        connection_open(loop, fd);
        event_loop_serve_due(loop, clock_now_ns(), 1);
    }
}

static void on_wake(uv_async_t *wake)
{
    struct event_loop *loop = wake->data;
    (void)event_loop_turn(loop);
    take_handed(loop);
    if (atomic_load(&loop->stop)) {
        uv_stop(&loop->uv);
    }
}

static int start_handles(struct event_loop *loop)
{
    loop->timer_poll.data = loop;
    loop->prepare.data = loop;
    loop->sweep.data = loop;
    loop->wake.data = loop;
    int error = uv_poll_init(&loop->uv, &loop->timer_poll, loop->deadlines.timer_fd);
    if (error != 0) {
        return error;
    }
    /* From here on the handles are in the loop and closed by event_loop_run or _release. */
    (void)uv_prepare_init(&loop->uv, &loop->prepare);
    (void)uv_idle_init(&loop->uv, &loop->awake);
    (void)uv_timer_init(&loop->uv, &loop->sweep);
    error = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (error == 0) {
        error = uv_poll_start(&loop->timer_poll, UV_READABLE, on_timer);
    }
    if (error == 0) {
        error = uv_prepare_start(&loop->prepare, on_prepare);
    }
    if (error == 0) {
        error = uv_timer_start(&loop->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    }
    return error;
}

int event_loop_init(struct event_loop *loop, const struct service *service,
                    struct counters *counters, struct loop_counters *own_counters)
{
    memset(loop, 0, sizeof(*loop));
    loop->service = service;
    loop->counters = counters;
    loop->own_counters = own_counters;
    loop->turns = own_counters != NULL ? &own_counters->turns : NULL;
    loop->deadlines.timer_fd = -1;
    (void)pthread_mutex_init(&loop->handoff.lock, NULL);
    loop->read_buffer = malloc(READ_BUFFER_BYTES);
    if (loop->read_buffer == NULL) {
        return -ENOMEM;
    }
    int error = deadline_queue_init(&loop->deadlines);
    if (error == 0) {
        error = uv_loop_init(&loop->uv);
        loop->has_uv = error == 0;
    }
    return error != 0 ? error : start_handles(loop);
}

void event_loop_release(struct event_loop *loop)
{
    if (loop->has_uv) {
        connection_close_all(loop);
        uv_walk(&loop->uv, close_handle, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* nothing is active: the close callbacks */
        connection_free_all(loop);
        (void)uv_loop_close(&loop->uv);
    }
    for (size_t i = 0; i < loop->handoff.count; i++) {
        (void)close(loop->handoff.fds[i]);
    }
    free(loop->handoff.fds);
    (void)pthread_mutex_destroy(&loop->handoff.lock);
    deadline_queue_release(&loop->deadlines);
    free(loop->read_buffer);
}

int event_loop_reserve(struct event_loop *loop, size_t count)
{
    loop->deadlines_apart = count;
    return deadline_queue_reserve(&loop->deadlines, count);
}

/* @return whether libuv has something to do */
static bool take_completions(struct event_loop *loop)
{
    struct completion completion;
    bool is_readable = false;
    while (completion_ring_next(&loop->completions, &completion)) {
        switch (completion.kind) {
        case COMPLETION_SENT:
            connection_answered(loop, &completion);
            break;
        case COMPLETION_RECEIVED:
            connection_received(completion.owner, &completion);
            break;
        case COMPLETION_READABLE:
            is_readable = true;
        }
    }
    return is_readable;
}

/* With answers to send the ring has something to tell at once: then it does not sleep, and the turn
 * ends when they are sent. */
static void wait_for_completions(struct event_loop *loop, int timeout_ms)
{
    completion_ring_wait(&loop->completions, timeout_ms);
    if (loop->sends.departed > 0) {
        end_turn(loop, clock_now_ns());
    }
}

/* The ring sleeps, and libuv runs when it has something to do: a socket or a timer of its own. How
 * long it may sleep is known when the turn is finished: that sets timers, and watches sockets. */
static void run_by_completion(struct event_loop *loop)
{
    bool is_watched = false; /* libuv, by the ring: which tells once */
    int timeout_ms = 0;
    while (!atomic_load(&loop->stop)) {
        if (!is_watched || timeout_ms == 0) {
            (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
        }
        is_watched =
            is_watched || completion_ring_watch(&loop->completions, uv_backend_fd(&loop->uv));
        finish_turn(loop);
        uv_update_time(&loop->uv);
        timeout_ms = is_watched ? uv_backend_timeout(&loop->uv) : 0;
        wait_for_completions(loop, timeout_ms);
        is_watched = !take_completions(loop) && is_watched;
    }
}

static void run_by_readiness(struct event_loop *loop)
{
    while (!atomic_load(&loop->stop)) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
}

void event_loop_run(struct event_loop *loop)
{
    if (loop->canned != NULL) {
        send_batch_open(&loop->sends);
        if (loop->service->is_prompt && uv_version() >= UV_TELLS_CHANGES) {
            completion_ring_open(&loop->completions);
        }
    }
    if (loop->completions.is_open) {
        run_by_completion(loop);
    } else {
        run_by_readiness(loop);
    }
    connection_close_all(loop);
    connection_end_completions(loop);
    send_batch_close(&loop->sends);
    close_own(loop);
}

void event_loop_stop(struct event_loop *loop)
{
    atomic_store(&loop->stop, true);
    (void)uv_async_send(&loop->wake);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    event_loop_stop(handle->data);
}

int event_loop_stop_on_signals(struct event_loop *loop, uv_signal_t signals[EVENT_LOOP_SIGNALS])
{
    static const int numbers[EVENT_LOOP_SIGNALS] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < EVENT_LOOP_SIGNALS; i++) {
        signals[i].data = loop;
        int error = uv_signal_init(&loop->uv, &signals[i]);
        if (error == 0) {
            error = uv_signal_start(&signals[i], on_signal, numbers[i]);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

void event_loop_hand(struct event_loop *loop, int fd)
{
    struct handoff *handoff = &loop->handoff;
    bool handed = true;
    (void)pthread_mutex_lock(&handoff->lock);
    if (handoff->count == handoff->capacity) {
        size_t capacity = handoff->capacity == 0 ? 64 : handoff->capacity * 2;
        int *fds = realloc(handoff->fds, capacity * sizeof(*fds));
        handed = fds != NULL;
        if (handed) {
            handoff->fds = fds;
            handoff->capacity = capacity;
        }
    }
    if (handed) {
        handoff->fds[handoff->count++] = fd;
    }
    (void)pthread_mutex_unlock(&handoff->lock);
    if (handed) {
        (void)uv_async_send(&loop->wake);
    } else {
        (void)close(fd);
    }
}

const char *event_loop_date(struct event_loop *loop)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* cheap; a date has whole seconds */
    if (now.tv_sec != loop->date_second) {
        struct tm parts;
        loop->date_second = now.tv_sec;
        /* The program never leaves the C locale, so the names are English. */
        (void)strftime(loop->date, sizeof(loop->date), "%a, %d %b %Y %H:%M:%S GMT",
                       gmtime_r(&now.tv_sec, &parts));
    }
    return loop->date;
}
