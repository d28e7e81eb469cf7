/*
 * Model:    one event loop, libcurl's own: it keeps the sockets and asks the kernel about them
 * Threads:  the caller's
 * Waits in: poll(2), inside curl_multi_poll, on all sockets at once
 * Woken by: any socket that is ready; libcurl's next timeout
 * Syscalls per transfer: 5 to 6 at 64 in flight when answers come together (3 poll, 1 send, 1 or 2
 *           recv); the more of them the fewer come at once
 * Read next: curl_loop.c, who asks for what; curl_libuv.c, where another loop watches the sockets
 *            and names those that are ready
 *
 * curl_multi_poll does not tell whose socket was ready: curl_multi_perform goes through all
 * transfers, and each of them asks for its own. When many are ready at once they share the price:
 * then nothing that libcurl offers is cheaper. When a thousand are in flight and answer one by
 * one, it is 300 system calls for each, and three times the CPU time of curl_libuv.
 *
 * Files are written on the loop, which knows of sockets only, as in raw_epoll.c: for a flag that
 * takes less time than handing it to somebody else (docs/models.md).
 */
#include "backend.h"
#include "curl_loop.h"

#include <errno.h>

#define WAIT_MAX_MS 1000

/* ---- advance ---- */

static void loop_act(struct curl_loop *loop)
{
    int running = 0;

    if (curl_multi_perform(loop->multi, &running) != CURLM_OK) {
        curl_loop_fail(loop, -EIO);
    }
    curl_loop_reap(loop);
}

/* ---- the loop ---- */

/* The one place that waits: until a socket is ready or libcurl's next timeout. It knows that one
 * itself; ours only keeps the wait short enough to see that the caller cancels. */
static void loop_wait(struct curl_loop *loop)
{
    int patience_ms = curl_run_is_watched(&loop->run) ? CURL_RUN_CANCEL_POLL_MS : WAIT_MAX_MS;

    if (curl_multi_poll(loop->multi, NULL, 0, patience_ms, NULL) != CURLM_OK) {
        curl_loop_fail(loop, -EIO);
    }
}

/* Until every place is idle. A handle just added is due at once: libcurl does not wait then. */
static void loop_run(struct curl_loop *loop)
{
    curl_loop_start(loop);
    while (loop->active > 0 && curl_loop_goes_on(loop)) {
        loop_wait(loop);
        loop_act(loop);
        curl_loop_poll_cancel(loop);
    }
}

/* ---- set up and torn down ---- */

static int curl_multi_download_many(const struct download_job *job, struct transfer_result *results)
{
    struct curl_loop loop = {0};

    if (job->count == 0) {
        return 0;
    }
    int result = curl_loop_init(&loop, job, results);
    if (result == 0) {
        loop_run(&loop);
        result = loop.error;
    }
    curl_loop_stop(&loop);
    curl_loop_release(&loop);
    return result;
}

const struct bench_backend backend_curl_multi = {
    .magic = BENCH_BACKEND_MAGIC,
    .abi_major = BENCH_ABI_MAJOR,
    .abi_minor = BENCH_ABI_MINOR,
    .struct_size = sizeof(struct bench_backend),
    .caps = BENCH_CAP_CONCURRENT | BENCH_CAP_TLS,
    .name = "curl_multi",
    .engine = "curl",
    .model = "multi",
    .waits_in = "poll(2)",
    .summary = "libcurl's own loop over all its sockets",
    .download_many = curl_multi_download_many,
};
