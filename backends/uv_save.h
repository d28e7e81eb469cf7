/**
 * Writing a verified body through libuv: the steps of save.h, each a trip to its pool of threads,
 * so that the loop goes on while a disk is slow.
 *
 * Threads: a file belongs to the thread of its loop.
 */
#ifndef BENCH_UV_SAVE_H
#define BENCH_UV_SAVE_H

#include "save.h"

#include <stdint.h>
#include <uv.h>

#define UV_SAVE_PATH_BYTES_MAX (SAVE_PATH_BYTES_MAX + 32) /* "/proc/self/fd/N/" in front */

/** One file at a time. */
struct uv_save {
    void *user; /* of uv_save_start */

    /* private */
    uv_loop_t *loop;
    const struct transfer *transfer;
    void (*done)(struct uv_save *save, int result);
    uv_fs_t request;
    uv_file file;
    bool replaced; /* a temporary file of a run that was killed has been removed */
    uint64_t bytes_before;
    uint64_t written;
    int result;
    char path[UV_SAVE_PATH_BYTES_MAX];       /* what is opened */
    char final_path[UV_SAVE_PATH_BYTES_MAX]; /* what a temporary file is renamed to */
};

/**
 * Write the file of a transfer whose step is TRANSFER_SAVE; both are left alone until `done`.
 * @param done  gets 0, or -errno of the first step that failed
 * @return 0; -errno when it could not even begin: then `done` is not called
 */
int uv_save_start(struct uv_save *save, uv_loop_t *loop, const struct transfer *transfer,
                  void (*done)(struct uv_save *save, int result), void *user);

#endif
