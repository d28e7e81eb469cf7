/*
 * The floor under every downloader that saves: so many files, whole or not at all, by so many
 * threads, and no network. For scripts/peers_get.
 *
 * save_only FROM TO FILES THREADS: f000000.gif to f000193.gif of FROM in turn, under the names
 * f000000.gif, f000001.gif, ... in TO. Exit code 0, or 1 with a line that says what failed.
 */
#include "backends/save.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BODIES 194
#define THREADS_MAX 64
#define NAME_BYTES 32

struct body {
    unsigned char *data;
    size_t bytes;
};

static struct body bodies[BODIES];
static int to_fd;
static size_t files;
static _Atomic size_t next;
static _Atomic int error; /* -errno of the last that failed */

static void name_of(char name[static NAME_BYTES], size_t number)
{
    (void)snprintf(name, NAME_BYTES, "f%06zu.gif", number);
}

/* @return 0 or -errno */
static int body_read(int from_fd, size_t number, struct body *body)
{
    char name[NAME_BYTES];
    struct stat status;

    name_of(name, number);
    int fd = openat(from_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int result = fstat(fd, &status) < 0 ? -errno : 0;
    if (result == 0) {
        body->bytes = (size_t)status.st_size;
        body->data = malloc(body->bytes + 1);
        result = body->data == NULL ? -ENOMEM : 0;
    }
    if (result == 0 && read(fd, body->data, body->bytes) != (ssize_t)body->bytes) {
        result = -EIO;
    }
    (void)close(fd);
    return result;
}

static void *save_some(void *user)
{
    size_t number = 0;

    (void)user;
    while (error == 0 && (number = atomic_fetch_add(&next, 1)) < files) {
        const struct body *body = &bodies[number % BODIES];
        char name[NAME_BYTES];
        name_of(name, number);
        int result = save_file_blocking(to_fd, name, number, true, body->data, body->bytes);
        if (result < 0) {
            error = result;
        }
    }
    return NULL;
}

static void save_all(size_t threads)
{
    pthread_t ids[THREADS_MAX];
    size_t made = 0;

    while (error == 0 && made + 1 < threads) {
        int result = pthread_create(&ids[made], NULL, save_some, NULL);
        if (result != 0) {
            error = -result;
            break;
        }
        made++;
    }
    (void)save_some(NULL);
    for (size_t i = 0; i < made; i++) {
        (void)pthread_join(ids[i], NULL);
    }
}

int main(int argc, char **argv)
{
    size_t threads = argc == 5 ? strtoul(argv[4], NULL, 10) : 0;

    if (threads == 0 || threads > THREADS_MAX) {
        (void)fprintf(stderr, "usage: save_only FROM TO FILES THREADS (1 to %d)\n", THREADS_MAX);
        return 1;
    }
    files = strtoul(argv[3], NULL, 10);
    int from_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    to_fd = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    error = from_fd < 0 || to_fd < 0 ? -errno : 0;
    for (size_t i = 0; error == 0 && i < BODIES && i < files; i++) {
        error = body_read(from_fd, i, &bodies[i]);
    }
    save_all(threads);
    if (error != 0) {
        (void)fprintf(stderr, "save_only: %s\n", strerrordesc_np(-error));
    }
    for (size_t i = 0; i < BODIES; i++) {
        free(bodies[i].data);
    }
    return error != 0;
}
