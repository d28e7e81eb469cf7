/**
 * What is downloaded: the distinct URLs of a cell, the bytes expected of each, and the name it
 * is saved under. Const once built.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORKLOAD_TARGETS_MAX 1000000

struct workload_target {
    char *url;
    char *warmup_url; /* the same body without delay or fault; NULL: `url` */
    char *save_name;
    char *path; /* of the URL, without query: what the server counts by */
    uint64_t bytes;
    uint64_t xxh3;
    bool expected; /* bytes and xxh3 are known */
};

struct workload {
    struct workload_target *targets;
    size_t count;
    bool verified;   /* every body is compared with a manifest or a copy fetched beforehand */
    char corpus[17]; /* of the manifest; empty: none */
};

struct manifest;

/**
 * Flags of a server with a manifest.
 * @param all         all of them, else the 20 most populous countries
 * @param size_bytes  0: the flags; else seeded bodies of that size, fetched once to know them
 * @param spare       the server is ours: warm up on URLs that ask for no delay and no fault
 * @return 0 or -errno; a line on stderr says what failed
 */
int workload_from_manifest(struct workload *workload, const char *origin,
                           const struct manifest *manifest, bool all, uint64_t size_bytes,
                           bool spare);

/** Flags by a pattern: `{cc}` replaced, or /cc/cc.gif appended. Nothing known of the bodies. */
int workload_from_pattern(struct workload *workload, const char *pattern, bool all);

/**
 * Names to look up, each another one, so that neither a cache nor the server's count of attempts
 * mixes them: Python's keywords under .dev, numbered from the second time on.
 * @param server  "address:port"; "": this machine's resolvers
 */
int workload_of_names(struct workload *workload, const char *server, size_t count);

/** A list of URLs, one a line; empty lines and lines that begin with # are skipped. */
int workload_from_file(struct workload *workload, const char *path);

void workload_release(struct workload *workload);

#endif
