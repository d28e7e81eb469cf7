#include "output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int output_file_check(const char *path)
{
    struct stat info;
    bool existed = stat(path, &info) == 0;
    /* O_NONBLOCK: a pipe that nobody reads must not hold us up. */
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);

    if (fd < 0) {
        return -errno;
    }
    (void)close(fd);
    if (!existed) {
        (void)unlink(path);
    }
    return 0;
}

static int write_plain(const char *path, output_writer *writer, const void *content)
{
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        return -errno;
    }
    int error = writer(file, content);
    if (error == 0 && ferror(file)) {
        error = -EIO;
    }
    if (fclose(file) != 0 && error == 0) {
        error = -EIO;
    }
    return error;
}

int output_file_write(const char *path, output_writer *writer, const void *content)
{
    struct stat info;
    char *temporary = NULL;

    if (lstat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return write_plain(path, writer, content);
    }
    if (asprintf(&temporary, "%s.%d.part", path, (int)getpid()) < 0) {
        return -ENOMEM;
    }
    int error = write_plain(temporary, writer, content);
    if (error == 0 && rename(temporary, path) != 0) {
        error = -errno;
    }
    if (error != 0) {
        (void)unlink(temporary);
    }
    free(temporary);
    return error;
}
