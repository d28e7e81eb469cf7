#include "backends/http1.h"

#include "tests/support/guard_page.h"
#include "tests/support/http1_feed.h"
#include "tests/vectors/http1_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_BYTES (512 * 1024)
#define OK_LINE "HTTP/1.1 200 OK\r\n"

static struct guard_page page;

static int set_up(void **state)
{
    (void)state;
    guard_page_init(&page, ROOM_BYTES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guard_page_release(&page);
    return 0;
}

/* ---- ways to cut ---- */

static size_t whole(size_t left, void *user)
{
    (void)user;
    return left;
}

static size_t byte_by_byte(size_t left, void *user)
{
    (void)left;
    (void)user;
    return 1;
}

/* The first piece is *user bytes long, the second is the rest. */
static size_t two_pieces(size_t left, void *user)
{
    size_t *first = user;
    size_t piece = *first;
    *first = 0;
    return piece == 0 || piece > left ? left : piece;
}

/* ---- vectors ---- */

static void fail_vector(const struct http1_vector *vector, const char *cut, size_t at,
                        const char *what)
{
    fail_msg("%s, %s %zu: %s", vector->name, cut, at, what);
}

/* What the parser says of the framing is what it went by. */
static bool framing_fits(const struct http1_outcome *outcome)
{
    if (!outcome->head || outcome->result != HTTP1_DONE) {
        return true;
    }
    if (outcome->status == 204 || outcome->status == 304) {
        return !outcome->has_length && !outcome->chunked && outcome->content_bytes == 0;
    }
    if (outcome->has_length) {
        return !outcome->chunked && outcome->content_bytes == outcome->body_bytes;
    }
    return outcome->chunked != outcome->ended;
}

static const char *vector_difference(const struct http1_vector *vector,
                                     const struct http1_outcome *outcome)
{
    const char *body = vector->body != NULL ? vector->body : "";
    const char *location = vector->location != NULL ? vector->location : "";
    const char *error = vector->error != NULL ? vector->error : "";
    const struct {
        const char *name;
        bool equal;
    } members[] = {
        {outcome->broken, outcome->broken == NULL},
        {"result", outcome->result == vector->result},
        {"status", outcome->status == vector->status},
        {"head", outcome->head == (vector->status != 0)},
        {"keep_alive", outcome->keep_alive == vector->keep_alive},
        {"ended", outcome->ended == vector->ended},
        {"framing", framing_fits(outcome)},
        {"rest", outcome->rest_bytes == vector->rest_bytes},
        {"body", strcmp(outcome->body, body) == 0},
        {"body bytes", outcome->body_bytes == strlen(body)},
        {"locations", outcome->locations == (vector->location != NULL ? 1U : 0U)},
        {"location", strcmp(outcome->location, location) == 0},
        {"error", strcmp(outcome->error != NULL ? outcome->error : "", error) == 0},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        if (!members[i].equal) {
            return members[i].name;
        }
    }
    return NULL;
}

static void feed_vector(const struct http1_vector *vector, const char *cut, size_t at,
                        http1_piece_fn *piece, void *user)
{
    struct http1_outcome outcome;
    http1_feed(&page, vector->input, vector->input_bytes, piece, user, &outcome);
    const char *difference = vector_difference(vector, &outcome);
    if (difference != NULL) {
        fail_vector(vector, cut, at, difference);
    }
}

static void test_http1__reads_every_vector_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP1_VECTORS_COUNT; i++) {
        feed_vector(&http1_vectors[i], "whole", 0, whole, NULL);
    }
}

static void test_http1__reads_every_vector_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP1_VECTORS_COUNT; i++) {
        feed_vector(&http1_vectors[i], "byte by byte", 0, byte_by_byte, NULL);
    }
}

static void test_http1__reads_every_vector_split_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP1_VECTORS_COUNT; i++) {
        for (size_t at = 1; at < http1_vectors[i].input_bytes; at++) {
            size_t first = at;
            feed_vector(&http1_vectors[i], "split at", at, two_pieces, &first);
        }
    }
}

/* What is there whole is read in another way than what arrives in pieces. One byte wrong, at any
 * place, must not make a difference between the two. */
static void test_http1__reads_a_head_with_any_byte_wrong_whole_as_in_pieces(void **state)
{
    static const char bytes[] = {'\0', '\t', '\n', '\r', ' ', ',', '0', ':', 'a', '\x7f', '\x80'};
    char text[] = OK_LINE "Server: some/1.22.1\r\n"
                          "Date: Mon, 23 Nov 2026 06:51:12 GMT\r\n"
                          "Connection: keep-alive, x\r\n"
                          "Location: /elsewhere\r\n"
                          "Content-Length:\t11\r\n"
                          "Content-Security-Policy_0: none\r\n"
                          "ETag: \"6743-2f98\"\r\n\r\n"
                          "hello world";
    (void)state;
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        const char right = text[at];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            struct http1_outcome outcome;
            struct http1_outcome again;
            size_t first = at;
            text[at] = bytes[i];
            http1_feed(&page, text, sizeof(text) - 1, whole, NULL, &outcome);
            http1_feed(&page, text, sizeof(text) - 1, byte_by_byte, NULL, &again);
            const char *difference = http1_outcome_difference(&outcome, &again);
            if (difference == NULL) {
                http1_feed(&page, text, sizeof(text) - 1, two_pieces, &first, &again);
                difference = http1_outcome_difference(&outcome, &again);
            }
            if (outcome.broken != NULL || difference != NULL) {
                fail_msg("byte 0x%02x at %zu: %s", (unsigned char)bytes[i], at,
                         difference != NULL ? difference : outcome.broken);
            }
        }
        text[at] = right;
    }
}

/* ---- bytes ---- */

static int result_with_byte(const char *field, size_t at, int byte)
{
    char text[128];
    struct http1_outcome outcome;
    size_t bytes =
        (size_t)snprintf(text, sizeof(text), "%s%s\r\nContent-Length: 0\r\n\r\n", OK_LINE, field);
    text[strlen(OK_LINE) + at] = (char)byte;
    http1_feed(&page, text, bytes, whole, NULL, &outcome);
    assert_null(outcome.broken);
    return outcome.result;
}

/* At places that fall into a whole word of eight bytes and into the rest of one. */
static void test_http1__knows_for_every_byte_whether_a_name_may_have_it(void **state)
{
    (void)state;
    static const char tokens[] = "!#$%&'*+-.^_`|~0123456789"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char field[] = "Aa-zZaaaaaaA:";
    for (size_t at = 1; at < strlen(field) - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool token = byte != 0 && strchr(tokens, byte) != NULL;
            /* A colon only makes the name shorter. */
            int expected = token || byte == ':' ? HTTP1_DONE : -EPROTO;
            if (result_with_byte(field, at, byte) != expected) {
                fail_msg("byte 0x%02x at %zu", (unsigned)byte, at);
            }
        }
    }
}

static void test_http1__knows_for_every_byte_whether_a_value_may_have_it(void **state)
{
    (void)state;
    static const char field[] = "A:\tvalues of\tbytes";
    for (size_t at = 2; at < strlen(field); at++) {
        for (int byte = 0; byte < 256; byte++) {
            bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
            if (result_with_byte(field, at, byte) != (control ? -EPROTO : HTTP1_DONE)) {
                fail_msg("byte 0x%02x at %zu", (unsigned)byte, at);
            }
        }
    }
}

/* ---- limits ---- */

/* A response put together piece by piece. */
struct text {
    char *data;
    size_t bytes;
};

static void text_add(struct text *text, const char *piece)
{
    size_t bytes = strlen(piece);
    assert_true(text->bytes + bytes <= ROOM_BYTES);
    memcpy(text->data + text->bytes, piece, bytes);
    text->bytes += bytes;
}

static void text_fill(struct text *text, char c, size_t bytes)
{
    assert_true(text->bytes + bytes <= ROOM_BYTES);
    memset(text->data + text->bytes, c, bytes);
    text->bytes += bytes;
}

/* "X: aaa..." with CR LF, `bytes` bytes long */
static void text_add_line(struct text *text, size_t bytes)
{
    text_add(text, "X: ");
    text_fill(text, 'a', bytes - 5);
    text_add(text, "\r\n");
}

static struct text text_create(void)
{
    struct text text = {.data = malloc(ROOM_BYTES), .bytes = 0};
    assert_non_null(text.data);
    return text;
}

/* Feed it whole and byte by byte, give it back, and tell what came of it. */
static struct http1_outcome text_feed(struct text *text)
{
    struct http1_outcome outcome;
    struct http1_outcome again;
    http1_feed(&page, text->data, text->bytes, whole, NULL, &outcome);
    http1_feed(&page, text->data, text->bytes, byte_by_byte, NULL, &again);
    free(text->data);
    *text = (struct text){0};
    assert_null(outcome.broken);
    assert_null(again.broken);
    assert_null(http1_outcome_difference(&outcome, &again));
    return outcome;
}

static struct http1_outcome feed_line_of(size_t bytes)
{
    struct text text = text_create();
    text_add(&text, OK_LINE);
    text_add_line(&text, bytes);
    text_add(&text, "Content-Length: 0\r\n\r\n");
    return text_feed(&text);
}

static void test_http1__takes_a_line_of_8192_bytes_and_no_more(void **state)
{
    (void)state;
    struct http1_outcome outcome = feed_line_of(HTTP1_LINE_BYTES_MAX);
    assert_int_equal(outcome.result, HTTP1_DONE);
    outcome = feed_line_of(HTTP1_LINE_BYTES_MAX + 1);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "a head line above the limit of 8 KiB");
}

static void test_http1__refuses_a_status_line_above_8192_bytes(void **state)
{
    (void)state;
    struct text text = text_create();
    text_add(&text, "HTTP/1.1 200 ");
    text_fill(&text, 'a', HTTP1_LINE_BYTES_MAX);
    struct http1_outcome outcome = text_feed(&text);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "a head line above the limit of 8 KiB");
}

static struct http1_outcome feed_head_of(size_t bytes)
{
    const char *const end = "Content-Length: 0\r\n\r\n";
    struct text text = text_create();
    text_add(&text, OK_LINE);
    while (bytes - text.bytes - strlen(end) > 4096) {
        text_add_line(&text, 2048);
    }
    text_add_line(&text, bytes - text.bytes - strlen(end));
    text_add(&text, end);
    assert_int_equal(text.bytes, bytes);
    return text_feed(&text);
}

static void test_http1__takes_a_head_of_65536_bytes_and_no_more(void **state)
{
    (void)state;
    struct http1_outcome outcome = feed_head_of(HTTP1_HEAD_BYTES_MAX);
    assert_int_equal(outcome.result, HTTP1_DONE);
    outcome = feed_head_of(HTTP1_HEAD_BYTES_MAX + 1);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "heads above the limit of 64 KiB");
}

static struct http1_outcome feed_fields(unsigned count, bool as_trailers)
{
    struct text text = text_create();
    text_add(&text, OK_LINE);
    text_add(&text, as_trailers ? "Transfer-Encoding: chunked\r\n\r\n0\r\n" : "");
    for (unsigned i = 1; i < count; i++) {
        text_add(&text, "X: a\r\n");
    }
    text_add(&text, "Content-Length: 0\r\n\r\n");
    return text_feed(&text);
}

static void test_http1__takes_128_fields_and_no_more(void **state)
{
    (void)state;
    for (int as_trailers = 0; as_trailers <= 1; as_trailers++) {
        struct http1_outcome outcome = feed_fields(HTTP1_FIELDS_MAX, as_trailers != 0);
        assert_int_equal(outcome.result, HTTP1_DONE);
        outcome = feed_fields(HTTP1_FIELDS_MAX + 1, as_trailers != 0);
        assert_int_equal(outcome.result, -EPROTO);
        assert_string_equal(outcome.error, "more than 128 fields");
    }
}

static void test_http1__counts_trailers_towards_the_limit_of_all_heads(void **state)
{
    (void)state;
    struct text text = text_create();
    text_add(&text, OK_LINE "Transfer-Encoding: chunked\r\n\r\n0\r\n");
    for (unsigned i = 0; i < 32; i++) {
        text_add_line(&text, 2048);
    }
    text_add(&text, "\r\n");
    struct http1_outcome outcome = text_feed(&text);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "heads above the limit of 64 KiB");
}

static void test_http1__refuses_interim_responses_without_end(void **state)
{
    (void)state;
    struct text text = text_create();
    while (text.bytes < 2 * HTTP1_HEAD_BYTES_MAX) {
        text_add(&text, "HTTP/1.1 100 \r\n\r\n");
    }
    struct http1_outcome outcome = text_feed(&text);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "heads above the limit of 64 KiB");
}

static struct http1_outcome feed_chunks(const char *chunk, unsigned count, size_t extension_bytes)
{
    struct text text = text_create();
    text_add(&text, OK_LINE "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < count; i++) {
        text_add(&text, chunk);
    }
    text_add(&text, "1;");
    text_fill(&text, 'e', extension_bytes);
    text_add(&text, "\r\nx\r\n0\r\n\r\n");
    return text_feed(&text);
}

static void test_http1__takes_a_chunk_line_of_8192_bytes_and_no_more(void **state)
{
    (void)state;
    const size_t extension_bytes = HTTP1_LINE_BYTES_MAX - strlen("1;\r\n");
    struct http1_outcome outcome = feed_chunks("", 0, extension_bytes);
    assert_int_equal(outcome.result, HTTP1_DONE);
    outcome = feed_chunks("", 0, extension_bytes + 1);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "a chunk line above the limit of 8 KiB");
}

/* "1\r\nx\r\n" is one byte of body in five of overhead: four count against the limit. */
static void test_http1__refuses_chunk_lines_that_outgrow_the_body(void **state)
{
    (void)state;
    const unsigned count = HTTP1_CHUNK_OVERHEAD_MAX / 4;
    struct http1_outcome outcome = feed_chunks("1\r\nx\r\n", count - 2, 0);
    assert_int_equal(outcome.result, HTTP1_DONE);
    assert_int_equal(outcome.body_bytes, count - 1);
    outcome = feed_chunks("1\r\nx\r\n", count + 2, 0);
    assert_int_equal(outcome.result, -EPROTO);
    assert_string_equal(outcome.error, "more chunk lines than body");
}

static void test_http1__refuses_chunk_extensions_that_outgrow_the_body(void **state)
{
    (void)state;
    struct text text = text_create();
    text_add(&text, OK_LINE "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 9; i++) {
        text_add(&text, "1;");
        text_fill(&text, 'e', HTTP1_LINE_BYTES_MAX - strlen("1;\r\n"));
        text_add(&text, "\r\nx\r\n");
    }
    struct http1_outcome outcome = text_feed(&text);
    assert_int_equal(outcome.result, -EPROTO);
    assert_int_equal(outcome.body_bytes, 8 - 1);
}

static void test_http1__takes_a_large_body_in_large_chunks(void **state)
{
    (void)state;
    struct text text = text_create();
    text_add(&text, OK_LINE "Transfer-Encoding: chunked\r\n\r\n");
    for (unsigned i = 0; i < 16; i++) {
        text_add(&text, "4000\r\n");
        text_fill(&text, (char)('a' + i), 0x4000);
        text_add(&text, "\r\n");
    }
    text_add(&text, "0\r\n\r\n");
    struct http1_outcome outcome = text_feed(&text);
    assert_int_equal(outcome.result, HTTP1_DONE);
    assert_int_equal(outcome.body_bytes, 16 * 0x4000);
}

/* ---- after the end ---- */

static void test_http1__says_done_again_and_takes_nothing_after_the_end(void **state)
{
    (void)state;
    static const char text[] = OK_LINE "Content-Length: 0\r\n\r\n" OK_LINE;
    struct http1_parser parser;
    struct http1_span span;
    size_t consumed = 0;
    http1_parser_init(&parser);
    assert_int_equal(http1_parse(&parser, text, sizeof(text) - 1, &consumed, &span), HTTP1_HEAD);
    assert_int_equal(consumed, strlen(OK_LINE "Content-Length: 0\r\n\r\n"));
    for (int i = 0; i < 2; i++) {
        int result = http1_parse(&parser, text + consumed, strlen(OK_LINE), &consumed, &span);
        assert_int_equal(result, HTTP1_DONE);
        assert_int_equal(consumed, 0);
        consumed = strlen(OK_LINE "Content-Length: 0\r\n\r\n");
    }
    assert_int_equal(http1_finish(&parser), HTTP1_DONE);
    assert_true(parser.keep_alive);
}

static void test_http1__keeps_its_first_verdict_after_an_error(void **state)
{
    (void)state;
    static const char bad[] = "NOT HTTP";
    static const char good[] = OK_LINE "Content-Length: 0\r\n\r\n";
    struct http1_parser parser;
    struct http1_span span;
    size_t consumed = 0;
    http1_parser_init(&parser);
    assert_int_equal(http1_parse(&parser, bad, sizeof(bad) - 1, &consumed, &span), -EPROTO);
    const char *error = parser.error;
    assert_int_equal(http1_parse(&parser, good, sizeof(good) - 1, &consumed, &span), -EPROTO);
    assert_ptr_equal(parser.error, error);
    assert_int_equal(consumed, 0);
    assert_int_equal(http1_finish(&parser), -EPROTO);
}

/* ---- requests ---- */

#define FIXED "User-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"

struct request_case {
    const char *path;
    const char *authority;
    const char *run_mark;
    uint64_t number;
    uint32_t attempt;
    bool close;
    const char *text;
};

static const struct request_case request_cases[] = {
    {"/", "localhost", NULL, 7, 8, false, "GET / HTTP/1.1\r\nHost: localhost\r\n" FIXED "\r\n"},
    {"/flags/cn/cn.gif?size=5", "127.0.0.1:41233", "r1", 0, 1, false,
     "GET /flags/cn/cn.gif?size=5 HTTP/1.1\r\nHost: 127.0.0.1:41233\r\n" FIXED
     "X-Bench: run=r1;req=0;try=1\r\n\r\n"},
    {"/a", "[::1]:80", NULL, 0, 0, true,
     "GET /a HTTP/1.1\r\nHost: [::1]:80\r\n" FIXED "Connection: close\r\n\r\n"},
    {"/a", "b", "run", UINT64_MAX, UINT32_MAX, true,
     "GET /a HTTP/1.1\r\nHost: b\r\n" FIXED
     "X-Bench: run=run;req=18446744073709551615;try=4294967295\r\nConnection: close\r\n\r\n"},
};

static struct http1_request request_of(const struct request_case *one)
{
    return (struct http1_request){
        .authority = one->authority,
        .authority_bytes = strlen(one->authority),
        .path = one->path,
        .path_bytes = strlen(one->path),
        .run_mark = one->run_mark,
        .number = one->number,
        .attempt = one->attempt,
        .close = one->close,
    };
}

static void test_http1__writes_requests_to_the_letter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(request_cases) / sizeof(request_cases[0]); i++) {
        char out[512];
        struct http1_request request = request_of(&request_cases[i]);
        size_t bytes = http1_request_write(&request, out, sizeof(out));
        assert_int_equal(bytes, strlen(request_cases[i].text));
        assert_memory_equal(out, request_cases[i].text, bytes);
        assert_true(bytes <= http1_request_bytes_max(&request));
    }
}

static void test_http1__writes_no_request_that_does_not_fit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(request_cases) / sizeof(request_cases[0]); i++) {
        struct http1_request request = request_of(&request_cases[i]);
        size_t exact = strlen(request_cases[i].text);
        for (size_t bytes = 0; bytes < exact; bytes++) {
            assert_int_equal(http1_request_write(&request, page.end - bytes, bytes), 0);
        }
        assert_int_equal(http1_request_write(&request, page.end - exact, exact), exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http1__reads_every_vector_whole),
        cmocka_unit_test(test_http1__reads_every_vector_byte_by_byte),
        cmocka_unit_test(test_http1__reads_every_vector_split_anywhere),
        cmocka_unit_test(test_http1__reads_a_head_with_any_byte_wrong_whole_as_in_pieces),
        cmocka_unit_test(test_http1__knows_for_every_byte_whether_a_name_may_have_it),
        cmocka_unit_test(test_http1__knows_for_every_byte_whether_a_value_may_have_it),
        cmocka_unit_test(test_http1__takes_a_line_of_8192_bytes_and_no_more),
        cmocka_unit_test(test_http1__refuses_a_status_line_above_8192_bytes),
        cmocka_unit_test(test_http1__takes_a_head_of_65536_bytes_and_no_more),
        cmocka_unit_test(test_http1__takes_128_fields_and_no_more),
        cmocka_unit_test(test_http1__counts_trailers_towards_the_limit_of_all_heads),
        cmocka_unit_test(test_http1__refuses_interim_responses_without_end),
        cmocka_unit_test(test_http1__takes_a_chunk_line_of_8192_bytes_and_no_more),
        cmocka_unit_test(test_http1__refuses_chunk_lines_that_outgrow_the_body),
        cmocka_unit_test(test_http1__refuses_chunk_extensions_that_outgrow_the_body),
        cmocka_unit_test(test_http1__takes_a_large_body_in_large_chunks),
        cmocka_unit_test(test_http1__says_done_again_and_takes_nothing_after_the_end),
        cmocka_unit_test(test_http1__keeps_its_first_verdict_after_an_error),
        cmocka_unit_test(test_http1__writes_requests_to_the_letter),
        cmocka_unit_test(test_http1__writes_no_request_that_does_not_fit),
    };
    return cmocka_run_group_tests_name("http1", tests, set_up, tear_down);
}
