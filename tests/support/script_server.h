/**
 * A server that answers each path with fixed bytes, right or wrong, one connection after the
 * other: for responses that the mock server would never give.
 *
 * A process, not a thread: a backend that forks beside a thread can leave its children a lock of a
 * sanitizer that nobody opens any more.
 */
#ifndef TEST_SCRIPT_SERVER_H
#define TEST_SCRIPT_SERVER_H

#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct script_answer {
    const char *path;
    const char *bytes;    /* sent as they are; %s stands for the server's origin, once at most */
    bool reset;           /* end with RST, else with FIN */
    size_t padding_bytes; /* so many 'x' behind the bytes */
    bool keep;            /* read another request from the connection */
    const char *unasked;  /* sent by itself when `answered` is posted */
};

/* In memory that both processes see. */
struct script_signals {
    sem_t answered;     /* to be posted when the client has the answer to which more is to come */
    sem_t unasked_sent; /* posted when more has come, be it but the end of the connection */
};

struct script_server {
    const struct script_answer *answers;
    size_t count;
    int listen_fd;
    char origin[64];
    struct script_signals *signals;
    pid_t pid;
};

void script_server_start(struct script_server *server, const struct script_answer *answers,
                         size_t count);
void script_server_stop(struct script_server *server);

#endif
