#include "mockserver/dns_tries.h"

#include "mockserver/dns_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static struct dns_tries tries;

static int set_up(void **state)
{
    (void)state;
    return dns_tries_init(&tries);
}

static int tear_down(void **state)
{
    (void)state;
    dns_tries_release(&tries);
    return 0;
}

static uint32_t count(const char *name, uint16_t type, bool over_tcp)
{
    struct dns_try *place = dns_tries_find(&tries, name, type);
    assert_non_null(place);
    return dns_try_count(place, over_tcp);
}

static void test_dns_tries__counts_every_query_by_name_and_type(void **state)
{
    (void)state;
    assert_int_equal(count("a.dev", DNS_TYPE_A, false), 1);
    assert_int_equal(count("a.dev", DNS_TYPE_AAAA, false), 1);
    assert_int_equal(count("b.dev", DNS_TYPE_A, false), 1);
    assert_int_equal(count("a.dev", DNS_TYPE_A, false), 2);
    assert_int_equal(count("a.dev", DNS_TYPE_A, true), 3);
    assert_int_equal(count("a.dev", 16, false), 1);
    assert_int_equal(tries.count, 4);
}

static void test_dns_tries__goes_on_over_tcp_once_after_a_truncated_answer(void **state)
{
    (void)state;
    struct dns_try *place = dns_tries_find(&tries, "a.dev", DNS_TYPE_A);
    assert_int_equal(dns_try_count(place, false), 1);
    place->truncated = true;
    assert_int_equal(dns_try_count(place, true), 1);
    assert_int_equal(dns_try_count(place, true), 2);
    place->truncated = true;
    assert_int_equal(dns_try_count(place, false), 3);
    assert_int_equal(dns_try_count(place, true), 4);
}

static void test_dns_tries__lists_what_it_has_and_forgets_all(void **state)
{
    (void)state;
    (void)count("a.dev", DNS_TYPE_A, false);
    (void)count("a.dev", DNS_TYPE_AAAA, false);
    (void)count("a.dev", 65535, false);
    size_t at = 0;
    unsigned seen = 0;
    const struct dns_try *place;
    while ((place = dns_tries_next(&tries, &at)) != NULL) {
        assert_int_equal(place->attempts, 1);
        seen |= strcmp(place->key, "a.dev") == 0 ? 1u : 0;
        seen |= strcmp(place->key, "a.dev AAAA") == 0 ? 2u : 0;
        seen |= strcmp(place->key, "a.dev TYPE65535") == 0 ? 4u : 0;
    }
    assert_int_equal(seen, 7);
    dns_tries_clear(&tries);
    at = 0;
    assert_null(dns_tries_next(&tries, &at));
    assert_int_equal(count("a.dev", DNS_TYPE_A, false), 1);
}

static void test_dns_tries__is_bounded_and_keeps_what_it_has(void **state)
{
    char name[24];
    (void)state;
    for (size_t i = 0; i < DNS_TRIES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "n%zu.dev", i);
        assert_int_equal(count(name, DNS_TYPE_A, false), 1);
    }
    assert_null(dns_tries_find(&tries, "one.more", DNS_TYPE_A));
    assert_int_equal(count(name, DNS_TYPE_A, false), 2);
    assert_int_equal(tries.count, DNS_TRIES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dns_tries__counts_every_query_by_name_and_type, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(
            test_dns_tries__goes_on_over_tcp_once_after_a_truncated_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dns_tries__lists_what_it_has_and_forgets_all, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_dns_tries__is_bounded_and_keeps_what_it_has, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
