/**
 * XXH3-64 (seed 0) of a body, with the widest vector unit that this CPU has.
 * Compiled into the program, not taken from the shared library: that one is SSE2 only.
 */
#ifndef BENCH_BODY_HASH_H
#define BENCH_BODY_HASH_H

#include <stddef.h>
#include <stdint.h>

/** One-shot hash of a whole body. */
uint64_t body_hash(const void *data, size_t bytes);

/** A hash fed piece by piece; for bodies that arrive split. */
struct body_hash_stream;

/** @return NULL when memory is short. Give back with body_hash_stream_destroy. */
struct body_hash_stream *body_hash_stream_create(void);
void body_hash_stream_destroy(struct body_hash_stream *stream); /* NULL is fine */
void body_hash_stream_reset(struct body_hash_stream *stream);
void body_hash_stream_update(struct body_hash_stream *stream, const void *data, size_t bytes);
uint64_t body_hash_stream_digest(const struct body_hash_stream *stream);

#endif
