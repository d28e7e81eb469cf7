/*
 * Model:    a loop that hands blocking calls to a pool of threads (to_thread, run_in_executor)
 * Threads:  one, and libuv's pool (UV_THREADPOOL_SIZE, 4)
 * Waits in: epoll_wait(2), inside uv_run; in the pool: poll(2), inside getaddrinfo(3)
 * Woken by: a thread of the pool that is through
 * Syscalls per transfer: what getaddrinfo(3) makes of resolv.conf(5) and nsswitch.conf(5), and 3
 *                        to hand the call over and back (futex, write, read)
 * Read next: dns_libuv.c, where the loop itself waits for the answers
 *
 * To the loop it looks asynchronous; the waiting only went elsewhere. No more lookups are in flight
 * than the pool has threads. There are no more places than that, whatever `concurrency` is: what
 * waits in libuv's queue is asked of nobody, and its time must not run. And a call that blocks
 * cannot be ended: after its time limit a lookup is told as timed out, but its place is free only
 * when the call returns. How long it may wait can only be said beforehand, on the thread that makes
 * the call (resolver_limit). Hence uv_queue_work: uv_getaddrinfo does nothing there but call, and
 * has half of the threads.
 *
 * getaddrinfo(3) asks the machine's own resolvers, and no others: "dns:///name" only.
 */
#include "backend.h"

#if defined(HAVE_LIBUV)

#include "clock.h"
#include "dns_url.h"
#include "job_run.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define ADDRESS_BYTES 4
#define ADDRESSES_MAX 1024
#define ABSOLUTE_NAME_BYTES (DNS_NAME_BYTES_MAX + 2) /* the last dot, and NUL */
#define CANCEL_POLL_MS 50                            /* backend.h: every 100 ms at least */

/* Of libuv's pool, when UV_THREADPOOL_SIZE does not say otherwise, and when it says too much. */
#define POOL_THREADS 4
#define POOL_THREADS_MAX 1024

/* One of the places in flight: a lookup at a time. */
struct place {
    struct transfer transfer;
    struct loop *loop;
    uv_work_t work;
    uv_timer_t timer; /* goes off at the deadline */
    bool calling;     /* libuv has the work */
    bool told;        /* the lookup has ended before the call */

    /* of the call; a thread of the pool's until it is through */
    char name[ABSOLUTE_NAME_BYTES];
    struct addrinfo *found;
    int status;   /* EAI_... */
    int os_error; /* of EAI_SYSTEM */
};

struct loop {
    struct job_run *run;
    uv_loop_t uv;
    uv_timer_t cancel_poll;
    struct place *places;
    uint32_t place_count;
    uint32_t active; /* places that are not idle */
    bool cancelled;
};

static void place_advance(struct place *place, enum transfer_step step);

/* ---- what an answer means ---- */

static int compare_addresses(const void *a, const void *b)
{
    return memcmp(a, b, ADDRESS_BYTES);
}

static enum transfer_step found(struct place *place)
{
    const struct addrinfo *all = place->found;
    unsigned char addresses[ADDRESSES_MAX][ADDRESS_BYTES];
    const uint64_t now_ns = clock_now_ns();
    size_t count = 0;

    for (; all != NULL && count < ADDRESSES_MAX; all = all->ai_next) {
        struct sockaddr_in address;
        memcpy(&address, all->ai_addr, sizeof address);
        memcpy(addresses[count++], &address.sin_addr, ADDRESS_BYTES);
    }
    qsort(addresses, count, sizeof addresses[0], compare_addresses);
    transfer_first_byte(&place->transfer, now_ns);
    int result = transfer_expect(&place->transfer, count * ADDRESS_BYTES);
    if (result == 0) {
        result = transfer_body(&place->transfer, addresses, count * ADDRESS_BYTES);
    }
    return result == 0 ? transfer_found(&place->transfer, now_ns)
                       : transfer_fail(&place->transfer, transfer_status_of_errno(-result), -result,
                                       NULL, now_ns);
}

static enum transfer_step time_is_up(struct place *place, uint64_t now_ns)
{
    return transfer_give_up(&place->transfer, TRANSFER_TIMEOUT, ETIMEDOUT, NULL, now_ns);
}

/*
 * getaddrinfo(3) does not tell a server that failed from one that did not answer: EAI_AGAIN. One
 * that was given the time of the lookup did not, even if the loop hears of it before its timer.
 */
static enum transfer_step settle(struct place *place)
{
    const uint64_t now_ns = clock_now_ns();

    switch (place->status) {
    case 0:
        return found(place);
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return transfer_fail(&place->transfer, TRANSFER_NOT_FOUND, 0, gai_strerror(place->status),
                             now_ns);
    case EAI_MEMORY:
        return transfer_fail(&place->transfer, TRANSFER_RESET, ENOMEM, NULL, now_ns);
    case EAI_SYSTEM:
        return transfer_fail(&place->transfer, TRANSFER_UNRESOLVED, place->os_error, NULL, now_ns);
    default:
        return now_ns >= place->transfer.deadline_ns
                   ? time_is_up(place, now_ns)
                   : transfer_fail(&place->transfer, TRANSFER_UNRESOLVED, 0,
                                   gai_strerror(place->status), now_ns);
    }
}

/* ---- the call: on a thread of the pool ---- */

#if defined(__GLIBC__)

static int least(int limit, uint64_t value)
{
    return value < (uint64_t)limit ? (int)value : limit;
}

/* Rounded up; of no parts, the whole. */
static uint64_t part_of(uint64_t seconds, int parts)
{
    return parts > 1 ? (seconds + (uint64_t)parts - 1) / (uint64_t)parts : seconds;
}

/* glibc has all states in a list, with a lock of its own that ThreadSanitizer does not see. */
static pthread_mutex_t resolver_list = PTHREAD_MUTEX_INITIALIZER;

/*
 * As resolv.conf(5) has it. A state that differs from it is left alone by getaddrinfo(3), even when
 * the file changes; hence anew for each call. @return 0 or -1
 */
static int resolver_renew(res_state resolver)
{
    (void)pthread_mutex_lock(&resolver_list);
    if ((resolver->options & RES_INIT) != 0) {
        res_nclose(resolver);
    }
    int result = res_ninit(resolver);
    (void)pthread_mutex_unlock(&resolver_list);
    return result;
}

/*
 * The time of a lookup, in the terms of resolver(3): attempts, and the seconds that each has for
 * each server; one at least, whatever is set. As many attempts as begin in that time share it, and
 * neither number is more than resolv.conf(5) has. What comes over TCP, or from another service of
 * nsswitch.conf(5), waits as it likes.
 * @return 0 or EAI_SYSTEM
 */
static int resolver_limit(uint64_t timeout_ns)
{
    const uint64_t seconds = (timeout_ns + NS_PER_S - 1) / NS_PER_S;
    const res_state resolver = &_res; /* the thread's own */

    if (resolver_renew(resolver) != 0) {
        return EAI_SYSTEM;
    }
    resolver->retry =
        least(resolver->retry, part_of(seconds, resolver->nscount * resolver->retrans));
    resolver->retrans =
        least(resolver->retrans, part_of(seconds, resolver->nscount * resolver->retry));
    return 0;
}

#else

/* Elsewhere the names of resolver(3) may be there, but nothing behind them (musl). */
static int resolver_limit(uint64_t timeout_ns)
{
    (void)timeout_ns;
    return 0;
}

#endif

/* callback from libuv, on a thread of the pool */
static void on_work(uv_work_t *work)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct place *place = work->data;

    place->found = NULL;
    place->status = resolver_limit(place->loop->run->job->timeout_ns);
    if (place->status == 0) {
        place->status = getaddrinfo(place->name, NULL, &hints, &place->found);
    }
    place->os_error = errno;
}

/* ---- start ---- */

/* callback from libuv: the call has returned */
static void on_resolved(uv_work_t *work, int status)
{
    struct place *place = work->data;
    enum transfer_step step = TRANSFER_DONE;

    assert(status == 0); /* nothing cancels it */
    (void)status;
    place->calling = false;
    if (!place->told) {
        step = settle(place);
    }
    if (place->found != NULL) {
        freeaddrinfo(place->found);
    }
    place_advance(place, step);
}

/* callback from libuv: the time is up. The call goes on. */
static void on_deadline(uv_timer_t *timer)
{
    struct place *place = timer->data;

    if (!place->calling || place->told) {
        return;
    }
    place->told = true;
    (void)time_is_up(place, clock_now_ns());
}

/*
 * The name with its last dot: asked of DNS as it is, as the other models do. Nothing of `search` is
 * put behind it (resolv.conf(5)), it is in no line of /etc/hosts, and "10.1" is no address.
 */
static void absolute_name(const char *name, char absolute[static ABSOLUTE_NAME_BYTES])
{
    const size_t bytes = strlen(name);

    assert(bytes > 0);
    int written =
        snprintf(absolute, ABSOLUTE_NAME_BYTES, "%s%s", name, name[bytes - 1] == '.' ? "" : ".");
    assert(written > 0 && written < ABSOLUTE_NAME_BYTES); /* dns_url_parse has checked it */
    (void)written;
}

static enum transfer_step place_ask(struct place *place)
{
    struct loop *loop = place->loop;
    struct dns_url url;

    int result = dns_url_parse(place->transfer.request->url, &url);
    assert(result == 0); /* the host has checked it */
    absolute_name(url.name, place->name);
    place->work.data = place;
    place->told = false;
    place->calling = true;
    result = uv_queue_work(&loop->uv, &place->work, on_work, on_resolved);
    assert(result == 0); /* only without on_work */
    (void)result;
    uint64_t timeout_ms = (loop->run->job->timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
    uv_update_time(&loop->uv);
    (void)uv_timer_start(&place->timer, on_deadline, timeout_ms, 0);
    return TRANSFER_MORE;
}

/* ---- advance ---- */

static enum transfer_step place_next(struct place *place)
{
    struct loop *loop = place->loop;
    const uint64_t now_ns = clock_now_ns();
    size_t index = 0;

    if (job_run_take(loop->run, &index, now_ns)) {
        transfer_start(&place->transfer, index, now_ns);
        return TRANSFER_AGAIN;
    }
    (void)uv_timer_stop(&place->timer);
    loop->active--;
    if (loop->active == 0) {
        uv_stop(&loop->uv);
    }
    return TRANSFER_MORE;
}

static void place_advance(struct place *place, enum transfer_step step)
{
    while (step != TRANSFER_MORE) {
        step = step == TRANSFER_AGAIN ? place_ask(place) : place_next(place);
    }
}

/* ---- finish ---- */

/* callback from libuv: does the caller want to stop? Calls that block are waited for. */
static void on_cancel_poll(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    if (loop->cancelled || !transfer_cancelled(loop->run->job)) {
        return;
    }
    loop->cancelled = true;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        if (place->calling && !place->told) {
            place->told = true;
            (void)transfer_give_up(&place->transfer, TRANSFER_CANCELLED, ECANCELED, NULL,
                                   clock_now_ns());
        }
    }
}

/* ---- the loop ---- */

static void loop_run(struct loop *loop)
{
    (void)uv_timer_start(&loop->cancel_poll, on_cancel_poll, CANCEL_POLL_MS, CANCEL_POLL_MS);
    loop->active = loop->place_count;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        place_advance(&loop->places[i], TRANSFER_DONE);
    }
    if (loop->active > 0) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until uv_stop */
    }
}

/* ---- set up and torn down ---- */

/* How many threads libuv makes, when it first needs them: as many calls run at a time. */
static uint32_t pool_threads(void)
{
    const char *text = getenv("UV_THREADPOOL_SIZE");
    uint32_t threads = text == NULL ? POOL_THREADS : (uint32_t)strtol(text, NULL, 10);

    if (threads == 0) {
        threads = 1; /* of no number, too */
    }
    if (threads > POOL_THREADS_MAX) {
        threads = POOL_THREADS_MAX; /* of a negative number, too */
    }
    return threads;
}

static int places_init(struct loop *loop)
{
    struct job_run *run = loop->run;
    const uint32_t threads = pool_threads();
    const uint32_t count = run->place_count < threads ? run->place_count : threads;

    loop->places = calloc(count, sizeof loop->places[0]);
    if (loop->places == NULL) {
        return -ENOMEM;
    }
    loop->place_count = count;
    for (uint32_t i = 0; i < loop->place_count; i++) {
        struct place *place = &loop->places[i];
        place->loop = loop;
        transfer_init(&place->transfer, run->job, run->results);
        (void)uv_timer_init(&loop->uv, &place->timer);
        place->timer.data = place;
    }
    return 0;
}

static void loop_release(struct loop *loop)
{
    for (uint32_t i = 0; i < loop->place_count; i++) {
        uv_close((uv_handle_t *)&loop->places[i].timer, NULL);
    }
    uv_close((uv_handle_t *)&loop->cancel_poll, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
        /* again, for a uv_stop in between */
    }
    for (uint32_t i = 0; i < loop->place_count; i++) {
        transfer_release(&loop->places[i].transfer);
    }
    free(loop->places);
    int result = uv_loop_close(&loop->uv);
    assert(result == 0); /* no handle may be left */
    (void)result;
}

static bool asks_this_machine(const struct download_job *job)
{
    struct dns_url url;

    for (size_t i = 0; i < job->count; i++) {
        if (dns_url_parse(job->requests[i].url, &url) != 0 || url.server[0] != '\0') {
            return false;
        }
    }
    return true;
}

static int dns_uv_getaddrinfo_download_many(const struct download_job *job,
                                            struct transfer_result *results)
{
    struct job_run run;
    struct loop loop = {.run = &run};

    if (job->count == 0) {
        return 0;
    }
    if (!asks_this_machine(job)) {
        return -EOPNOTSUPP;
    }
    job_run_init(&run, job, results);
    int result = uv_loop_init(&loop.uv);
    if (result < 0) {
        return result;
    }
    (void)uv_timer_init(&loop.uv, &loop.cancel_poll); /* cannot fail */
    loop.cancel_poll.data = &loop;
    result = places_init(&loop);
    if (result == 0) {
        loop_run(&loop);
    }
    loop_release(&loop);
    return result;
}

#define UNAVAILABLE NULL

#else

#include <errno.h>

static int dns_uv_getaddrinfo_download_many(const struct download_job *job,
                                            struct transfer_result *results)
{
    (void)job, (void)results;
    return -ENOSYS;
}

#define UNAVAILABLE "built without libuv"

#endif

const struct bench_backend backend_dns_uv_getaddrinfo = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_DNS | BENCH_CAP_SYSTEM_DNS,
    .name = "dns_uv_getaddrinfo",
    .engine = "libc",
    .model = "uv_getaddrinfo",
    .waits_in = "getaddrinfo(3)",
    .summary = "getaddrinfo in libuv's pool of threads; this machine's resolvers only",
    .unavailable = UNAVAILABLE,
    .download_many = dns_uv_getaddrinfo_download_many,
};
