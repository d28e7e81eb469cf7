/**
 * What the server really saw: an independent witness for what a client claims. Each loop has
 * its own counters, summed when asked; only what must be exact across loops at every moment
 * (in flight, open) is shared.
 *
 * Threads: everything here may be called from any thread. Reset while traffic runs is safe,
 * but what straddles it is counted on either side.
 */
#ifndef MOCKSERVER_COUNTERS_H
#define MOCKSERVER_COUNTERS_H

#include "corpus.h"
#include "request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>

#define COUNTERS_STATUS_MAX 600
#define COUNTERS_LATENESS_BUCKETS 704 /* 16 for each doubling of nanoseconds */
#define COUNTERS_PATHS_MAX                                                                         \
    ((size_t)2 * CORPUS_ENTRIES_MAX)    /* picture and metadata of each entry                      \
                                         */
#define COUNTERS_NUMBERS_MAX (1u << 24) /* request numbers watched for repeats */
#define COUNTERS_ATTEMPTS_MAX 8         /* attempts watched for repeats */
#define COUNTERS_NO_PATH SIZE_MAX

/** Of one loop. */
struct loop_counters {
    _Alignas(64) atomic_uint_fast64_t accepted;
    atomic_uint_fast64_t requests;
    atomic_uint_fast64_t other_run;
    atomic_uint_fast64_t bytes_out;
    atomic_uint_fast64_t client_aborts;
    atomic_uint_fast64_t bad_requests;
    atomic_uint_fast64_t duplicates;
    atomic_uint_fast64_t distinct_keys;
    atomic_uint_fast64_t sum_delay_ns;
    atomic_uint_fast64_t max_delay_ns;
    atomic_uint_fast64_t first_request_ns;
    atomic_uint_fast64_t last_response_ns;
    atomic_uint_fast64_t by_status[COUNTERS_STATUS_MAX];
    atomic_uint_fast64_t faults[COUNTERS_STATUS_MAX]; /* of "status:CODE" */
    atomic_uint_fast64_t lateness[COUNTERS_LATENESS_BUCKETS];
    atomic_uint_fast64_t paths[COUNTERS_PATHS_MAX];
};

struct counters {
    _Alignas(64) atomic_uint_fast64_t in_flight;
    _Alignas(64) atomic_uint_fast64_t max_in_flight;
    _Alignas(64) atomic_uint_fast64_t open; /* connections that brought a counted request */
    atomic_uint_fast64_t max_open;
    atomic_uint_fast64_t run_key; /* of `run`; 0: none is set */
    _Atomic(uint8_t) *seen;       /* [COUNTERS_NUMBERS_MAX], a bit for each attempt */
    atomic_uint_fast32_t tries[COUNTERS_PATHS_MAX]; /* attempts of requests without a number */
    struct loop_counters *loops;
    size_t loop_count;
    char run[REQUEST_RUN_BYTES_MAX + 1]; /* of the thread that resets and reads */
    struct rusage usage;                 /* at the last reset */
};

/** @return 0, -ENOMEM */
int counters_init(struct counters *counters, size_t loop_count);
void counters_release(struct counters *counters);

/** Zero all but what is open or in flight now. @param run  mark of the run, may be empty */
void counters_reset(struct counters *counters, const char *run);

/** One more counted request, parsed. */
void counters_enter(struct counters *counters);
/** Its last byte is about to be queued, or its connection is dead. */
void counters_leave(struct counters *counters);

void counters_open(struct counters *counters, struct loop_counters *loop);
void counters_close(struct counters *counters);

/**
 * Note a counted request.
 * @param path  2 * entry for the picture, 2 * entry + 1 for the metadata; COUNTERS_NO_PATH
 * @return the attempt that it is, as it says itself or, for one without a number, by count
 */
uint32_t counters_request(struct counters *counters, struct loop_counters *loop,
                          const struct request *request, size_t path, uint64_t now_ns);

/** Note its answer, at the moment of sending. @param late_ns  past its deadline; 0: no delay */
void counters_response(struct loop_counters *loop, int status, uint64_t now_ns);
void counters_lateness(struct loop_counters *loop, uint64_t late_ns);
void counters_delay(struct loop_counters *loop, uint64_t delay_ns);

static inline void counters_add(atomic_uint_fast64_t *counter, uint64_t amount)
{
    (void)atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/** The lateness that `percent` of 100 delayed answers kept, in ns; 0 when there were none. */
uint64_t counters_lateness_ns(const struct counters *counters, unsigned percent);

#endif
