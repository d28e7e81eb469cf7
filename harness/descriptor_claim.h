/** What a command does about descriptors before it has anything in flight. */
#ifndef BENCH_DESCRIPTOR_CLAIM_H
#define BENCH_DESCRIPTOR_CLAIM_H

#include <stdint.h>

/**
 * Raise the limit as far as it goes, see that it suffices, and make room for all.
 * @param in_flight  as asked for by --max-req
 * @param places     those of them that there is work for
 * @param each       descriptors that a place takes at least
 * @return 0; EXIT_USAGE_ERROR, said
 */
int descriptor_claim(uint32_t in_flight, uint64_t places, unsigned each);

#endif
