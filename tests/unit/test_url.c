#include "backends/url.h"

#include "tests/support/guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

/* ---- parse ---- */

struct parse_case {
    const char *url;
    int result;
    const char *authority;
    const char *host;
    unsigned port;
    const char *path;
};

static const struct parse_case parse_cases[] = {
    {"http://h", 0, "h", "h", 80, "/"},
    {"http://h/", 0, "h", "h", 80, "/"},
    {"HtTp://Host.Example/A/b", 0, "Host.Example", "Host.Example", 80, "/A/b"},
    {"http://127.0.0.1:41233/flags/cn/cn.gif", 0, "127.0.0.1:41233", "127.0.0.1", 41233,
     "/flags/cn/cn.gif"},
    {"http://a-b_c.d~e/", 0, "a-b_c.d~e", "a-b_c.d~e", 80, "/"},
    {"http://h/p?q=1&r", 0, "h", "h", 80, "/p?q=1&r"},
    {"http://h/?", 0, "h", "h", 80, "/?"},
    {"http://h/p?q#f", 0, "h", "h", 80, "/p?q"},
    {"http://h/p#f?q", 0, "h", "h", 80, "/p"},
    {"http://h#f", 0, "h", "h", 80, "/"},
    {"http://h//double//slash", 0, "h", "h", 80, "//double//slash"},
    {"http://h/a:b@c", 0, "h", "h", 80, "/a:b@c"},
    {"http://h/p?a?b/../c", 0, "h", "h", 80, "/p?a?b/../c"},
    {"http://h/\xc3\xa9", 0, "h", "h", 80, "/\xc3\xa9"},
    {"http://[::1]/p", 0, "[::1]", "::1", 80, "/p"},
    {"http://[2001:db8::1]:8080/p", 0, "[2001:db8::1]:8080", "2001:db8::1", 8080, "/p"},
    {"http://[::ffff:192.0.2.1]:1", 0, "[::ffff:192.0.2.1]:1", "::ffff:192.0.2.1", 1, "/"},
    /* ports */
    {"http://h:1/", 0, "h:1", "h", 1, "/"},
    {"http://h:65535/", 0, "h:65535", "h", 65535, "/"},
    {"http://h:0080/", 0, "h:0080", "h", 80, "/"},
    {"http://h:/p", 0, "h", "h", 80, "/p"},
    {"http://h:0/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:65536/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:4294967376/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:-1/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:8o/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:80:80/", -EINVAL, NULL, NULL, 0, NULL},
    /* no absolute http URL */
    {"", -EINVAL, NULL, NULL, 0, NULL},
    {"/p", -EINVAL, NULL, NULL, 0, NULL},
    {"//h/p", -EINVAL, NULL, NULL, 0, NULL},
    {"h/p", -EINVAL, NULL, NULL, 0, NULL},
    {"http", -EINVAL, NULL, NULL, 0, NULL},
    {"http:", -EINVAL, NULL, NULL, 0, NULL},
    {"http:/h/p", -EINVAL, NULL, NULL, 0, NULL},
    {"http:h", -EINVAL, NULL, NULL, 0, NULL},
    {"http://", -EINVAL, NULL, NULL, 0, NULL},
    {"http:///p", -EINVAL, NULL, NULL, 0, NULL},
    {"http://:80/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://?q", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h?q", -EINVAL, NULL, NULL, 0, NULL},
    {"://h/", -EINVAL, NULL, NULL, 0, NULL},
    {"1http://h/", -EINVAL, NULL, NULL, 0, NULL},
    /* other schemes */
    {"https://h/", -EPROTONOSUPPORT, NULL, NULL, 0, NULL},
    {"file:///etc/passwd", -EPROTONOSUPPORT, NULL, NULL, 0, NULL},
    {"httpx://h/", -EPROTONOSUPPORT, NULL, NULL, 0, NULL},
    {"javascript:alert(1)", -EPROTONOSUPPORT, NULL, NULL, 0, NULL},
    /* userinfo */
    {"http://u@h/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://u:p@h/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://@h/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h:80@evil/", -EINVAL, NULL, NULL, 0, NULL},
    /* hosts */
    {"http://h%41/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h\\evil/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h\xc3\xa9/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h,i/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://::1/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[::1/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[::1]x/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[]/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[h]/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[fe80::1%25lo]/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[v1.a]/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://]/", -EINVAL, NULL, NULL, 0, NULL},
    /* bytes that could end a request line or a field */
    {"http://h/a b", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/a\r\nX-Evil: 1", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/a\n", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h\r\n/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/p#\r\n", -EINVAL, NULL, NULL, 0, NULL},
    {" http://h/", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/\t", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/\x01", -EINVAL, NULL, NULL, 0, NULL},
    {"http://h/\x7f", -EINVAL, NULL, NULL, 0, NULL},
};

static bool is_text(const char *data, size_t bytes, const char *text)
{
    return bytes == strlen(text) && memcmp(data, text, bytes) == 0;
}

static void test_url__parses_what_it_should_and_nothing_else(void **state)
{
    (void)state;
    struct guard_page page;
    guard_page_init(&page, URL_BYTES_MAX + 1);
    for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
        const struct parse_case *one = &parse_cases[i];
        struct url_view view;
        const char *url = guard_page_put(&page, one->url, strlen(one->url) + 1);
        int result = url_parse(url, &view);
        if (result != one->result) {
            fail_msg("%s: %d instead of %d", one->url, result, one->result);
        }
        if (result == 0 &&
            (!is_text(view.authority, view.authority_bytes, one->authority) ||
             !is_text(view.host, view.host_bytes, one->host) ||
             !is_text(view.path, view.path_bytes, one->path) || view.port != one->port)) {
            fail_msg("%s: authority %.*s, host %.*s, port %u, path %.*s", one->url,
                     (int)view.authority_bytes, view.authority, (int)view.host_bytes, view.host,
                     (unsigned)view.port, (int)view.path_bytes, view.path);
        }
    }
    guard_page_release(&page);
}

/* "http://h/aaa...", `bytes` long */
static void make_url(char *out, size_t bytes)
{
    memset(out, 'a', bytes);
    memcpy(out, "http://h/", strlen("http://h/"));
    out[bytes] = '\0';
}

static void test_url__takes_2048_bytes_and_no_more(void **state)
{
    (void)state;
    char url[URL_BYTES_MAX + 2];
    struct url_view view;
    make_url(url, URL_BYTES_MAX);
    assert_int_equal(url_parse(url, &view), 0);
    assert_int_equal(view.path_bytes, URL_BYTES_MAX - strlen("http://h"));
    make_url(url, URL_BYTES_MAX + 1);
    assert_int_equal(url_parse(url, &view), -ENAMETOOLONG);
}

/* ---- resolve ---- */

struct resolve_case {
    const char *base;
    const char *location;
    int result;
    const char *url;
};

#define BASE "http://a/b/c/d;p?q"

static const struct resolve_case resolve_cases[] = {
    /* RFC 3986 section 5.4 has the answers for this base; fragments are not kept here. */
    {BASE, "g", 0, "http://a/b/c/g"},
    {BASE, "./g", 0, "http://a/b/c/g"},
    {BASE, "g/", 0, "http://a/b/c/g/"},
    {BASE, "/g", 0, "http://a/g"},
    {BASE, "//g", 0, "http://g/"},
    {BASE, "?y", 0, "http://a/b/c/d;p?y"},
    {BASE, "g?y", 0, "http://a/b/c/g?y"},
    {BASE, "#s", 0, "http://a/b/c/d;p?q"},
    {BASE, "g#s", 0, "http://a/b/c/g"},
    {BASE, "g?y#s", 0, "http://a/b/c/g?y"},
    {BASE, ";x", 0, "http://a/b/c/;x"},
    {BASE, "g;x?y#s", 0, "http://a/b/c/g;x?y"},
    {BASE, "", 0, "http://a/b/c/d;p?q"},
    {BASE, ".", 0, "http://a/b/c/"},
    {BASE, "./", 0, "http://a/b/c/"},
    {BASE, "..", 0, "http://a/b/"},
    {BASE, "../", 0, "http://a/b/"},
    {BASE, "../g", 0, "http://a/b/g"},
    {BASE, "../..", 0, "http://a/"},
    {BASE, "../../", 0, "http://a/"},
    {BASE, "../../g", 0, "http://a/g"},
    {BASE, "../../../g", 0, "http://a/g"},
    {BASE, "../../../../g", 0, "http://a/g"},
    {BASE, "/./g", 0, "http://a/g"},
    {BASE, "/../g", 0, "http://a/g"},
    {BASE, "g.", 0, "http://a/b/c/g."},
    {BASE, ".g", 0, "http://a/b/c/.g"},
    {BASE, "g..", 0, "http://a/b/c/g.."},
    {BASE, "..g", 0, "http://a/b/c/..g"},
    {BASE, "...", 0, "http://a/b/c/..."},
    {BASE, "./../g", 0, "http://a/b/g"},
    {BASE, "./g/.", 0, "http://a/b/c/g/"},
    {BASE, "g/./h", 0, "http://a/b/c/g/h"},
    {BASE, "g/../h", 0, "http://a/b/c/h"},
    {BASE, "g;x=1/../y", 0, "http://a/b/c/y"},
    {BASE, "g?y/../x", 0, "http://a/b/c/g?y/../x"},
    {BASE, "g#s/../x", 0, "http://a/b/c/g"},
    {BASE, "g:h", -EPROTONOSUPPORT, NULL},
    {BASE, "http:g", -EINVAL, NULL},
    /* bases */
    {"http://a", "g", 0, "http://a/g"},
    {"http://a", "", 0, "http://a/"},
    {"http://a", "?y", 0, "http://a/?y"},
    {"http://a:81/x", "y", 0, "http://a:81/y"},
    {"http://a/x?p/q", "y", 0, "http://a/y"},
    {"http://a//x//y", "z", 0, "http://a//x//z"},
    {"http://a//x//y", "../z", 0, "http://a//x/z"},
    {"http://a//x//y", "../../../../z", 0, "http://a/z"},
    {"https://a/", "g", 0, "https://a/g"},
    {"HTTPS://a:8443/x", "//b/y", 0, "https://b/y"},
    {"https://a/", "https://h/y", 0, "https://h/y"},
    {"https://a/", "http://a/", -EPROTONOSUPPORT, NULL},
    {"ftp://a/", "g", -EPROTONOSUPPORT, NULL},
    {"a/b", "g", -EINVAL, NULL},
    /* elsewhere */
    {BASE, "HTTP://h:8080/x/../y?z#f", 0, "http://h:8080/y?z"},
    {BASE, "http://h", 0, "http://h/"},
    {BASE, "http://h?q", 0, "http://h/?q"},
    {BASE, "//h:8080", 0, "http://h:8080/"},
    {BASE, "//h?y", 0, "http://h/?y"},
    {BASE, "//[::1]:8080/y", 0, "http://[::1]:8080/y"},
    {BASE, "///g", -EINVAL, NULL},
    {BASE, "//u@h/", -EINVAL, NULL},
    {BASE, "//h:0/", -EINVAL, NULL},
    {BASE, "http://h:65536/", -EINVAL, NULL},
    {BASE, "https://h/", -EPROTONOSUPPORT, NULL},
    {BASE, "file:///etc/passwd", -EPROTONOSUPPORT, NULL},
    {BASE, "1:2", -EINVAL, NULL},
    {BASE, "./1:2", 0, "http://a/b/c/1:2"},
    {BASE, "/%2e%2e/g", 0, "http://a/%2e%2e/g"},
    /* bytes */
    {BASE, "/g\r\nX-Evil: 1", -EINVAL, NULL},
    {BASE, "/a b", -EINVAL, NULL},
    {BASE, "/g\x7f", -EINVAL, NULL},
    {BASE, "/g#\n", -EINVAL, NULL},
};

static void test_url__resolves_references_as_the_rfc_does(void **state)
{
    (void)state;
    struct guard_page page;
    guard_page_init(&page, URL_BYTES_MAX);
    for (size_t i = 0; i < sizeof(resolve_cases) / sizeof(resolve_cases[0]); i++) {
        const struct resolve_case *one = &resolve_cases[i];
        char out[URL_BYTES_MAX + 1] = "untouched";
        const char *expected = one->url != NULL ? one->url : "untouched";
        size_t bytes = strlen(one->location);
        const char *location = guard_page_put(&page, one->location, bytes);
        int result = url_resolve(one->base, location, bytes, out, sizeof(out));
        if (result != one->result || strcmp(out, expected) != 0) {
            fail_msg("%s against %s: %d, %s", one->location, one->base, result, out);
        }
    }
    guard_page_release(&page);
}

static void test_url__refuses_a_nul_inside_a_location(void **state)
{
    (void)state;
    char out[URL_BYTES_MAX + 1];
    assert_int_equal(url_resolve(BASE, "/a\0b", 4, out, sizeof(out)), -EINVAL);
}

static void test_url__knows_https_where_it_is_asked_for(void **state)
{
    struct url_view http;
    struct url_view https;
    (void)state;

    assert_int_equal(url_parse_any("https://h/p", &https), 0);
    assert_true(https.tls);
    assert_int_equal(https.port, 443);
    assert_int_equal(url_parse_any("https://h:/p", &https), 0);
    assert_int_equal(https.port, 443);
    assert_int_equal(url_parse_any("http://h:443/p", &http), 0);
    assert_false(http.tls);
    assert_false(url_same_authority(&http, &https));
    assert_int_equal(url_parse_any("ftp://h/p", &http), -EPROTONOSUPPORT);
}

static void test_url__resolves_into_just_enough_room(void **state)
{
    (void)state;
    char out[URL_BYTES_MAX + 1];
    const size_t bytes = strlen("http://a/g");
    assert_int_equal(url_resolve(BASE, "/g", 2, out, bytes + 1), 0);
    assert_string_equal(out, "http://a/g");
    assert_int_equal(url_resolve(BASE, "/g", 2, out, bytes), -ENAMETOOLONG);
    assert_int_equal(url_resolve(BASE, "/g", 2, out, 0), -ENAMETOOLONG);
}

static void test_url__resolves_no_url_above_2048_bytes(void **state)
{
    (void)state;
    char base[URL_BYTES_MAX + 1];
    char location[URL_BYTES_MAX + 1];
    char out[URL_BYTES_MAX + 64];
    make_url(base, URL_BYTES_MAX);
    memset(location, 'b', sizeof(location));
    assert_int_equal(url_resolve(base, "?", 1, out, sizeof(out)), -ENAMETOOLONG);
    assert_int_equal(url_resolve(base, "/b", 2, out, sizeof(out)), 0);
    assert_int_equal(url_resolve("http://h/", location, URL_BYTES_MAX + 1, out, sizeof(out)),
                     -ENAMETOOLONG);
    assert_int_equal(
        url_resolve("http://h/", location, URL_BYTES_MAX - strlen("http://h/"), out, sizeof(out)),
        0);
    assert_int_equal(strlen(out), URL_BYTES_MAX);
    assert_int_equal(url_resolve("http://h/", location, URL_BYTES_MAX - strlen("http://h/") + 1,
                                 out, sizeof(out)),
                     -ENAMETOOLONG);
}

static void test_url__resolves_onto_its_own_base(void **state)
{
    (void)state;
    char url[URL_BYTES_MAX + 1] = BASE;
    assert_int_equal(url_resolve(url, "../x", 4, url, sizeof(url)), 0);
    assert_string_equal(url, "http://a/b/x");
    assert_int_equal(url_resolve(url, url + strlen("http://a"), 4, url, sizeof(url)), 0);
    assert_string_equal(url, "http://a/b/x");
}

/* ---- same authority ---- */

static void test_url__compares_host_and_port(void **state)
{
    (void)state;
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"http://h/x", "http://h/y", true},
        {"http://Flags.Example/", "http://fLAGS.eXAMPLE:80/", true},
        {"http://h:80", "http://h:", true},
        {"http://[::1]:81/", "http://[::1]:81/x", true},
        {"http://h:81/", "http://h/", false},
        {"http://h/", "http://h2/", false},
        {"http://h1/", "http://h2/", false},
        {"http://a-b/", "http://a_b/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct url_view a;
        struct url_view b;
        assert_int_equal(url_parse(cases[i].a, &a), 0);
        assert_int_equal(url_parse(cases[i].b, &b), 0);
        assert_int_equal(url_same_authority(&a, &b), cases[i].same);
        assert_int_equal(url_same_authority(&b, &a), cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url__parses_what_it_should_and_nothing_else),
        cmocka_unit_test(test_url__takes_2048_bytes_and_no_more),
        cmocka_unit_test(test_url__resolves_references_as_the_rfc_does),
        cmocka_unit_test(test_url__refuses_a_nul_inside_a_location),
        cmocka_unit_test(test_url__knows_https_where_it_is_asked_for),
        cmocka_unit_test(test_url__resolves_into_just_enough_room),
        cmocka_unit_test(test_url__resolves_no_url_above_2048_bytes),
        cmocka_unit_test(test_url__resolves_onto_its_own_base),
        cmocka_unit_test(test_url__compares_host_and_port),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
