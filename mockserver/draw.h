/**
 * Seeded draws without state: the same seed, key, attempt and stream give the same number,
 * whatever came before or in between. So the order in which requests arrive changes nothing,
 * and a client can compute what the server will do.
 */
#ifndef MOCKSERVER_DRAW_H
#define MOCKSERVER_DRAW_H

#include <stddef.h>
#include <stdint.h>

/** Independent sequences of one (seed, key, attempt); below 256. */
enum draw_stream {
    DRAW_STREAM_FAULT = 0,     /* which fault, if any */
    DRAW_STREAM_DELAY = 1,     /* and the following ones, two for each resampling */
    DRAW_STREAM_ZONE = 250,    /* whether a name is there */
    DRAW_STREAM_ADDRESS = 251, /* and where */
};

/** splitmix64's finaliser: a bijection that spreads every bit. */
uint64_t draw_mix(uint64_t x);

/** Key of a request without a number: FNV-1a 64 of the percent-decoded path. */
uint64_t draw_key(const char *path, size_t path_bytes);

/** Key of request `number`: FNV-1a 64 of "path#number", the number in decimal. */
uint64_t draw_key_numbered(const char *path, size_t path_bytes, uint64_t number);

/** 53 even bits: mix(mix(mix(seed) ^ key) ^ mix(attempt << 8 | stream)) >> 11. */
uint64_t draw_bits53(uint64_t seed, uint64_t key, uint32_t attempt, unsigned stream);

/** The same in [0, 1), exact. */
double draw_unit(uint64_t seed, uint64_t key, uint32_t attempt, unsigned stream);

#endif
