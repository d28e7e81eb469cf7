#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* '.' + name + '.' + 20 digits + ".part" + NUL */
_Static_assert(SAVE_PATH_BYTES_MAX >= 1 + SAVE_NAME_BYTES_MAX + 1 + 20 + 5,
               "a temporary name must fit");

bool save_name_is_safe(const char *name)
{
    if (name[0] == '\0' || name[0] == '.') {
        return false;
    }
    size_t bytes = strnlen(name, SAVE_NAME_BYTES_MAX);
    if (bytes == SAVE_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] < 0x20 || name[i] > 0x7e || name[i] == '/') {
            return false;
        }
    }
    return true;
}

void save_temporary_name(char out[static SAVE_PATH_BYTES_MAX], const char *name, size_t index)
{
    (void)snprintf(out, SAVE_PATH_BYTES_MAX, ".%s.%zu.part", name, index);
}

static int write_all(int fd, const void *data, size_t bytes)
{
    const char *next = data;
    while (bytes > 0) {
        ssize_t written = write(fd, next, bytes);
        if (written < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        if (written == 0) {
            return -EIO;
        }
        next += written;
        bytes -= (size_t)written;
    }
    return 0;
}

/* A full disk or quota may only show at close (close(2), "Dealing with error returns"). */
static int close_checked(int fd, int result)
{
    if (close(fd) < 0 && result == 0) {
        return -errno;
    }
    return result;
}

static int save_direct(int dir_fd, const char *name, const void *data, size_t bytes)
{
    struct stat before;

    int fd = openat(dir_fd, name, SAVE_OPEN_DIRECT, SAVE_FILE_MODE);
    if (fd < 0) {
        return -errno;
    }
    int result = 0;
    if (fstat(fd, &before) < 0) {
        result = -errno;
    } else if (!S_ISREG(before.st_mode)) {
        result = -ENXIO; /* what open(2) says of a FIFO that nobody reads */
    }
    if (result == 0) {
        result = write_all(fd, data, bytes);
    }
    if (result == 0 && (uint64_t)before.st_size > bytes && ftruncate(fd, (off_t)bytes) < 0) {
        result = -errno;
    }
    return close_checked(fd, result);
}

static int open_temporary(int dir_fd, const char *temporary)
{
    int fd = openat(dir_fd, temporary, SAVE_OPEN_TEMPORARY, SAVE_FILE_MODE);
    if (fd < 0 && errno == EEXIST) {
        /* Left by a run that was killed; O_EXCL again, so that nothing planted is written to. */
        if (unlinkat(dir_fd, temporary, 0) < 0) {
            return -errno;
        }
        fd = openat(dir_fd, temporary, SAVE_OPEN_TEMPORARY, SAVE_FILE_MODE);
    }
    return fd < 0 ? -errno : fd;
}

static int save_atomic(int dir_fd, const char *name, size_t index, const void *data, size_t bytes)
{
    char temporary[SAVE_PATH_BYTES_MAX];

    save_temporary_name(temporary, name, index);
    int fd = open_temporary(dir_fd, temporary);
    if (fd < 0) {
        return fd;
    }
    int result = close_checked(fd, write_all(fd, data, bytes));
    if (result == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0) {
        result = -errno;
    }
    if (result < 0) {
        (void)unlinkat(dir_fd, temporary, 0);
    }
    return result;
}

int save_file_blocking(int dir_fd, const char *name, size_t index, bool atomic, const void *data,
                       size_t bytes)
{
    if (!save_name_is_safe(name)) {
        return -EINVAL;
    }
    return atomic ? save_atomic(dir_fd, name, index, data, bytes)
                  : save_direct(dir_fd, name, data, bytes);
}

int save_transfer_blocking(const struct transfer *transfer)
{
    const struct download_job *job = transfer->job;

    return save_file_blocking(job->output_dir_fd, transfer->request->save_name, transfer->index,
                              (job->flags & DOWNLOAD_SAVE_ATOMIC) != 0, transfer->body,
                              (size_t)transfer->body_bytes);
}
