#include "backends/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void table_make(struct endpoint_table *table, const char *const *urls, size_t count)
{
    struct url_view view;

    *table = (struct endpoint_table){0};
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(url_parse(urls[i], &view), 0);
        assert_int_equal(endpoint_table_add(table, &view), 0);
    }
}

static const struct endpoint *table_find(const struct endpoint_table *table, const char *url)
{
    struct url_view view;

    assert_int_equal(url_parse(url, &view), 0);
    return endpoint_find(table, &view);
}

static void test_endpoint__has_the_address_and_port_of_the_url(void **state)
{
    static const char *const urls[] = {"http://127.0.0.2:8080/a"};
    struct endpoint_table table;
    (void)state;

    table_make(&table, urls, 1);
    const struct endpoint *endpoint = table_find(&table, urls[0]);
    const struct sockaddr_in *address = (const void *)&endpoint->address;
    assert_int_equal(endpoint->address_bytes, sizeof *address);
    assert_int_equal(address->sin_family, AF_INET);
    assert_int_equal(ntohs(address->sin_port), 8080);
    assert_int_equal(ntohl(address->sin_addr.s_addr), 0x7f000002);
    assert_int_equal(endpoint->authority_bytes, strlen("127.0.0.2:8080"));
    assert_memory_equal(endpoint->authority, "127.0.0.2:8080", endpoint->authority_bytes);
    endpoint_table_release(&table);
}

static void test_endpoint__takes_an_ipv6_literal_and_port_80_by_default(void **state)
{
    static const char *const urls[] = {"http://[::1]/a"};
    struct endpoint_table table;
    (void)state;

    table_make(&table, urls, 1);
    const struct endpoint *endpoint = table_find(&table, urls[0]);
    const struct sockaddr_in6 *address = (const void *)&endpoint->address;
    assert_int_equal(endpoint->address_bytes, sizeof *address);
    assert_int_equal(address->sin6_family, AF_INET6);
    assert_int_equal(ntohs(address->sin6_port), 80);
    assert_true(IN6_IS_ADDR_LOOPBACK(&address->sin6_addr));
    endpoint_table_release(&table);
}

static void test_endpoint__is_one_for_each_host_and_port(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1:81/a", "http://127.0.0.1:82/a", "http://127.0.0.1:81/b",
        "http://127.0.0.3/a",    "http://127.0.0.3:80/b",
    };
    struct endpoint_table table;
    (void)state;

    table_make(&table, urls, 5);
    assert_int_equal(table.count, 3);
    assert_ptr_equal(table_find(&table, urls[0]), table_find(&table, urls[2]));
    assert_ptr_equal(table_find(&table, urls[3]), table_find(&table, urls[4]));
    assert_ptr_not_equal(table_find(&table, urls[0]), table_find(&table, urls[1]));
    endpoint_table_release(&table);
}

static void test_endpoint__compares_host_names_without_case(void **state)
{
    static const char *const urls[] = {"http://LocalHost:81/a", "http://localhost:81/b"};
    struct endpoint_table table;
    (void)state;

    table_make(&table, urls, 2);
    assert_int_equal(table.count, 1);
    assert_ptr_equal(table_find(&table, "http://LOCALHOST:81/"), &table.endpoints[0]);
    endpoint_table_release(&table);
}

static void test_endpoint__of_an_unknown_name_stays_without_an_address(void **state)
{
    /* A label above 63 bytes cannot be asked for (RFC 1035 section 2.3.4): no resolver is. */
    static const char *const urls[] = {
        "http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.invalid/",
        "http://127.0.0.1/",
    };
    struct endpoint_table table;
    (void)state;

    table_make(&table, urls, 2);
    assert_int_equal(table.count, 2);
    assert_int_equal(table_find(&table, urls[0])->address_bytes, 0);
    assert_int_not_equal(table_find(&table, urls[1])->address_bytes, 0);
    endpoint_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint__has_the_address_and_port_of_the_url),
        cmocka_unit_test(test_endpoint__takes_an_ipv6_literal_and_port_80_by_default),
        cmocka_unit_test(test_endpoint__is_one_for_each_host_and_port),
        cmocka_unit_test(test_endpoint__compares_host_names_without_case),
        cmocka_unit_test(test_endpoint__of_an_unknown_name_stays_without_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
