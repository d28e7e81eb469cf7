/**
 * The contract between the harness and a backend. Read this first.
 *
 * A backend is one way of waiting for many transfers. It gets a job (requests, limits,
 * concurrency) and an array of result slots, runs every transfer with at most
 * `job->concurrency` in flight, and returns when each slot holds a terminal status.
 * It starts whatever its model needs (threads, a loop, a ring) inside the call and has
 * stopped all of it when the call returns.
 *
 * A plug-in is a shared object that exports exactly one function,
 *
 *     const struct bench_backend *bench_backend_v1(void);
 *
 * The host accepts an equal ABI major and a minor no newer than its own, and reads only
 * fields below `struct_size`. Structs here are append-only: a new field goes to the end and
 * raises BENCH_ABI_MINOR; a changed meaning raises BENCH_ABI_MAJOR.
 *
 * Units: `*_ns` are CLOCK_MONOTONIC nanoseconds, `*_bytes` are bytes.
 */
#ifndef BENCH_BACKEND_H
#define BENCH_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#define BENCH_BACKEND_MAGIC 0x68636e62u /* "bnch", little endian */
#define BENCH_ABI_MAJOR 1
#define BENCH_ABI_MINOR 2

/** What became of one transfer. 0 is "nobody has answered yet": none may remain after a run. */
enum transfer_status {
    TRANSFER_UNSET = 0,
    TRANSFER_OK,          /* a 2xx whose body is the expected one (or none was expected); of a
                             lookup: the addresses */
    TRANSFER_NOT_FOUND,   /* 404; of a lookup: no such name, or no address */
    TRANSFER_HTTP_ERROR,  /* any other status */
    TRANSFER_TIMEOUT,     /* job->timeout_ns passed */
    TRANSFER_REFUSED,     /* no connection could be made */
    TRANSFER_RESET,       /* the connection broke before or in the middle of the response */
    TRANSFER_TRUNCATED,   /* an orderly end of the connection before the end of the response */
    TRANSFER_TOO_LARGE,   /* more than job->body_bytes_max */
    TRANSFER_PROTOCOL,    /* not HTTP/1.1 as RFC 9112 has it, or a redirect we do not follow */
    TRANSFER_MISMATCH,    /* complete, but not the bytes the request expects */
    TRANSFER_SAVE_FAILED, /* right bytes, but the file could not be written */
    TRANSFER_CANCELLED,   /* the caller asked to stop */
    TRANSFER_UNRESOLVED,  /* the host name has no address; of a lookup: the server failed */
    TRANSFER_STATUS_COUNT
};

enum transfer_request_flag {
    TRANSFER_EXPECT_BODY = 1u << 0, /* expected_bytes and expected_xxh3 are to be checked */
};

/** One GET. Strings live as long as the job. */
struct transfer_request {
    const char *url; /* absolute, "http://host[:port]/path"; checked by the host; https only with
                        BENCH_CAP_TLS; with BENCH_CAP_DNS "dns://address[:port]/name" */
    const char *save_name;   /* file name without '/', below output_dir_fd; NULL: do not save */
    uint64_t expected_bytes; /* with TRANSFER_EXPECT_BODY */
    uint64_t expected_xxh3;  /* XXH3-64, seed 0, of the body; with TRANSFER_EXPECT_BODY */
    uint32_t flags;          /* enum transfer_request_flag */
    uint32_t reserved;
};

#define TRANSFER_MESSAGE_BYTES 64

/** What a transfer did. Caller-owned, zeroed; results[i] answers requests[i]. */
struct transfer_result {
    uint32_t status;        /* enum transfer_status */
    int32_t http_status;    /* of the last response, 0 when there was none */
    uint64_t body_bytes;    /* received of the last response's body */
    uint64_t body_xxh3;     /* of those bytes, when the response was complete */
    uint64_t started_ns;    /* before the first connect or send */
    uint64_t first_byte_ns; /* of the last response; 0 when there was none */
    uint64_t finished_ns;   /* verified, and saved when that was asked */
    uint32_t attempts;      /* 1 without retries */
    uint32_t connection;    /* 1, 2, ... in order of opening; 0: none was made */
    int32_t os_error;       /* errno value, 0 when there was none */
    char message[TRANSFER_MESSAGE_BYTES]; /* why it failed; empty when it did not */
};

/**
 * What a caller may want to be told while transfers run. NULL in measured runs.
 * Each function is optional and runs on the thread that owns the transfer: with a backend
 * of several threads they must be thread-safe.
 */
struct download_hooks {
    void *user;
    /** In order of completion (as_completed). The slot is final. */
    void (*on_complete)(void *user, size_t index, const struct transfer_result *result);
    /** A verified body; the bytes die on return. */
    void (*on_body)(void *user, size_t index, const void *body, size_t body_bytes);
    /** Polled at least every 100 ms; non-zero: finish every open transfer as cancelled. */
    int (*cancelled)(void *user);
};

enum download_job_flag {
    DOWNLOAD_FRESH_CONNECTIONS = 1u << 0, /* a connection per transfer; default: kept alive */
    DOWNLOAD_SAVE_ATOMIC = 1u << 1,       /* temporary name + rename; default: written in place */
};

/** One call of download_many. Constant while it runs. */
struct download_job {
    uint32_t struct_size; /* sizeof(struct download_job) of the host */
    uint32_t flags;       /* enum download_job_flag */
    const struct transfer_request *requests;
    size_t count;
    uint32_t concurrency;    /* >= 1: the most transfers in flight */
    uint32_t loops;          /* >= 1: threads that each run a loop (with BENCH_CAP_LOOPS) */
    uint64_t timeout_ns;     /* for each attempt, from connect to the last byte */
    uint64_t body_bytes_max; /* a larger body is TRANSFER_TOO_LARGE, found while reading */
    uint32_t attempts_max;   /* >= 1 */
    uint32_t redirects_max;  /* hops followed, http and the same host and port only */
    int32_t output_dir_fd;   /* where save_name goes; -1: nothing is saved */
    uint32_t reserved;
    const char *run_mark;               /* token for the X-Bench header */
    const struct download_hooks *hooks; /* NULL: none */
    /* since ABI 1.1 */
    const char *ca_file; /* certificates to trust (PEM) instead of the system's; NULL: those */
};

enum bench_cap {
    BENCH_CAP_CONCURRENT = 1u << 0, /* more than one transfer can be in flight */
    BENCH_CAP_LOOPS = 1u << 1,      /* honours job->loops above 1 */
    BENCH_CAP_NO_TRANSFERS = 1u << 2, /* touches no network: a floor, not a contestant */
    BENCH_CAP_TLS = 1u << 3,          /* https URLs too; since ABI 1.1 */
    BENCH_CAP_DNS = 1u << 4,          /* dns URLs, and no others; since ABI 1.2 */
    BENCH_CAP_SYSTEM_DNS = 1u << 5,   /* of these only "dns:///name"; since ABI 1.2 */
};

#define BENCH_REASON_BYTES 160

/** A backend says what it is. Const, append-only. */
struct bench_backend {
    uint32_t magic; /* BENCH_BACKEND_MAGIC */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t struct_size;
    uint32_t caps;           /* enum bench_cap */
    const char *name;        /* "raw_io_uring" */
    const char *engine;      /* "curl", "raw", "c-ares", "libc" or "none" */
    const char *model;       /* "io_uring": the part of the name that says how it waits */
    const char *waits_in;    /* the call it sleeps in: "io_uring_enter(2)" */
    const char *summary;     /* one line for people */
    const char *unavailable; /* NULL, or why it was not built */
    /** Optional. 0 when it can run here; else -errno and the reason in one line. */
    int (*probe)(char reason[BENCH_REASON_BYTES]);
    /**
     * Run all transfers; return when each has a terminal status.
     * @param results [job->count], caller-owned, zeroed
     * @return 0; -errno when the run could not proceed (results are then undefined)
     * Threads: one caller at a time.
     */
    int (*download_many)(const struct download_job *job, struct transfer_result *results);
};

#if defined(__GNUC__)
#define BENCH_EXPORT __attribute__((visibility("default")))
#else
#define BENCH_EXPORT
#endif

/** The one symbol of a plug-in. */
BENCH_EXPORT const struct bench_backend *bench_backend_v1(void);

#if UINTPTR_MAX == UINT64_MAX && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
/* A changed layout without a changed version cannot pass unseen. */
_Static_assert(sizeof(struct transfer_result) == 128, "transfer_result is part of ABI 1.0");
_Static_assert(sizeof(struct transfer_request) == 40, "transfer_request is part of ABI 1.0");
_Static_assert(sizeof(struct download_job) == 88, "download_job is part of ABI 1.1");
_Static_assert(sizeof(struct bench_backend) == 80, "bench_backend is part of ABI 1.0");
#endif

#endif
