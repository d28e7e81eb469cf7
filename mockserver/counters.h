/**
 * What the server really saw: an independent witness for what a client claims. Each loop has
 * its own counters, which it alone writes and which only ever grow: no lock, and no locked
 * instruction. A reset remembers where they stood. Only what must be exact across loops at every
 * moment (in flight, open, attempts) is shared.
 *
 * Threads: what takes a loop's counters belongs to that loop's thread; resetting and reading to
 * the thread of the admin port; the rest to any. Reset while traffic runs is safe, but what
 * straddles it is counted on either side.
 */
#ifndef MOCKSERVER_COUNTERS_H
#define MOCKSERVER_COUNTERS_H

#include "corpus.h"
#include "request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>

#define COUNTERS_STATUS_MAX 600
#define COUNTERS_PATHS_MAX                                                                         \
    ((size_t)2 * CORPUS_ENTRIES_MAX)    /* picture and metadata of each entry                      \
                                         */
#define COUNTERS_NUMBERS_MAX (1u << 24) /* request numbers watched for repeats */
#define COUNTERS_ATTEMPTS_MAX 8         /* attempts watched for repeats */
#define COUNTERS_NO_PATH SIZE_MAX
#define HISTOGRAM_BUCKETS 704 /* 16 for each doubling of nanoseconds */

typedef atomic_uint_fast64_t counter;

/** Of times; each is known within a sixteenth, the longest exactly. */
struct histogram {
    counter buckets[HISTOGRAM_BUCKETS];
    counter longest_ns;
};

/** Of one loop. The first ones are written for every request. */
struct loop_counters {
    _Alignas(64) counter requests;
    counter bytes_out;
    counter distinct_keys;
    counter sum_delay_ns;
    counter last_response_ns;
    counter first_request_ns;
    counter max_delay_ns;
    counter accepted;
    counter other_run;
    counter client_aborts;
    counter bad_requests;
    counter duplicates;
    counter batched; /* answers that waited for the end of a turn */
    counter by_status[COUNTERS_STATUS_MAX];
    counter faults[COUNTERS_STATUS_MAX]; /* of "status:CODE" */
    counter paths[COUNTERS_PATHS_MAX];
    struct histogram lateness; /* of delayed answers: handed to the kernel, past their due time */
    struct histogram turns;    /* of the loop, away from its sockets */
};

struct counters {
    _Alignas(64) counter in_flight;
    counter max_in_flight;
    _Alignas(64) counter open; /* connections that brought a counted request */
    counter max_open;
    counter run_key;        /* of `run`; 0: none is set */
    _Atomic(uint8_t) *seen; /* [COUNTERS_NUMBERS_MAX], a bit for each attempt */
    atomic_uint_fast32_t tries[COUNTERS_PATHS_MAX]; /* attempts of requests without a number */
    struct loop_counters *loops;                    /* [loop_count] */
    struct loop_counters *base;                     /* [loop_count], at the last reset */
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

/** Note its answer, at the moment of sending. */
void counters_response(struct loop_counters *loop, int status, uint64_t bytes, uint64_t now_ns);
void counters_delay(struct loop_counters *loop, uint64_t delay_ns);

void histogram_add(struct histogram *histogram, uint64_t ns);

/** Of one writer: two plain moves, where a read-modify-write would lock the line. */
static inline void counters_add(counter *counted, uint64_t amount)
{
    uint64_t known = atomic_load_explicit(counted, memory_order_relaxed);
    atomic_store_explicit(counted, known + amount, memory_order_relaxed);
}

/** What all loops have counted since the reset. @param offset  in struct loop_counters */
uint64_t counters_sum(const struct counters *counters, size_t offset);

/** The highest that any loop has noted since the reset. */
uint64_t counters_highest(const struct counters *counters, size_t offset);

/** The first request since the reset; 0: none. */
uint64_t counters_first_request_ns(const struct counters *counters);

/**
 * The time that `percent` of 100 kept within; 0 when there were none.
 * @param offset  of the histogram in struct loop_counters
 */
uint64_t counters_percentile_ns(const struct counters *counters, size_t offset, unsigned percent);
uint64_t counters_count(const struct counters *counters, size_t offset);

#endif
