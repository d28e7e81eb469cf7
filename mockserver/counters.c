#include "counters.h"

#include "draw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LATENESS_LINEAR 16u /* buckets below this many ns are exact */

int counters_init(struct counters *counters, size_t loop_count)
{
    memset(counters, 0, sizeof(*counters));
    size_t bytes = loop_count * sizeof(struct loop_counters);
    counters->loops = aligned_alloc(64, bytes);
    if (counters->loops == NULL) {
        return -ENOMEM;
    }
    memset(counters->loops, 0, bytes);
    counters->loop_count = loop_count;
    /* Only pages of numbers that do occur are ever touched. */
    void *seen = mmap(NULL, COUNTERS_NUMBERS_MAX, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (seen == MAP_FAILED) {
        counters_release(counters);
        return -ENOMEM;
    }
    counters->seen = seen;
    return 0;
}

void counters_release(struct counters *counters)
{
    if (counters->seen != NULL) {
        (void)munmap(counters->seen, COUNTERS_NUMBERS_MAX);
    }
    free(counters->loops);
    counters->seen = NULL;
    counters->loops = NULL;
}

static void zero(atomic_uint_fast64_t *counter, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        atomic_store_explicit(&counter[i], 0, memory_order_relaxed);
    }
}

static void loop_counters_reset(struct loop_counters *loop)
{
    zero(&loop->accepted, 1);
    zero(&loop->requests, 1);
    zero(&loop->other_run, 1);
    zero(&loop->bytes_out, 1);
    zero(&loop->client_aborts, 1);
    zero(&loop->bad_requests, 1);
    zero(&loop->duplicates, 1);
    zero(&loop->distinct_keys, 1);
    zero(&loop->sum_delay_ns, 1);
    zero(&loop->max_delay_ns, 1);
    zero(&loop->first_request_ns, 1);
    zero(&loop->last_response_ns, 1);
    zero(loop->by_status, COUNTERS_STATUS_MAX);
    zero(loop->faults, COUNTERS_STATUS_MAX);
    zero(loop->lateness, COUNTERS_LATENESS_BUCKETS);
    zero(loop->paths, COUNTERS_PATHS_MAX);
}

void counters_reset(struct counters *counters, const char *run)
{
    size_t run_bytes = strnlen(run, REQUEST_RUN_BYTES_MAX);
    memcpy(counters->run, run, run_bytes);
    counters->run[run_bytes] = '\0';
    atomic_store(&counters->run_key, run_bytes == 0 ? 0 : draw_key(run, run_bytes));
    for (size_t i = 0; i < counters->loop_count; i++) {
        loop_counters_reset(&counters->loops[i]);
    }
    for (size_t i = 0; i < COUNTERS_PATHS_MAX; i++) {
        atomic_store_explicit(&counters->tries[i], 0, memory_order_relaxed);
    }
    /* Private anonymous pages come back zeroed: madvise(2). */
    (void)madvise((void *)counters->seen, COUNTERS_NUMBERS_MAX, MADV_DONTNEED);
    atomic_store(&counters->max_in_flight, atomic_load(&counters->in_flight));
    atomic_store(&counters->max_open, atomic_load(&counters->open));
    (void)getrusage(RUSAGE_SELF, &counters->usage);
}

static void raise_to(atomic_uint_fast64_t *highest, uint64_t value)
{
    uint_fast64_t known = atomic_load_explicit(highest, memory_order_relaxed);
    while (known < value && !atomic_compare_exchange_weak(highest, &known, value)) {
    }
}

void counters_enter(struct counters *counters)
{
    raise_to(&counters->max_in_flight, atomic_fetch_add(&counters->in_flight, 1) + 1);
}

void counters_leave(struct counters *counters)
{
    (void)atomic_fetch_sub(&counters->in_flight, 1);
}

void counters_open(struct counters *counters, struct loop_counters *loop)
{
    counters_add(&loop->accepted, 1);
    raise_to(&counters->max_open, atomic_fetch_add(&counters->open, 1) + 1);
}

void counters_close(struct counters *counters)
{
    (void)atomic_fetch_sub(&counters->open, 1);
}

/* A numbered request of the run that is on: is it new, or one seen before? */
static void note_number(struct counters *counters, struct loop_counters *loop, uint64_t number,
                        uint32_t attempt)
{
    if (number >= COUNTERS_NUMBERS_MAX || attempt > COUNTERS_ATTEMPTS_MAX) {
        return;
    }
    uint8_t bit = (uint8_t)(1u << (attempt - 1));
    uint8_t before = atomic_fetch_or_explicit(&counters->seen[number], bit, memory_order_relaxed);
    counters_add(&loop->distinct_keys, before == 0);
    counters_add(&loop->duplicates, (before & bit) != 0);
}

uint32_t counters_request(struct counters *counters, struct loop_counters *loop,
                          const struct request *request, size_t path, uint64_t now_ns)
{
    counters_add(&loop->requests, 1);
    if (atomic_load_explicit(&loop->first_request_ns, memory_order_relaxed) == 0) {
        atomic_store_explicit(&loop->first_request_ns, now_ns, memory_order_relaxed);
    }
    if (path != COUNTERS_NO_PATH) {
        counters_add(&loop->paths[path], 1);
    }
    uint64_t run_key = atomic_load_explicit(&counters->run_key, memory_order_relaxed);
    bool ours = run_key == 0 ||
                (request->run != NULL && draw_key(request->run, request->run_bytes) == run_key);
    counters_add(&loop->other_run, !ours);
    if (request->has_number) {
        uint32_t attempt = request->attempt == 0 ? 1 : request->attempt;
        if (ours) {
            note_number(counters, loop, request->number, attempt);
        }
        return attempt;
    }
    if (path == COUNTERS_NO_PATH) {
        return 1;
    }
    uint32_t tries = (uint32_t)atomic_fetch_add(&counters->tries[path], 1) + 1;
    counters_add(&loop->distinct_keys, tries == 1);
    return tries;
}

void counters_response(struct loop_counters *loop, int status, uint64_t now_ns)
{
    counters_add(&loop->by_status[status], 1);
    raise_to(&loop->last_response_ns, now_ns);
}

void counters_delay(struct loop_counters *loop, uint64_t delay_ns)
{
    counters_add(&loop->sum_delay_ns, delay_ns);
    raise_to(&loop->max_delay_ns, delay_ns);
}

static size_t lateness_bucket(uint64_t ns)
{
    if (ns < LATENESS_LINEAR) {
        return (size_t)ns;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns); /* 4 and up */
    size_t bucket = (size_t)(octave - 3) * LATENESS_LINEAR + ((ns >> (octave - 4)) & 15);
    return bucket < COUNTERS_LATENESS_BUCKETS ? bucket : COUNTERS_LATENESS_BUCKETS - 1;
}

/* The largest lateness that falls into a bucket. */
static uint64_t lateness_of_bucket(size_t bucket)
{
    if (bucket < LATENESS_LINEAR) {
        return bucket;
    }
    unsigned octave = (unsigned)(bucket / LATENESS_LINEAR) + 3;
    uint64_t step = UINT64_C(1) << (octave - 4);
    return (UINT64_C(1) << octave) + (bucket % LATENESS_LINEAR + 1) * step - 1;
}

void counters_lateness(struct loop_counters *loop, uint64_t late_ns)
{
    counters_add(&loop->lateness[lateness_bucket(late_ns)], 1);
}

uint64_t counters_lateness_ns(const struct counters *counters, unsigned percent)
{
    uint64_t sums[COUNTERS_LATENESS_BUCKETS] = {0};
    uint64_t total = 0;
    for (size_t i = 0; i < counters->loop_count; i++) {
        for (size_t b = 0; b < COUNTERS_LATENESS_BUCKETS; b++) {
            uint64_t count =
                atomic_load_explicit(&counters->loops[i].lateness[b], memory_order_relaxed);
            sums[b] += count;
            total += count;
        }
    }
    uint64_t above = total * (100 - percent) / 100; /* how many may be later */
    for (size_t b = COUNTERS_LATENESS_BUCKETS; b-- > 0;) {
        if (sums[b] > above) {
            return lateness_of_bucket(b);
        }
        above -= sums[b];
    }
    return 0;
}
