/** How long the server waits before it answers. Pure functions, shared with the harness. */
#ifndef MOCKSERVER_DELAY_H
#define MOCKSERVER_DELAY_H

#include <stdbool.h>
#include <stdint.h>

#define DELAY_NS_MAX UINT64_C(3600000000000) /* an hour; more is a slip of the pen */

enum delay_kind {
    DELAY_FIXED,
    DELAY_UNIFORM,
    DELAY_LOGNORMAL
};

struct delay_spec {
    enum delay_kind kind;
    uint64_t low_ns;  /* the fixed delay; lowest of uniform; median of lognormal */
    uint64_t high_ns; /* equal to low_ns; highest of uniform, included; cut of lognormal */
    double sigma;     /* of lognormal: standard deviation of the logarithm */
};

/**
 * "20ms", "0", "uniform:LO:HI" or "lognormal:MEDIAN:SIGMA[:MAX]".
 * @return 0; -EINVAL (not one of these), -ERANGE (LO above HI, MEDIAN above MAX, SIGMA not in
 *         [0, 10], or more than DELAY_NS_MAX)
 */
int delay_parse(const char *text, struct delay_spec *spec);

/**
 * The delay of one request. A lognormal draw above its cut is drawn again, at most ten times,
 * then cut.
 * @param key      draw_key or draw_key_numbered of the request
 * @param attempt  from 1
 */
uint64_t delay_draw_ns(const struct delay_spec *spec, uint64_t seed, uint64_t key,
                       uint32_t attempt);

/** No request ever waits. */
static inline bool delay_is_zero(const struct delay_spec *spec)
{
    return spec->high_ns == 0;
}

#endif
