#include "counters.h"

#include "draw.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LINEAR 16u /* buckets below this many ns are exact */

static struct loop_counters *make_loops(size_t count)
{
    size_t bytes = count * sizeof(struct loop_counters);
    struct loop_counters *loops = aligned_alloc(64, bytes);
    if (loops != NULL) {
        memset(loops, 0, bytes);
    }
    return loops;
}

int counters_init(struct counters *counters, size_t loop_count)
{
    memset(counters, 0, sizeof(*counters));
    counters->loops = make_loops(loop_count);
    counters->base = make_loops(loop_count);
    counters->loop_count = loop_count;
    /* Only pages of numbers that do occur are ever touched. */
    void *seen = mmap(NULL, COUNTERS_NUMBERS_MAX, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    counters->seen = seen == MAP_FAILED ? NULL : seen;
    if (counters->loops == NULL || counters->base == NULL || counters->seen == NULL) {
        counters_release(counters);
        return -ENOMEM;
    }
    return 0;
}

void counters_release(struct counters *counters)
{
    if (counters->seen != NULL) {
        (void)munmap((void *)counters->seen, COUNTERS_NUMBERS_MAX);
    }
    free(counters->loops);
    free(counters->base);
    counters->seen = NULL;
    counters->loops = NULL;
    counters->base = NULL;
}

static uint64_t load(const counter *counted)
{
    return atomic_load_explicit(counted, memory_order_relaxed);
}

static void store(counter *counted, uint64_t value)
{
    atomic_store_explicit(counted, value, memory_order_relaxed);
}

static const counter *counter_at(const struct loop_counters *loop, size_t offset)
{
    return (const counter *)(const void *)((const char *)loop + offset);
}

/* Extremes do not grow with each request: they are forgotten. A loop that has one in hand at
 * this moment notes it afterwards, as one that straddles the reset. */
static void forget_extremes(struct loop_counters *loop)
{
    store(&loop->first_request_ns, 0);
    store(&loop->last_response_ns, 0);
    store(&loop->max_delay_ns, 0);
    store(&loop->lateness.longest_ns, 0);
    store(&loop->turns.longest_ns, 0);
}

void counters_reset(struct counters *counters, const char *run)
{
    size_t run_bytes = strnlen(run, REQUEST_RUN_BYTES_MAX);
    memcpy(counters->run, run, run_bytes);
    counters->run[run_bytes] = '\0';
    store(&counters->run_key, run_bytes == 0 ? 0 : draw_key(run, run_bytes));
    for (size_t i = 0; i < counters->loop_count; i++) {
        forget_extremes(&counters->loops[i]);
        for (size_t at = 0; at < sizeof(struct loop_counters); at += sizeof(counter)) {
            store((counter *)(void *)((char *)&counters->base[i] + at),
                  load(counter_at(&counters->loops[i], at)));
        }
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

/* Of what all loops share. */
static void raise_shared(counter *highest, uint64_t value)
{
    uint_fast64_t known = load(highest);
    while (known < value && !atomic_compare_exchange_weak(highest, &known, value)) {
    }
}

static void raise_own(counter *highest, uint64_t value)
{
    if (load(highest) < value) {
        store(highest, value);
    }
}

void counters_enter(struct counters *counters)
{
    raise_shared(&counters->max_in_flight, atomic_fetch_add(&counters->in_flight, 1) + 1);
}

void counters_leave(struct counters *counters)
{
    (void)atomic_fetch_sub(&counters->in_flight, 1);
}

void counters_open(struct counters *counters, struct loop_counters *loop)
{
    counters_add(&loop->accepted, 1);
    raise_shared(&counters->max_open, atomic_fetch_add(&counters->open, 1) + 1);
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

static bool is_of_run(const struct request *request, uint64_t run_key)
{
    return run_key == 0 ||
           (request->run != NULL && draw_key(request->run, request->run_bytes) == run_key);
}

uint32_t counters_request(struct counters *counters, struct loop_counters *loop,
                          const struct request *request, size_t path, uint64_t now_ns)
{
    counters_add(&loop->requests, 1);
    if (load(&loop->first_request_ns) == 0) {
        store(&loop->first_request_ns, now_ns);
    }
    if (path != COUNTERS_NO_PATH) {
        counters_add(&loop->paths[path], 1);
    }
    bool ours = is_of_run(request, load(&counters->run_key));
    if (!ours) {
        counters_add(&loop->other_run, 1);
    }
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

void counters_response(struct loop_counters *loop, int status, uint64_t bytes, uint64_t now_ns)
{
    counters_add(&loop->by_status[status], 1);
    counters_add(&loop->bytes_out, bytes);
    store(&loop->last_response_ns, now_ns);
}

void counters_delay(struct loop_counters *loop, uint64_t delay_ns)
{
    counters_add(&loop->sum_delay_ns, delay_ns);
    raise_own(&loop->max_delay_ns, delay_ns);
}

static size_t bucket_of(uint64_t ns)
{
    if (ns < LINEAR) {
        return (size_t)ns;
    }
    unsigned octave = 63 - (unsigned)__builtin_clzll(ns); /* 4 and up */
    size_t bucket = (size_t)(octave - 3) * LINEAR + ((ns >> (octave - 4)) & 15);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* The longest time that falls into a bucket. */
static uint64_t longest_of_bucket(size_t bucket)
{
    if (bucket < LINEAR) {
        return bucket;
    }
    unsigned octave = (unsigned)(bucket / LINEAR) + 3;
    uint64_t step = UINT64_C(1) << (octave - 4);
    return (UINT64_C(1) << octave) + (bucket % LINEAR + 1) * step - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
    counters_add(&histogram->buckets[bucket_of(ns)], 1);
    raise_own(&histogram->longest_ns, ns);
}

uint64_t counters_sum(const struct counters *counters, size_t offset)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < counters->loop_count; i++) {
        sum += load(counter_at(&counters->loops[i], offset)) -
               load(counter_at(&counters->base[i], offset));
    }
    return sum;
}

uint64_t counters_highest(const struct counters *counters, size_t offset)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < counters->loop_count; i++) {
        uint64_t value = load(counter_at(&counters->loops[i], offset));
        highest = value > highest ? value : highest;
    }
    return highest;
}

uint64_t counters_first_request_ns(const struct counters *counters)
{
    uint64_t first = 0;
    for (size_t i = 0; i < counters->loop_count; i++) {
        uint64_t value = load(&counters->loops[i].first_request_ns);
        if (value != 0 && (first == 0 || value < first)) {
            first = value;
        }
    }
    return first;
}

static size_t bucket_offset(size_t histogram, size_t bucket)
{
    return histogram + offsetof(struct histogram, buckets) + bucket * sizeof(counter);
}

uint64_t counters_count(const struct counters *counters, size_t offset)
{
    uint64_t total = 0;
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        total += counters_sum(counters, bucket_offset(offset, bucket));
    }
    return total;
}

uint64_t counters_percentile_ns(const struct counters *counters, size_t offset, unsigned percent)
{
    uint64_t longest = counters_highest(counters, offset + offsetof(struct histogram, longest_ns));
    uint64_t above = counters_count(counters, offset) * (100 - percent) / 100; /* may be longer */
    for (size_t bucket = HISTOGRAM_BUCKETS; bucket-- > 0;) {
        uint64_t count = counters_sum(counters, bucket_offset(offset, bucket));
        if (count > above) {
            uint64_t edge = longest_of_bucket(bucket);
            return edge < longest ? edge : longest;
        }
        above -= count;
    }
    return 0;
}
