#include "mockserver/request.h"

#include "tests/support/guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: h\r\n"

static struct guard_page page;

static int set_up(void **state)
{
    (void)state;
    guard_page_init(&page, 16384);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guard_page_release(&page);
    return 0;
}

static int parse(const char *text, size_t bytes, struct request *request, size_t *head_bytes)
{
    return request_parse(guard_page_put(&page, text, bytes), bytes, request, head_bytes);
}

static void test_request__understands_what_a_client_sends(void **state)
{
    static const char text[] = "GET /flags/cn/cn.gif?size=10&x=%20 HTTP/1.1\r\nhOsT: a:80\r\n"
                               "X-Bench: run=r-1;req=17;try=2\r\nAccept: */*\r\n\r\nGET";
    (void)state;
    struct request request;
    size_t head_bytes = 0;
    assert_int_equal(parse(text, sizeof(text) - 1, &request, &head_bytes), 0);
    assert_int_equal(head_bytes, sizeof(text) - 1 - 3);
    assert_int_equal(request.method, REQUEST_GET);
    assert_int_equal(request.path_bytes, 16);
    assert_memory_equal(request.path, "/flags/cn/cn.gif", 16);
    assert_int_equal(request.query_bytes, 13);
    assert_memory_equal(request.query, "size=10&x=%20", 13);
    assert_int_equal(request.run_bytes, 3);
    assert_memory_equal(request.run, "r-1", 3);
    assert_true(request.has_number && request.keep_alive && !request.has_body);
    assert_int_equal(request.number, 17);
    assert_int_equal(request.attempt, 2);
}

static void test_request__needs_more_at_every_split(void **state)
{
    static const char text[] = "\r\nHEAD http://h/x?y HTTP/1.0\r\nConnection: a, keep-alive\r\n"
                               "X-Bench: req=1\r\n\r\n";
    (void)state;
    struct request request;
    size_t head_bytes = 0;
    for (size_t bytes = 0; bytes < sizeof(text) - 1; bytes++) {
        assert_int_equal(parse(text, bytes, &request, &head_bytes), -EAGAIN);
    }
    assert_int_equal(parse(text, sizeof(text) - 1, &request, &head_bytes), 0);
    assert_int_equal(head_bytes, sizeof(text) - 1);
    assert_int_equal(request.method, REQUEST_HEAD);
    assert_memory_equal(request.path, "/x", request.path_bytes);
    assert_true(request.version_1_0 && request.keep_alive);
}

static void test_request__says_what_becomes_of_the_connection(void **state)
{
    static const struct {
        const char *text;
        bool keep_alive;
        bool has_body;
    } cases[] = {
        {LINE HOST "\r\n", true, false},
        {LINE HOST "Connection: close\r\n\r\n", false, false},
        {LINE HOST "Connection: keep-alive, Close\r\n\r\n", false, false},
        {LINE HOST "Connection: closed\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false},
        {"GET / HTTP/1.2\r\n" HOST "\r\n", true, false},
        {LINE HOST "Content-Length: 0\r\n\r\n", true, false},
        {LINE HOST "Content-Length: 1\r\n\r\n", true, true},
        {LINE HOST "Transfer-Encoding: chunked\r\n\r\n", true, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request;
        size_t head_bytes = 0;
        int error = parse(cases[i].text, strlen(cases[i].text), &request, &head_bytes);
        if (error != 0 || request.keep_alive != cases[i].keep_alive ||
            request.has_body != cases[i].has_body) {
            fail_msg("%s", cases[i].text);
        }
    }
}

static void test_request__refuses_what_is_not_http(void **state)
{
    static const char *const cases[] = {
        "\n",
        "\r\n\r\n\r\n",
        "GET /\r\n",
        "GET / HTTP/1.1\n",
        "GET  / HTTP/1.1\r\n",
        "GET / HTTP/1.1 \r\n",
        "GET / http/1.1\r\n",
        "GET / HTTP/2.0\r\n",
        "GET / HTTP/1.x\r\n",
        "G\tT / HTTP/1.1\r\n",
        " / HTTP/1.1\r\n",
        "GET x HTTP/1.1\r\n",
        "GET * HTTP/1.1\r\n",
        "GET http://h HTTP/1.1\r\n",
        "GET http:///x HTTP/1.1\r\n",
        "GET /#x HTTP/1.1\r\n",
        "GET /\x01 HTTP/1.1\r\n",
        "GET /\xc3\xa9 HTTP/1.1\r\n",
        LINE "\r\n",
        LINE HOST HOST,
        LINE "Host h\r\n",
        LINE "Host : h\r\n",
        LINE ": h\r\n",
        LINE HOST " folded: x\r\n",
        LINE HOST "A: \x01\r\n",
        LINE HOST "Content-Length: x\r\n",
        LINE HOST "Content-Length:\r\n",
        LINE HOST "Content-Length: -1\r\n",
        LINE HOST "Content-Length: 99999999999999999999\r\n",
        LINE HOST "Content-Length: 1\r\nContent-Length: 1\r\n",
        LINE HOST "X-Bench: req=x\r\n",
        LINE HOST "X-Bench: req=\r\n",
        LINE HOST "X-Bench: try=0\r\n",
        LINE HOST "X-Bench: run=\r\n",
        LINE HOST "X-Bench: run=a b\r\n",
        LINE HOST "X-Bench: other=1\r\n",
        LINE HOST "X-Bench: req=99999999999999999999\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request;
        size_t head_bytes = 0;
        if (parse(cases[i], strlen(cases[i]), &request, &head_bytes) != -EPROTO) {
            fail_msg("%zu: %s", i, cases[i]);
        }
    }
}

/* Every byte, in a method, a target, the name and the value of a field. */
static void test_request__knows_where_each_byte_may_stand(void **state)
{
    static const char *const forms[] = {
        "G?T / HTTP/1.1\r\n" HOST "\r\n",
        "GET /? HTTP/1.1\r\n" HOST "\r\n",
        LINE HOST "A?A: x\r\n\r\n",
        LINE HOST "A: x?x\r\n\r\n",
    };
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool token = isalnum((int)c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
        const bool expected[] = {
            token,
            c > 0x20 && c < 0x7f && c != '#',
            token || c == ':', /* then the value is "A: x" */
            (c >= 0x20 && c != 0x7f) || c == '\t',
        };
        for (size_t form = 0; form < sizeof(forms) / sizeof(forms[0]); form++) {
            char text[128];
            struct request request;
            size_t head_bytes = 0;
            (void)strcpy(text, forms[form]);
            *strchr(text, '?') = (char)c;
            int error = parse(text, strlen(forms[form]), &request, &head_bytes);
            if ((error == 0) != expected[form]) {
                fail_msg("0x%02x in form %zu: %d", c, form, error);
            }
        }
    }
}

static void test_request__limits_the_head(void **state)
{
    (void)state;
    char text[REQUEST_HEAD_BYTES_MAX + 1];
    struct request request;
    size_t head_bytes = 0;
    memset(text, 'a', sizeof(text));
    memcpy(text, LINE HOST "A: ", sizeof(LINE HOST "A: ") - 1);
    assert_int_equal(parse(text, REQUEST_HEAD_BYTES_MAX - 1, &request, &head_bytes), -EAGAIN);
    assert_int_equal(parse(text, REQUEST_HEAD_BYTES_MAX, &request, &head_bytes), -EMSGSIZE);
    memcpy(text + REQUEST_HEAD_BYTES_MAX - 4, "\r\n\r\n", 4);
    assert_int_equal(parse(text, REQUEST_HEAD_BYTES_MAX, &request, &head_bytes), 0);
    text[REQUEST_HEAD_BYTES_MAX - 4] = 'a';
    memcpy(text + REQUEST_HEAD_BYTES_MAX - 3, "\r\n\r\n", 4);
    assert_int_equal(parse(text, sizeof(text), &request, &head_bytes), -EMSGSIZE);
}

static void test_request__decodes_percents(void **state)
{
    static const struct {
        const char *text;
        int bytes;
        const char *out;
    } cases[] = {
        {"/a", 2, "/a"},
        {"%2fA%7e", 3, "/A~"},
        {"", 0, ""},
        {"%C3%A9", 2, "\xc3\xa9"},
        {"%", -EINVAL, NULL},
        {"%2", -EINVAL, NULL},
        {"%zz", -EINVAL, NULL},
        {"%00", -EINVAL, NULL},
        {"%0a", -EINVAL, NULL},
        {"12345678", 8, "12345678"},
        {"123456789", -ENOSPC, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[8];
        size_t bytes = strlen(cases[i].text);
        int written =
            request_decode(guard_page_put(&page, cases[i].text, bytes), bytes, out, sizeof(out));
        if (written != cases[i].bytes ||
            (written > 0 && memcmp(out, cases[i].out, (size_t)written) != 0)) {
            fail_msg("%s: %d", cases[i].text, written);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request__understands_what_a_client_sends),
        cmocka_unit_test(test_request__needs_more_at_every_split),
        cmocka_unit_test(test_request__says_what_becomes_of_the_connection),
        cmocka_unit_test(test_request__refuses_what_is_not_http),
        cmocka_unit_test(test_request__knows_where_each_byte_may_stand),
        cmocka_unit_test(test_request__limits_the_head),
        cmocka_unit_test(test_request__decodes_percents),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
