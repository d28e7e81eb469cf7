#include "backends/dns_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define L10 "abcdefghij"
#define L60 L10 L10 L10 L10 L10 L10
#define L63 L60 "123"
/* Four labels and three dots: 253 bytes, and one label more in the last but one place: 254. */
#define NAME_253 L63 "." L63 "." L63 "." L60 "1"
#define NAME_254 L63 "." L63 "." L63 "." L60 "12"

static void test_dns_url__takes_numeric_servers_and_writes_them_with_their_port(void **state)
{
    static const struct {
        const char *text;
        const char *server;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:53"},
        {"127.0.0.1:1", "127.0.0.1:1"},
        {"127.0.0.1:5353", "127.0.0.1:5353"},
        {"127.0.0.1:00053", "127.0.0.1:53"},
        {"127.0.0.1:65535", "127.0.0.1:65535"},
        {"255.255.255.255:53", "255.255.255.255:53"},
        {"[::1]", "[::1]:53"},
        {"[::1]:5353", "[::1]:5353"},
        {"[2001:db8::8:800:200c:417a]:65535", "[2001:db8::8:800:200c:417a]:65535"},
        {"[::ffff:192.0.2.1]", "[::ffff:192.0.2.1]:53"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535",
         "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"},
    };
    char server[DNS_SERVER_BYTES];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (dns_server_parse(cases[i].text, strlen(cases[i].text), server) != 0) {
            fail_msg("%s is refused", cases[i].text);
        }
        assert_string_equal(server, cases[i].server);
    }
}

static void test_dns_url__refuses_what_is_no_numeric_server(void **state)
{
    static const char *const cases[] = {
        "",
        ":",
        ":53",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:00000",
        "127.0.0.1:65536",
        "127.0.0.1:99999",
        "127.0.0.1:000053",
        "127.0.0.1:4294967349", /* 53 modulo 2^32 */
        "127.0.0.1:-1",
        "127.0.0.1:+53",
        "127.0.0.1: 53",
        "127.0.0.1:53 ",
        "127.0.0.1:5x",
        "127.0.0.1:53:53",
        "127.0.0.1,127.0.0.2",
        "127.0.0.1:53,127.0.0.2:53",
        "127.0.0",
        "127.0.0.256",
        "127.0.0.1.",
        " 127.0.0.1",
        "0x7f000001",
        "localhost",
        "localhost:53",
        "::1",
        "::1:53",
        "[",
        "]",
        "[]",
        "[]:53",
        "[::1",
        "[::1:53",
        "[::1]53",
        "[::1]x",
        "[::1]:",
        "[::1]:0",
        "[::1]:65536",
        "[::1]]",
        "[[::1]]",
        "[fe80::1%lo]",
        "[127.0.0.1]",
        "[12345::1]",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]",
    };
    char server[DNS_SERVER_BYTES];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (dns_server_parse(cases[i], strlen(cases[i]), server) != -EINVAL) {
            fail_msg("'%s' is taken as %s", cases[i], server);
        }
    }
}

static void test_dns_url__reads_no_further_than_the_server_goes(void **state)
{
    char server[DNS_SERVER_BYTES];
    (void)state;

    assert_int_equal(dns_server_parse("127.0.0.1:5353", 9, server), 0);
    assert_string_equal(server, "127.0.0.1:53");
    assert_int_equal(dns_server_parse("127.0.0.1:5353", 12, server), 0);
    assert_string_equal(server, "127.0.0.1:53");
    assert_int_equal(dns_server_parse("127.0.0.1:5353", 11, server), 0);
    assert_string_equal(server, "127.0.0.1:5");
    assert_int_equal(dns_server_parse("127.0.0.1:5353", 10, server), -EINVAL);
    assert_int_equal(dns_server_parse("[::1]:5353", 4, server), -EINVAL);
}

static const struct {
    const char *name;
    bool valid;
} names[] = {
    {"a", true},
    {"dev", true},
    {"example.org", true},
    {"example.org.", true},
    {"Example.ORG", true},
    {"x-1.example.org", true},
    {"_dmarc.example.org", true},
    {"-a-.org", true},
    {"xn--bcher-kva.example", true},
    {"1.0.0.127.in-addr.arpa", true},
    {"123", true},
    {L63, true},
    {L63 ".org", true},
    {"a." L63 ".", true},
    {NAME_253, true},
    {NAME_253 ".", true},
    {"", false},
    {".", false},
    {"..", false},
    {".org", false},
    {"a..org", false},
    {"a.org..", false},
    {L63 "4", false},
    {L63 "4.org", false},
    {"a." L63 "4.org", false},
    {NAME_254, false},
    {NAME_254 ".", false},
    {"a b.org", false},
    {" a.org", false},
    {"a.org ", false},
    {"a\tb.org", false},
    {"a\nb.org", false},
    {"a.org\r", false},
    {"a\x1b[31m.org", false},
    {"a\x7f.org", false},
    {"a\x01.org", false},
    {"b\xc3\xbc"
     "cher.example",
     false},
    {"\xd0\xbf\xd1\x80\xd0\xb8\xd0\xbc\xd0\xb5\xd1\x80.example", false},
    {"\xff.org", false},
    {"*.example.org", false},
    {"a/b.org", false},
    {"a\\.org", false},
    {"a?type=A", false},
    {"a#b", false},
    {"a%2eorg", false},
    {"a@b.org", false},
    {"a:53", false},
    {"[::1]", false},
};

#define NAMES (sizeof names / sizeof names[0])

static void test_dns_url__knows_a_domain_name(void **state)
{
    (void)state;

    assert_int_equal(strlen(NAME_253), 253);
    assert_int_equal(strlen(NAME_254), 254);
    for (size_t i = 0; i < NAMES; i++) {
        if (dns_name_is_valid(names[i].name) != names[i].valid) {
            fail_msg("'%s' is taken for %s name", names[i].name, names[i].valid ? "no" : "a");
        }
    }
}

static void test_dns_url__takes_a_name_from_a_url_as_it_is(void **state)
{
    char url[512];
    struct dns_url parsed;
    (void)state;

    for (size_t i = 0; i < NAMES; i++) {
        (void)snprintf(url, sizeof url, "dns://127.0.0.1:5353/%s", names[i].name);
        int result = dns_url_parse(url, &parsed);
        if ((result == 0) != names[i].valid) {
            fail_msg("'%s': %d", url, result);
        }
        if (result == 0) {
            assert_string_equal(parsed.name, names[i].name);
            assert_string_equal(parsed.server, "127.0.0.1:5353");
        }
    }
}

static void test_dns_url__tells_a_name_that_is_too_long_from_a_wrong_one(void **state)
{
    struct dns_url parsed;
    (void)state;

    assert_int_equal(dns_url_parse("dns:///" NAME_254 ".", &parsed), -ENAMETOOLONG);
    assert_int_equal(dns_url_parse("dns:///a..b", &parsed), -EINVAL);
}

static void test_dns_url__takes_a_server_or_none(void **state)
{
    static const struct {
        const char *url;
        int result;
        const char *server;
    } cases[] = {
        {"dns:///example.org", 0, ""},
        {"dns://127.0.0.1/example.org", 0, "127.0.0.1:53"},
        {"dns://[::1]:5353/example.org", 0, "[::1]:5353"},
        {"DNS://127.0.0.1:5353/example.org", 0, "127.0.0.1:5353"},
        {"dns:example.org", -EINVAL, ""}, /* RFC 4501 has it; here a server or // is written */
        {"dns:/example.org", -EINVAL, ""},
        {"dns://example.org", -EINVAL, ""},
        {"dns://127.0.0.1:5353", -EINVAL, ""},
        {"dns://", -EINVAL, ""},
        {"dns:///", -EINVAL, ""},
        {"dns:", -EINVAL, ""},
        {"dns", -EINVAL, ""},
        {"", -EINVAL, ""},
        {"dns://127.0.0.1:99999/example.org", -EINVAL, ""},
        {"dns://127.0.0.1:0/example.org", -EINVAL, ""},
        {"dns://ns.example/example.org", -EINVAL, ""},
        {"dns://user@127.0.0.1/example.org", -EINVAL, ""},
        {"dns://127.0.0.1/example.org/", -EINVAL, ""},
        {"dns://127.0.0.1//example.org", -EINVAL, ""},
        {"dns://127.0.0.1/example.org?type=AAAA", -EINVAL, ""},
        {"dns6://127.0.0.1/example.org", -EINVAL, ""},
        {"http://127.0.0.1/example.org", -EINVAL, ""},
        {" dns:///example.org", -EINVAL, ""},
    };
    struct dns_url parsed;
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (dns_url_parse(cases[i].url, &parsed) != cases[i].result) {
            fail_msg("'%s' is not %d", cases[i].url, cases[i].result);
        }
        if (cases[i].result == 0) {
            assert_string_equal(parsed.server, cases[i].server);
            assert_string_equal(parsed.name, "example.org");
        }
    }
}

static void test_dns_url__forgets_the_server_of_the_url_before(void **state)
{
    struct dns_url parsed;
    (void)state;

    assert_int_equal(dns_url_parse("dns://127.0.0.1:5353/a", &parsed), 0);
    assert_int_equal(dns_url_parse("dns:///b", &parsed), 0);
    assert_string_equal(parsed.server, "");
}

static void test_dns_url__is_told_by_its_scheme(void **state)
{
    (void)state;

    assert_true(dns_url_is("dns:"));
    assert_true(dns_url_is("dns:///a"));
    assert_true(dns_url_is("DnS://127.0.0.1/a"));
    assert_false(dns_url_is("dns"));
    assert_false(dns_url_is("dnss:///a"));
    assert_false(dns_url_is("http://dns:1/"));
    assert_false(dns_url_is(""));
}

#define TEST(name) cmocka_unit_test(test_dns_url__##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(takes_numeric_servers_and_writes_them_with_their_port),
        TEST(refuses_what_is_no_numeric_server),
        TEST(reads_no_further_than_the_server_goes),
        TEST(knows_a_domain_name),
        TEST(takes_a_name_from_a_url_as_it_is),
        TEST(tells_a_name_that_is_too_long_from_a_wrong_one),
        TEST(takes_a_server_or_none),
        TEST(forgets_the_server_of_the_url_before),
        TEST(is_told_by_its_scheme),
    };
    return cmocka_run_group_tests_name("dns_url", tests, NULL, NULL);
}
