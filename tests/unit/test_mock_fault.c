#include "mockserver/fault.h"

#include "mockserver/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define DRAWS 20000

static void test_fault__reads_rules(void **state)
{
    static const struct {
        const char *text;
        int error;
        int status;
        uint64_t weight;
        uint32_t attempts_max;
    } cases[] = {
        {"status:418", 0, 418, FAULT_CERTAIN, UINT32_MAX},
        {"status:418@1", 0, 418, FAULT_CERTAIN, UINT32_MAX},
        {"status:418@0", 0, 418, 0, UINT32_MAX},
        {"status:418@.25", 0, 418, FAULT_CERTAIN / 4, UINT32_MAX},
        {"status:503@0.5,try<=2", 0, 503, FAULT_CERTAIN / 2, 2},
        {"status:503,try<=1", 0, 503, FAULT_CERTAIN, 1},
        {"", -EINVAL, 0, 0, 0},
        {"status", -EINVAL, 0, 0, 0},
        {"status:", -EINVAL, 0, 0, 0},
        {"status:abc", -EINVAL, 0, 0, 0},
        {"status:4 18", -EINVAL, 0, 0, 0},
        {"status:199", -ERANGE, 0, 0, 0},
        {"status:600", -ERANGE, 0, 0, 0},
        {"status:99999999999999999999", -ERANGE, 0, 0, 0},
        {"status:418@", -EINVAL, 0, 0, 0},
        {"status:418@.", -EINVAL, 0, 0, 0},
        {"status:418@1.1", -ERANGE, 0, 0, 0},
        {"status:418@-1", -EINVAL, 0, 0, 0},
        {"status:418@nan", -EINVAL, 0, 0, 0},
        {"status:418@.5,", -EINVAL, 0, 0, 0},
        {"status:418@.5,try<2", -EINVAL, 0, 0, 0},
        {"status:418@.5,try<=0", -ERANGE, 0, 0, 0},
        {"status:418@.5,try<=x", -EINVAL, 0, 0, 0},
        {"status:418,try<=2@.5", -EINVAL, 0, 0, 0},
        {"teapot@.5", -EINVAL, 0, 0, 0},
        {"servfail", 0, 0, FAULT_CERTAIN, UINT32_MAX},
        {"nxdomain@.25,try<=2", 0, 0, FAULT_CERTAIN / 4, 2},
        {"drop@1", 0, 0, FAULT_CERTAIN, UINT32_MAX},
        {"truncate,try<=1", 0, 0, FAULT_CERTAIN, 1},
        {"servfail:1", -EINVAL, 0, 0, 0},
        {"Drop", -EINVAL, 0, 0, 0},
        {"drop ", -EINVAL, 0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fault_rule rule;
        int error = fault_parse(cases[i].text, &rule);
        if (error != cases[i].error ||
            (error == 0 && (rule.status != cases[i].status || rule.weight != cases[i].weight ||
                            rule.attempts_max != cases[i].attempts_max))) {
            fail_msg("'%s': error %d", cases[i].text, error);
        }
    }
}

static void test_fault__sets_cannot_sum_above_one_at_any_attempt(void **state)
{
    (void)state;
    struct fault_set set = {.count = 0};
    assert_int_equal(fault_set_add(&set, "status:418@.5,try<=1"), 0);
    assert_int_equal(fault_set_add(&set, "status:503@.5"), 0);
    assert_int_equal(fault_set_add(&set, "status:500@.01,try<=1"), -EOVERFLOW);
    assert_int_equal(fault_set_add(&set, "status:500@.01"), -EOVERFLOW);
    assert_int_equal(fault_set_add(&set, "status:500@0"), 0);
    assert_int_equal(set.count, 3);
    while (set.count < FAULT_RULES_MAX) {
        assert_int_equal(fault_set_add(&set, "status:500@0"), 0);
    }
    assert_int_equal(fault_set_add(&set, "status:500@0"), -ENOSPC);
}

static unsigned count_hits(const struct fault_set *set, uint64_t seed, uint32_t attempt, int status)
{
    unsigned hits = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t key = draw_key_numbered("/flags/br/br.gif", 16, i);
        const struct fault_rule *rule = fault_draw(set, seed, key, attempt);
        hits += rule != NULL && rule->status == status;
    }
    return hits;
}

static void test_fault__hits_as_often_as_asked(void **state)
{
    (void)state;
    struct fault_set set = {.count = 0};
    assert_int_equal(fault_set_add(&set, "status:418@.25"), 0);
    assert_int_equal(fault_set_add(&set, "status:503@.05,try<=1"), 0);
    /* Binomial, five standard deviations: 5,000 +- 5 x 61 and 1,000 +- 5 x 31. */
    assert_in_range(count_hits(&set, 1, 1, 418), 5000 - 306, 5000 + 306);
    assert_in_range(count_hits(&set, 1, 1, 503), 1000 - 155, 1000 + 155);
    assert_in_range(count_hits(&set, 2, 2, 418), 5000 - 306, 5000 + 306);
    assert_int_equal(count_hits(&set, 2, 2, 503), 0);
}

static void test_fault__of_a_request_does_not_depend_on_the_order(void **state)
{
    (void)state;
    struct fault_set set = {.count = 0};
    unsigned char forward[1000];
    unsigned differs = 0;
    assert_int_equal(fault_set_add(&set, "status:418@.5"), 0);
    for (size_t i = 0; i < sizeof(forward); i++) {
        uint64_t key = draw_key_numbered("/flags/br/br.gif", 16, i);
        forward[i] = fault_draw(&set, 9, key, 1) != NULL;
    }
    for (size_t i = sizeof(forward); i-- > 0;) {
        uint64_t key = draw_key_numbered("/flags/br/br.gif", 16, i);
        assert_int_equal(fault_draw(&set, 9, key, 1) != NULL, forward[i]);
        differs += (fault_draw(&set, 9, key, 2) != NULL) != forward[i];
        differs += (fault_draw(&set, 10, key, 1) != NULL) != forward[i];
    }
    /* Other attempts and seeds are other coins: half of 2,000, five deviations of 22. */
    assert_in_range(differs, 1000 - 112, 1000 + 112);
}

static void test_fault__certain_ones_always_hit_and_end_when_they_should(void **state)
{
    (void)state;
    struct fault_set set = {.count = 0};
    assert_int_equal(fault_set_add(&set, "status:503@1,try<=2"), 0);
    assert_int_equal(count_hits(&set, 1, 1, 503), DRAWS);
    assert_int_equal(count_hits(&set, 1, 2, 503), DRAWS);
    assert_int_equal(count_hits(&set, 1, 3, 503), 0);
    assert_string_equal(set.rules[0].name, "status:503");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault__reads_rules),
        cmocka_unit_test(test_fault__sets_cannot_sum_above_one_at_any_attempt),
        cmocka_unit_test(test_fault__hits_as_often_as_asked),
        cmocka_unit_test(test_fault__of_a_request_does_not_depend_on_the_order),
        cmocka_unit_test(test_fault__certain_ones_always_hit_and_end_when_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
