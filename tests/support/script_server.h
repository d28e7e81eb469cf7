/**
 * A server that answers each path with fixed bytes, right or wrong, one connection after the
 * other: for responses that the mock server would never give.
 */
#ifndef TEST_SCRIPT_SERVER_H
#define TEST_SCRIPT_SERVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct script_answer {
    const char *path;
    const char *bytes;    /* sent as they are; %s stands for the server's origin, once at most */
    bool reset;           /* end with RST, else with FIN */
    size_t padding_bytes; /* so many 'x' behind the bytes */
    bool keep;            /* read another request from the connection */
    const char *unasked;  /* sent by itself when `answered` is posted */
};

struct script_server {
    const struct script_answer *answers;
    size_t count;
    int listen_fd;
    char origin[64];
    sem_t answered;     /* to be posted when the client has the answer to which more is to come */
    sem_t unasked_sent; /* posted when more has come, be it but the end of the connection */
    pthread_t thread;
};

void script_server_start(struct script_server *server, const struct script_answer *answers,
                         size_t count);
void script_server_stop(struct script_server *server);

#endif
