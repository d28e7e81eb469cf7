#include "scenario.h"

#include "backends/clock.h"

#include <string.h>

/* 6.1 s is the time-out of the programs we come from: above the 5 s of their slow server. */
#define SEED_TIMEOUT_NS (6100 * NS_PER_MS)

/* Those that need no thread or process for each transfer in flight. */
static const char *const event_driven[] = {
    "curl_multi", "curl_libuv",    "curl_io_uring", "raw_epoll",
    "raw_libuv",  "raw_coroutine", "raw_io_uring",  NULL,
};

static const char *const few_percent[] = {
    "status:404@.03",
    "status:418@.03",
    "status:503@.03",
    NULL,
};

static const struct scenario scenarios[] = {
    {
        .name = "flags20",
        .summary = "20 flags, 20 in flight, each answer delayed by 20 ms",
        .transfers = 20,
        .concurrency = 20,
        .rounds = 10,
        .delay = "20ms",
        .timeout_ns = SEED_TIMEOUT_NS,
    },
    {
        .name = "throughput",
        .summary = "20,000 transfers of 194 flags, 64 in flight, no delay",
        .all_flags = true,
        .transfers = 20000,
        .concurrency = 64,
        .rounds = 10,
        .delay = "0",
        .timeout_ns = SEED_TIMEOUT_NS,
    },
    {
        .name = "slow",
        .summary = "20 flags, 5 in flight, each answer delayed by 0.5 to 5 s",
        .transfers = 20,
        .concurrency = 5,
        .rounds = 6,
        .delay = "uniform:500ms:5s",
        .timeout_ns = SEED_TIMEOUT_NS,
    },
    {
        .name = "scale",
        .summary = "20,000 transfers, 1,000 in flight, each answer delayed by 100 ms",
        .all_flags = true,
        .transfers = 20000,
        .concurrency = 1000,
        .rounds = 10,
        .delay = "100ms",
        .timeout_ns = SEED_TIMEOUT_NS,
        .backends = event_driven,
    },
    {
        .name = "faults",
        .summary = "2,000 transfers, 32 in flight, 9% answered with 404, 418 or 503",
        .all_flags = true,
        .transfers = 2000,
        .concurrency = 32,
        .rounds = 10,
        .delay = "1ms",
        .timeout_ns = SEED_TIMEOUT_NS,
        .faults = few_percent,
    },
    {
        .name = "save",
        .summary = "5,000 transfers of 194 flags, 64 in flight, saved below downloaded/",
        .all_flags = true,
        .transfers = 5000,
        .concurrency = 64,
        .rounds = 10,
        .delay = "0",
        .timeout_ns = SEED_TIMEOUT_NS,
        .save_dir = "downloaded",
    },
    {
        .name = "dns20",
        .summary = "20 names looked up, 20 in flight, each answer delayed by 100 ms",
        .workload = WORKLOAD_DNS,
        .transfers = 20,
        .concurrency = 20,
        .rounds = 10,
        .delay = "100ms",
        .timeout_ns = 5 * NS_PER_S,
    },
};

const char *const scenario_pop20[20] = {
    "bd", "br", "cd", "cn", "de", "eg", "et", "fr", "id", "in",
    "ir", "jp", "mx", "ng", "ph", "pk", "ru", "tr", "us", "vn",
};

const struct scenario *scenario_at(size_t index)
{
    return index < sizeof scenarios / sizeof scenarios[0] ? &scenarios[index] : NULL;
}

const struct scenario *scenario_find(const char *name)
{
    const struct scenario *scenario;

    for (size_t i = 0; (scenario = scenario_at(i)) != NULL; i++) {
        if (strcmp(scenario->name, name) == 0) {
            return scenario;
        }
    }
    return NULL;
}
