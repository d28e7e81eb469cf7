/**
 * Private to body_hash.c: the same hash compiled for AVX2. Call only on a CPU that has it.
 * `state` is an XXH3_state_t; inlined, xxhash.h gives that type another name.
 */
#ifndef BENCH_BODY_HASH_AVX2_H
#define BENCH_BODY_HASH_AVX2_H

#include <stddef.h>
#include <stdint.h>

uint64_t body_hash_avx2(const void *data, size_t bytes);
void body_hash_avx2_update(void *state, const void *data, size_t bytes);
uint64_t body_hash_avx2_digest(const void *state);

#endif
