/**
 * What runner and worker share in a trial: a memfd with the job in front and the result slots
 * behind. The worker is a program of its own (re-executed), so nothing here is a pointer.
 *
 * Lay-out: struct trial_header | targets[targets_count] | strings | (page) slots[count].
 * Request i is target i modulo targets_count.
 */
#ifndef BENCH_TRIAL_MEMORY_H
#define BENCH_TRIAL_MEMORY_H

#include "backends/backend.h"

#include <stdint.h>

struct workload;

#define TRIAL_MAGIC UINT64_C(0x312e6c6169727462) /* "btrial.1" */
#define TRIAL_TEXT_BYTES 160
#define TRIAL_MARK_BYTES 48
#define TRIAL_PATH_BYTES 4096

/** One distinct request; offsets are from the start of the memory, 0 is "none". */
struct trial_target {
    uint64_t url_offset;
    uint64_t warmup_url_offset;
    uint64_t save_name_offset;
    uint64_t expected_bytes;
    uint64_t expected_xxh3;
    uint64_t flags;
};

/** What the worker's process used up between the two ends of the timed call. */
struct trial_usage {
    uint64_t wall_ns;
    uint64_t user_ns;
    uint64_t system_ns;
    int64_t voluntary_switches;
    int64_t involuntary_switches;
    int64_t minor_faults;
    int64_t major_faults;
    int64_t max_rss_kib;        /* high water mark of the whole life of the process */
    int64_t leaked_descriptors; /* open after the call, not before */
    int64_t syscalls;           /* -1: not counted */
};

struct trial_header {
    uint64_t magic;
    uint64_t total_bytes;
    uint64_t slots_offset;
    uint64_t targets_offset;
    uint64_t targets_count;
    uint64_t count;
    uint64_t warmup_count;
    uint64_t timeout_ns;
    uint64_t body_bytes_max;
    uint32_t job_flags;
    uint32_t concurrency;
    uint32_t loops;
    uint32_t attempts_max;
    uint32_t redirects_max;
    int32_t output_dir_fd;
    uint32_t count_syscalls; /* which makes them slower: not in a trial whose time counts */
    uint32_t reserved;
    char run_mark[TRIAL_MARK_BYTES];
    char backend_name[64];
    char backend_path[TRIAL_PATH_BYTES]; /* empty: a built-in */

    /* written by the worker */
    int32_t error;                  /* 0, or -errno of what could not be done */
    char message[TRIAL_TEXT_BYTES]; /* what that was */
    uint64_t started_ns;
    uint64_t finished_ns;
    struct trial_usage usage;
};

/** What the runner wants done. */
struct trial_spec {
    const struct workload *workload;
    const char *backend_name;
    const char *backend_path; /* NULL: a built-in */
    const char *run_mark;
    uint64_t count;
    uint64_t warmup_count;
    uint64_t timeout_ns;
    uint64_t body_bytes_max;
    uint32_t job_flags;
    uint32_t concurrency;
    uint32_t loops;
    uint32_t attempts_max;
    uint32_t redirects_max;
    int32_t output_dir_fd;
    uint32_t count_syscalls;
};

struct trial_memory {
    int fd;
    struct trial_header *header;
};

/** @return 0 or -errno; nothing is left behind on failure */
int trial_memory_create(struct trial_memory *memory, const struct trial_spec *spec);

/** The worker's side. @return 0; -EINVAL when it is not ours */
int trial_memory_attach(struct trial_memory *memory, int fd);

void trial_memory_release(struct trial_memory *memory);

struct transfer_result *trial_memory_slots(const struct trial_memory *memory);
const struct trial_target *trial_memory_targets(const struct trial_memory *memory);

/** @return NULL for offset 0 */
const char *trial_memory_text(const struct trial_memory *memory, uint64_t offset);

#endif
