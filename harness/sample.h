/** What one trial measured. NAN or -1 where something could not be measured. */
#ifndef BENCH_SAMPLE_H
#define BENCH_SAMPLE_H

#include "backends/backend.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLE_REASON_BYTES 200

struct sample {
    size_t cell;       /* index into the plan */
    uint32_t round;    /* from 1 */
    uint32_t position; /* within the round, from 1 */
    char utc[32];      /* start of the trial, ISO 8601 */
    bool valid;
    char invalid_reason[SAMPLE_REASON_BYTES]; /* one line; empty when valid */
    bool unexplained_failures;                /* failed transfers that no injected fault explains */

    bool lookups; /* "no such name" is an answer like another */

    double wall_s;
    double cpu_user_s;
    double cpu_sys_s;
    uint64_t outcomes[TRANSFER_STATUS_COUNT];
    uint64_t body_bytes; /* of ok transfers */
    double latency_p50_ms;
    double latency_p90_ms;
    double latency_p99_ms;
    double latency_max_ms;
    double first_byte_p50_ms;
    int64_t voluntary_switches;
    int64_t involuntary_switches;
    int64_t syscalls;
    int64_t max_rss_kib;
    int64_t connections_opened;
    int64_t server_max_in_flight;
    double server_cpu_s;
    double bound_s;
    int64_t minor_faults;
    int64_t major_faults;
    double steal_share; /* CPU time that the host gave to others during the trial, 0 to 1 */
};

static inline uint64_t sample_ok(const struct sample *sample)
{
    return sample->outcomes[TRANSFER_OK] +
           (sample->lookups ? sample->outcomes[TRANSFER_NOT_FOUND] : 0);
}

static inline uint64_t sample_failed(const struct sample *sample)
{
    uint64_t all = 0;
    for (int status = 0; status < TRANSFER_STATUS_COUNT; status++) {
        all += sample->outcomes[status];
    }
    return all - sample_ok(sample);
}

static inline double sample_cpu_us_per_transfer(const struct sample *sample)
{
    uint64_t transfers = sample_ok(sample) + sample_failed(sample);
    return (sample->cpu_user_s + sample->cpu_sys_s) * 1e6 / (double)transfers;
}

static inline double sample_transfers_per_s(const struct sample *sample)
{
    return (double)sample_ok(sample) / sample->wall_s;
}

static inline double sample_body_mb_per_s(const struct sample *sample)
{
    return (double)sample->body_bytes / 1e6 / sample->wall_s;
}

static inline double sample_efficiency(const struct sample *sample)
{
    return sample->bound_s / sample->wall_s;
}

/** All that has been measured, in order. Grows; owned by the run. */
struct sample_list {
    struct sample *samples;
    size_t count;
    size_t capacity;
};

#endif
