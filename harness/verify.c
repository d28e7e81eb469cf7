#include "verify.h"

#include "expectation.h"
#include "statistics.h"
#include "trial_memory.h"

#include "backends/transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the slots say in sum. */
struct tally {
    uint64_t attempts;
    uint64_t answered;  /* an HTTP status came */
    uint64_t abandoned; /* the client gave up on a request the server may still be working at */
    uint64_t connections;
};

void sample_invalidate(struct sample *sample, const char *format, ...)
{
    va_list args;

    if (!sample->valid) {
        return;
    }
    sample->valid = false;
    va_start(args, format);
    (void)vsnprintf(sample->invalid_reason, sizeof sample->invalid_reason, format, args);
    va_end(args);
}

int body_agreement_init(struct body_agreement *agreement, size_t targets)
{
    *agreement = (struct body_agreement){
        .xxh3 = calloc(targets, sizeof agreement->xxh3[0]),
        .bytes = calloc(targets, sizeof agreement->bytes[0]),
        .seen = calloc(targets, sizeof agreement->seen[0]),
        .count = targets,
    };
    if (agreement->xxh3 == NULL || agreement->bytes == NULL || agreement->seen == NULL) {
        body_agreement_release(agreement);
        return -ENOMEM;
    }
    return 0;
}

void body_agreement_release(struct body_agreement *agreement)
{
    free(agreement->xxh3);
    free(agreement->bytes);
    free(agreement->seen);
    *agreement = (struct body_agreement){.count = 0};
}

static void check_body(struct sample *sample, const struct workload_target *target,
                       const struct transfer_result *slot, size_t target_index,
                       struct body_agreement *agreement)
{
    if (target->expected) {
        if (slot->body_bytes != target->bytes || slot->body_xxh3 != target->xxh3) {
            sample_invalidate(sample, "claims ok for a wrong body of %s", target->url);
        }
        return;
    }
    if (!agreement->seen[target_index]) {
        agreement->seen[target_index] = true;
        agreement->bytes[target_index] = slot->body_bytes;
        agreement->xxh3[target_index] = slot->body_xxh3;
    } else if (agreement->bytes[target_index] != slot->body_bytes ||
               agreement->xxh3[target_index] != slot->body_xxh3) {
        sample_invalidate(sample, "got another body of %s than an earlier trial", target->url);
    }
}

static void check_slot(struct sample *sample, const struct trial_header *header,
                       const struct transfer_result *slot, size_t index)
{
    if (slot->status == TRANSFER_UNSET || slot->status >= TRANSFER_STATUS_COUNT) {
        sample_invalidate(sample, "left transfer %zu without a status", index);
    } else if (slot->started_ns < header->started_ns || slot->finished_ns < slot->started_ns ||
               slot->finished_ns > header->finished_ns) {
        sample_invalidate(sample, "times of transfer %zu lie outside of the call", index);
    } else if (slot->attempts > header->attempts_max) {
        sample_invalidate(sample, "made %u attempts at transfer %zu, %u are allowed",
                          slot->attempts, index, header->attempts_max);
    } else if (slot->connection > header->count * header->attempts_max * 2 + 16) {
        sample_invalidate(sample, "connection number %u of transfer %zu makes no sense",
                          slot->connection, index);
    }
}

static void add_to_tally(struct tally *tally, const struct transfer_result *slot)
{
    tally->attempts += slot->attempts;
    tally->answered += slot->http_status > 0;
    tally->abandoned += slot->status == TRANSFER_TIMEOUT || slot->status == TRANSFER_TOO_LARGE ||
                        slot->status == TRANSFER_CANCELLED || slot->status == TRANSFER_PROTOCOL ||
                        slot->attempts > 1;
}

/* Distinct connection numbers. */
static uint64_t count_connections(const struct transfer_result *slots, size_t count)
{
    uint32_t highest = 0;
    uint64_t distinct = 0;

    for (size_t i = 0; i < count; i++) {
        highest = slots[i].connection > highest ? slots[i].connection : highest;
    }
    unsigned char *seen = calloc((size_t)highest + 1, 1);
    for (size_t i = 0; seen != NULL && i < count; i++) {
        if (slots[i].connection > 0 && !seen[slots[i].connection]) {
            seen[slots[i].connection] = 1;
            distinct++;
        }
    }
    free(seen);
    return distinct;
}

/* Did the fault that the server was told to inject, and nothing else, decide this transfer? */
static bool explained(const struct transfer_result *slot, int fault_status)
{
    if (fault_status == 0) {
        return slot->status == TRANSFER_OK;
    }
    bool right_name =
        slot->status == (fault_status == 404 ? (uint32_t)TRANSFER_NOT_FOUND : TRANSFER_HTTP_ERROR);
    return right_name && slot->http_status == fault_status;
}

static void check_against_faults(struct sample *sample, const struct plan_cell *cell,
                                 const struct options *options, const struct trial_header *header,
                                 const struct transfer_result *slots)
{
    struct expectation expectation;

    if (cell->source->server.pid == 0) {
        return;
    }
    expectation_init(&expectation, options, cell->source->delay);
    for (size_t i = 0; i < header->count; i++) {
        const struct workload_target *target = &cell->workload->targets[i % cell->workload->count];
        uint32_t attempts = 1;
        int fault_status = expectation_fault_status(&expectation, target->path, i,
                                                    header->attempts_max, &attempts);
        if (explained(&slots[i], fault_status)) {
            if (slots[i].attempts != attempts && slots[i].status != TRANSFER_CANCELLED) {
                sample_invalidate(sample, "claims %u attempts at transfer %zu that took %u",
                                  slots[i].attempts, i, attempts);
            }
        } else if (slots[i].status == TRANSFER_OK) {
            sample_invalidate(sample,
                              "claims ok for transfer %zu, which the server answered "
                              "with %d",
                              i, fault_status);
        } else {
            sample->unexplained_failures = true;
        }
    }
}

/* The same for lookups: was it the zone, or its faults? */
static void check_against_zone(struct sample *sample, const struct plan_cell *cell,
                               const struct options *options, const struct trial_header *header,
                               const struct transfer_result *slots)
{
    struct expectation expectation;

    if (cell->source->server.pid == 0) {
        return;
    }
    expectation_init(&expectation, options, cell->source->delay);
    for (size_t i = 0; i < header->count; i++) {
        const char *name = cell->workload->targets[i % cell->workload->count].path;
        struct expected_lookup expected =
            expectation_lookup(&expectation, name, header->attempts_max);
        enum transfer_status status = (enum transfer_status)slots[i].status;
        if (status == expected.status) {
            if (slots[i].attempts != expected.attempts) {
                sample_invalidate(sample, "claims %u attempts at %s, which takes %u",
                                  slots[i].attempts, name, expected.attempts);
            }
        } else if (status == TRANSFER_OK || status == TRANSFER_NOT_FOUND) {
            sample_invalidate(sample, "claims %s for %s, which is %s", transfer_status_name(status),
                              name, transfer_status_name(expected.status));
        } else {
            sample->unexplained_failures = true;
        }
    }
}

/* One question for each attempt; of UDP there are no connections to compare. */
static void check_questions(struct sample *sample, const struct plan_cell *cell,
                            const struct server_stats *stats, const struct tally *tally,
                            const struct transfer_result *slots)
{
    const uint64_t heard = stats->requests - stats->over_tcp;
    uint64_t places =
        (cell->backend->backend->caps & BENCH_CAP_CONCURRENT) != 0 ? cell->concurrency : 1;

    /* A datagram may be lost; then its question has timed out. */
    if (heard > tally->attempts || (heard < tally->attempts && tally->abandoned == 0)) {
        sample_invalidate(sample, "claims %" PRIu64 " questions, the server saw %" PRIu64,
                          tally->attempts, heard);
    }
    for (size_t i = 0; heard == tally->attempts && i < cell->transfers; i++) {
        const char *name = cell->workload->targets[i % cell->workload->count].path;
        uint64_t seen = server_stats_path(stats, name);
        if (seen != slots[i].attempts) {
            sample_invalidate(sample, "claims %u questions for %s, the server saw %" PRIu64,
                              slots[i].attempts, name, seen);
            return;
        }
    }
    if (stats->max_in_flight > places + tally->abandoned) {
        sample_invalidate(sample, "%" PRIu64 " in flight at the server, %" PRIu64 " are allowed",
                          stats->max_in_flight, places);
    }
}

static void check_counters(struct sample *sample, const struct plan_cell *cell,
                           const struct server_stats *stats, const struct tally *tally,
                           const struct options *options)
{
    uint64_t transfers = sample_ok(sample) + sample_failed(sample);
    bool all_answered = tally->answered == transfers;
    uint64_t places =
        (cell->backend->backend->caps & BENCH_CAP_CONCURRENT) != 0 ? cell->concurrency : 1;

    if (all_answered ? stats->requests != tally->attempts
                     : stats->requests < tally->answered || stats->requests > tally->attempts) {
        sample_invalidate(sample, "claims %" PRIu64 " requests, the server saw %" PRIu64,
                          tally->attempts, stats->requests);
    }
    if (stats->max_in_flight > places + tally->abandoned) {
        sample_invalidate(sample, "%" PRIu64 " in flight at the server, %" PRIu64 " are allowed",
                          stats->max_in_flight, places);
    }
    if (all_answered && tally->abandoned == 0) {
        if (stats->accepted != tally->connections) {
            sample_invalidate(sample, "claims %" PRIu64 " connections, the server saw %" PRIu64,
                              tally->connections, stats->accepted);
        }
        if (stats->duplicates != 0) {
            sample_invalidate(sample, "asked %" PRIu64 " times for what it had asked before",
                              stats->duplicates);
        }
        if (options->fresh_connections && stats->accepted != transfers) {
            sample_invalidate(sample,
                              "%" PRIu64 " connections for %" PRIu64
                              " transfers; each was to have its own",
                              stats->accepted, transfers);
        }
    }
}

/* Each path as often as the plan has it. */
static void check_paths(struct sample *sample, const struct plan_cell *cell,
                        const struct server_stats *stats)
{
    size_t targets = cell->workload->count;

    for (size_t i = 0; i < targets; i++) {
        const char *path = cell->workload->targets[i].path;
        uint64_t planned = cell->transfers / targets + (i < cell->transfers % targets);
        uint64_t seen = server_stats_path(stats, path);
        if (seen != planned) {
            sample_invalidate(sample, "asked %" PRIu64 " times for %s, %" PRIu64 " are planned",
                              seen, path, planned);
            return;
        }
    }
}

static double ms_of(uint64_t ns)
{
    return (double)ns / 1e6;
}

static bool is_answer(const struct sample *sample, const struct transfer_result *slot)
{
    return slot->status == TRANSFER_OK || (sample->lookups && slot->status == TRANSFER_NOT_FOUND);
}

/* Failed transfers never enter: a fast refusal must not flatter the latency. */
static void measure_latency(struct sample *sample, const struct transfer_result *slots,
                            size_t count)
{
    uint64_t *ns = calloc(count, sizeof ns[0]);
    size_t used = 0;

    if (ns == NULL || sample_ok(sample) == 0) {
        free(ns);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_answer(sample, &slots[i])) {
            ns[used++] = slots[i].finished_ns - slots[i].started_ns;
        }
    }
    statistics_sort_ns(ns, used);
    sample->latency_p50_ms = ms_of(statistics_percentile_ns(ns, used, 50));
    sample->latency_p90_ms = ms_of(statistics_percentile_ns(ns, used, 90));
    sample->latency_p99_ms = ms_of(statistics_percentile_ns(ns, used, 99));
    sample->latency_max_ms = ms_of(ns[used - 1]);
    used = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_answer(sample, &slots[i]) && slots[i].first_byte_ns >= slots[i].started_ns) {
            ns[used++] = slots[i].first_byte_ns - slots[i].started_ns;
        }
    }
    if (used > 0) {
        statistics_sort_ns(ns, used);
        sample->first_byte_p50_ms = ms_of(statistics_percentile_ns(ns, used, 50));
    }
    free(ns);
}

static bool touches_network(const struct plan_cell *cell)
{
    return (cell->backend->backend->caps & BENCH_CAP_NO_TRANSFERS) == 0;
}

static void read_slots(struct sample *sample, const struct plan_cell *cell,
                       const struct trial_header *header, const struct transfer_result *slots,
                       struct tally *tally, struct body_agreement *agreement)
{
    for (size_t i = 0; i < header->count; i++) {
        size_t target_index = i % cell->workload->count;
        const struct workload_target *target = &cell->workload->targets[target_index];
        check_slot(sample, header, &slots[i], i);
        if (slots[i].status < TRANSFER_STATUS_COUNT) {
            sample->outcomes[slots[i].status]++;
        }
        if (slots[i].status == TRANSFER_OK) {
            sample->body_bytes += slots[i].body_bytes;
            if (touches_network(cell)) {
                check_body(sample, target, &slots[i], target_index, agreement);
            }
        }
        add_to_tally(tally, &slots[i]);
    }
    tally->connections = count_connections(slots, header->count);
}

void verify_trial(struct sample *sample, const struct plan_cell *cell,
                  const struct options *options, const struct trial_memory *memory,
                  const struct server_stats *stats, struct body_agreement *agreement)
{
    const struct trial_header *header = memory->header;
    const struct transfer_result *slots = trial_memory_slots(memory);
    struct tally tally = {.attempts = 0};

    read_slots(sample, cell, header, slots, &tally, agreement);
    measure_latency(sample, slots, header->count);
    sample->connections_opened = (int64_t)tally.connections;
    if (header->usage.leaked_descriptors > 0) {
        sample_invalidate(sample, "leaked %lld descriptors",
                          (long long)header->usage.leaked_descriptors);
    }
    if (!touches_network(cell)) {
        return;
    }
    if (cell->source->server.pid == 0) {
        sample->unexplained_failures = sample_failed(sample) > 0;
    }
    if (sample->lookups) {
        check_against_zone(sample, cell, options, header, slots);
    } else {
        check_against_faults(sample, cell, options, header, slots);
    }
    if (stats != NULL) {
        sample->server_max_in_flight = (int64_t)stats->max_in_flight;
    }
    if (stats != NULL && sample->lookups) {
        check_questions(sample, cell, stats, &tally, slots);
    } else if (stats != NULL) {
        check_counters(sample, cell, stats, &tally, options);
        if (sample->valid && tally.answered == header->count && tally.attempts == header->count) {
            check_paths(sample, cell, stats);
        }
    }
}
