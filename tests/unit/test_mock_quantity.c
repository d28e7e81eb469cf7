#include "mockserver/quantity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

struct quantity_case {
    const char *text;
    int error;
    uint64_t value;
};

static const struct quantity_case durations[] = {
    {"0", 0, 0},
    {"0.0", 0, 0},
    {"0ms", 0, 0},
    {"1ns", 0, 1},
    {"7us", 0, 7000},
    {"20ms", 0, 20000000},
    {"1s", 0, 1000000000},
    {"2m", 0, UINT64_C(120000000000)},
    {"0.5s", 0, 500000000},
    {".25ms", 0, 250000},
    {"1.5ns", 0, 1},
    {"0.1234567891s", 0, 123456789},
    {"1.000000001s", 0, 1000000001},
    {"0.000000001m", 0, 60},
    {"0.3us", 0, 300},
    {"18446744073709551615ns", 0, UINT64_MAX},
    {"18446744073709551616ns", -ERANGE, 0},
    {"18446744073.8s", -ERANGE, 0},
    {"99999999999999m", -ERANGE, 0},
    {"20", -EINVAL, 0},
    {"0.1", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"ms", -EINVAL, 0},
    {".ms", -EINVAL, 0},
    {".", -EINVAL, 0},
    {"1.2.3s", -EINVAL, 0},
    {"-1s", -EINVAL, 0},
    {"+1s", -EINVAL, 0},
    {" 1s", -EINVAL, 0},
    {"1 s", -EINVAL, 0},
    {"1s ", -EINVAL, 0},
    {"1S", -EINVAL, 0},
    {"1h", -EINVAL, 0},
    {"1e3s", -EINVAL, 0},
    {"0x1s", -EINVAL, 0},
    {"infs", -EINVAL, 0},
    {"1KiB", -EINVAL, 0},
};

static const struct quantity_case sizes[] = {
    {"0", 0, 0},
    {"1B", 0, 1},
    {"64KiB", 0, 65536},
    {"64kB", 0, 64000},
    {"64KB", 0, 64000},
    {"1.5MiB", 0, 1572864},
    {"2MB", 0, 2000000},
    {"1GiB", 0, 1073741824},
    {"3GB", 0, UINT64_C(3000000000)},
    {"0.3KiB", 0, 307},
    {"0.9B", 0, 0},
    {"17179869184GiB", -ERANGE, 0},
    {"64", -EINVAL, 0},
    {"64K", -EINVAL, 0},
    {"64kib", -EINVAL, 0},
    {"1ms", -EINVAL, 0},
    {"B", -EINVAL, 0},
};

static void check(const struct quantity_case *cases, size_t count,
                  int (*parse)(const char *, uint64_t *))
{
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        int error = parse(cases[i].text, &value);
        if (error != cases[i].error || (error == 0 && value != cases[i].value)) {
            fail_msg("'%s': error %d, value %llu", cases[i].text, error, (unsigned long long)value);
        }
    }
}

static void test_quantity__reads_durations_with_units_only(void **state)
{
    (void)state;
    check(durations, sizeof(durations) / sizeof(durations[0]), quantity_parse_duration_ns);
}

static void test_quantity__reads_sizes_with_units_only(void **state)
{
    (void)state;
    check(sizes, sizeof(sizes) / sizeof(sizes[0]), quantity_parse_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantity__reads_durations_with_units_only),
        cmocka_unit_test(test_quantity__reads_sizes_with_units_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
