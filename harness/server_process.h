/** The mock server as a child: started with a behaviour, asked for its counters, stopped. */
#ifndef BENCH_SERVER_PROCESS_H
#define BENCH_SERVER_PROCESS_H

#include "manifest.h"
#include "server_stats.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct options;
struct placement;

/** A server that runs, ours or not. */
struct server {
    pid_t pid;       /* 0: not started by us */
    char *origin;    /* "http://host:port"; NULL: it answers DNS */
    char *dns;       /* "address:port"; NULL: it answers HTTP */
    char *admin_url; /* NULL: it has no counters to ask for */
    bool has_manifest;
    struct manifest manifest;
};

/** Start our own for one delay. @return 0 or -errno, with a line on stderr */
int server_start(struct server *server, const struct options *options,
                 const struct placement *placement, const char *delay);

/** Look at one that runs: has it a manifest, is it there at all? Same return. */
int server_adopt(struct server *server, const char *url);

/** Zero the counters. @return 0 or -errno */
int server_reset(const struct server *server, const char *run_mark);

/** @return 0 or -errno */
int server_read_stats(const struct server *server, struct server_stats *stats);

/** Stop it when it is ours, and release everything. */
void server_stop(struct server *server);

#endif
