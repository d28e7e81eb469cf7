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

/* Written under the temporary name, closed, renamed. */
static int save_renamed(int dir_fd, const char *name, const char *temporary, const void *data,
                        size_t bytes)
{
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

/* By its descriptor, or where that takes a privilege (CAP_DAC_READ_SEARCH, before Linux 6.10) by
 * way of /proc: linkat(2). @return 0 or -errno */
static int link_unnamed(int fd, int dir_fd, const char *name)
{
    char path[32];

    if (linkat(fd, "", dir_fd, name, AT_EMPTY_PATH) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return -errno;
    }
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dir_fd, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

/* Give it its name; where another file has it, the temporary name first and then that one's. */
static int publish(int fd, int dir_fd, const char *name, const char *temporary)
{
    int result = link_unnamed(fd, dir_fd, name);
    if (result != -EEXIST) {
        return result;
    }
    result = link_unnamed(fd, dir_fd, temporary);
    if (result == -EEXIST && unlinkat(dir_fd, temporary, 0) == 0) {
        result = link_unnamed(fd, dir_fd, temporary); /* left by a run that was killed */
    }
    if (result == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0) {
        result = -errno;
        (void)unlinkat(dir_fd, temporary, 0);
    }
    return result;
}

/* A new file is named once, when it is whole: a name in the folder costs as much as the file.
 * @return 0 or -errno; -EOPNOTSUPP and the like: not on this file system, or not here */
static int save_unnamed(int dir_fd, const char *name, const char *temporary, const void *data,
                        size_t bytes)
{
    int fd = openat(dir_fd, ".", SAVE_OPEN_UNNAMED, SAVE_FILE_MODE);
    if (fd < 0) {
        return -errno;
    }
    int result = write_all(fd, data, bytes);
    if (result == 0) {
        result = publish(fd, dir_fd, name, temporary);
    }
    return close_checked(fd, result);
}

static bool needs_a_name(int result)
{
    /* No O_TMPFILE: open(2); a folder whose files cannot be linked, no /proc: linkat(2). */
    return result == -EOPNOTSUPP || result == -EISDIR || result == -EINVAL || result == -ENOENT ||
           result == -EPERM || result == -EXDEV || result == -EMLINK;
}

static int save_atomic(int dir_fd, const char *name, size_t index, const void *data, size_t bytes)
{
    char temporary[SAVE_PATH_BYTES_MAX];

    save_temporary_name(temporary, name, index);
    int result = save_unnamed(dir_fd, name, temporary, data, bytes);
    return needs_a_name(result) ? save_renamed(dir_fd, name, temporary, data, bytes) : result;
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
