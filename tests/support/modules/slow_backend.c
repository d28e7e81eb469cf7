/*
 * A built-in backend that costs SLOW_PERCENT more CPU: a slowdown of known size, to find out how
 * often a run tells. SLOW_REAL names the built-in; it is linked from the same object as its own
 * module, so nothing else differs.
 *
 * After the real call has returned, its CPU is read from the process's clock, and that share of it
 * is spent again in a spin before the wrapper returns. Why this is an honest slowdown:
 *
 * - It is a share of what this very trial used, warm or cold, quiet or disturbed. Nanoseconds
 *   fixed per transfer would be 5% on one machine and 3% on the next.
 * - It is added within the timed call, to the same clock that the harness reads, so that the
 *   CPU per transfer of the trial is exactly the real one's times 1.05. Noise is multiplied by as
 *   much, not hidden.
 * - The transfers themselves are left alone. A spin between them would let completions pile up,
 *   which then cost fewer system calls: the injected share would no longer be the known one.
 *
 * What it cannot show: latencies, which are the real ones. Wall time grows by the same seconds, a
 * smaller share of it wherever the backend also waits.
 */
#include "backends/backend.h"
#include "backends/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

extern const struct bench_backend SLOW_REAL;

/* All threads of the process. One of ours is running, so it always advances. */
static uint64_t cpu_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* cannot fail for this clock on Linux */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/*
 * Reading the process's clock is a system call, which would show in the count of them; the
 * monotonic clock is none. It runs on while we are preempted, hence the outer loop.
 */
static void burn_cpu(uint64_t duration_ns)
{
    uint64_t until_cpu_ns = cpu_now_ns() + duration_ns;

    for (uint64_t now_ns = cpu_now_ns(); now_ns < until_cpu_ns; now_ns = cpu_now_ns()) {
        uint64_t until_ns = clock_now_ns() + (until_cpu_ns - now_ns);
        while (clock_now_ns() < until_ns) {
        }
    }
}

static int slow_probe(char reason[BENCH_REASON_BYTES])
{
    if (SLOW_REAL.unavailable != NULL) {
        (void)snprintf(reason, BENCH_REASON_BYTES, "%s", SLOW_REAL.unavailable);
        return -ENOTSUP;
    }
    return SLOW_REAL.probe == NULL ? 0 : SLOW_REAL.probe(reason);
}

static int slow_download_many(const struct download_job *job, struct transfer_result *results)
{
    uint64_t before_ns = cpu_now_ns();
    int error = SLOW_REAL.download_many(job, results);

    burn_cpu((cpu_now_ns() - before_ns) * SLOW_PERCENT / 100);
    return error;
}

const struct bench_backend *bench_backend_v1(void)
{
    static struct bench_backend slow;

    slow = SLOW_REAL;
    slow.name = "slow";
    slow.summary = "a built-in that costs a known share of CPU more";
    slow.unavailable = NULL;
    slow.probe = slow_probe;
    slow.download_many = slow_download_many;
    return &slow;
}
