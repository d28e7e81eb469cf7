#include "mockserver/delay.h"
#include "mockserver/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#define DRAWS 20000
#define MS UINT64_C(1000000)

static struct delay_spec parsed(const char *text)
{
    struct delay_spec spec;
    assert_int_equal(delay_parse(text, &spec), 0);
    return spec;
}

static uint64_t drawn(const struct delay_spec *spec, uint64_t seed, uint64_t number,
                      uint32_t attempt)
{
    return delay_draw_ns(spec, seed, draw_key_numbered("/flags/cn/cn.gif", 16, number), attempt);
}

static void test_delay__refuses_what_is_not_a_delay(void **state)
{
    static const struct {
        const char *text;
        int error;
    } cases[] = {
        {"", -EINVAL},
        {"20", -EINVAL},
        {"ms", -EINVAL},
        {"uniform", -EINVAL},
        {"uniform:1ms", -EINVAL},
        {"uniform:1ms:2ms:3ms", -EINVAL},
        {"uniform:1:2", -EINVAL},
        {"uniform::", -EINVAL},
        {"uniform:2ms:1ms", -ERANGE},
        {"uniform:0:61m", -ERANGE},
        {"61m", -ERANGE},
        {"lognormal:1ms", -EINVAL},
        {"lognormal:1ms:x", -EINVAL},
        {"lognormal:1ms:-1", -EINVAL},
        {"lognormal:1ms:inf", -EINVAL},
        {"lognormal:1ms:.", -EINVAL},
        {"lognormal:1ms:11", -ERANGE},
        {"lognormal:5ms:1:4ms", -ERANGE},
        {"lognormal:1ms:1:2ms:3ms", -EINVAL},
        {"gauss:1ms:2ms", -EINVAL},
        {"1ms:2ms", -EINVAL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct delay_spec spec;
        if (delay_parse(cases[i].text, &spec) != cases[i].error) {
            fail_msg("'%s'", cases[i].text);
        }
    }
}

static void test_delay__fixed_is_the_same_for_every_request(void **state)
{
    (void)state;
    struct delay_spec spec = parsed("20ms");
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(drawn(&spec, i, i, 1), 20 * MS);
    }
    assert_false(delay_is_zero(&spec));
    spec = parsed("0");
    assert_true(delay_is_zero(&spec));
}

/* These numbers are the contract with clients that compute delays themselves. */
static void test_delay__is_a_pure_function_of_seed_key_and_attempt(void **state)
{
    (void)state;
    struct delay_spec spec = parsed("uniform:0:1s");
    uint64_t key = draw_key_numbered("/flags/cn/cn.gif", 16, 17);
    assert_int_equal(key, draw_key("/flags/cn/cn.gif#17", 19));
    uint64_t first = delay_draw_ns(&spec, 1, key, 1);
    for (uint64_t i = 0; i < 100; i++) {
        (void)drawn(&spec, 1, i, 2);
    }
    assert_int_equal(delay_draw_ns(&spec, 1, key, 1), first);
    assert_int_not_equal(delay_draw_ns(&spec, 2, key, 1), first);
    assert_int_not_equal(delay_draw_ns(&spec, 1, key, 2), first);
    assert_int_not_equal(delay_draw_ns(&spec, 1, key + 1, 1), first);
    assert_int_equal(draw_mix(0), UINT64_C(0xe220a8397b1dcdaf)); /* splitmix64's first output */
    assert_int_equal(draw_key("", 0), UINT64_C(0xcbf29ce484222325));
    assert_int_equal(draw_key("a", 1), UINT64_C(0xaf63dc4c8601ec8c));
}

static void test_delay__uniform_stays_in_bounds_and_has_its_mean(void **state)
{
    (void)state;
    struct delay_spec spec = parsed("uniform:10ms:30ms");
    uint64_t sum = 0;
    uint64_t lowest = UINT64_MAX;
    uint64_t highest = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t delay_ns = drawn(&spec, 7, i, 1);
        assert_in_range(delay_ns, 10 * MS, 30 * MS);
        sum += delay_ns;
        lowest = delay_ns < lowest ? delay_ns : lowest;
        highest = delay_ns > highest ? delay_ns : highest;
    }
    /* Standard error of the mean is 20 ms / sqrt(12 * 20000) = 41 us: five of them. */
    assert_in_range(sum / DRAWS, 20 * MS - 205000, 20 * MS + 205000);
    assert_in_range(lowest, 10 * MS, 10 * MS + 20000);
    assert_in_range(highest, 30 * MS - 20000, 30 * MS);
}

static void test_delay__lognormal_has_its_median_and_cut(void **state)
{
    (void)state;
    struct delay_spec spec = parsed("lognormal:10ms:1:40ms");
    unsigned below = 0;
    unsigned below_one_sigma = 0;
    struct delay_spec open = parsed("lognormal:10ms:1");
    for (uint64_t i = 0; i < DRAWS; i++) {
        assert_in_range(drawn(&spec, 3, i, 1), 1, 40 * MS);
        uint64_t delay_ns = drawn(&open, 3, i, 1);
        below += delay_ns < 10 * MS;
        below_one_sigma += delay_ns < 27182818; /* 10 ms times e */
    }
    /* Binomial: half of 20,000 give or take five times 71; 84.13% give or take 5 x 52. */
    assert_in_range(below, 10000 - 355, 10000 + 355);
    assert_in_range(below_one_sigma, 16827 - 260, 16827 + 260);
}

static void test_delay__lognormal_far_above_its_cut_is_cut(void **state)
{
    (void)state;
    struct delay_spec spec = parsed("lognormal:10ms:10:10ms");
    for (uint64_t i = 0; i < 1000; i++) {
        assert_in_range(drawn(&spec, 3, i, 1), 0, 10 * MS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay__refuses_what_is_not_a_delay),
        cmocka_unit_test(test_delay__fixed_is_the_same_for_every_request),
        cmocka_unit_test(test_delay__is_a_pure_function_of_seed_key_and_attempt),
        cmocka_unit_test(test_delay__uniform_stays_in_bounds_and_has_its_mean),
        cmocka_unit_test(test_delay__lognormal_has_its_median_and_cut),
        cmocka_unit_test(test_delay__lognormal_far_above_its_cut_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
