#include "backends/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL "http://127.0.0.1:8000/flags/br/br.gif"
#define START_NS UINT64_C(1000000)
#define TIMEOUT_NS UINT64_C(5000)
#define BODY_BYTES 4096

/* What the hooks were told, in order: 'b' for a body, 'c' for a completion. */
struct record {
    char calls[16];
    size_t count;
    size_t index;
    uint64_t body_bytes;
    uint32_t status;
    int stop;
};

/* One request, its transfer, and where all of it is kept. */
struct fixture {
    struct transfer_request request;
    struct transfer_result slot;
    struct download_job job;
    struct download_hooks hooks;
    struct record record;
    struct transfer transfer;
    unsigned char body[BODY_BYTES];
};

static void note(struct record *record, char call, size_t index)
{
    assert_true(record->count < sizeof record->calls - 1);
    record->calls[record->count++] = call;
    record->index = index;
}

static void on_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct record *record = user;
    (void)body;
    note(record, 'b', index);
    record->body_bytes = body_bytes;
}

static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct record *record = user;
    note(record, 'c', index);
    record->status = result->status;
}

static int asks_to_stop(void *user)
{
    return ((struct record *)user)->stop;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (size_t i = 0; i < sizeof f->body; i++) {
        f->body[i] = (unsigned char)(i * 7 + i / 256);
    }
    f->hooks = (struct download_hooks){
        .user = &f->record,
        .on_complete = on_complete,
        .on_body = on_body,
        .cancelled = asks_to_stop,
    };
    f->request = (struct transfer_request){.url = URL};
    f->job = (struct download_job){
        .struct_size = sizeof f->job,
        .requests = &f->request,
        .count = 1,
        .concurrency = 1,
        .loops = 1,
        .timeout_ns = TIMEOUT_NS,
        .body_bytes_max = BODY_BYTES,
        .attempts_max = 1,
        .redirects_max = 5,
        .output_dir_fd = -1,
    };
    transfer_init(&f->transfer, &f->job, &f->slot);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    transfer_release(&f->transfer);
    free(f);
    return 0;
}

static void begin(struct fixture *f)
{
    memset(&f->slot, 0, sizeof f->slot);
    transfer_start(&f->transfer, 0, START_NS);
}

/* A whole response: its length announced when `announced`, its body in pieces of `piece`. */
static enum transfer_step respond(struct fixture *f, int http_status, size_t bytes, bool announced,
                                  size_t piece)
{
    transfer_first_byte(&f->transfer, START_NS + 10);
    if (announced) {
        assert_int_equal(transfer_expect(&f->transfer, bytes), 0);
    }
    for (size_t at = 0; at < bytes; at += piece) {
        size_t left = bytes - at;
        assert_int_equal(transfer_body(&f->transfer, f->body + at, left < piece ? left : piece), 0);
    }
    return transfer_complete(&f->transfer, http_status, START_NS + 20);
}

static enum transfer_step redirect_to(struct fixture *f, int http_status, const char *location)
{
    assert_int_equal(transfer_location(&f->transfer, location, strlen(location)), 0);
    return transfer_complete(&f->transfer, http_status, START_NS + 20);
}

static void assert_target(const struct fixture *f, const char *path)
{
    struct url_view view;

    assert_int_equal(url_parse_any(f->transfer.url, &view), 0);
    assert_int_equal(view.path_bytes, strlen(path));
    assert_memory_equal(view.path, path, strlen(path));
}

static void test_transfer__names_every_status(void **state)
{
    (void)state;
    assert_string_equal(transfer_status_name(TRANSFER_UNSET), "unset");
    assert_string_equal(transfer_status_name(TRANSFER_OK), "ok");
    assert_string_equal(transfer_status_name(TRANSFER_UNRESOLVED), "unresolved");
    for (int a = 0; a < TRANSFER_STATUS_COUNT; a++) {
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(transfer_status_name((enum transfer_status)a),
                                    transfer_status_name((enum transfer_status)b));
        }
    }
}

static void test_transfer__gives_the_verdict_of_each_http_status(void **state)
{
    static const struct {
        int http_status;
        enum transfer_status status;
        const char *message;
    } cases[] = {
        {200, TRANSFER_OK, ""},
        {204, TRANSFER_OK, ""},
        {299, TRANSFER_OK, ""},
        {300, TRANSFER_HTTP_ERROR, "HTTP status 300"},
        {302, TRANSFER_HTTP_ERROR, "HTTP status 302"}, /* without a Location */
        {304, TRANSFER_HTTP_ERROR, "HTTP status 304"},
        {404, TRANSFER_NOT_FOUND, "HTTP status 404"},
        {410, TRANSFER_HTTP_ERROR, "HTTP status 410"},
        {418, TRANSFER_HTTP_ERROR, "HTTP status 418"},
        {503, TRANSFER_HTTP_ERROR, "HTTP status 503"},
        {999, TRANSFER_HTTP_ERROR, "HTTP status 999"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(f);
        assert_int_equal(respond(f, cases[i].http_status, 10, true, 10), TRANSFER_DONE);
        assert_int_equal(f->slot.status, cases[i].status);
        assert_int_equal(f->slot.http_status, cases[i].http_status);
        assert_string_equal(f->slot.message, cases[i].message);
        assert_int_equal(f->slot.attempts, 1);
    }
}

static void test_transfer__fills_the_whole_slot(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(f->transfer.deadline_ns, START_NS + TIMEOUT_NS);
    transfer_connection(&f->transfer, 7);
    assert_int_equal(respond(f, 200, 100, true, 60), TRANSFER_DONE);
    assert_int_equal(f->slot.body_bytes, 100);
    assert_int_equal(f->slot.body_xxh3, body_hash(f->body, 100));
    assert_int_equal(f->slot.started_ns, START_NS);
    assert_int_equal(f->slot.first_byte_ns, START_NS + 10);
    assert_int_equal(f->slot.finished_ns, START_NS + 20);
    assert_int_equal(f->slot.connection, 7);
    assert_int_equal(f->slot.os_error, 0);
}

static void test_transfer__counts_only_the_first_of_first_bytes(void **state)
{
    struct fixture *f = *state;

    begin(f);
    transfer_first_byte(&f->transfer, START_NS + 3);
    transfer_first_byte(&f->transfer, START_NS + 4);
    assert_int_equal(f->slot.first_byte_ns, START_NS + 3);
}

static void test_transfer__hashes_the_same_in_every_split(void **state)
{
    struct fixture *f = *state;
    const size_t bytes = 600; /* more than one block of XXH3 */
    const uint64_t expected = body_hash(f->body, bytes);

    for (size_t piece = 1; piece <= bytes; piece++) {
        for (int announced = 0; announced <= 1; announced++) {
            begin(f);
            assert_int_equal(respond(f, 200, bytes, announced != 0, piece), TRANSFER_DONE);
            assert_int_equal(f->slot.body_bytes, bytes);
            assert_int_equal(f->slot.body_xxh3, expected);
        }
    }
}

static void test_transfer__hashes_an_empty_body(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(respond(f, 200, 0, true, 1), TRANSFER_DONE);
    assert_int_equal(f->slot.body_xxh3, UINT64_C(0x2d06800538d394c2)); /* XXH3-64 of nothing */
}

static void test_transfer__compares_length_and_hash_when_they_are_expected(void **state)
{
    struct fixture *f = *state;

    f->request.flags = TRANSFER_EXPECT_BODY;
    f->request.expected_bytes = 100;
    f->request.expected_xxh3 = body_hash(f->body, 100);
    begin(f);
    assert_int_equal(respond(f, 200, 100, true, 100), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);

    begin(f);
    assert_int_equal(respond(f, 200, 99, true, 99), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_MISMATCH);
    assert_string_equal(f->slot.message, "99 bytes, expected 100");
    assert_int_equal(f->slot.body_bytes, 99);

    f->body[50] ^= 1;
    begin(f);
    assert_int_equal(respond(f, 200, 100, true, 100), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_MISMATCH);
    assert_int_equal(strncmp(f->slot.message, "hash ", 5), 0);
    assert_int_equal(f->slot.body_xxh3, body_hash(f->body, 100));
}

static void test_transfer__does_not_compare_the_body_of_an_error(void **state)
{
    struct fixture *f = *state;

    f->request.flags = TRANSFER_EXPECT_BODY;
    f->request.expected_bytes = 100;
    begin(f);
    assert_int_equal(respond(f, 404, 5, true, 5), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_NOT_FOUND);
}

static void test_transfer__refuses_a_body_above_the_limit(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(transfer_expect(&f->transfer, BODY_BYTES), 0);
    assert_int_equal(transfer_expect(&f->transfer, BODY_BYTES + 1), -EFBIG);
    assert_int_equal(transfer_expect(&f->transfer, UINT64_MAX), -EFBIG);

    begin(f);
    assert_int_equal(transfer_body(&f->transfer, f->body, BODY_BYTES), 0);
    assert_int_equal(transfer_body(&f->transfer, f->body, 0), 0);
    assert_int_equal(transfer_body(&f->transfer, f->body, 1), -EFBIG);
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_TOO_LARGE, 0, NULL, START_NS + 1),
                     TRANSFER_DONE);
    assert_int_equal(f->slot.body_bytes, BODY_BYTES);
    assert_string_equal(f->slot.message, "body above the limit");
}

static void test_transfer__refuses_a_body_above_the_length_announced(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(transfer_expect(&f->transfer, 10), 0);
    assert_int_equal(transfer_body(&f->transfer, f->body, 11), -EFBIG);
    assert_int_equal(transfer_body(&f->transfer, f->body, 10), 0);
    assert_int_equal(transfer_body(&f->transfer, f->body, 1), -EFBIG);
}

static void test_transfer__forgets_the_announced_length_of_the_response_before(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    begin(f);
    assert_int_equal(respond(f, 503, 5, true, 5), TRANSFER_AGAIN);
    assert_int_equal(respond(f, 200, 50, false, 50), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
    assert_int_equal(f->slot.body_bytes, 50);
    assert_int_equal(f->slot.body_xxh3, body_hash(f->body, 50));
}

static void test_transfer__retries_what_may_succeed_another_time(void **state)
{
    static const struct {
        enum transfer_status status;
        int http_status;
        bool again;
    } cases[] = {
        {TRANSFER_TIMEOUT, 0, true},       {TRANSFER_REFUSED, 0, true},
        {TRANSFER_RESET, 0, true},         {TRANSFER_TRUNCATED, 0, true},
        {TRANSFER_TOO_LARGE, 0, false},    {TRANSFER_PROTOCOL, 0, false},
        {TRANSFER_SAVE_FAILED, 0, false},  {TRANSFER_CANCELLED, 0, false},
        {TRANSFER_UNRESOLVED, 0, false},   {TRANSFER_NOT_FOUND, 404, false},
        {TRANSFER_HTTP_ERROR, 302, false}, {TRANSFER_HTTP_ERROR, 400, false},
        {TRANSFER_HTTP_ERROR, 403, false}, {TRANSFER_HTTP_ERROR, 408, true},
        {TRANSFER_HTTP_ERROR, 418, true},  {TRANSFER_HTTP_ERROR, 425, true},
        {TRANSFER_HTTP_ERROR, 429, true},  {TRANSFER_HTTP_ERROR, 500, true},
        {TRANSFER_HTTP_ERROR, 503, true},
    };
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum transfer_step step;
        begin(f);
        if (cases[i].http_status != 0) {
            step = transfer_complete(&f->transfer, cases[i].http_status, START_NS + 20);
        } else {
            step = transfer_fail(&f->transfer, cases[i].status, 0, NULL, START_NS + 20);
        }
        assert_int_equal(step, cases[i].again ? TRANSFER_AGAIN : TRANSFER_DONE);
        assert_int_equal(f->slot.attempts, cases[i].again ? 2 : 1);
        assert_int_equal(f->slot.status, cases[i].again ? TRANSFER_UNSET : cases[i].status);
    }
}

static void test_transfer__retries_a_mismatch(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    f->request.flags = TRANSFER_EXPECT_BODY;
    f->request.expected_bytes = 10;
    f->request.expected_xxh3 = body_hash(f->body, 10);
    begin(f);
    assert_int_equal(respond(f, 200, 9, true, 9), TRANSFER_AGAIN);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
    assert_int_equal(f->slot.attempts, 2);
    assert_string_equal(f->slot.message, "");
}

static void test_transfer__restarts_an_attempt_afresh(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    begin(f);
    assert_int_equal(redirect_to(f, 302, "/elsewhere"), TRANSFER_AGAIN);
    transfer_first_byte(&f->transfer, START_NS + 30);
    assert_int_equal(transfer_body(&f->transfer, f->body, 100), 0);
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_RESET, ECONNRESET, NULL, START_NS + 40),
                     TRANSFER_AGAIN);
    assert_target(f, "/flags/br/br.gif");
    assert_int_equal(f->transfer.deadline_ns, START_NS + 40 + TIMEOUT_NS);
    assert_int_equal(f->transfer.redirects, 0);
    assert_int_equal(f->slot.first_byte_ns, 0);
    assert_int_equal(f->slot.body_bytes, 0);
    assert_int_equal(f->slot.started_ns, START_NS);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
    assert_int_equal(f->slot.os_error, 0);
    assert_int_equal(f->slot.body_bytes, 10);
}

static void test_transfer__stops_at_the_last_attempt(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 3;
    begin(f);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(transfer_fail(&f->transfer, TRANSFER_REFUSED, ECONNREFUSED, NULL, 1),
                         TRANSFER_AGAIN);
    }
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_REFUSED, ECONNREFUSED, NULL, 2),
                     TRANSFER_DONE);
    assert_int_equal(f->slot.attempts, 3);
    assert_int_equal(f->slot.status, TRANSFER_REFUSED);
    assert_int_equal(f->slot.os_error, ECONNREFUSED);
    assert_string_equal(f->slot.message, "cannot connect: Connection refused");
}

static void test_transfer__follows_each_kind_of_redirect(void **state)
{
    static const int http_statuses[] = {301, 302, 303, 307, 308};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof http_statuses / sizeof http_statuses[0]; i++) {
        begin(f);
        transfer_first_byte(&f->transfer, START_NS + 5);
        assert_int_equal(redirect_to(f, http_statuses[i], "../us/us.gif"), TRANSFER_AGAIN);
        assert_target(f, "/flags/us/us.gif");
        assert_int_equal(f->slot.first_byte_ns, 0);
        assert_int_equal(f->slot.attempts, 1);
        assert_int_equal(f->transfer.deadline_ns, START_NS + TIMEOUT_NS);
        assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
        assert_int_equal(f->slot.status, TRANSFER_OK);
    }
}

static void test_transfer__resolves_a_hop_against_the_hop_before(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(redirect_to(f, 302, "http://127.0.0.1:8000/a/b/c"), TRANSFER_AGAIN);
    assert_int_equal(redirect_to(f, 302, "d"), TRANSFER_AGAIN);
    assert_target(f, "/a/b/d");
}

static void test_transfer__ignores_a_location_of_another_status(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(redirect_to(f, 200, "/elsewhere"), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
    begin(f);
    assert_int_equal(redirect_to(f, 300, "/elsewhere"), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_HTTP_ERROR);
}

static void test_transfer__forgets_the_location_of_the_hop_before(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(redirect_to(f, 302, "/elsewhere"), TRANSFER_AGAIN);
    assert_int_equal(transfer_complete(&f->transfer, 302, START_NS + 30), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_HTTP_ERROR);
}

static void test_transfer__does_not_follow_what_leads_elsewhere(void **state)
{
    static const struct {
        const char *location;
        const char *message;
    } cases[] = {
        {"http://127.0.0.1:8001/", "redirect to another host or scheme"},
        {"http://127.0.0.1/", "redirect to another host or scheme"},
        {"http://127.0.0.2:8000/", "redirect to another host or scheme"},
        {"//example.org/", "redirect to another host or scheme"},
        {"https://127.0.0.1:8000/", "redirect to another host or scheme"},
        {"file:///etc/passwd", "redirect to another host or scheme"},
        {"http://127.0.0.1:99999/", "redirect to a malformed URL"},
        {"/a b", "redirect to a malformed URL"},
    };
    struct fixture *f = *state;

    f->job.attempts_max = 3;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(f);
        assert_int_equal(redirect_to(f, 302, cases[i].location), TRANSFER_DONE);
        assert_int_equal(f->slot.status, TRANSFER_PROTOCOL);
        assert_string_equal(f->slot.message, cases[i].message);
    }
}

static void test_transfer__follows_no_more_hops_than_allowed(void **state)
{
    struct fixture *f = *state;

    begin(f);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(redirect_to(f, 302, "/loop"), TRANSFER_AGAIN);
    }
    assert_int_equal(redirect_to(f, 302, "/loop"), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_PROTOCOL);
    assert_int_equal(f->slot.http_status, 302);
    assert_string_equal(f->slot.message, "more than 5 redirects");
}

static void test_transfer__refuses_a_location_above_the_limit(void **state)
{
    struct fixture *f = *state;
    static char location[URL_BYTES_MAX + 1];

    memset(location, 'a', sizeof location);
    begin(f);
    assert_int_equal(transfer_location(&f->transfer, location, URL_BYTES_MAX), 0);
    assert_int_equal(transfer_location(&f->transfer, location, URL_BYTES_MAX + 1), -ENAMETOOLONG);
}

static void test_transfer__keeps_the_body_only_for_those_who_want_it(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
    assert_null(f->transfer.body);

    f->request.save_name = "br.gif"; /* a name, but no folder */
    begin(f);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
    assert_null(f->transfer.body);

    f->job.output_dir_fd = 3; /* any: nothing here opens files */
    begin(f);
    assert_int_equal(respond(f, 200, 1000, true, 300), TRANSFER_SAVE);
    assert_int_equal(f->slot.status, TRANSFER_UNSET);
    assert_memory_equal(f->transfer.body, f->body, 1000);
    assert_int_equal(f->transfer.kept_capacity, 1000);
    assert_int_equal(transfer_saved(&f->transfer, 0, START_NS + 50), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
    assert_int_equal(f->slot.finished_ns, START_NS + 50);
}

static void test_transfer__copies_nothing_of_a_whole_body_that_is_lent(void **state)
{
    struct fixture *f = *state;

    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    transfer_lend(&f->transfer);
    begin(f);
    assert_int_equal(respond(f, 200, 1000, true, 1000), TRANSFER_SAVE);
    assert_ptr_equal(f->transfer.body, f->body);
    assert_int_equal(f->transfer.kept_capacity, 0);
}

static void test_transfer__copies_a_lent_body_that_comes_in_pieces(void **state)
{
    struct fixture *f = *state;

    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    transfer_lend(&f->transfer);
    begin(f);
    assert_int_equal(respond(f, 200, 1000, true, 300), TRANSFER_SAVE);
    assert_ptr_not_equal(f->transfer.body, f->body);
    assert_memory_equal(f->transfer.body, f->body, 1000);

    begin(f);
    assert_int_equal(respond(f, 200, 900, false, 900), TRANSFER_SAVE); /* the end is not known */
    assert_ptr_not_equal(f->transfer.body, f->body);
    assert_memory_equal(f->transfer.body, f->body, 900);
}

static void test_transfer__never_holds_more_than_the_limit(void **state)
{
    struct fixture *f = *state;

    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    begin(f);
    assert_int_equal(respond(f, 200, BODY_BYTES, false, 1), TRANSFER_SAVE);
    assert_int_equal(f->transfer.kept_capacity, BODY_BYTES);
    assert_memory_equal(f->transfer.body, f->body, BODY_BYTES);
}

static void test_transfer__saves_nothing_that_is_not_ok(void **state)
{
    struct fixture *f = *state;

    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    begin(f);
    assert_int_equal(respond(f, 404, 10, true, 10), TRANSFER_DONE);
    f->request.flags = TRANSFER_EXPECT_BODY;
    begin(f);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_MISMATCH);
}

static void test_transfer__says_why_a_file_could_not_be_written(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 3;
    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    begin(f);
    assert_int_equal(respond(f, 200, 10, true, 10), TRANSFER_SAVE);
    assert_int_equal(transfer_saved(&f->transfer, ENOSPC, START_NS + 50), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_SAVE_FAILED);
    assert_int_equal(f->slot.os_error, ENOSPC);
    assert_string_equal(f->slot.message, "cannot save: No space left on device");
    assert_int_equal(f->slot.body_bytes, 10);
}

static void test_transfer__shows_the_body_before_it_tells_of_completion(void **state)
{
    struct fixture *f = *state;

    f->job.hooks = &f->hooks;
    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    begin(f);
    assert_int_equal(respond(f, 200, 10, true, 3), TRANSFER_SAVE);
    assert_string_equal(f->record.calls, "b");
    assert_int_equal(f->record.body_bytes, 10);
    assert_int_equal(transfer_saved(&f->transfer, 0, START_NS + 50), TRANSFER_DONE);
    assert_string_equal(f->record.calls, "bc");
    assert_int_equal(f->record.status, TRANSFER_OK);
}

static void test_transfer__tells_of_a_failure_once_and_shows_no_body(void **state)
{
    struct fixture *f = *state;

    f->job.hooks = &f->hooks;
    f->job.attempts_max = 2;
    begin(f);
    assert_int_equal(respond(f, 503, 10, true, 10), TRANSFER_AGAIN);
    assert_string_equal(f->record.calls, "");
    assert_int_equal(respond(f, 503, 10, true, 10), TRANSFER_DONE);
    assert_string_equal(f->record.calls, "c");
    assert_int_equal(f->record.status, TRANSFER_HTTP_ERROR);
}

static void test_transfer__answers_for_requests_never_started(void **state)
{
    struct fixture *f = *state;

    assert_false(transfer_cancelled(&f->job));
    f->job.hooks = &f->hooks;
    assert_false(transfer_cancelled(&f->job));
    f->record.stop = 1;
    assert_true(transfer_cancelled(&f->job));
    f->job.attempts_max = 3;
    transfer_cancel_unstarted(&f->job, &f->slot, 0, START_NS);
    assert_int_equal(f->slot.status, TRANSFER_CANCELLED);
    assert_int_equal(f->slot.attempts, 0);
    assert_int_equal(f->slot.started_ns, START_NS);
    assert_int_equal(f->slot.finished_ns, START_NS);
    assert_string_equal(f->slot.message, "cancelled");
    assert_string_equal(f->record.calls, "c");
}

static void test_transfer__writes_only_printable_messages_that_fit(void **state)
{
    struct fixture *f = *state;

    begin(f);
    (void)transfer_fail(&f->transfer, TRANSFER_PROTOCOL, 0, "a\x1b[31m\n\xc3\xa9\x7f", START_NS);
    assert_string_equal(f->slot.message, "a?[31m????");

    static char text[2 * TRANSFER_MESSAGE_BYTES];
    memset(text, 'x', sizeof text - 1);
    begin(f);
    (void)transfer_fail(&f->transfer, TRANSFER_PROTOCOL, 0, text, START_NS);
    assert_int_equal(strlen(f->slot.message), TRANSFER_MESSAGE_BYTES - 1);
}

static void test_transfer__knows_the_status_of_an_errno(void **state)
{
    static const struct {
        int os_error;
        enum transfer_status status;
    } cases[] = {
        {ETIMEDOUT, TRANSFER_TIMEOUT},    {ECANCELED, TRANSFER_CANCELLED},
        {ECONNREFUSED, TRANSFER_REFUSED}, {ENETUNREACH, TRANSFER_REFUSED},
        {EHOSTUNREACH, TRANSFER_REFUSED}, {EADDRNOTAVAIL, TRANSFER_REFUSED},
        {EMFILE, TRANSFER_REFUSED},       {ECONNRESET, TRANSFER_RESET},
        {EPIPE, TRANSFER_RESET},          {ENOMEM, TRANSFER_RESET},
        {EFBIG, TRANSFER_TOO_LARGE},      {EPROTO, TRANSFER_PROTOCOL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(transfer_status_of_errno(cases[i].os_error), cases[i].status);
    }
}

/* ---- lookups ---- */

#define LOOKUP "dns://127.0.0.1:5353/example.org"

static void begin_lookup(struct fixture *f)
{
    f->request.url = LOOKUP;
    begin(f);
}

static enum transfer_step find(struct fixture *f, size_t bytes)
{
    transfer_first_byte(&f->transfer, START_NS + 10);
    assert_int_equal(transfer_expect(&f->transfer, bytes), 0);
    assert_int_equal(transfer_body(&f->transfer, f->body, bytes), 0);
    return transfer_found(&f->transfer, START_NS + 20);
}

static void test_transfer__tells_a_lookup_by_its_url(void **state)
{
    struct fixture *f = *state;

    begin(f);
    assert_false(f->transfer.is_lookup);
    begin_lookup(f);
    assert_true(f->transfer.is_lookup);
    assert_int_equal(f->transfer.deadline_ns, START_NS + TIMEOUT_NS);
    f->request.url = URL;
    begin(f);
    assert_false(f->transfer.is_lookup);
    assert_target(f, "/flags/br/br.gif");
}

static void test_transfer__fills_the_whole_slot_of_a_lookup(void **state)
{
    struct fixture *f = *state;

    begin_lookup(f);
    transfer_connection(&f->transfer, 3);
    assert_int_equal(find(f, 8), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
    assert_int_equal(f->slot.http_status, 0);
    assert_int_equal(f->slot.body_bytes, 8);
    assert_true(f->slot.body_xxh3 == body_hash(f->body, 8));
    assert_int_equal(f->slot.started_ns, START_NS);
    assert_int_equal(f->slot.first_byte_ns, START_NS + 10);
    assert_int_equal(f->slot.finished_ns, START_NS + 20);
    assert_int_equal(f->slot.attempts, 1);
    assert_int_equal(f->slot.connection, 3);
    assert_int_equal(f->slot.os_error, 0);
    assert_string_equal(f->slot.message, "");
}

static void test_transfer__compares_the_addresses_that_are_expected(void **state)
{
    struct fixture *f = *state;

    f->request.flags = TRANSFER_EXPECT_BODY;
    f->request.expected_bytes = 4;
    f->request.expected_xxh3 = body_hash(f->body, 4);
    begin_lookup(f);
    assert_int_equal(find(f, 4), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);

    f->request.expected_xxh3 ^= 1;
    f->job.attempts_max = 2;
    begin_lookup(f);
    assert_int_equal(find(f, 4), TRANSFER_AGAIN);
    assert_int_equal(find(f, 8), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_MISMATCH);
    assert_int_equal(f->slot.attempts, 2);
    assert_string_equal(f->slot.message, "8 bytes, expected 4");
}

static void test_transfer__asks_again_what_may_be_answered_another_time(void **state)
{
    static const struct {
        enum transfer_status status;
        bool again;
    } cases[] = {
        {TRANSFER_UNRESOLVED, true}, {TRANSFER_TIMEOUT, true},    {TRANSFER_REFUSED, true},
        {TRANSFER_RESET, true},      {TRANSFER_NOT_FOUND, false}, {TRANSFER_PROTOCOL, false},
        {TRANSFER_CANCELLED, false},
    };
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const enum transfer_status status = cases[i].status;
        begin_lookup(f);
        enum transfer_step step = transfer_fail(&f->transfer, status, 0, "why", START_NS + 30);
        assert_int_equal(step, cases[i].again ? TRANSFER_AGAIN : TRANSFER_DONE);
        assert_int_equal(f->slot.status, cases[i].again ? TRANSFER_UNSET : status);
        if (cases[i].again) {
            assert_int_equal(f->transfer.deadline_ns, START_NS + 30 + TIMEOUT_NS);
            step = transfer_fail(&f->transfer, status, 0, "why", START_NS + 60);
            assert_int_equal(step, TRANSFER_DONE);
            assert_int_equal(f->slot.attempts, 2);
        }
        assert_int_equal(f->slot.status, status);
        assert_string_equal(f->slot.message, "why");
    }
}

static void test_transfer__does_not_ask_another_host_when_http_finds_none(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    begin(f);
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_UNRESOLVED, 0, NULL, START_NS),
                     TRANSFER_DONE);
    assert_false(transfer_is_worth_another_attempt(TRANSFER_UNRESOLVED, 0));
    assert_true(transfer_is_worth_another_lookup(TRANSFER_UNRESOLVED));
}

static void test_transfer__forgets_the_addresses_of_the_attempt_before(void **state)
{
    struct fixture *f = *state;

    f->job.attempts_max = 2;
    begin_lookup(f);
    assert_int_equal(transfer_body(&f->transfer, f->body, 4), 0);
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_TIMEOUT, 0, NULL, START_NS + 5),
                     TRANSFER_AGAIN);
    assert_int_equal(find(f, 4), TRANSFER_DONE);
    assert_int_equal(f->slot.body_bytes, 4);
    assert_true(f->slot.body_xxh3 == body_hash(f->body, 4));
}

static void test_transfer__shows_addresses_before_it_tells_of_completion(void **state)
{
    struct fixture *f = *state;

    f->job.hooks = &f->hooks;
    begin_lookup(f);
    assert_int_equal(find(f, 12), TRANSFER_DONE);
    assert_string_equal(f->record.calls, "bc");
    assert_int_equal(f->record.body_bytes, 12);
    assert_int_equal(f->record.status, TRANSFER_OK);

    f->record = (struct record){.count = 0};
    f->job.attempts_max = 2;
    begin_lookup(f);
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_UNRESOLVED, 0, NULL, START_NS + 5),
                     TRANSFER_AGAIN);
    assert_string_equal(f->record.calls, "");
    assert_int_equal(transfer_fail(&f->transfer, TRANSFER_NOT_FOUND, 0, NULL, START_NS + 5),
                     TRANSFER_DONE);
    assert_string_equal(f->record.calls, "c");
    assert_int_equal(f->record.status, TRANSFER_NOT_FOUND);
}

/* A name is no file, whatever the request says. */
static void test_transfer__never_saves_a_lookup(void **state)
{
    struct fixture *f = *state;

    f->request.save_name = "br.gif";
    f->job.output_dir_fd = 3;
    begin_lookup(f);
    assert_int_equal(find(f, 4), TRANSFER_DONE);
    assert_int_equal(f->slot.status, TRANSFER_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_transfer__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_every_status),
        TEST(gives_the_verdict_of_each_http_status),
        TEST(fills_the_whole_slot),
        TEST(counts_only_the_first_of_first_bytes),
        TEST(hashes_the_same_in_every_split),
        TEST(hashes_an_empty_body),
        TEST(compares_length_and_hash_when_they_are_expected),
        TEST(does_not_compare_the_body_of_an_error),
        TEST(refuses_a_body_above_the_limit),
        TEST(refuses_a_body_above_the_length_announced),
        TEST(forgets_the_announced_length_of_the_response_before),
        TEST(retries_what_may_succeed_another_time),
        TEST(retries_a_mismatch),
        TEST(restarts_an_attempt_afresh),
        TEST(stops_at_the_last_attempt),
        TEST(follows_each_kind_of_redirect),
        TEST(resolves_a_hop_against_the_hop_before),
        TEST(ignores_a_location_of_another_status),
        TEST(forgets_the_location_of_the_hop_before),
        TEST(does_not_follow_what_leads_elsewhere),
        TEST(follows_no_more_hops_than_allowed),
        TEST(refuses_a_location_above_the_limit),
        TEST(keeps_the_body_only_for_those_who_want_it),
        TEST(copies_nothing_of_a_whole_body_that_is_lent),
        TEST(copies_a_lent_body_that_comes_in_pieces),
        TEST(never_holds_more_than_the_limit),
        TEST(saves_nothing_that_is_not_ok),
        TEST(says_why_a_file_could_not_be_written),
        TEST(shows_the_body_before_it_tells_of_completion),
        TEST(tells_of_a_failure_once_and_shows_no_body),
        TEST(answers_for_requests_never_started),
        TEST(writes_only_printable_messages_that_fit),
        TEST(knows_the_status_of_an_errno),
        TEST(tells_a_lookup_by_its_url),
        TEST(fills_the_whole_slot_of_a_lookup),
        TEST(compares_the_addresses_that_are_expected),
        TEST(asks_again_what_may_be_answered_another_time),
        TEST(does_not_ask_another_host_when_http_finds_none),
        TEST(forgets_the_addresses_of_the_attempt_before),
        TEST(shows_addresses_before_it_tells_of_completion),
        TEST(never_saves_a_lookup),
    };
    return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
