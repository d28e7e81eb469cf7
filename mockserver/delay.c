#include "delay.h"

#include "draw.h"
#include "quantity.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_BYTES_MAX 128
#define SIGMA_MAX 10.0
#define RESAMPLES_MAX 10
#define PARTS_MAX 4

static const double two_pi = 6.283185307179586;

/* Split at ':' in place. @return the number of parts, or PARTS_MAX + 1 when there are more */
static unsigned split_parts(char *text, char *parts[PARTS_MAX])
{
    unsigned count = 0;
    for (char *part = text; part != NULL; count++) {
        if (count == PARTS_MAX) {
            return PARTS_MAX + 1;
        }
        parts[count] = part;
        part = strchr(part, ':');
        if (part != NULL) {
            *part++ = '\0';
        }
    }
    return count;
}

static int parse_sigma(const char *text, double *sigma)
{
    /* strtod also takes "inf", "0x1p3" and leading space: only digits and a point here. */
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text)) {
        return -EINVAL;
    }
    char *end = NULL;
    *sigma = strtod(text, &end);
    if (*end != '\0') {
        return -EINVAL;
    }
    return *sigma <= SIGMA_MAX ? 0 : -ERANGE;
}

static int parse_range(const char *low, const char *high, struct delay_spec *spec)
{
    int error = quantity_parse_duration_ns(low, &spec->low_ns);
    if (error == 0) {
        error = quantity_parse_duration_ns(high, &spec->high_ns);
    }
    if (error != 0) {
        return error;
    }
    return spec->low_ns <= spec->high_ns && spec->high_ns <= DELAY_NS_MAX ? 0 : -ERANGE;
}

static int parse_lognormal(char *const parts[PARTS_MAX], unsigned count, struct delay_spec *spec)
{
    int error = parse_sigma(parts[2], &spec->sigma);
    if (error != 0) {
        return error;
    }
    return parse_range(parts[1], count == 4 ? parts[3] : "60m", spec);
}

int delay_parse(const char *text, struct delay_spec *spec)
{
    char copy[SPEC_BYTES_MAX];
    char *parts[PARTS_MAX];
    if (strlen(text) >= sizeof(copy)) {
        return -EINVAL;
    }
    memcpy(copy, text, strlen(text) + 1);
    unsigned count = split_parts(copy, parts);
    *spec = (struct delay_spec){.kind = DELAY_FIXED};
    if (count == 1) {
        return parse_range(copy, copy, spec);
    }
    if (count == 3 && strcmp(parts[0], "uniform") == 0) {
        spec->kind = DELAY_UNIFORM;
        return parse_range(parts[1], parts[2], spec);
    }
    if ((count == 3 || count == 4) && strcmp(parts[0], "lognormal") == 0) {
        spec->kind = DELAY_LOGNORMAL;
        return parse_lognormal(parts, count, spec);
    }
    return -EINVAL;
}

static uint64_t draw_uniform(const struct delay_spec *spec, uint64_t seed, uint64_t key,
                             uint32_t attempt)
{
    /* Both ends can come up: high - low + 1 equal steps, each below 2^42, exact in a double. */
    double steps = (double)(spec->high_ns - spec->low_ns + 1);
    return spec->low_ns + (uint64_t)(draw_unit(seed, key, attempt, DRAW_STREAM_DELAY) * steps);
}

static uint64_t draw_lognormal(const struct delay_spec *spec, uint64_t seed, uint64_t key,
                               uint32_t attempt)
{
    for (unsigned i = 0; i <= RESAMPLES_MAX; i++) {
        unsigned stream = DRAW_STREAM_DELAY + 2 * i;
        /* Box-Muller; 1 - u is in (0, 1], so the logarithm is finite. */
        double radius = sqrt(-2.0 * log(1.0 - draw_unit(seed, key, attempt, stream)));
        double normal = radius * cos(two_pi * draw_unit(seed, key, attempt, stream + 1));
        double delay_ns = (double)spec->low_ns * exp(spec->sigma * normal);
        if (delay_ns <= (double)spec->high_ns) {
            return (uint64_t)delay_ns;
        }
    }
    return spec->high_ns;
}

uint64_t delay_draw_ns(const struct delay_spec *spec, uint64_t seed, uint64_t key, uint32_t attempt)
{
    switch (spec->kind) {
    case DELAY_UNIFORM:
        return draw_uniform(spec, seed, key, attempt);
    case DELAY_LOGNORMAL:
        return draw_lognormal(spec, seed, key, attempt);
    case DELAY_FIXED:
        break;
    }
    return spec->low_ns;
}
