/** /manifest.json of a mock server: what every body has to be. */
#ifndef BENCH_MANIFEST_H
#define BENCH_MANIFEST_H

#include <stddef.h>
#include <stdint.h>

struct manifest_flag {
    char cc[3];
    char *path;
    uint64_t bytes;
    uint64_t xxh3;
};

struct manifest {
    char corpus[17]; /* 16 hexadecimal digits */
    char *admin;     /* "http://host:port", or NULL */
    struct manifest_flag *flags;
    size_t count;
};

/** @return 0; -EINVAL when the text is no such manifest; -ENOMEM */
int manifest_parse(struct manifest *manifest, const char *text, size_t text_bytes);
void manifest_release(struct manifest *manifest);

#endif
