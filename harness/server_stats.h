/** What a mock server says it saw: the witness that does not depend on any backend. */
#ifndef BENCH_SERVER_STATS_H
#define BENCH_SERVER_STATS_H

#include <stddef.h>
#include <stdint.h>

struct server_path_count {
    char *path;
    uint64_t requests;
};

struct server_stats {
    uint64_t requests;
    uint64_t over_tcp; /* of these, at a DNS server */
    uint64_t accepted;
    uint64_t max_in_flight;
    uint64_t duplicates;
    double cpu_s;
    struct server_path_count *paths; /* sorted by path; at a DNS server: names */
    size_t paths_count;
};

/** @return 0; -EINVAL when the text lacks one of these; -ENOMEM */
int server_stats_parse(struct server_stats *stats, const char *text, size_t text_bytes);

/** Requests for a path, or questions for a name. */
uint64_t server_stats_path(const struct server_stats *stats, const char *path);

void server_stats_release(struct server_stats *stats);

#endif
