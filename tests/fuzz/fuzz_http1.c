/*
 * A response fed in pieces must come to the same end as the same response fed whole.
 * The first two bytes of the input seed the cuts; the rest is the response.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/support/http1_feed.h"

#include <stdbool.h>

#define INPUT_BYTES_MAX (256 * 1024)
#define SEED_BYTES 2

struct cuts {
    uint64_t random;
    size_t piece_bytes_max;
};

static size_t whole(size_t left, void *user)
{
    (void)user;
    return left;
}

static size_t next_piece(size_t left, void *user)
{
    struct cuts *cuts = user;
    cuts->random = cuts->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    size_t bytes = (size_t)(cuts->random >> 33) % cuts->piece_bytes_max + 1;
    return bytes < left ? bytes : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct guard_page page;
    struct http1_outcome at_once;
    struct http1_outcome in_pieces;
    if (bytes < SEED_BYTES || bytes > INPUT_BYTES_MAX) {
        return 0;
    }
    if (page.map == NULL) {
        guard_page_init(&page, INPUT_BYTES_MAX);
    }
    /* Small pieces for most seeds, since most lines are short. */
    struct cuts cuts = {
        .random = data[0],
        .piece_bytes_max = (size_t)1 << (data[1] % 11),
    };
    const char *text = (const char *)data + SEED_BYTES;
    http1_feed(&page, text, bytes - SEED_BYTES, whole, NULL, &at_once);
    FUZZ_CHECK(at_once.broken == NULL, at_once.broken);
    http1_feed(&page, text, bytes - SEED_BYTES, next_piece, &cuts, &in_pieces);
    FUZZ_CHECK(in_pieces.broken == NULL, in_pieces.broken);
    const char *difference = http1_outcome_difference(&at_once, &in_pieces);
    FUZZ_CHECK(difference == NULL, difference);
    return 0;
}
