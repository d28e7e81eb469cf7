#include "backends/exchange.h"

#include "backends/body_hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW UINT64_C(1000)
#define LIMIT_BYTES 64
#define URL "http://127.0.0.1:81/flag"
#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* One exchange, its job and its slot; no socket anywhere. */
struct fixture {
    struct transfer_request request;
    struct transfer_result result;
    struct download_job job;
    struct target_table targets;
    struct exchange exchange;
};

static void fixture_init(struct fixture *fixture, const char *url)
{
    *fixture = (struct fixture){
        .request = {.url = url},
        .job =
            {
                .struct_size = sizeof(struct download_job),
                .count = 1,
                .concurrency = 1,
                .loops = 1,
                .timeout_ns = 50,
                .body_bytes_max = LIMIT_BYTES,
                .attempts_max = 1,
                .redirects_max = 2,
                .output_dir_fd = -1,
                .run_mark = "m",
            },
    };
    fixture->job.requests = &fixture->request;
    assert_int_equal(target_table_init(&fixture->targets, &fixture->job), 0);
    exchange_init(&fixture->exchange, &fixture->job, &fixture->result, &fixture->targets);
}

static void fixture_release(struct fixture *fixture)
{
    exchange_release(&fixture->exchange);
    target_table_release(&fixture->targets);
}

static void begin(struct fixture *fixture, bool used)
{
    fixture->result = (struct transfer_result){0};
    assert_int_equal(exchange_start(&fixture->exchange, 0, NOW), TRANSFER_MORE);
    exchange_connected(&fixture->exchange, 7, used);
}

/* From a block of exactly that size, spoilt afterwards: a read beyond it, or later, shows. */
static enum transfer_step feed(struct exchange *exchange, const char *data, size_t bytes)
{
    char *copy = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, data, bytes);
    enum transfer_step step = exchange_feed(exchange, copy, bytes, NOW + 1);
    memset(copy, '#', bytes);
    free(copy);
    return step;
}

static enum transfer_step feed_text(struct exchange *exchange, const char *text)
{
    return feed(exchange, text, strlen(text));
}

static bool asks_for(const struct exchange *exchange, const char *path)
{
    char line[128];
    int bytes = snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", path);
    return exchange->request_bytes > (size_t)bytes &&
           memcmp(exchange->request, line, (size_t)bytes) == 0;
}

static bool request_contains(const struct exchange *exchange, const char *text)
{
    return memmem(exchange->request, exchange->request_bytes, text, strlen(text)) != NULL;
}

/* ---- every split ---- */

static const struct {
    const char *name;
    const char *response;
    bool ends; /* the peer closes after it */
    enum transfer_status status;
    int http_status;
    uint64_t body_bytes;
    bool keeps;
} answers[] = {
    {"length", OK_HELLO, false, TRANSFER_OK, 200, 5, true},
    {"length, closing", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
     false, TRANSFER_OK, 200, 5, false},
    {"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, TRANSFER_OK, 200, 0, true},
    {"204", "HTTP/1.1 204 No Content\r\n\r\n", false, TRANSFER_OK, 204, 0, true},
    {"interim", "HTTP/1.1 100 Continue\r\n\r\n" OK_HELLO, false, TRANSFER_OK, 200, 5, true},
    {"chunks",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nT: "
     "1\r\n\r\n",
     false, TRANSFER_OK, 200, 5, true},
    {"until close", "HTTP/1.1 200 OK\r\n\r\nhello", true, TRANSFER_OK, 200, 5, false},
    {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, TRANSFER_OK, 200, 5,
     false},
    {"404", "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!", false, TRANSFER_NOT_FOUND,
     404, 3, true},
    {"418", "HTTP/1.1 418 Teapot\r\nContent-Length: 3\r\n\r\ntea", false, TRANSFER_HTTP_ERROR, 418,
     3, true},
    {"head cut short", "HTTP/1.1 200 OK\r\nContent-Le", true, TRANSFER_TRUNCATED, 0, 0, false},
    {"body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", true, TRANSFER_TRUNCATED,
     200, 3, false},
    {"chunks cut short", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2", true,
     TRANSFER_TRUNCATED, 200, 3, false},
    {"garbage", "SSH-2.0-OpenSSH_9.2p1\r\n", false, TRANSFER_PROTOCOL, 0, 0, false},
    {"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false,
     TRANSFER_PROTOCOL, 200, 0, false},
    {"length above the limit", "HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", false,
     TRANSFER_TOO_LARGE, 200, 0, false},
    {"chunk above the limit",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n100\r\n"
     "0123456789012345678901234567890123456789012345678901234567890123456789",
     false, TRANSFER_TOO_LARGE, 200, UINT64_MAX, false},
    {"redirect to a name elsewhere",
     "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/\r\nContent-Length: 0\r\n\r\n", false,
     TRANSFER_PROTOCOL, 302, 0, false},
};

#define UNSPLIT SIZE_MAX

/* @param split  where the first piece ends; UNSPLIT: one piece; 0: byte by byte */
static void answer_check(struct fixture *fixture, size_t which, size_t split)
{
    struct exchange *exchange = &fixture->exchange;
    const char *text = answers[which].response;
    const size_t bytes = strlen(text);
    enum transfer_step step = TRANSFER_MORE;

    begin(fixture, false);
    for (size_t at = 0; at < bytes && step == TRANSFER_MORE;) {
        size_t piece = bytes - at;
        if (split == 0) {
            piece = 1;
        } else if (split < bytes && at == 0) {
            piece = split;
        }
        step = feed(exchange, text + at, piece);
        at += piece;
    }
    if (answers[which].ends) {
        assert_int_equal(step, TRANSFER_MORE);
        step = exchange_eof(exchange, NOW + 2);
    }
    if (step != TRANSFER_DONE || fixture->result.status != answers[which].status) {
        print_error("%s, split %zd: step %d, status %s\n", answers[which].name, (ssize_t)split,
                    (int)step, transfer_status_name(fixture->result.status));
    }
    assert_int_equal(step, TRANSFER_DONE);
    assert_int_equal(fixture->result.status, answers[which].status);
    assert_int_equal(fixture->result.http_status, answers[which].http_status);
    if (answers[which].body_bytes != UINT64_MAX) {
        assert_int_equal(fixture->result.body_bytes, answers[which].body_bytes);
    }
    if (answers[which].status == TRANSFER_OK) {
        assert_int_equal(fixture->result.body_xxh3,
                         body_hash("hello", (size_t)answers[which].body_bytes));
    }
    if (answers[which].http_status != 302) {
        assert_int_equal(exchange_keeps_connection(exchange), answers[which].keeps);
    }
    assert_int_equal(fixture->result.connection, 7);
    assert_int_equal(fixture->result.first_byte_ns, NOW + 1);
    assert_int_equal(fixture->result.attempts, 1);
}

static void test_exchange__ends_the_same_in_every_split(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    for (size_t which = 0; which < sizeof answers / sizeof answers[0]; which++) {
        answer_check(&fixture, which, UNSPLIT);
        for (size_t split = 0; split < strlen(answers[which].response); split++) {
            answer_check(&fixture, which, split);
        }
    }
    fixture_release(&fixture);
}

static void test_exchange__follows_a_redirect_in_every_split(void **state)
{
    static const char redirect[] = "HTTP/1.1 302 Found\r\nLocation: /other?a\r\n"
                                   "Content-Length: 3\r\n\r\nbye";
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    fixture.request.flags = TRANSFER_EXPECT_BODY;
    fixture.request.expected_bytes = 5;
    fixture.request.expected_xxh3 = body_hash("hello", 5);
    for (size_t split = 1; split < sizeof redirect - 1; split++) {
        begin(&fixture, false);
        assert_true(asks_for(&fixture.exchange, "/flag"));
        assert_int_equal(feed(&fixture.exchange, redirect, split), TRANSFER_MORE);
        assert_int_equal(feed_text(&fixture.exchange, redirect + split), TRANSFER_AGAIN);
        assert_true(exchange_keeps_connection(&fixture.exchange));
        assert_true(asks_for(&fixture.exchange, "/other?a"));
        exchange_connected(&fixture.exchange, 7, true);
        assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
        assert_int_equal(fixture.result.status, TRANSFER_OK);
        assert_int_equal(fixture.result.body_bytes, 5);
        assert_int_equal(fixture.result.attempts, 1);
    }
    fixture_release(&fixture);
}

/* ---- bytes nobody asked for ---- */

static void test_exchange__distrusts_a_connection_with_bytes_behind_the_response(void **state)
{
    static const char surplus[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    static const char *const responses[] = {
        OK_HELLO,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    };
    char text[256];
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    for (size_t i = 0; i < sizeof responses / sizeof responses[0]; i++) {
        (void)snprintf(text, sizeof text, "%s%s", responses[i], surplus);
        for (size_t split = 1; split < strlen(responses[i]); split++) {
            begin(&fixture, false);
            assert_int_equal(feed(&fixture.exchange, text, split), TRANSFER_MORE);
            assert_int_equal(feed_text(&fixture.exchange, text + split), TRANSFER_DONE);
            assert_int_equal(fixture.result.status, TRANSFER_OK);
            assert_int_equal(fixture.result.body_bytes, 5);
            assert_int_equal(fixture.result.body_xxh3, body_hash("hello", 5));
            assert_false(exchange_keeps_connection(&fixture.exchange));
        }
    }
    fixture_release(&fixture);
}

static void test_exchange__begins_the_next_one_without_a_trace_of_the_last(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\nContent-Le"), TRANSFER_MORE);
    assert_int_equal(exchange_fail(&fixture.exchange, ECONNRESET, NOW + 2), TRANSFER_DONE);
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    assert_true(exchange_keeps_connection(&fixture.exchange));
    fixture_release(&fixture);
}

/* ---- connections that end ---- */

static const struct {
    const char *name;
    bool used;
    const char *before; /* bytes that arrived */
    int os_error;       /* 0: an orderly end */
    enum transfer_step step;
    enum transfer_status status;
    int32_t told_error;
} ends[] = {
    {"fresh, closed", false, "", 0, TRANSFER_DONE, TRANSFER_TRUNCATED, 0},
    {"fresh, reset", false, "", ECONNRESET, TRANSFER_DONE, TRANSFER_RESET, ECONNRESET},
    {"fresh, refused", false, "", ECONNREFUSED, TRANSFER_DONE, TRANSFER_REFUSED, ECONNREFUSED},
    {"fresh, no descriptors", false, "", EMFILE, TRANSFER_DONE, TRANSFER_REFUSED, EMFILE},
    {"used, closed", true, "", 0, TRANSFER_AGAIN, TRANSFER_UNSET, 0},
    {"used, reset", true, "", ECONNRESET, TRANSFER_AGAIN, TRANSFER_UNSET, 0},
    {"used, broken pipe", true, "", EPIPE, TRANSFER_AGAIN, TRANSFER_UNSET, 0},
    {"used, closed in the answer", true, "H", 0, TRANSFER_DONE, TRANSFER_TRUNCATED, 0},
    {"used, reset in the answer", true, "H", ECONNRESET, TRANSFER_DONE, TRANSFER_RESET, ECONNRESET},
    {"used, out of time", true, "", ETIMEDOUT, TRANSFER_DONE, TRANSFER_TIMEOUT, 0},
    {"used, cancelled", true, "", ECANCELED, TRANSFER_DONE, TRANSFER_CANCELLED, 0},
};

static void test_exchange__tells_a_stale_connection_from_a_failure(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        /* What the connection was used for before must not count as part of this answer. */
        begin(&fixture, false);
        assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
        assert_true(exchange_keeps_connection(&fixture.exchange));
        begin(&fixture, ends[i].used);
        assert_int_equal(feed_text(&fixture.exchange, ends[i].before), TRANSFER_MORE);
        enum transfer_step step = ends[i].os_error != 0
                                      ? exchange_fail(&fixture.exchange, ends[i].os_error, NOW + 2)
                                      : exchange_eof(&fixture.exchange, NOW + 2);
        if (step != ends[i].step || fixture.result.status != ends[i].status) {
            print_error("%s: step %d, status %s\n", ends[i].name, (int)step,
                        transfer_status_name(fixture.result.status));
        }
        assert_int_equal(step, ends[i].step);
        assert_int_equal(fixture.result.status, ends[i].status);
        assert_int_equal(fixture.result.os_error, ends[i].told_error);
        assert_int_equal(fixture.result.attempts, 1);
        assert_false(exchange_keeps_connection(&fixture.exchange));
    }
    fixture_release(&fixture);
}

static void test_exchange__remembers_the_reset_that_a_send_has_heard(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_true(exchange_send_failed(&fixture.exchange, ECONNRESET));
    assert_int_equal(exchange_eof(&fixture.exchange, NOW + 1), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_RESET);
    assert_int_equal(fixture.result.os_error, ECONNRESET);
    /* With an answer begun, its end is what it looks like; and nothing is kept for the next. */
    begin(&fixture, false);
    assert_true(exchange_send_failed(&fixture.exchange, EPIPE));
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\n"), TRANSFER_MORE);
    assert_int_equal(exchange_eof(&fixture.exchange, NOW + 1), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_TRUNCATED);
    begin(&fixture, false);
    assert_int_equal(exchange_eof(&fixture.exchange, NOW + 1), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_TRUNCATED);
    assert_false(exchange_send_failed(&fixture.exchange, EIO));
    fixture_release(&fixture);
}

static void test_exchange__keeps_no_connection_with_half_a_request_on_it(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_true(exchange_send_failed(&fixture.exchange, EPIPE));
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
                     TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    assert_false(exchange_keeps_connection(&fixture.exchange));
    fixture_release(&fixture);
}

static void test_exchange__asks_again_only_once_for_a_stale_connection(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, true);
    assert_int_equal(exchange_eof(&fixture.exchange, NOW + 1), TRANSFER_AGAIN);
    assert_true(asks_for(&fixture.exchange, "/flag"));
    assert_true(request_contains(&fixture.exchange, "try=1"));
    /* Also when it fails before it is connected. */
    assert_int_equal(exchange_fail(&fixture.exchange, ECONNRESET, NOW + 2), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_RESET);
    fixture_release(&fixture);
}

/* ---- attempts ---- */

static void test_exchange__marks_each_attempt_in_its_request(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    fixture.job.attempts_max = 3;
    begin(&fixture, false);
    assert_true(request_contains(&fixture.exchange, "run=m;req=0;try=1\r\n"));
    assert_int_equal(
        feed_text(&fixture.exchange, "HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n"),
        TRANSFER_AGAIN);
    assert_true(exchange_keeps_connection(&fixture.exchange));
    assert_true(request_contains(&fixture.exchange, "try=2\r\n"));
    exchange_connected(&fixture.exchange, 7, true);
    assert_int_equal(feed_text(&fixture.exchange, "H"), TRANSFER_MORE);
    assert_int_equal(exchange_eof(&fixture.exchange, NOW + 2), TRANSFER_AGAIN);
    assert_false(exchange_keeps_connection(&fixture.exchange));
    assert_true(request_contains(&fixture.exchange, "try=3\r\n"));
    exchange_connected(&fixture.exchange, 8, false);
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    assert_int_equal(fixture.result.attempts, 3);
    assert_int_equal(fixture.result.connection, 8);
    fixture_release(&fixture);
}

static void test_exchange__keeps_no_connection_when_fresh_ones_are_wanted(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_false(request_contains(&fixture.exchange, "Connection: close\r\n"));
    fixture.job.flags = DOWNLOAD_FRESH_CONNECTIONS;
    begin(&fixture, false);
    assert_true(request_contains(&fixture.exchange, "Connection: close\r\n"));
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
    assert_false(exchange_keeps_connection(&fixture.exchange));
    fixture_release(&fixture);
}

static void test_exchange__without_an_address_fails_at_once_and_spares_the_connection(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_DONE);
    fixture.targets.endpoints.endpoints[0].address_bytes = 0;
    assert_int_equal(exchange_start(&fixture.exchange, 0, NOW), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_UNRESOLVED);
    assert_true(exchange_keeps_connection(&fixture.exchange));
    fixture_release(&fixture);
}

static void test_exchange__has_a_longer_request_after_a_shorter_one(void **state)
{
    char redirect[1200];
    char path[1001];
    struct fixture fixture;
    (void)state;

    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    (void)snprintf(redirect, sizeof redirect,
                   "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", path);
    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_true(fixture.exchange.request_capacity < sizeof path);
    assert_int_equal(feed_text(&fixture.exchange, redirect), TRANSFER_AGAIN);
    assert_true(request_contains(&fixture.exchange, path));
    assert_memory_equal(fixture.exchange.request + fixture.exchange.request_bytes -
                            strlen("\r\n\r\n"),
                        "\r\n\r\n", 4);
    fixture_release(&fixture);
}

/* ---- saving ---- */

static void test_exchange__is_over_only_when_the_file_is_written(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    fixture.request.save_name = "flag";
    fixture.job.output_dir_fd = 0; /* never touched: saving is the model's */
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_SAVE);
    assert_true(exchange_keeps_connection(&fixture.exchange));
    assert_memory_equal(fixture.exchange.transfer.body, "hello", 5);
    assert_int_equal(fixture.result.status, TRANSFER_UNSET);
    assert_int_equal(exchange_saved(&fixture.exchange, 0, NOW + 3), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    assert_int_equal(fixture.result.finished_ns, NOW + 3);

    begin(&fixture, true);
    assert_int_equal(feed_text(&fixture.exchange, OK_HELLO), TRANSFER_SAVE);
    assert_int_equal(exchange_saved(&fixture.exchange, ENOSPC, NOW + 3), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_SAVE_FAILED);
    assert_int_equal(fixture.result.os_error, ENOSPC);
    fixture_release(&fixture);
}

/* ---- the spill ---- */

static void test_exchange__copies_only_the_line_that_is_split(void **state)
{
    struct fixture fixture;
    (void)state;

    fixture_init(&fixture, URL);
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\n"), TRANSFER_MORE);
    assert_int_equal(feed_text(&fixture.exchange, "Content-Length: 5\r\n\r\nhe"), TRANSFER_MORE);
    assert_int_equal(feed_text(&fixture.exchange, "llo"), TRANSFER_DONE);
    assert_null(fixture.exchange.spill);

    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\nCont"), TRANSFER_MORE);
    assert_int_equal(fixture.exchange.spill_bytes, 4);
    assert_int_equal(feed_text(&fixture.exchange, "ent-Length: 5\r\n\r\nhe"), TRANSFER_MORE);
    assert_int_equal(fixture.exchange.spill_bytes, 0);
    assert_int_equal(feed_text(&fixture.exchange, "llo"), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    fixture_release(&fixture);
}

static void test_exchange__copies_no_body_behind_a_split_line(void **state)
{
    static const char rest[] = "ent-Length: 4000\r\n\r\n";
    char text[sizeof rest - 1 + 4000];
    struct fixture fixture;
    (void)state;

    memcpy(text, rest, sizeof rest - 1);
    memset(text + sizeof rest - 1, 'b', 4000);
    fixture_init(&fixture, URL);
    fixture.job.body_bytes_max = 4000;
    begin(&fixture, false);
    assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\nCont"), TRANSFER_MORE);
    assert_int_equal(feed(&fixture.exchange, text, sizeof text), TRANSFER_DONE);
    assert_int_equal(fixture.result.status, TRANSFER_OK);
    assert_int_equal(fixture.result.body_bytes, 4000);
    assert_true(fixture.exchange.spill_capacity < 4000);
    fixture_release(&fixture);
}

static void test_exchange__refuses_a_line_without_end_in_pieces_of_any_size(void **state)
{
    static const size_t pieces[] = {
        1, 7, 512, HTTP1_LINE_BYTES_MAX - 1, HTTP1_LINE_BYTES_MAX + 1, 4 * HTTP1_LINE_BYTES_MAX};
    static char endless[4 * HTTP1_LINE_BYTES_MAX];
    struct fixture fixture;
    (void)state;

    memset(endless, 'x', sizeof endless);
    fixture_init(&fixture, URL);
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        enum transfer_step step = TRANSFER_MORE;
        begin(&fixture, false);
        assert_int_equal(feed_text(&fixture.exchange, "HTTP/1.1 200 OK\r\nX: "), TRANSFER_MORE);
        for (size_t fed = 0; fed < sizeof endless && step == TRANSFER_MORE; fed += pieces[i]) {
            step = feed(&fixture.exchange, endless, pieces[i]);
        }
        assert_int_equal(step, TRANSFER_DONE);
        assert_int_equal(fixture.result.status, TRANSFER_PROTOCOL);
        assert_true(fixture.exchange.spill_capacity <= 2 * HTTP1_LINE_BYTES_MAX);
    }
    fixture_release(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exchange__ends_the_same_in_every_split),
        cmocka_unit_test(test_exchange__follows_a_redirect_in_every_split),
        cmocka_unit_test(test_exchange__distrusts_a_connection_with_bytes_behind_the_response),
        cmocka_unit_test(test_exchange__begins_the_next_one_without_a_trace_of_the_last),
        cmocka_unit_test(test_exchange__tells_a_stale_connection_from_a_failure),
        cmocka_unit_test(test_exchange__remembers_the_reset_that_a_send_has_heard),
        cmocka_unit_test(test_exchange__keeps_no_connection_with_half_a_request_on_it),
        cmocka_unit_test(test_exchange__asks_again_only_once_for_a_stale_connection),
        cmocka_unit_test(test_exchange__marks_each_attempt_in_its_request),
        cmocka_unit_test(test_exchange__keeps_no_connection_when_fresh_ones_are_wanted),
        cmocka_unit_test(test_exchange__without_an_address_fails_at_once_and_spares_the_connection),
        cmocka_unit_test(test_exchange__has_a_longer_request_after_a_shorter_one),
        cmocka_unit_test(test_exchange__is_over_only_when_the_file_is_written),
        cmocka_unit_test(test_exchange__copies_only_the_line_that_is_split),
        cmocka_unit_test(test_exchange__copies_no_body_behind_a_split_line),
        cmocka_unit_test(test_exchange__refuses_a_line_without_end_in_pieces_of_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
