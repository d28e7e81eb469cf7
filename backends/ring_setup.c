#include "ring_setup.h"

#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RING_TRIES 5
#define RING_RETRY_NS (200 * NS_PER_MS)
#define HINT_BYTES 64

/*
 * Completions want a moment to be processed in our task. By default the kernel interrupts the
 * task for that, which can make a ring slower than readiness. Better, best first:
 *   DEFER_TASKRUN  (6.1) in one go when we wait; needs SINGLE_ISSUER: one thread submits
 *   COOP_TASKRUN   (5.19) at the next system call of any kind
 */
static int ring_try(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries)
{
    static const unsigned ways[] = {
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        IORING_SETUP_COOP_TASKRUN,
        0,
    };
    int result = -EINVAL;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0] && result == -EINVAL; i++) {
        struct io_uring_params params = {
            .flags = ways[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = cq_entries,
        };
        result = io_uring_queue_init_params(sq_entries, ring, &params);
    }
    return result;
}

/* Ring memory counts towards RLIMIT_MEMLOCK, and that of rings closed a moment ago still does:
 * smaller first, then later. */
int ring_open(struct io_uring *ring, unsigned sq_entries, unsigned cq_entries)
{
    const struct timespec pause = {.tv_nsec = RING_RETRY_NS};
    const unsigned features = IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL;
    int result = ring_try(ring, sq_entries, cq_entries);

    for (int tries = 1; result == -ENOMEM && tries < RING_TRIES; tries++) {
        if (sq_entries / 2 >= RING_SQ_ENTRIES_SMALLEST) {
            sq_entries /= 2;
            cq_entries /= 2;
        }
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        result = ring_try(ring, sq_entries, cq_entries);
    }
    if (result == 0 && (ring->features & features) != features) {
        io_uring_queue_exit(ring);
        result = -EOPNOTSUPP;
    }
    return result;
}

unsigned ring_power_of_two(size_t at_least, unsigned low, unsigned high)
{
    unsigned power = low;

    while (power < at_least && power < high) {
        power *= 2;
    }
    return power;
}

/* kernel.io_uring_disabled; 0 also when there is no such setting (before Linux 6.6). */
static int setting_disabled(void)
{
    int disabled = 0;
    FILE *setting = fopen("/proc/sys/kernel/io_uring_disabled", "re");

    if (setting == NULL) {
        return 0;
    }
    if (fscanf(setting, "%d", &disabled) != 1) {
        disabled = 0;
    }
    (void)fclose(setting);
    return disabled;
}

/* Why io_uring_setup(2) says no, as far as one can know. */
static void explain(char hint[HINT_BYTES], int error)
{
    int disabled = 0;

    hint[0] = '\0';
    switch (error) {
    case EPERM:
        disabled = setting_disabled();
        if (disabled != 0) {
            (void)snprintf(hint, HINT_BYTES, " (kernel.io_uring_disabled = %d)", disabled);
        } else {
            (void)snprintf(hint, HINT_BYTES, " (a container's seccomp filter?)");
        }
        break;
    case ENOSYS:
        (void)snprintf(hint, HINT_BYTES, " (a kernel older than 5.1, or built without)");
        break;
    case EOPNOTSUPP:
        (void)snprintf(hint, HINT_BYTES, " (a kernel older than 5.11)");
        break;
    case ENOMEM:
        (void)snprintf(hint, HINT_BYTES, " (RLIMIT_MEMLOCK?)");
        break;
    default:
        break;
    }
}

/* @return the name of an operation that the kernel does not have; NULL: it has them all */
static const char *missing_operation(struct io_uring *ring, const struct ring_operation needed[],
                                     size_t count)
{
    const char *missing = NULL;

    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    if (probe == NULL) {
        return "PROBE";
    }
    for (size_t i = 0; i < count && missing == NULL; i++) {
        if (!io_uring_opcode_supported(probe, needed[i].opcode)) {
            missing = needed[i].name;
        }
    }
    io_uring_free_probe(probe);
    return missing;
}

int ring_probe(const struct ring_operation needed[], size_t count, char reason[BENCH_REASON_BYTES])
{
    struct io_uring ring;

    int result = ring_open(&ring, RING_SQ_ENTRIES_SMALLEST, 2 * RING_SQ_ENTRIES_SMALLEST);
    if (result < 0) {
        char hint[HINT_BYTES];
        explain(hint, -result);
        (void)snprintf(reason, BENCH_REASON_BYTES, "io_uring_setup: %s%s", strerrordesc_np(-result),
                       hint);
        return result;
    }
    const char *missing = missing_operation(&ring, needed, count);
    if (missing != NULL) {
        (void)snprintf(reason, BENCH_REASON_BYTES, "io_uring: this kernel has no operation %s",
                       missing);
        result = -EOPNOTSUPP;
    }
    io_uring_queue_exit(&ring);
    return result;
}
