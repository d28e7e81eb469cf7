/** Durations and sizes as people write them: "20ms", "0.5s", "64KiB". A bare number other
 *  than 0 has no unit and is refused. Pure functions, shared with the harness. */
#ifndef MOCKSERVER_QUANTITY_H
#define MOCKSERVER_QUANTITY_H

#include <stdint.h>

/**
 * A duration: ns, us, ms, s or m after a decimal number ("0.5s"); "0" alone is fine.
 * Digits below one nanosecond are cut off.
 * @return 0; -EINVAL (not a duration, or no unit), -ERANGE (more than a uint64_t holds)
 */
int quantity_parse_duration_ns(const char *text, uint64_t *ns);

/**
 * A size: B, kB or KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024); "0" alone is
 * fine. Fractions of a byte are cut off.
 * @return 0; -EINVAL, -ERANGE as above
 */
int quantity_parse_bytes(const char *text, uint64_t *bytes);

#endif
