#include "backends/body_hash.h"

#include "backends/body_hash_avx2.h"

#include <xxhash.h>

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

/* The vector code of XXH3 loads the accumulators with aligned instructions (xxhash.h on
 * XXH3_createState: 64 bytes), which malloc does not promise. */
#define STREAM_ALIGNMENT 64

struct body_hash_stream {
    alignas(STREAM_ALIGNMENT) XXH3_state_t state;
};

static_assert(sizeof(struct body_hash_stream) % STREAM_ALIGNMENT == 0,
              "aligned_alloc wants a multiple of the alignment");

uint64_t body_hash(const void *data, size_t bytes)
{
#if defined(__x86_64__)
    /* One load and a test of what the compiler's runtime found out before main: no state of
     * ours to guard, and the same answer in every thread. */
    if (__builtin_cpu_supports("avx2")) {
        return body_hash_avx2(data, bytes);
    }
#endif
    return XXH3_64bits(data, bytes);
}

struct body_hash_stream *body_hash_stream_create(void)
{
    struct body_hash_stream *stream = aligned_alloc(STREAM_ALIGNMENT, sizeof(*stream));
    if (stream != NULL) {
        body_hash_stream_reset(stream);
    }
    return stream;
}

void body_hash_stream_destroy(struct body_hash_stream *stream)
{
    free(stream);
}

void body_hash_stream_reset(struct body_hash_stream *stream)
{
    (void)XXH3_64bits_reset(&stream->state); /* fails only without a state */
}

void body_hash_stream_update(struct body_hash_stream *stream, const void *data, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        body_hash_avx2_update(&stream->state, data, bytes);
        return;
    }
#endif
    (void)XXH3_64bits_update(&stream->state, data, bytes); /* fails only without data */
}

uint64_t body_hash_stream_digest(const struct body_hash_stream *stream)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        return body_hash_avx2_digest(&stream->state);
    }
#endif
    return XXH3_64bits_digest(&stream->state);
}
