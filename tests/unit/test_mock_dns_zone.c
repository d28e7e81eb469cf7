#include "mockserver/dns_zone.h"

#include "mockserver/draw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define NAMES 20000

static struct dns_zone make_zone(uint64_t seed, const char *const *faults)
{
    struct dns_zone zone = {.seed = seed};
    for (size_t i = 0; faults != NULL && faults[i] != NULL; i++) {
        assert_int_equal(fault_set_add(&zone.faults, faults[i]), 0);
    }
    return zone;
}

static void name_of(unsigned i, char name[static 16])
{
    (void)snprintf(name, 16, "n%u.dev", i);
}

static void test_dns_zone__has_about_half_of_all_names(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 3; seed++) {
        struct dns_zone zone = make_zone(seed, NULL);
        unsigned found = 0;
        for (unsigned i = 0; i < NAMES; i++) {
            char name[16];
            name_of(i, name);
            found += dns_zone_judge(&zone, name, 1).outcome == DNS_OUTCOME_FOUND;
        }
        /* Five standard deviations of a fair coin: sqrt(NAMES) / 2 each. */
        assert_in_range(found, NAMES / 2 - 354, NAMES / 2 + 354);
    }
}

static void test_dns_zone__draws_from_the_stream_that_is_documented(void **state)
{
    (void)state;
    struct dns_zone zone = make_zone(42, NULL);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        name_of(i, name);
        bool expected = draw_unit(42, draw_key(name, strlen(name)), 1, 250) < 0.5;
        assert_int_equal(dns_zone_judge(&zone, name, 7).exists, expected);
    }
}

static void test_dns_zone__gives_addresses_for_documentation(void **state)
{
    struct dns_zone zone = make_zone(1, NULL);
    bool seen[256] = {false};
    unsigned hosts = 0;
    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        struct dns_verdict verdict = dns_zone_judge(&zone, name, 1);
        if (!verdict.exists) {
            assert_int_equal(verdict.address, 0);
            continue;
        }
        assert_int_equal(verdict.address >> 8, 0xc00002);
        hosts += !seen[verdict.address & 255];
        seen[verdict.address & 255] = true;
    }
    assert_false(seen[0] || seen[255]);
    assert_int_equal(hosts, 254);
}

static void test_dns_zone__has_the_same_names_at_every_attempt(void **state)
{
    const char *const faults[] = {"servfail@.3", "drop@.3", NULL};
    struct dns_zone zone = make_zone(5, faults);
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        char name[16];
        name_of(i, name);
        struct dns_verdict first = dns_zone_judge(&zone, name, 1);
        for (uint32_t attempt = 2; attempt < 10; attempt++) {
            struct dns_verdict later = dns_zone_judge(&zone, name, attempt);
            assert_int_equal(later.exists, first.exists);
            assert_int_equal(later.address, first.address);
        }
    }
}

static void test_dns_zone__has_other_names_with_another_seed(void **state)
{
    struct dns_zone zone = make_zone(1, NULL);
    struct dns_zone other = make_zone(2, NULL);
    unsigned same = 0;
    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[16];
        name_of(i, name);
        same += dns_zone_judge(&zone, name, 1).exists == dns_zone_judge(&other, name, 1).exists;
    }
    assert_in_range(same, NAMES / 2 - 354, NAMES / 2 + 354);
}

static void test_dns_zone__lets_faults_go_before_the_names(void **state)
{
    static const struct {
        const char *fault;
        enum dns_outcome outcome;
    } cases[] = {
        {"servfail", DNS_OUTCOME_SERVFAIL},
        {"nxdomain", DNS_OUTCOME_NXDOMAIN},
        {"drop", DNS_OUTCOME_DROP},
        {"truncate", DNS_OUTCOME_TRUNCATE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char rule[32];
        (void)snprintf(rule, sizeof(rule), "%s,try<=2", cases[i].fault);
        const char *const faults[] = {rule, NULL};
        struct dns_zone zone = make_zone(9, faults);
        for (unsigned n = 0; n < 20; n++) {
            char name[16];
            name_of(n, name);
            for (uint32_t attempt = 1; attempt <= 2; attempt++) {
                struct dns_verdict verdict = dns_zone_judge(&zone, name, attempt);
                assert_int_equal(verdict.outcome, cases[i].outcome);
                assert_string_equal(verdict.fault->name, cases[i].fault);
            }
            struct dns_verdict third = dns_zone_judge(&zone, name, 3);
            assert_null(third.fault);
            assert_int_equal(third.outcome,
                             third.exists ? DNS_OUTCOME_FOUND : DNS_OUTCOME_NXDOMAIN);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_zone__has_about_half_of_all_names),
        cmocka_unit_test(test_dns_zone__draws_from_the_stream_that_is_documented),
        cmocka_unit_test(test_dns_zone__gives_addresses_for_documentation),
        cmocka_unit_test(test_dns_zone__has_the_same_names_at_every_attempt),
        cmocka_unit_test(test_dns_zone__has_other_names_with_another_seed),
        cmocka_unit_test(test_dns_zone__lets_faults_go_before_the_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
