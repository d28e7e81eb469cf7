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

/** One file at a time; filled in by the caller, who keeps it until `done` is called. */
struct uv_save {
    uv_loop_t *loop;
    int dir_fd;
    const char *name;
    size_t index; /* for the temporary name: no two under way share one */
    bool atomic;
    const void *data;
    uint64_t bytes;
    void (*done)(struct uv_save *save, int result); /* 0; -errno of the first step that failed */
    void *user;

    /* private */
    uv_fs_t request;
    uv_file file;
    bool replaced; /* a temporary file of a run that was killed has been removed */
    uint64_t bytes_before;
    uint64_t written;
    int result;
    char path[UV_SAVE_PATH_BYTES_MAX];       /* what is opened */
    char final_path[UV_SAVE_PATH_BYTES_MAX]; /* what a temporary file is renamed to */
};

/** @return 0; -errno when it could not even begin: then `done` is not called */
int uv_save_start(struct uv_save *save);

#endif
