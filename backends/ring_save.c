#include "ring_save.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1u << 30) /* the length of a submission has 32 bits */

static bool is_atomic(const struct ring_save *save)
{
    return (save->transfer->job->flags & DOWNLOAD_SAVE_ATOMIC) != 0;
}

/* ---- what is submitted ---- */

/* What is there already is opened without O_CREAT: with that flag the ring always hands the call to
 * a worker thread, without it the answer mostly comes from memory. */
static void prepare_open(const struct ring_save *save, struct io_uring_sqe *sqe)
{
    const int dir_fd = save->transfer->job->output_dir_fd;
    const char *name = save->transfer->request->save_name;
    const int flags = save->creates ? SAVE_OPEN_DIRECT : SAVE_OPEN_DIRECT & ~O_CREAT;

    if (is_atomic(save)) {
        io_uring_prep_openat(sqe, dir_fd, save->temporary, SAVE_OPEN_TEMPORARY, SAVE_FILE_MODE);
    } else {
        io_uring_prep_openat(sqe, dir_fd, name, flags, SAVE_FILE_MODE);
    }
}

static void prepare_write(const struct ring_save *save, struct io_uring_sqe *sqe)
{
    const size_t left = (size_t)save->transfer->body_bytes - save->written;

    io_uring_prep_write(sqe, save->fd, save->transfer->body + save->written,
                        left < WRITE_BYTES_MAX ? (unsigned)left : WRITE_BYTES_MAX, save->written);
}

void ring_save_prepare(struct ring_save *save, struct io_uring_sqe *sqe)
{
    const int dir_fd = save->transfer->job->output_dir_fd;

    switch (save->step) {
    case IORING_OP_OPENAT:
        prepare_open(save, sqe);
        break;
    case IORING_OP_WRITE:
        prepare_write(save, sqe);
        break;
    case IORING_OP_CLOSE:
        io_uring_prep_close(sqe, save->fd);
        break;
    case IORING_OP_RENAMEAT:
        io_uring_prep_renameat(sqe, dir_fd, save->temporary, dir_fd,
                               save->transfer->request->save_name, 0);
        break;
    default:
        assert(save->step == IORING_OP_UNLINKAT);
        io_uring_prep_unlinkat(sqe, dir_fd, save->temporary, 0);
        break;
    }
}

/* ---- what comes of it ---- */

static bool next(struct ring_save *save, enum io_uring_op step)
{
    save->step = step;
    return true;
}

static bool over(struct ring_save *save, int error)
{
    if (save->error == 0) {
        save->error = error;
    }
    return false;
}

/* The ring has no truncate before Linux 6.9; the call is cheap, and made only when the file was
 * longer before. */
static bool write_next(struct ring_save *save)
{
    if (save->written < save->transfer->body_bytes) {
        return next(save, IORING_OP_WRITE);
    }
    if (save->size_before > save->written && ftruncate(save->fd, (off_t)save->written) < 0) {
        save->error = errno;
    }
    return next(save, IORING_OP_CLOSE);
}

/* What is written in place must be a plain file. Both calls are answered from memory, the inode
 * being open, while the ring's STATX always goes by way of a worker thread. @return an errno value
 */
static int examine(struct ring_save *save)
{
    struct stat status;

    if (fstat(save->fd, &status) < 0) {
        return errno;
    }
    if (!S_ISREG(status.st_mode)) {
        return ENXIO;
    }
    /* O_NONBLOCK was for the opening alone: with it the ring may answer a write with -EAGAIN. */
    if (fcntl(save->fd, F_SETFL, 0) < 0) {
        return errno;
    }
    save->size_before = (size_t)status.st_size;
    return 0;
}

static bool opened(struct ring_save *save, int result)
{
    if (result == -EEXIST && !save->temporary_cleared && is_atomic(save)) {
        /* Left by a run that was killed; O_EXCL again, so that nothing planted is written to. */
        save->temporary_cleared = true;
        return next(save, IORING_OP_UNLINKAT);
    }
    if (result == -ENOENT && !save->creates) {
        save->creates = true;
        return next(save, IORING_OP_OPENAT);
    }
    if (result < 0) {
        return over(save, -result);
    }
    save->fd = result;
    if (is_atomic(save)) {
        save->temporary_exists = true;
    } else {
        save->error = examine(save);
    }
    return save->error != 0 ? next(save, IORING_OP_CLOSE) : write_next(save);
}

static bool written(struct ring_save *save, int result)
{
    if (result > 0) {
        save->written += (size_t)result;
    } else if (result != -EINTR && result != -EAGAIN) {
        save->error = result < 0 ? -result : EIO;
        return next(save, IORING_OP_CLOSE);
    }
    return write_next(save);
}

static bool closed(struct ring_save *save, int result)
{
    save->fd = -1; /* whatever the result: close(2) */
    if (result < 0 && save->error == 0) {
        save->error = -result; /* a full disk or quota may only show here: close(2) */
    }
    if (!save->temporary_exists) {
        return over(save, 0);
    }
    return next(save, save->error == 0 ? IORING_OP_RENAMEAT : IORING_OP_UNLINKAT);
}

static bool renamed(struct ring_save *save, int result)
{
    if (result < 0) {
        save->error = -result;
        return next(save, IORING_OP_UNLINKAT);
    }
    save->temporary_exists = false;
    return over(save, 0);
}

static bool unlinked(struct ring_save *save, int result)
{
    if (save->temporary_exists) {
        save->temporary_exists = false; /* or it stays: the first error is the one to tell */
        return over(save, 0);
    }
    return result < 0 ? over(save, -result) : next(save, IORING_OP_OPENAT);
}

bool ring_save_completed(struct ring_save *save, int result)
{
    switch (save->step) {
    case IORING_OP_OPENAT:
        return opened(save, result);
    case IORING_OP_WRITE:
        return written(save, result);
    case IORING_OP_CLOSE:
        return closed(save, result);
    case IORING_OP_RENAMEAT:
        return renamed(save, result);
    default:
        assert(save->step == IORING_OP_UNLINKAT);
        return unlinked(save, result);
    }
}

/* ---- begun and abandoned ---- */

void ring_save_init(struct ring_save *save)
{
    *save = (struct ring_save){.fd = -1};
}

bool ring_save_start(struct ring_save *save, const struct transfer *transfer)
{
    const char *name = transfer->request->save_name;

    *save = (struct ring_save){.transfer = transfer, .fd = -1};
    if (!save_name_is_safe(name)) {
        return over(save, EINVAL);
    }
    save->creates = is_atomic(save);
    save_temporary_name(save->temporary, name, transfer->index);
    return next(save, IORING_OP_OPENAT);
}

void ring_save_abandon(struct ring_save *save)
{
    if (save->fd >= 0) {
        (void)close(save->fd);
    }
    if (save->temporary_exists) {
        (void)unlinkat(save->transfer->job->output_dir_fd, save->temporary, 0);
    }
    ring_save_init(save);
}
