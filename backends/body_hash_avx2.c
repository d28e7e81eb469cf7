#include "backends/body_hash_avx2.h"

/* Everything of xxhash.h is static here (XXH_INLINE_ALL), so no function compiled with -mavx2
 * can be the one that the linker picks for the rest of the program. */
#if defined(__x86_64__)

#include <xxhash.h>

uint64_t body_hash_avx2(const void *data, size_t bytes)
{
    return XXH3_64bits(data, bytes);
}

void body_hash_avx2_update(void *state, const void *data, size_t bytes)
{
    (void)XXH3_64bits_update(state, data, bytes); /* fails only without a state or data */
}

uint64_t body_hash_avx2_digest(const void *state)
{
    return XXH3_64bits_digest(state);
}

#endif
