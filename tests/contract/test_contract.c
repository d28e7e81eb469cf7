/* The contract of backends/backend.h, checked on one backend: test_contract NAME. */
#include "support/mock.h"
#include "support/script_server.h"

#include "backends/body_hash.h"
#include "backends/clock.h"
#include "backends/registry.h"
#include "backends/transfer.h"
#include "harness/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT_MAX 256
#define URL_ROOM 192

static const struct bench_backend *backend;

static const char *const codes[20] = {"bd", "br", "cd", "cn", "de", "eg", "et", "fr", "id", "in",
                                      "ir", "jp", "mx", "ng", "ph", "pk", "ru", "tr", "us", "vn"};

/* A job on the heap of the test, with room for its texts. */
struct batch {
    struct transfer_request requests[COUNT_MAX];
    struct transfer_result results[COUNT_MAX];
    char urls[COUNT_MAX][URL_ROOM];
    char names[COUNT_MAX][16];
    struct download_job job;
};

static struct batch *batch_new(size_t count, uint32_t concurrency)
{
    struct batch *batch = calloc(1, sizeof *batch);

    assert_non_null(batch);
    assert_true(count <= COUNT_MAX);
    batch->job = (struct download_job){
        .struct_size = sizeof batch->job,
        .requests = batch->requests,
        .count = count,
        .concurrency = concurrency,
        .loops = 1,
        .timeout_ns = 5 * NS_PER_S,
        .body_bytes_max = 8u << 20,
        .attempts_max = 1,
        .redirects_max = 5,
        .output_dir_fd = -1,
        .run_mark = "contract",
    };
    for (size_t i = 0; i < count; i++) {
        batch->requests[i].url = batch->urls[i];
    }
    return batch;
}

/* `count` flags of a mock server, the twenty codes in turn. `query` may be "". */
static struct batch *batch_of_flags(const struct mock *mock, size_t count, uint32_t concurrency,
                                    const char *query)
{
    struct batch *batch = batch_new(count, concurrency);

    for (size_t i = 0; i < count; i++) {
        const struct manifest_flag *flag = mock_flag(mock, codes[i % 20]);
        (void)snprintf(batch->urls[i], URL_ROOM, "%s%s%s", mock->origin, flag->path, query);
        (void)snprintf(batch->names[i], sizeof batch->names[i], "%s%zu.gif", flag->cc, i / 20);
        batch->requests[i].expected_bytes = flag->bytes;
        batch->requests[i].expected_xxh3 = flag->xxh3;
        batch->requests[i].flags = TRANSFER_EXPECT_BODY;
    }
    return batch;
}

static void batch_run(struct batch *batch)
{
    memset(batch->results, 0, sizeof batch->results);
    assert_int_equal(backend->download_many(&batch->job, batch->results), 0);
    for (size_t i = 0; i < batch->job.count; i++) {
        const struct transfer_result *slot = &batch->results[i];
        assert_int_not_equal(slot->status, TRANSFER_UNSET);
        assert_true(slot->status < TRANSFER_STATUS_COUNT);
        assert_true(slot->finished_ns >= slot->started_ns);
        assert_true(slot->attempts <= batch->job.attempts_max);
    }
}

static void assert_status(const struct batch *batch, size_t index, enum transfer_status status)
{
    const struct transfer_result *slot = &batch->results[index];

    if (slot->status != status) {
        fail_msg("%s: %s: %s (HTTP %d, errno %d, %s), wanted %s", backend->name, batch->urls[index],
                 transfer_status_name(slot->status), slot->http_status, slot->os_error,
                 slot->message, transfer_status_name(status));
    }
}

static void assert_all(const struct batch *batch, enum transfer_status status)
{
    for (size_t i = 0; i < batch->job.count; i++) {
        assert_status(batch, i, status);
    }
}

static bool concurrent(void)
{
    return (backend->caps & BENCH_CAP_CONCURRENT) != 0;
}

static uint64_t distinct_connections(const struct batch *batch)
{
    bool seen[COUNT_MAX * 4] = {false};
    uint64_t count = 0;

    for (size_t i = 0; i < batch->job.count; i++) {
        uint32_t number = batch->results[i].connection;
        assert_true(number > 0 && number < sizeof seen);
        count += !seen[number];
        seen[number] = true;
    }
    return count;
}

/* Started once: a server draws all of its flags first, which takes a slow build a second. */
static struct mock plain;

/* A server that answers at once, or after the delay that a query asks for; with new counters. */
static const struct mock *plain_mock(void)
{
    mock_reset(&plain);
    return &plain;
}

/* A server that does something else. */
#define MOCK(mock, ...)                                                                            \
    struct mock mock;                                                                              \
    mock_start(&mock, (const char *const[]){__VA_ARGS__, NULL})

static void test_every_flag_arrives_whole_and_is_verified(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 20, 20, "?delay=20ms");
    struct server_stats stats;
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    for (size_t i = 0; i < 20; i++) {
        const struct transfer_result *slot = &batch->results[i];
        assert_int_equal(slot->http_status, 200);
        assert_int_equal(slot->attempts, 1);
        assert_int_equal(slot->os_error, 0);
        assert_string_equal(slot->message, "");
        assert_true(slot->body_bytes == batch->requests[i].expected_bytes);
        assert_true(slot->body_xxh3 == batch->requests[i].expected_xxh3);
        assert_true(slot->first_byte_ns >= slot->started_ns + 19 * NS_PER_MS);
        assert_true(slot->first_byte_ns <= slot->finished_ns);
    }
    mock_stats(mock, &stats);
    assert_int_equal(stats.requests, 20);
    assert_int_equal(stats.duplicates, 0);
    assert_int_equal(stats.accepted, distinct_connections(batch));
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(server_stats_path(&stats, mock_flag(mock, codes[i])->path), 1);
    }
    server_stats_release(&stats);
    free(batch);
}

/* As many as that in flight, and never more. A busy machine may not get all of them under way
 * before the first is answered: then again, with more time for it. */
static void assert_ceiling(size_t count, uint32_t concurrency, uint32_t loops)
{
    const char *const delays[] = {concurrent() ? "?delay=100ms" : "?delay=10ms", "?delay=600ms",
                                  "?delay=3s"};
    uint64_t wanted = !concurrent() ? 1 : count < concurrency ? count : concurrency;
    uint64_t most = 0;

    for (size_t i = 0; i < sizeof delays / sizeof delays[0] && most < wanted; i++) {
        const struct mock *mock = plain_mock();
        struct batch *batch = batch_of_flags(mock, count, concurrency, delays[i]);
        struct server_stats stats;
        batch->job.loops = loops;
        batch_run(batch);
        assert_all(batch, TRANSFER_OK);
        mock_stats(mock, &stats);
        assert_int_equal(stats.requests, count);
        assert_int_equal(stats.duplicates, 0);
        assert_int_equal(stats.accepted, distinct_connections(batch));
        most = stats.max_in_flight;
        assert_in_range(most, 1, wanted);
        server_stats_release(&stats);
        free(batch);
    }
    assert_int_equal(most, wanted);
}

static void test_as_many_are_in_flight_as_asked_for_and_never_more(void **state)
{
    (void)state;
    assert_ceiling(24, 8, 1);
    assert_ceiling(5, 1, 1);
    assert_ceiling(10, 64, 1);
    assert_ceiling(1, 4, 1);
}

/* Without BENCH_CAP_LOOPS the number is the harness's to refuse; it may do no harm here. */
static void test_several_loops_share_the_places_and_the_work(void **state)
{
    static const uint32_t loops[] = {2, 3, 8, 64};
    size_t kinds = (backend->caps & BENCH_CAP_LOOPS) != 0 ? sizeof loops / sizeof loops[0] : 1;
    (void)state;

    for (size_t i = 0; i < kinds; i++) {
        assert_ceiling(16, 8, loops[i]);
    }
}

static void test_connections_are_kept_alive(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 100, 4, "");
    struct server_stats stats;
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    mock_stats(mock, &stats);
    assert_int_equal(stats.accepted, distinct_connections(batch));
    assert_in_range(stats.accepted, 1, concurrent() ? 4 : 1);
    server_stats_release(&stats);
    free(batch);
}

static void test_fresh_connections_carry_one_transfer_each(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 50, 4, "");
    struct server_stats stats;
    (void)state;

    batch->job.flags |= DOWNLOAD_FRESH_CONNECTIONS;
    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    mock_stats(mock, &stats);
    assert_int_equal(stats.accepted, 50);
    assert_int_equal(distinct_connections(batch), 50);
    server_stats_release(&stats);
    free(batch);
}

static void test_a_connection_that_the_server_ends_is_replaced(void **state)
{
    MOCK(mock, "--max-requests", "3");
    struct batch *batch = batch_of_flags(&mock, 60, 4, "");
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    assert_true(distinct_connections(batch) >= 20);
    free(batch);
    mock_stop(&mock);
}

static void test_a_missing_flag_is_not_found_and_disturbs_no_other(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 20, 5, "");
    (void)state;

    (void)snprintf(batch->urls[7], URL_ROOM, "%.127s/flags/xx/xx.gif", mock->origin);
    batch_run(batch);
    for (size_t i = 0; i < 20; i++) {
        assert_status(batch, i, i == 7 ? TRANSFER_NOT_FOUND : TRANSFER_OK);
    }
    assert_int_equal(batch->results[7].http_status, 404);
    free(batch);
}

static void test_a_teapot_is_an_http_error(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 10, 5, "?fault=status:418");
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_HTTP_ERROR);
    assert_int_equal(batch->results[0].http_status, 418);
    free(batch);
}

static void test_a_failed_attempt_is_made_again_when_allowed(void **state)
{
    MOCK(mock, "--fault", "status:503@1,try<=2");
    struct batch *batch = batch_of_flags(&mock, 20, 5, "");
    (void)state;

    batch->job.attempts_max = 2;
    batch_run(batch);
    assert_all(batch, TRANSFER_HTTP_ERROR);
    batch->job.attempts_max = 3;
    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    assert_int_equal(batch->results[0].attempts, 3);
    free(batch);
    mock_stop(&mock);
}

static void test_a_wrong_body_is_a_mismatch(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 3, 3, "");
    (void)state;

    batch->requests[0].expected_xxh3 ^= 1;
    batch->requests[1].expected_bytes += 1;
    batch_run(batch);
    assert_status(batch, 0, TRANSFER_MISMATCH);
    assert_status(batch, 1, TRANSFER_MISMATCH);
    assert_status(batch, 2, TRANSFER_OK);
    free(batch);
}

static void test_a_body_above_the_limit_is_too_large(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 4, 2, "?size=100000");
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        batch->requests[i].flags = 0;
    }
    batch->job.body_bytes_max = 99999;
    batch_run(batch);
    assert_all(batch, TRANSFER_TOO_LARGE);
    batch->job.body_bytes_max = 100000;
    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    free(batch);
}

static void test_a_body_of_many_pieces_is_hashed_as_one(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 4, 2, "?size=3000000");
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        batch->requests[i].flags = 0;
    }
    batch_run(batch);
    assert_all(batch, TRANSFER_OK);
    /* The same path twice gives the same body; another backend's hash of it is compared by the
     * harness. */
    uint64_t first = batch->results[0].body_xxh3;
    batch_run(batch);
    assert_true(first == batch->results[0].body_xxh3);
    assert_int_equal(batch->results[0].body_bytes, 3000000);
    free(batch);
}

static void test_a_late_answer_is_a_timeout_and_the_others_go_on(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 12, 4, "");
    (void)state;

    for (size_t i = 0; i < 12; i += 4) {
        (void)strcat(batch->urls[i], "?delay=20s");
    }
    batch->job.timeout_ns = 500 * NS_PER_MS; /* the others have to be done by then */
    uint64_t begun_ns = clock_now_ns();
    batch_run(batch);
    uint64_t took_ns = clock_now_ns() - begun_ns;
    for (size_t i = 0; i < 12; i++) {
        assert_status(batch, i, i % 4 == 0 ? TRANSFER_TIMEOUT : TRANSFER_OK);
    }
    assert_true(took_ns >= batch->job.timeout_ns);
    assert_true(took_ns < 5 * NS_PER_S);
    free(batch);
}

/* @return the time from the end of the last transfer of a batch to the end of its run */
static uint64_t last_transfer_to_end_ns(struct batch *batch)
{
    uint64_t finished_ns = 0;

    batch_run(batch);
    uint64_t ended_ns = clock_now_ns();
    for (size_t i = 0; i < batch->job.count; i++) {
        if (batch->results[i].finished_ns > finished_ns) {
            finished_ns = batch->results[i].finished_ns;
        }
    }
    return ended_ns - finished_ns;
}

/* And not with a wait for nothing, which would be in the walls that are compared. */
static void test_a_run_ends_with_its_last_transfer(void **state)
{
    struct batch *batch = batch_of_flags(plain_mock(), 4, 2, "?size=3000000");
    (void)state;

    for (size_t i = 0; i < 4; i++) {
        batch->requests[i].flags = 0;
    }
    for (int run = 0; run < 4; run++) { /* it depends on how the pieces come */
        assert_true(last_transfer_to_end_ns(batch) < 900 * NS_PER_MS);
        assert_all(batch, TRANSFER_OK);
    }
    free(batch);
}

/* A port that was free a moment ago; nobody listens on it. */
static int closed_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static void test_a_closed_port_is_refused(void **state)
{
    struct batch *batch = batch_new(6, 3);
    int port = closed_port();
    (void)state;

    for (size_t i = 0; i < 6; i++) {
        (void)snprintf(batch->urls[i], URL_ROOM, "http://127.0.0.1:%d/flags/cn/cn.gif", port);
    }
    batch_run(batch);
    assert_all(batch, TRANSFER_REFUSED);
    assert_int_equal(batch->results[0].os_error, ECONNREFUSED);
    assert_string_not_equal(batch->results[0].message, "");
    free(batch);
}

/*
 * A process that kills the server once that has a request. Not a thread: a backend that forks
 * beside a thread that allocates leaves its children a locked heap under a sanitizer.
 */
static pid_t kill_when_busy(const struct mock *mock)
{
    pid_t killer = fork();

    assert_true(killer >= 0);
    if (killer > 0) {
        return killer;
    }
    (void)alarm(10);
    char url[URL_ROOM];
    (void)snprintf(url, sizeof url, "%s/stats", mock->admin);
    for (uint64_t seen = 0; seen == 0;) {
        struct server_stats stats;
        struct http_reply reply;
        if (http_client_get(url, &reply) < 0 ||
            server_stats_parse(&stats, reply.body, reply.body_bytes) < 0) {
            _exit(EXIT_FAILURE);
        }
        seen = stats.requests;
        server_stats_release(&stats);
        http_reply_release(&reply);
    }
    (void)kill(mock->pid, SIGKILL);
    _exit(EXIT_SUCCESS);
}

static void test_a_server_that_dies_in_the_middle_fails_every_transfer_soon(void **state)
{
    MOCK(mock, "--delay", "2s");
    struct batch *batch = batch_of_flags(&mock, 20, 5, "");
    int ended = -1;
    (void)state;

    uint64_t begun_ns = clock_now_ns();
    pid_t killer = kill_when_busy(&mock);
    batch_run(batch);
    assert_true(clock_now_ns() - begun_ns < 10 * NS_PER_S);
    assert_int_equal(waitpid(killer, &ended, 0), killer);
    assert_int_equal(ended, 0);
    mock_kill(&mock);
    for (size_t i = 0; i < 20; i++) {
        uint32_t status = batch->results[i].status;
        assert_true(status == TRANSFER_RESET || status == TRANSFER_REFUSED ||
                    status == TRANSFER_TRUNCATED);
    }
    free(batch);
}

/* ---- what a server may say, right and wrong: every backend gives the same status ---- */

struct script_case {
    struct script_answer answer;
    enum transfer_status status;
    int http_status;
};

#define HEAD "HTTP/1.1 200 OK\r\n"

static const struct script_case script_cases[] = {
    {{.path = "/length", .bytes = HEAD "Content-Length: 5\r\n\r\nhello"}, TRANSFER_OK, 200},
    {{.path = "/chunked",
      .bytes = HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"},
     TRANSFER_OK,
     200},
    {{.path = "/close", .bytes = HEAD "Connection: close\r\n\r\nhello"}, TRANSFER_OK, 200},
    {{.path = "/http10", .bytes = "HTTP/1.0 200 OK\r\n\r\nhello"}, TRANSFER_OK, 200},
    {{.path = "/interim",
      .bytes =
          "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" HEAD "Content-Length: 5\r\n\r\nhello"},
     TRANSFER_OK,
     200},
    {{.path = "/empty-body", .bytes = HEAD "Content-Length: 0\r\n\r\n"}, TRANSFER_OK, 200},
    {{.path = "/no-content", .bytes = "HTTP/1.1 204 No Content\r\n\r\n"}, TRANSFER_OK, 204},
    {{.path = "/gone", .bytes = "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"},
     TRANSFER_HTTP_ERROR,
     410},
    {{.path = "/redirect",
      .bytes = "HTTP/1.1 302 Found\r\nLocation: /length\r\nContent-Length: 0\r\n\r\n"},
     TRANSFER_OK,
     200},
    {{.path = "/redirect-absolute",
      .bytes = "HTTP/1.1 301 Moved\r\nLocation: %s/length\r\nContent-Length: 4\r\n\r\ngone"},
     TRANSFER_OK,
     200},
    {{.path = "/redirect-loop",
      .bytes = "HTTP/1.1 302 Found\r\nLocation: /redirect-loop\r\nContent-Length: 0\r\n\r\n"},
     TRANSFER_PROTOCOL,
     302},
    {{.path = "/redirect-away",
      .bytes = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"},
     TRANSFER_PROTOCOL,
     302},
    {{.path = "/redirect-file",
      .bytes = "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"},
     TRANSFER_PROTOCOL,
     302},
    {{.path = "/short", .bytes = HEAD "Content-Length: 50\r\n\r\nhello"}, TRANSFER_TRUNCATED, 200},
    {{.path = "/short-chunk", .bytes = HEAD "Transfer-Encoding: chunked\r\n\r\n50\r\nhello"},
     TRANSFER_TRUNCATED,
     200},
    {{.path = "/no-answer", .bytes = ""}, TRANSFER_TRUNCATED, 0},
    {{.path = "/half-head", .bytes = "HTTP/1.1 200 OK\r\nContent-Le"}, TRANSFER_TRUNCATED, 0},
    {{.path = "/reset", .bytes = "", .reset = true}, TRANSFER_RESET, 0},
    {{.path = "/reset-in-body", .bytes = HEAD "Content-Length: 50\r\n\r\nhello", .reset = true},
     TRANSFER_RESET,
     200},
    {{.path = "/garbage", .bytes = "\x16\x03\x01 this is not HTTP at all\r\n\r\n"},
     TRANSFER_PROTOCOL,
     0},
    {{.path = "/bad-length", .bytes = HEAD "Content-Length: -5\r\n\r\nhello"},
     TRANSFER_PROTOCOL,
     -1},
    {{.path = "/bad-chunk",
      .bytes = HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n"},
     TRANSFER_PROTOCOL,
     -1},
    {{.path = "/encoded", .bytes = HEAD "Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"},
     TRANSFER_PROTOCOL,
     -1},
    {{.path = "/large-head", .bytes = HEAD "X-Large: ", .padding_bytes = 120000},
     TRANSFER_PROTOCOL,
     -1},
    {{.path = "/too-large", .bytes = HEAD "Content-Length: 9000000\r\n\r\n", .padding_bytes = 1000},
     TRANSFER_TOO_LARGE,
     200},
};

#define SCRIPT_CASES (sizeof script_cases / sizeof script_cases[0])

static void check_script_case(const struct batch *batch, size_t index)
{
    const struct script_case *wanted = &script_cases[index];
    const struct transfer_result *slot = &batch->results[index];

    assert_status(batch, index, wanted->status);
    if (wanted->http_status >= 0 && slot->http_status != wanted->http_status) {
        fail_msg("%s: HTTP status %d, wanted %d", wanted->answer.path, slot->http_status,
                 wanted->http_status);
    }
    if (wanted->status != TRANSFER_OK && slot->message[0] == '\0') {
        fail_msg("%s: no message", wanted->answer.path);
    }
    for (const char *at = slot->message; *at != '\0'; at++) {
        assert_true(*at >= 0x20 && *at < 0x7f);
    }
}

static void test_every_kind_of_answer_has_its_status(void **state)
{
    static struct script_answer answers[SCRIPT_CASES];
    struct script_server server;
    struct batch *batch = batch_new(SCRIPT_CASES, 4);
    (void)state;

    for (size_t i = 0; i < SCRIPT_CASES; i++) {
        answers[i] = script_cases[i].answer;
    }
    script_server_start(&server, answers, SCRIPT_CASES);
    for (size_t i = 0; i < SCRIPT_CASES; i++) {
        (void)snprintf(batch->urls[i], URL_ROOM, "%s%s", server.origin, answers[i].path);
    }
    batch_run(batch);
    script_server_stop(&server);
    for (size_t i = 0; i < SCRIPT_CASES; i++) {
        check_script_case(batch, i);
    }
    free(batch);
}

/* ---- saving ---- */

static void make_folder(char path[static 32], int *fd)
{
    (void)strcpy(path, "/tmp/bench-contract-XXXXXX");
    assert_non_null(mkdtemp(path));
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(*fd >= 0);
}

static size_t empty_folder(const char *path, int fd)
{
    DIR *folder = opendir(path);
    size_t count = 0;

    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            count++;
            assert_int_equal(unlinkat(fd, entry->d_name, 0), 0);
        }
    }
    (void)closedir(folder);
    (void)close(fd);
    assert_int_equal(rmdir(path), 0);
    return count;
}

static void assert_file(int dir_fd, const char *name, const struct transfer_request *request)
{
    static unsigned char data[1 << 20];
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    ssize_t bytes = read(fd, data, sizeof data);
    (void)close(fd);
    assert_int_equal(bytes, request->expected_bytes);
    assert_true(body_hash(data, (size_t)bytes) == request->expected_xxh3);
}

static void put_file(int dir_fd, const char *name, size_t bytes)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    (void)close(fd);
}

static void check_saving(uint32_t job_flags)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 40, 8, "");
    char path[32];
    int fd = -1;

    make_folder(path, &fd);
    put_file(fd, "bd0.gif", 500000); /* longer than the flag: has to be cut */
    put_file(fd, "br0.gif", 10);
    for (size_t i = 0; i < 40; i++) {
        batch->requests[i].save_name = batch->names[i];
    }
    batch->job.output_dir_fd = fd;
    batch->job.flags |= job_flags;
    for (int pass = 0; pass < 2; pass++) {
        batch_run(batch);
        assert_all(batch, TRANSFER_OK);
        for (size_t i = 0; i < 40; i++) {
            assert_file(fd, batch->names[i], &batch->requests[i]);
        }
    }
    assert_int_equal(empty_folder(path, fd), 40);
    free(batch);
}

static void test_saved_files_are_the_bodies(void **state)
{
    (void)state;
    check_saving(0);
}

static void test_saved_files_are_the_bodies_when_renamed_into_place(void **state)
{
    (void)state;
    check_saving(DOWNLOAD_SAVE_ATOMIC);
}

static void test_a_link_in_the_folder_is_not_followed(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 2, 2, "");
    char path[32];
    char outside[] = "/tmp/bench-outside-XXXXXX";
    struct stat info;
    int fd = -1;
    (void)state;

    int outside_fd = mkstemp(outside);
    assert_true(outside_fd >= 0);
    make_folder(path, &fd);
    assert_int_equal(symlinkat(outside, fd, "bd0.gif"), 0);
    batch->requests[0].save_name = "bd0.gif";
    batch->requests[1].save_name = "br0.gif";
    batch->job.output_dir_fd = fd;
    batch_run(batch);
    assert_status(batch, 0, TRANSFER_SAVE_FAILED);
    assert_int_equal(batch->results[0].os_error, ELOOP);
    assert_status(batch, 1, TRANSFER_OK);
    assert_int_equal(fstat(outside_fd, &info), 0);
    assert_int_equal(info.st_size, 0);
    (void)close(outside_fd);
    (void)unlink(outside);
    assert_int_equal(empty_folder(path, fd), 2);
    free(batch);
}

static void test_only_a_right_body_is_saved(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 3, 3, "");
    char path[32];
    int fd = -1;
    (void)state;

    make_folder(path, &fd);
    for (size_t i = 0; i < 3; i++) {
        batch->requests[i].save_name = batch->names[i];
    }
    batch->requests[0].expected_xxh3 ^= 1;
    (void)strcat(batch->urls[1], "?fault=status:418");
    batch->job.output_dir_fd = fd;
    batch_run(batch);
    assert_status(batch, 0, TRANSFER_MISMATCH);
    assert_status(batch, 1, TRANSFER_HTTP_ERROR);
    assert_status(batch, 2, TRANSFER_OK);
    assert_int_equal(empty_folder(path, fd), 1);
    free(batch);
}

/* ---- bytes that nobody asked for ---- */

#define UNASKED HEAD "Content-Length: 5\r\n\r\nwrong"

/* The surplus of one answer must not pass for the next one. */
static const struct script_answer unasked_answers[] = {
    {.path = "/first", .bytes = HEAD "Content-Length: 5\r\n\r\nfirst", .keep = true},
    {.path = "/with", .bytes = HEAD "Content-Length: 5\r\n\r\nfirst" UNASKED, .keep = true},
    {.path = "/behind",
     .bytes = HEAD "Content-Length: 5\r\n\r\nfirst",
     .keep = true,
     .unasked = UNASKED},
    {.path = "/end", .bytes = HEAD "Content-Length: 5\r\n\r\nfirst", .unasked = ""},
    {.path = "/last", .bytes = HEAD "Content-Length: 4\r\n\r\nlast"},
};

/* callback: the body is there, the file is not begun, and the rest is on its way */
static void wait_for_unasked(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct script_server *server = user;
    struct timespec until;

    (void)body, (void)body_bytes;
    if (index == 0) {
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 5;
        (void)sem_post(&server->signals->answered);
        (void)sem_timedwait(&server->signals->unasked_sent, &until);
    }
}

/* Two requests, one after the other, the first of which brings more than it should.
 * @param waits  until it is there, before the file is written */
static void check_unasked(const char *path, bool saves, bool waits, uint64_t connections)
{
    struct script_server server;
    const struct download_hooks hooks = {.user = &server, .on_body = wait_for_unasked};
    struct batch *batch = batch_new(2, 1);
    char folder[32];
    int fd = -1;

    script_server_start(&server, unasked_answers, sizeof unasked_answers / sizeof *unasked_answers);
    (void)snprintf(batch->urls[0], URL_ROOM, "%s%s", server.origin, path);
    (void)snprintf(batch->urls[1], URL_ROOM, "%s/last", server.origin);
    make_folder(folder, &fd);
    if (saves) {
        batch->job.output_dir_fd = fd;
        batch->requests[0].save_name = "first";
    }
    batch->job.hooks = waits ? &hooks : NULL;
    batch_run(batch);
    script_server_stop(&server);
    assert_all(batch, TRANSFER_OK);
    assert_true(batch->results[0].body_xxh3 == body_hash("first", 5));
    assert_true(batch->results[1].body_xxh3 == body_hash("last", 4));
    assert_int_equal(distinct_connections(batch), connections);
    assert_int_equal(empty_folder(folder, fd), saves);
    free(batch);
}

static void test_bytes_that_nobody_asked_for_are_no_answer(void **state)
{
    (void)state;
    check_unasked("/first", false, false, 1);
    check_unasked("/first", true, false, 1);
    check_unasked("/with", false, false, 2);
    check_unasked("/with", true, false, 2);
}

/* Of the raw engine only: libcurl 7.88 does not look, and takes what has come for the next answer.
 */
static void test_what_comes_while_a_file_is_written_is_no_answer(void **state)
{
    (void)state;
    if (strcmp(backend->engine, "raw") != 0) {
        skip();
    }
    check_unasked("/behind", true, true, 2);
    check_unasked("/end", true, true, 2);
}

/* ---- hooks ---- */

struct witness {
    _Atomic uint32_t completions;
    _Atomic uint32_t bodies;
    _Atomic uint32_t told[COUNT_MAX];
    uint32_t cancel_after;
    bool wrong_body;
    const struct batch *batch;
};

static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct witness *witness = user;

    witness->told[index] += result->status != TRANSFER_UNSET;
    witness->completions++;
}

static void on_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct witness *witness = user;

    if (body_hash(body, body_bytes) != witness->batch->requests[index].expected_xxh3) {
        witness->wrong_body = true;
    }
    witness->bodies++;
}

static int is_cancelled(void *user)
{
    const struct witness *witness = user;

    return witness->cancel_after > 0 && witness->completions >= witness->cancel_after;
}

static void test_each_completion_is_told_once_with_its_body(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 60, 6, "");
    struct witness witness = {.batch = batch};
    struct download_hooks hooks = {
        .user = &witness, .on_complete = on_complete, .on_body = on_body};
    (void)state;

    (void)strcat(batch->urls[3], "?fault=status:418");
    batch->job.hooks = &hooks;
    batch_run(batch);
    assert_int_equal(witness.completions, 60);
    assert_int_equal(witness.bodies, 59);
    assert_false(witness.wrong_body);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(witness.told[i], 1);
    }
    free(batch);
}

static void test_a_caller_who_stops_gets_every_slot_answered_soon(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 200, 2, "?delay=100ms"); /* 10 s, were it to go on */
    struct witness witness = {.batch = batch, .cancel_after = 4};
    struct download_hooks hooks = {
        .user = &witness, .on_complete = on_complete, .cancelled = is_cancelled};
    size_t cancelled = 0;
    (void)state;

    batch->job.hooks = &hooks;
    uint64_t begun_ns = clock_now_ns();
    batch_run(batch);
    assert_true(clock_now_ns() - begun_ns < 5 * NS_PER_S);
    for (size_t i = 0; i < 200; i++) {
        uint32_t status = batch->results[i].status;
        assert_true(status == TRANSFER_OK || status == TRANSFER_CANCELLED);
        cancelled += status == TRANSFER_CANCELLED;
    }
    assert_in_range(cancelled, 190, 196);
    free(batch);
}

/* ---- sockets ---- */

#define RENO "reno"
#define CONTROL_BYTES 16 /* TCP_CA_NAME_MAX of the kernel */
#define DESCRIPTORS_LOOKED_AT 256

struct socket_witness {
    uint16_t port; /* of the server, in network order */
    _Atomic uint32_t sockets;
    _Atomic uint32_t others; /* that use something else */
};

static bool reno_can_be_chosen(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool can = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, RENO, sizeof RENO - 1) == 0;

    (void)close(fd);
    return can;
}

static bool leads_to(int fd, uint16_t port)
{
    struct sockaddr_in peer = {0};
    socklen_t bytes = sizeof peer;

    return getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0 && peer.sin_port == port;
}

static void look_at_sockets(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct socket_witness *witness = user;

    (void)index;
    (void)body;
    (void)body_bytes;
    for (int fd = 0; fd < DESCRIPTORS_LOOKED_AT; fd++) {
        char control[CONTROL_BYTES] = "";
        socklen_t bytes = sizeof control;
        if (leads_to(fd, witness->port) &&
            getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, &bytes) == 0) {
            witness->sockets++;
            witness->others += strcmp(control, RENO) != 0;
        }
    }
}

/* No model is to pay for what the machine computes about sending: tcp_reno.h. */
static void test_sockets_use_the_least_congestion_control(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 20, 4, "");
    struct socket_witness witness = {
        .port = htons((uint16_t)strtoul(strrchr(mock->origin, ':') + 1, NULL, 10))};
    struct download_hooks hooks = {.user = &witness, .on_body = look_at_sockets};
    (void)state;

    if (!reno_can_be_chosen()) {
        skip();
    }
    batch->job.hooks = &hooks;
    batch_run(batch);
    if (strcmp(backend->model, "processes") != 0) { /* whose sockets are not ours to see */
        assert_true(witness.sockets >= 20);
    }
    assert_int_equal(witness.others, 0);
    free(batch);
}

static size_t open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

static void test_nothing_stays_open_after_a_run(void **state)
{
    const struct mock *mock = plain_mock();
    struct batch *batch = batch_of_flags(mock, 40, 8, "");
    (void)state;

    batch_run(batch);
    size_t before = open_descriptors();
    for (uint32_t i = 0; i < 3; i++) {
        batch->job.loops = 1 + i;
        batch_run(batch);
    }
    assert_int_equal(open_descriptors(), before);
    free(batch);
}

static void test_an_empty_job_is_done_at_once(void **state)
{
    struct batch *batch = batch_new(0, 8);
    (void)state;
    assert_int_equal(backend->download_many(&batch->job, batch->results), 0);
    free(batch);
}

static int start_plain(void **state)
{
    (void)state;
    mock_start(&plain, (const char *const[]){"--delay", "0", NULL});
    return 0;
}

static int stop_plain(void **state)
{
    (void)state;
    mock_stop(&plain);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flag_arrives_whole_and_is_verified),
        cmocka_unit_test(test_as_many_are_in_flight_as_asked_for_and_never_more),
        cmocka_unit_test(test_several_loops_share_the_places_and_the_work),
        cmocka_unit_test(test_connections_are_kept_alive),
        cmocka_unit_test(test_fresh_connections_carry_one_transfer_each),
        cmocka_unit_test(test_a_connection_that_the_server_ends_is_replaced),
        cmocka_unit_test(test_a_missing_flag_is_not_found_and_disturbs_no_other),
        cmocka_unit_test(test_a_teapot_is_an_http_error),
        cmocka_unit_test(test_a_failed_attempt_is_made_again_when_allowed),
        cmocka_unit_test(test_a_wrong_body_is_a_mismatch),
        cmocka_unit_test(test_a_body_above_the_limit_is_too_large),
        cmocka_unit_test(test_a_body_of_many_pieces_is_hashed_as_one),
        cmocka_unit_test(test_a_late_answer_is_a_timeout_and_the_others_go_on),
        cmocka_unit_test(test_a_run_ends_with_its_last_transfer),
        cmocka_unit_test(test_a_closed_port_is_refused),
        cmocka_unit_test(test_a_server_that_dies_in_the_middle_fails_every_transfer_soon),
        cmocka_unit_test(test_every_kind_of_answer_has_its_status),
        cmocka_unit_test(test_saved_files_are_the_bodies),
        cmocka_unit_test(test_saved_files_are_the_bodies_when_renamed_into_place),
        cmocka_unit_test(test_a_link_in_the_folder_is_not_followed),
        cmocka_unit_test(test_only_a_right_body_is_saved),
        cmocka_unit_test(test_bytes_that_nobody_asked_for_are_no_answer),
        cmocka_unit_test(test_what_comes_while_a_file_is_written_is_no_answer),
        cmocka_unit_test(test_each_completion_is_told_once_with_its_body),
        cmocka_unit_test(test_a_caller_who_stops_gets_every_slot_answered_soon),
        cmocka_unit_test(test_sockets_use_the_least_congestion_control),
        cmocka_unit_test(test_nothing_stays_open_after_a_run),
        cmocka_unit_test(test_an_empty_job_is_done_at_once),
    };
    char reason[BENCH_REASON_BYTES] = "";

    backend = argc == 2 ? backend_find(argv[1]) : NULL;
    if (backend == NULL) {
        (void)fprintf(stderr, "usage: test_contract BACKEND\n");
        return 64;
    }
    if (backend->unavailable != NULL || (backend->probe != NULL && backend->probe(reason) != 0)) {
        (void)fprintf(stderr, "skipped: %s: %s\n", backend->name,
                      backend->unavailable != NULL ? backend->unavailable : reason);
        return 77;
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests_name(backend->name, tests, start_plain, stop_plain);
    curl_global_cleanup();
    return failed;
}
