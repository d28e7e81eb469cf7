/* A ring that fails in the middle of a run: the kernel has to have let go of the memory it was
 * handed when the run returns. The rest of the contract is checked in test_contract.c. */
#include "support/mock.h"

#include "backends/clock.h"
#include "backends/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define IN_FLIGHT 32
#define COUNT (12 * IN_FLIGHT) /* a wait brings on one for each at most: it takes 12 and more */
#define URL_ROOM 192

static const struct bench_backend *backend;

static unsigned waits_left; /* until a wait fails; 0: none does */
static unsigned failures;   /* how many do then */

int __real_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned wait_for, struct __kernel_timespec *timeout,
                                            sigset_t *signals);

/* Stands in for the library's (ld --wrap). */
int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned wait_for, struct __kernel_timespec *timeout,
                                            sigset_t *signals);

int __wrap_io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
                                            unsigned wait_for, struct __kernel_timespec *timeout,
                                            sigset_t *signals)
{
    if (waits_left > 0 && --waits_left == 0) {
        waits_left = --failures > 0;
        return -ENXIO;
    }
    return __real_io_uring_submit_and_wait_timeout(ring, cqe, wait_for, timeout, signals);
}

struct batch {
    struct transfer_request requests[COUNT];
    struct transfer_result results[COUNT];
    char urls[COUNT][URL_ROOM];
    char names[COUNT][16];
    struct download_job job;
};

static struct batch *batch_new(const struct mock *mock)
{
    struct batch *batch = calloc(1, sizeof *batch);

    assert_non_null(batch);
    batch->job = (struct download_job){
        .struct_size = sizeof batch->job,
        .requests = batch->requests,
        .count = COUNT,
        .concurrency = IN_FLIGHT,
        .loops = 1,
        .timeout_ns = 5 * NS_PER_S,
        .body_bytes_max = 8u << 20,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .run_mark = "contract",
    };
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(batch->urls[i], URL_ROOM, "%s%s", mock->origin, mock_flag(mock, "cn")->path);
        (void)snprintf(batch->names[i], sizeof batch->names[i], "%zu.gif", i);
        batch->requests[i].url = batch->urls[i];
    }
    return batch;
}

static size_t entries(const char *path)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void remove_folder(const char *path, const struct batch *batch)
{
    for (size_t i = 0; i < COUNT; i++) {
        (void)unlinkat(batch->job.output_dir_fd, batch->names[i], 0);
    }
    (void)close(batch->job.output_dir_fd);
    assert_int_equal(rmdir(path), 0); /* no temporary file is left in it */
}

/* The sanitizer of addresses sees what is freed too soon; here, that nothing stays open. */
static void test_a_run_that_fails_gives_everything_back(void **state)
{
    struct mock mock;
    (void)state;

    mock_start(&mock, (const char *const[]){"--delay", "uniform:0ms:5ms", NULL});
    struct batch *batch = batch_new(&mock);
    const size_t before = entries("/proc/self/fd");
    for (unsigned waits = 1; waits < 12; waits++) {
        waits_left = waits;
        failures = 1;
        assert_int_equal(backend->download_many(&batch->job, batch->results), -ENXIO);
        assert_int_equal(entries("/proc/self/fd"), before);
    }
    free(batch);
    mock_stop(&mock);
}

static void test_a_run_that_fails_leaves_no_temporary_file(void **state)
{
    char path[] = "/tmp/bench-contract-XXXXXX";
    struct mock mock;
    (void)state;

    mock_start(&mock, (const char *const[]){"--delay", "0", NULL});
    struct batch *batch = batch_new(&mock);
    assert_non_null(mkdtemp(path));
    batch->job.output_dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    batch->job.flags = DOWNLOAD_SAVE_ATOMIC;
    for (size_t i = 0; i < COUNT; i++) {
        batch->requests[i].save_name = batch->names[i];
    }
    const size_t before = entries("/proc/self/fd");
    for (unsigned waits = 1; waits < 20; waits++) {
        waits_left = waits;
        failures = 1;
        int result = backend->download_many(&batch->job, batch->results);
        assert_true(result == -ENXIO || waits_left > 0); /* or it was done before */
        assert_int_equal(entries("/proc/self/fd"), before);
    }
    waits_left = 0;
    remove_folder(path, batch);
    free(batch);
    mock_stop(&mock);
}

static void test_a_ring_that_is_gone_is_given_up(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    skip(); /* what the kernel may still write to is leaked on purpose */
#endif
    struct mock mock;
    (void)state;

    mock_start(&mock, (const char *const[]){"--delay", "2s", NULL});
    struct batch *batch = batch_new(&mock);
    waits_left = 3; /* when most have asked, and the answers are two seconds away */
    failures = 1000;
    const uint64_t begun_ns = clock_now_ns();
    assert_int_equal(backend->download_many(&batch->job, batch->results), -ENXIO);
    assert_true(clock_now_ns() - begun_ns < 2 * NS_PER_S);
    waits_left = 0;
    free(batch);
    mock_stop(&mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_that_fails_gives_everything_back),
        cmocka_unit_test(test_a_run_that_fails_leaves_no_temporary_file),
        cmocka_unit_test(test_a_ring_that_is_gone_is_given_up),
    };
    char reason[BENCH_REASON_BYTES] = "";

    backend = backend_find("raw_io_uring");
    if (backend->unavailable != NULL || backend->probe(reason) != 0) {
        (void)fprintf(stderr, "skipped: %s\n",
                      backend->unavailable != NULL ? backend->unavailable : reason);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
