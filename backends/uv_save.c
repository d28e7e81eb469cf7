#include "uv_save.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#define WRITE_BYTES_MAX (1u << 30) /* of one operation */

static void save_next(struct uv_save *save, uv_fs_type done, ssize_t result);

static bool is_atomic(const struct uv_save *save)
{
    return (save->transfer->job->flags & DOWNLOAD_SAVE_ATOMIC) != 0;
}

/* callback from libuv: an operation is through */
static void on_file(uv_fs_t *request)
{
    struct uv_save *save = request->data;
    uv_fs_type done = request->fs_type;
    ssize_t result = request->result;

    if (done == UV_FS_FSTAT && result == 0) {
        save->bytes_before = request->statbuf.st_size;
        result = S_ISREG(request->statbuf.st_mode) ? 0 : -ENXIO;
    }
    uv_fs_req_cleanup(request);
    save_next(save, done, result);
}

static int file_open(struct uv_save *save)
{
    int flags = is_atomic(save) ? SAVE_OPEN_TEMPORARY : SAVE_OPEN_DIRECT;
    return uv_fs_open(save->loop, &save->request, save->path, flags, SAVE_FILE_MODE, on_file);
}

static int file_write(struct uv_save *save)
{
    uint64_t left = save->transfer->body_bytes - save->written;
    unsigned int bytes = left < WRITE_BYTES_MAX ? (unsigned int)left : WRITE_BYTES_MAX;

    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)save->transfer->body + save->written, bytes);
    return uv_fs_write(save->loop, &save->request, save->file, &buffer, 1, (int64_t)save->written,
                       on_file);
}

/* @return 0, or -errno when it was not even queued */
static int file_do(struct uv_save *save, uv_fs_type operation)
{
    uv_loop_t *loop = save->loop;
    uv_fs_t *request = &save->request;

    switch (operation) {
    case UV_FS_OPEN:
        return file_open(save);
    case UV_FS_FSTAT:
        return uv_fs_fstat(loop, request, save->file, on_file);
    case UV_FS_WRITE:
        return file_write(save);
    case UV_FS_FTRUNCATE:
        return uv_fs_ftruncate(loop, request, save->file, (int64_t)save->transfer->body_bytes,
                               on_file);
    case UV_FS_CLOSE:
        return uv_fs_close(loop, request, save->file, on_file);
    case UV_FS_RENAME:
        return uv_fs_rename(loop, request, save->path, save->final_path, on_file);
    default:
        assert(operation == UV_FS_UNLINK);
        return uv_fs_unlink(loop, request, save->path, on_file);
    }
}

static void save_do(struct uv_save *save, uv_fs_type operation)
{
    int result = file_do(save, operation);
    if (result < 0) {
        save_next(save, operation, result); /* it failed, that is all */
    }
}

static void save_end(struct uv_save *save)
{
    save->done(save, save->result);
}

static void save_opened(struct uv_save *save, ssize_t result)
{
    if (result == UV_EEXIST && is_atomic(save) && !save->replaced) {
        save->replaced = true;
        save->result = 0;
        save_do(save, UV_FS_UNLINK);
    } else if (result < 0) {
        save_end(save);
    } else {
        save->file = (uv_file)result;
        save_do(save, is_atomic(save) ? UV_FS_WRITE : UV_FS_FSTAT);
    }
}

static void save_written(struct uv_save *save, ssize_t result)
{
    save->written += result > 0 ? (uint64_t)result : 0;
    if (save->result == 0 && save->written < save->transfer->body_bytes) {
        save_do(save, UV_FS_WRITE);
    } else if (save->result == 0 && !is_atomic(save) &&
               save->bytes_before > save->transfer->body_bytes) {
        save_do(save, UV_FS_FTRUNCATE);
    } else {
        save_do(save, UV_FS_CLOSE);
    }
}

static void save_closed(struct uv_save *save)
{
    if (!is_atomic(save)) {
        save_end(save);
    } else {
        save_do(save, save->result == 0 ? UV_FS_RENAME : UV_FS_UNLINK);
    }
}

/* Before a file was opened: of what a killed run had left; else after a failure. */
static void save_unlinked(struct uv_save *save, ssize_t result)
{
    if (save->file < 0 && result == 0) {
        save_do(save, UV_FS_OPEN);
    } else {
        save_end(save);
    }
}

/* The steps of save_file_blocking (save.c), and what each failure leads to. */
static void save_next(struct uv_save *save, uv_fs_type done, ssize_t result)
{
    if (done == UV_FS_WRITE && result == 0 && save->transfer->body_bytes > 0) {
        result = -EIO;
    }
    if (result < 0 && save->result == 0) {
        save->result = (int)result;
    }
    switch (done) {
    case UV_FS_OPEN:
        save_opened(save, result);
        break;
    case UV_FS_FSTAT:
        save_do(save, result < 0 ? UV_FS_CLOSE : UV_FS_WRITE);
        break;
    case UV_FS_WRITE:
        save_written(save, result);
        break;
    case UV_FS_FTRUNCATE:
        save_do(save, UV_FS_CLOSE);
        break;
    case UV_FS_CLOSE:
        save_closed(save);
        break;
    case UV_FS_UNLINK:
        save_unlinked(save, result);
        break;
    default:
        assert(done == UV_FS_RENAME);
        if (result < 0) {
            save_do(save, UV_FS_UNLINK);
        } else {
            save_end(save);
        }
        break;
    }
}

/* libuv has no openat: the folder's descriptor is named through /proc (proc(5)), which follows
 * it to the folder that was opened, not to whatever has its name by now. */
int uv_save_start(struct uv_save *save, uv_loop_t *loop, const struct transfer *transfer,
                  void (*done)(struct uv_save *save, int result), void *user)
{
    const int dir_fd = transfer->job->output_dir_fd;
    const char *name = transfer->request->save_name;
    char temporary[SAVE_PATH_BYTES_MAX];

    if (!save_name_is_safe(name)) {
        return -EINVAL;
    }
    save->loop = loop;
    save->transfer = transfer;
    save->done = done;
    save->user = user;
    save->request.data = save;
    save->file = -1;
    save->replaced = false;
    save->bytes_before = 0;
    save->written = 0;
    save->result = 0;
    save_temporary_name(temporary, name, transfer->index);
    (void)snprintf(save->path, sizeof save->path, "/proc/self/fd/%d/%s", dir_fd,
                   is_atomic(save) ? temporary : name);
    (void)snprintf(save->final_path, sizeof save->final_path, "/proc/self/fd/%d/%s", dir_fd, name);
    return file_do(save, UV_FS_OPEN);
}
