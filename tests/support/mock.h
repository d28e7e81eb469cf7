/** A mock server for a test: started on a port of its own, asked for counters, stopped. */
#ifndef TEST_MOCK_H
#define TEST_MOCK_H

#include "harness/manifest.h"
#include "harness/server_stats.h"

#include <sys/types.h>

struct mock {
    pid_t pid;
    char origin[128]; /* empty with --dns */
    char admin[128];
    char dns[64]; /* "address:port" when started with --dns; then there are no flags */
    struct manifest manifest;
};

/** Start with these arguments (NULL-terminated) beside --port 0. Fails the test when it cannot. */
void mock_start(struct mock *mock, const char *const *arguments);

/** Count anew, once it has seen that the clients so far are gone. */
void mock_reset(const struct mock *mock);

void mock_stats(const struct mock *mock, struct server_stats *stats);
const struct manifest_flag *mock_flag(const struct mock *mock, const char *cc);

/** SIGTERM, reap; asserts that it ended with exit code 0. */
void mock_stop(struct mock *mock);

/** SIGKILL, reap. */
void mock_kill(struct mock *mock);

#endif
