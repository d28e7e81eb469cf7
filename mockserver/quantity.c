#include "quantity.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"m", UINT64_C(60000000000)},
    {NULL, 0},
};

static const struct unit byte_units[] = {
    {"B", 1},
    {"kB", 1000},
    {"KB", 1000},
    {"MB", 1000000},
    {"GB", 1000000000},
    {"KiB", UINT64_C(1) << 10},
    {"MiB", UINT64_C(1) << 20},
    {"GiB", UINT64_C(1) << 30},
    {NULL, 0},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const struct unit *unit_find(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, name) == 0) {
            return units;
        }
    }
    return NULL;
}

/* Whole part: value = value * 10 + digit, or -ERANGE. */
static int parse_whole(const char **text, uint64_t *whole)
{
    *whole = 0;
    for (; is_digit(**text); (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (__builtin_mul_overflow(*whole, 10, whole) ||
            __builtin_add_overflow(*whole, digit, whole)) {
            return -ERANGE;
        }
    }
    return 0;
}

/* Digits after the point, at most nine of them; the rest is below what any unit resolves. */
static void parse_fraction(const char **text, uint64_t *fraction, uint64_t *scale)
{
    *fraction = 0;
    *scale = 1;
    for (; is_digit(**text); (*text)++) {
        if (*scale < 1000000000) {
            *fraction = *fraction * 10 + (uint64_t)(**text - '0');
            *scale *= 10;
        }
    }
}

static int parse_quantity(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t whole = 0;
    uint64_t fraction = 0;
    uint64_t scale = 1;
    const char *start = text;
    int error = parse_whole(&text, &whole);
    if (error != 0) {
        return error;
    }
    size_t digits = (size_t)(text - start);
    if (*text == '.') {
        const char *point = text++;
        parse_fraction(&text, &fraction, &scale);
        digits += (size_t)(text - point - 1);
    }
    if (digits == 0) {
        return -EINVAL;
    }
    if (*text == '\0' && whole == 0 && fraction == 0) {
        *value = 0;
        return 0;
    }
    const struct unit *unit = unit_find(units, text);
    if (unit == NULL) {
        return -EINVAL;
    }
    if (__builtin_mul_overflow(whole, unit->factor, &whole)) {
        return -ERANGE;
    }
    /* factor / scale first where it divides, else the product: factor is below 2^36 and
     * fraction below 2^30, so a 64-bit product of the two can overflow. */
    uint64_t part = unit->factor % scale == 0 ? fraction * (unit->factor / scale)
                                              : (unit->factor / scale) * fraction +
                                                    (unit->factor % scale) * fraction / scale;
    return __builtin_add_overflow(whole, part, value) ? -ERANGE : 0;
}

int quantity_parse_duration_ns(const char *text, uint64_t *ns)
{
    return parse_quantity(text, duration_units, ns);
}

int quantity_parse_bytes(const char *text, uint64_t *bytes)
{
    return parse_quantity(text, byte_units, bytes);
}
