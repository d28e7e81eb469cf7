/* The contract of backends/backend.h, checked on one backend that looks up names:
 * test_dns_contract NAME. */
#include "support/lying_dns.h"
#include "support/mock.h"

#include "backends/body_hash.h"
#include "backends/clock.h"
#include "backends/registry.h"
#include "backends/transfer.h"
#include "mockserver/dns_zone.h"

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
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define COUNT_MAX 1500
#define MANY 1200 /* at once: more than an fd_set holds, and fewer than there are */
#define NAME_ROOM 24
#define URL_ROOM 96
#define FD_SETSIZE_OF_LIBC 1024

/* What a time limit may be late, in the best of some trials: the machine has other things to do. */
#define LATE_NS (50 * NS_PER_MS)
#define TRIALS 16

static const struct bench_backend *backend;

/* A job on the heap of the test, with room for its texts. */
struct batch {
    struct transfer_request requests[COUNT_MAX];
    struct transfer_result results[COUNT_MAX];
    char urls[COUNT_MAX][URL_ROOM];
    char names[COUNT_MAX][NAME_ROOM]; /* as the zone has them */
    struct download_job job;
};

static struct batch *batch_new(size_t count, uint32_t concurrency, const char *server)
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
        .body_bytes_max = 65536,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .run_mark = "contract",
    };
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(batch->names[i], NAME_ROOM, "n%zu.dev", i);
        (void)snprintf(batch->urls[i], URL_ROOM, "dns://%s/%s", server, batch->names[i]);
        batch->requests[i].url = batch->urls[i];
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
        assert_int_equal(slot->http_status, 0);
        assert_int_equal(slot->message[0] == '\0', slot->status == TRANSFER_OK);
    }
}

static void fail_status(const struct batch *batch, size_t index, const char *wanted)
{
    const struct transfer_result *slot = &batch->results[index];

    fail_msg("%s: %s: %s (errno %d, %s, %u attempts), wanted %s", backend->name, batch->urls[index],
             transfer_status_name(slot->status), slot->os_error, slot->message, slot->attempts,
             wanted);
}

static void assert_status(const struct batch *batch, size_t index, enum transfer_status status)
{
    if (batch->results[index].status != status) {
        fail_status(batch, index, transfer_status_name(status));
    }
}

static void assert_all(const struct batch *batch, enum transfer_status status)
{
    for (size_t i = 0; i < batch->job.count; i++) {
        assert_status(batch, i, status);
    }
}

static void assert_attempts(const struct batch *batch, uint32_t attempts)
{
    for (size_t i = 0; i < batch->job.count; i++) {
        if (batch->results[i].attempts != attempts) {
            fail_status(batch, i, "another number of attempts");
        }
    }
}

static void assert_address(const struct batch *batch, size_t index, uint32_t address)
{
    const struct transfer_result *slot = &batch->results[index];
    const uint32_t in_order = htonl(address);

    assert_status(batch, index, TRANSFER_OK);
    assert_int_equal(slot->body_bytes, sizeof in_order);
    if (slot->body_xxh3 != body_hash(&in_order, sizeof in_order)) {
        fail_status(batch, index, "another address");
    }
}

/* Is it what the zone has, with no fault in between? */
static void assert_zone(const struct batch *batch, size_t index, uint64_t seed)
{
    const struct dns_zone zone = {.seed = seed};
    struct dns_verdict verdict = dns_zone_judge(&zone, batch->names[index], 1);

    if (verdict.exists) {
        assert_address(batch, index, verdict.address);
    } else {
        assert_status(batch, index, TRANSFER_NOT_FOUND);
        assert_int_equal(batch->results[index].body_bytes, 0);
    }
}

static void assert_all_of_zone(const struct batch *batch)
{
    for (size_t i = 0; i < batch->job.count; i++) {
        assert_zone(batch, i, 0);
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

#define MOCK(name, ...)                                                                            \
    struct mock name;                                                                              \
    mock_start(&name, (const char *const[]){"--dns", __VA_ARGS__, NULL})

/* ---- answers ---- */

static void test_every_name_gets_what_the_zone_has(void **state)
{
    MOCK(mock, "--delay", "20ms");
    struct batch *batch = batch_new(40, 20, mock.dns);
    struct server_stats stats;
    size_t found = 0;
    (void)state;

    batch_run(batch);
    assert_all_of_zone(batch);
    assert_attempts(batch, 1);
    for (size_t i = 0; i < 40; i++) {
        const struct transfer_result *slot = &batch->results[i];
        assert_true(slot->first_byte_ns >= slot->started_ns + 19 * NS_PER_MS);
        assert_true(slot->first_byte_ns <= slot->finished_ns);
        assert_int_equal(slot->os_error, 0);
        found += slot->status == TRANSFER_OK;
    }
    assert_in_range(found, 10, 30); /* both kinds are there */
    mock_stats(&mock, &stats);
    assert_int_equal(stats.requests, 40);
    assert_int_equal(stats.over_tcp, 0);
    for (size_t i = 0; i < 40; i++) {
        assert_int_equal(server_stats_path(&stats, batch->names[i]), 1);
    }
    server_stats_release(&stats);
    free(batch);
    mock_stop(&mock);
}

static void test_a_name_is_the_same_in_capitals_and_with_its_last_dot(void **state)
{
    MOCK(mock, "--delay", "0");
    struct batch *batch = batch_new(16, 4, mock.dns);
    (void)state;

    for (size_t i = 0; i < 16; i++) {
        (void)snprintf(batch->urls[i], URL_ROOM,
                       i % 2 == 0 ? "dns://%s/N%zu.DeV." : "dns://%s/n%zu.dev.", mock.dns, i);
    }
    batch_run(batch);
    assert_all_of_zone(batch);
    free(batch);
    mock_stop(&mock);
}

static void test_an_address_that_is_not_the_expected_one_is_a_mismatch(void **state)
{
    struct lying_dns server;
    const uint32_t truth = htonl(LYING_DNS_TRUTH);
    (void)state;

    lying_dns_start(&server, DNS_LIE_NONE, false);
    struct batch *batch = batch_new(3, 3, server.address);
    for (size_t i = 0; i < 3; i++) {
        batch->requests[i].flags = TRANSFER_EXPECT_BODY;
        batch->requests[i].expected_bytes = sizeof truth;
        batch->requests[i].expected_xxh3 = body_hash(&truth, sizeof truth);
    }
    batch->requests[0].expected_xxh3 ^= 1;
    batch->requests[1].expected_bytes = 8;
    batch_run(batch);
    assert_status(batch, 0, TRANSFER_MISMATCH);
    assert_status(batch, 1, TRANSFER_MISMATCH);
    assert_status(batch, 2, TRANSFER_OK);
    free(batch);
    lying_dns_stop(&server);
}

/* As servers do to spread the load: the body has to be the same each time. */
static void test_several_addresses_are_told_in_one_order(void **state)
{
    struct lying_dns server;
    uint32_t addresses[LYING_DNS_MANY];
    (void)state;

    for (uint32_t i = 0; i < LYING_DNS_MANY; i++) {
        addresses[i] = htonl(LYING_DNS_TRUTH + i);
    }
    lying_dns_start(&server, DNS_TRUTH_MANY, false);
    struct batch *batch = batch_new(9, 3, server.address);
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_OK);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(batch->results[i].body_bytes, sizeof addresses);
        assert_true(batch->results[i].body_xxh3 == body_hash(addresses, sizeof addresses));
    }
    free(batch);
}

/* As c-ares does since 1.31, unless told otherwise: it would be no lookup that is measured. */
static void test_an_answer_is_not_kept_for_the_next_lookup(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_NONE, false);
    struct batch *batch = batch_new(6, 1, server.address);
    for (size_t i = 0; i < 6; i++) {
        batch->requests[i].url = batch->urls[0];
    }
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_OK);
    assert_int_equal(server.questions, 6);
    free(batch);
}

static void test_a_name_without_an_address_is_not_found(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_TRUTH_NO_DATA, false);
    struct batch *batch = batch_new(4, 2, server.address);
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_NOT_FOUND);
    assert_string_equal(batch->results[0].message, "the name has no address");
    free(batch);
}

static void test_each_name_is_asked_of_its_own_server(void **state)
{
    MOCK(mock, "--seed", "0");
    MOCK(other, "--seed", "1");
    struct batch *batch = batch_new(40, 4, mock.dns);
    size_t different = 0;
    (void)state;

    for (size_t i = 0; i < 40; i += 3) {
        (void)snprintf(batch->urls[i], URL_ROOM, "dns://%s/%s", other.dns, batch->names[i]);
    }
    batch_run(batch);
    for (size_t i = 0; i < 40; i++) {
        const struct dns_zone zones[] = {{.seed = 0}, {.seed = 1}};
        assert_zone(batch, i, i % 3 == 0);
        different += i % 3 == 0 && dns_zone_judge(&zones[0], batch->names[i], 1).exists !=
                                       dns_zone_judge(&zones[1], batch->names[i], 1).exists;
    }
    assert_true(different > 0); /* else it tells nothing */
    free(batch);
    mock_stop(&mock);
    mock_stop(&other);
}

static void test_a_server_may_have_an_ipv6_address(void **state)
{
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr.s6_addr[15] = 1};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int bound = bind(fd, (const struct sockaddr *)&loopback, sizeof loopback);
    (void)state;

    (void)close(fd);
    if (bound != 0) {
        print_message("no ::1 on this machine\n");
        skip();
    }
    MOCK(mock, "--bind", "::1");
    assert_int_equal(mock.dns[0], '[');
    struct batch *batch = batch_new(20, 5, mock.dns);
    batch_run(batch);
    assert_all_of_zone(batch);
    free(batch);
    mock_stop(&mock);
}

/* ---- how many at once, and in which order ---- */

/* As many as that in flight, and never more. A busy machine may not get all of them under way
 * before the first is answered: then again, with more time for it. */
static void assert_ceiling(size_t count, uint32_t concurrency, uint32_t loops)
{
    const char *const delays[] = {concurrent() ? "100ms" : "10ms", "600ms", "3s"};
    uint64_t wanted = !concurrent() ? 1 : count < concurrency ? count : concurrency;
    uint64_t most = 0;

    for (size_t i = 0; i < sizeof delays / sizeof delays[0] && most < wanted; i++) {
        MOCK(mock, "--delay", delays[i]);
        struct batch *batch = batch_new(count, concurrency, mock.dns);
        struct server_stats stats;
        batch->job.loops = loops;
        batch_run(batch);
        assert_all_of_zone(batch);
        mock_stats(&mock, &stats);
        assert_int_equal(stats.requests, count);
        most = stats.max_in_flight;
        assert_in_range(most, 1, wanted);
        server_stats_release(&stats);
        free(batch);
        mock_stop(&mock);
    }
    assert_int_equal(most, wanted);
}

static void test_as_many_are_in_flight_as_asked_for_and_never_more(void **state)
{
    (void)state;
    assert_ceiling(10, 4, 1);
    assert_ceiling(3, 1, 1);
    assert_ceiling(6, 64, 1);
    assert_ceiling(1, 4, 1);
}

/* Without BENCH_CAP_LOOPS the number is the harness's to refuse; it may do no harm here. */
static void test_several_loops_share_the_places_and_the_work(void **state)
{
    (void)state;
    assert_ceiling(8, 4, 2);
    if ((backend->caps & BENCH_CAP_LOOPS) != 0) {
        assert_ceiling(24, 8, 3);
        assert_ceiling(24, 8, 64);
    }
}

/* Told by the hooks, from all threads. */
struct witness {
    _Atomic uint32_t completions;
    _Atomic uint32_t bodies;
    _Atomic uint32_t told[COUNT_MAX];
    size_t order[COUNT_MAX];
    _Atomic bool wrong;
    const struct batch *batch;
    uint64_t stop_ns; /* when to ask for the end */
};

static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct witness *witness = user;

    if (result != &witness->batch->results[index] || result->status == TRANSFER_UNSET) {
        witness->wrong = true;
    }
    witness->told[index]++;
    witness->order[witness->completions++] = index;
}

static void on_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct witness *witness = user;
    const struct dns_zone zone = {.seed = 0};
    const uint32_t address = htonl(dns_zone_judge(&zone, witness->batch->names[index], 1).address);

    if (body_bytes != sizeof address || memcmp(body, &address, sizeof address) != 0) {
        witness->wrong = true;
    }
    witness->bodies++;
}

static int is_cancelled(void *user)
{
    const struct witness *witness = user;

    return clock_now_ns() >= witness->stop_ns;
}

static void test_each_completion_is_told_once_and_addresses_as_they_are(void **state)
{
    MOCK(mock, "--delay", "0");
    struct batch *batch = batch_new(60, 6, mock.dns);
    struct witness *witness = calloc(1, sizeof *witness);
    struct download_hooks hooks = {.user = witness, .on_complete = on_complete, .on_body = on_body};
    uint32_t found = 0;
    (void)state;

    assert_non_null(witness);
    witness->batch = batch;
    batch->job.hooks = &hooks;
    batch_run(batch);
    assert_all_of_zone(batch);
    for (size_t i = 0; i < 60; i++) {
        assert_int_equal(witness->told[i], 1);
        found += batch->results[i].status == TRANSFER_OK;
    }
    assert_int_equal(witness->completions, 60);
    assert_int_equal(witness->bodies, found);
    assert_false(witness->wrong);
    free(witness);
    free(batch);
    mock_stop(&mock);
}

#define ORDER_DELAY "uniform:20ms:400ms"
#define ORDER_MARGIN_NS (80 * NS_PER_MS) /* delays that are closer may come in any order */

/* @return whether lookups have completed by their delays; how many pairs of them in another order
 *         than they were submitted in */
static bool order_is_that_of_delays(const struct witness *witness, size_t count, size_t *overtaken)
{
    struct dns_zone zone = {.seed = 0};
    bool in_order = true;

    *overtaken = 0;
    assert_int_equal(delay_parse(ORDER_DELAY, &zone.delay), 0);
    for (size_t a = 0; a < count; a++) {
        for (size_t b = a + 1; b < count; b++) {
            size_t first = witness->order[a];
            size_t second = witness->order[b];
            uint64_t first_ns = dns_zone_judge(&zone, witness->batch->names[first], 1).delay_ns;
            uint64_t second_ns = dns_zone_judge(&zone, witness->batch->names[second], 1).delay_ns;
            in_order = in_order && first_ns <= second_ns + ORDER_MARGIN_NS;
            *overtaken += first > second;
        }
    }
    return in_order;
}

static void test_completions_come_as_the_answers_do_and_results_as_submitted(void **state)
{
    MOCK(mock, "--delay", concurrent() ? ORDER_DELAY : "uniform:1ms:20ms");
    struct batch *batch = batch_new(8, 8, mock.dns);
    struct witness *witness = calloc(1, sizeof *witness);
    struct download_hooks hooks = {.user = witness, .on_complete = on_complete};
    bool in_order = false;
    size_t overtaken = 0;
    (void)state;

    assert_non_null(witness);
    batch->job.hooks = &hooks;
    for (int trial = 0; trial < TRIALS && !in_order; trial++) { /* some thread may begin late */
        *witness = (struct witness){.batch = batch};
        batch_run(batch);
        assert_all_of_zone(batch);
        assert_int_equal(witness->completions, 8);
        in_order = !concurrent() || order_is_that_of_delays(witness, 8, &overtaken);
    }
    assert_true(in_order);
    if (concurrent()) {
        assert_true(overtaken > 0);
    } else {
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(witness->order[i], i);
        }
    }
    free(witness);
    free(batch);
    mock_stop(&mock);
}

/* In which all of them can be asked for, by as many threads. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define LONG_DELAY "2s"
#else
#define LONG_DELAY "500ms"
#endif

/* @return how many were in flight of more lookups than may be */
static uint64_t most_of_all(const char *delay, uint64_t timeout_ns)
{
    MOCK(mock, "--delay", delay);
    struct batch *batch = batch_new(COUNT_MAX, MANY, mock.dns);
    struct server_stats stats;

    batch->job.attempts_max = 5; /* a burst may be more than a socket's buffer takes */
    batch->job.timeout_ns = timeout_ns;
    batch_run(batch);
    assert_all_of_zone(batch);
    mock_stats(&mock, &stats);
    uint64_t most = stats.max_in_flight;
    server_stats_release(&stats);
    free(batch);
    mock_stop(&mock);
    return most;
}

/* Sockets whose numbers do not fit into an fd_set. */
static void test_more_than_a_thousand_lookups_are_in_flight(void **state)
{
    int low[FD_SETSIZE_OF_LIBC];
    size_t low_count = 0;
    struct rlimit limit;
    (void)state;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit enough = {.rlim_cur = 4096, .rlim_max = limit.rlim_max};
    if (limit.rlim_cur < enough.rlim_cur && setrlimit(RLIMIT_NOFILE, &enough) != 0) {
        print_message("no more than %llu descriptors\n", (unsigned long long)limit.rlim_max);
        skip();
    }
    do {
        assert_true(low_count < FD_SETSIZE_OF_LIBC);
        low[low_count] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    } while (low[low_count++] < FD_SETSIZE_OF_LIBC - 1);
    uint64_t most = most_of_all(concurrent() ? LONG_DELAY : "0", 4 * NS_PER_S);
    if (concurrent() && most <= FD_SETSIZE_OF_LIBC) { /* a busy machine: with more time for it */
        most = most_of_all("8s", 16 * NS_PER_S);
    }
    while (low_count > 0) {
        (void)close(low[--low_count]);
    }
    assert_in_range(most, concurrent() ? FD_SETSIZE_OF_LIBC + 1 : 1, concurrent() ? MANY : 1);
}

static void test_an_empty_job_is_done_at_once(void **state)
{
    struct batch *batch = batch_new(0, 8, "127.0.0.1:1");
    (void)state;
    assert_int_equal(backend->download_many(&batch->job, batch->results), 0);
    free(batch);
}

/* ---- failures ---- */

static void test_a_server_that_failed_tells_nothing_of_a_name(void **state)
{
    MOCK(mock, "--fault", "servfail@1");
    struct batch *batch = batch_new(10, 5, mock.dns);
    struct server_stats stats;
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_UNRESOLVED);
    mock_stats(&mock, &stats);
    assert_int_equal(stats.requests, 10); /* c-ares would ask again by itself */
    server_stats_release(&stats);
    free(batch);
    mock_stop(&mock);
}

static void test_a_name_that_is_not_there_is_not_asked_for_again(void **state)
{
    MOCK(mock, "--fault", "nxdomain@1");
    struct batch *batch = batch_new(10, 5, mock.dns);
    (void)state;

    batch->job.attempts_max = 3;
    batch_run(batch);
    assert_all(batch, TRANSFER_NOT_FOUND);
    assert_attempts(batch, 1);
    free(batch);
    mock_stop(&mock);
}

static void test_a_failed_attempt_is_made_again_when_allowed(void **state)
{
    MOCK(mock, "--fault", "servfail@1,try<=1");
    struct batch *batch = batch_new(20, 5, mock.dns);
    struct server_stats stats;
    (void)state;

    batch_run(batch);
    assert_all(batch, TRANSFER_UNRESOLVED);
    mock_reset(&mock);
    batch->job.attempts_max = 2;
    batch_run(batch);
    assert_all_of_zone(batch);
    assert_attempts(batch, 2);
    mock_stats(&mock, &stats);
    assert_int_equal(stats.requests, 40);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(server_stats_path(&stats, batch->names[i]), 2);
    }
    server_stats_release(&stats);
    free(batch);
    mock_stop(&mock);
}

/* Of `count` that nobody answers: none early, and, in the best of some trials, none late. */
static void assert_timeouts(struct batch *batch, size_t first, size_t step)
{
    uint64_t least_late_ns = UINT64_MAX;

    for (int trial = 0; trial < TRIALS && least_late_ns > LATE_NS; trial++) {
        uint64_t late_ns = 0;
        batch_run(batch);
        for (size_t i = first; i < batch->job.count; i += step) {
            const struct transfer_result *slot = &batch->results[i];
            uint64_t took_ns = slot->finished_ns - slot->started_ns;
            assert_status(batch, i, TRANSFER_TIMEOUT);
            assert_int_equal(slot->first_byte_ns, 0);
            assert_true(took_ns >= batch->job.timeout_ns);
            late_ns = took_ns - batch->job.timeout_ns > late_ns ? took_ns - batch->job.timeout_ns
                                                                : late_ns;
        }
        least_late_ns = late_ns < least_late_ns ? late_ns : least_late_ns;
    }
    assert_in_range(least_late_ns, 0, LATE_NS);
}

static void test_a_question_that_is_lost_is_a_timeout_and_the_others_go_on(void **state)
{
    MOCK(mock, "--delay", "0");
    MOCK(silent, "--fault", "drop@1");
    struct batch *batch = batch_new(12, 4, mock.dns);
    (void)state;

    for (size_t i = 0; i < 12; i += 4) {
        (void)snprintf(batch->urls[i], URL_ROOM, "dns://%s/%s", silent.dns, batch->names[i]);
    }
    batch->job.timeout_ns = 300 * NS_PER_MS;
    assert_timeouts(batch, 0, 4);
    for (size_t i = 0; i < 12; i++) {
        if (i % 4 != 0) {
            assert_zone(batch, i, 0);
        }
    }
    free(batch);
    mock_stop(&mock);
    mock_stop(&silent);
}

static void test_a_lost_question_is_asked_again_when_allowed(void **state)
{
    MOCK(mock, "--fault", "drop@1,try<=1");
    struct batch *batch = batch_new(4, 4, mock.dns);
    (void)state;

    batch->job.timeout_ns = 300 * NS_PER_MS;
    batch->job.attempts_max = 2;
    batch_run(batch);
    assert_all_of_zone(batch);
    assert_attempts(batch, 2);
    for (size_t i = 0; i < 4; i++) {
        assert_true(batch->results[i].finished_ns - batch->results[i].started_ns >=
                    batch->job.timeout_ns);
    }
    free(batch);
    mock_stop(&mock);
}

/* A socket of UDP on a port of its own, which nobody reads. */
static int bound_socket(char address[static 32])
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof name;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &bytes), 0);
    (void)snprintf(address, 32, "127.0.0.1:%u", (unsigned)ntohs(name.sin_port));
    return fd;
}

static void test_a_black_hole_takes_no_longer_than_the_time_allowed(void **state)
{
    char address[32];
    int fd = bound_socket(address);
    struct batch *batch = batch_new(5, 2, address);
    (void)state;

    batch->job.timeout_ns = 100 * NS_PER_MS;
    assert_timeouts(batch, 0, 1);
    assert_int_equal(batch->results[0].os_error, ETIMEDOUT);
    free(batch);
    (void)close(fd);
}

static void test_a_closed_port_is_refused_at_once(void **state)
{
    char address[32];
    (void)close(bound_socket(address));
    struct batch *batch = batch_new(6, 3, address);
    (void)state;

    uint64_t begun_ns = clock_now_ns();
    batch_run(batch);
    assert_all(batch, TRANSFER_REFUSED);
    assert_int_equal(batch->results[0].os_error, ECONNREFUSED);
    assert_true(clock_now_ns() - begun_ns < batch->job.timeout_ns);
    free(batch);
}

static void test_what_does_not_fit_a_datagram_is_asked_for_over_tcp(void **state)
{
    MOCK(mock, "--fault", "truncate@.5", "--delay", "2ms");
    struct batch *batch = batch_new(40, 5, mock.dns);
    struct server_stats stats;
    (void)state;

    for (uint32_t flags = 0; flags <= DOWNLOAD_FRESH_CONNECTIONS;
         flags += DOWNLOAD_FRESH_CONNECTIONS) {
        mock_reset(&mock);
        batch->job.flags = flags;
        batch_run(batch);
        assert_all_of_zone(batch);
        assert_attempts(batch, 1);
        mock_stats(&mock, &stats);
        assert_in_range(stats.over_tcp, 8, 32);
        assert_int_equal(stats.requests, 40 + stats.over_tcp);
        server_stats_release(&stats);
    }
    free(batch);
    mock_stop(&mock);
}

/* As servers may (RFC 7766 section 6.2.3): it ends while the next name is being asked for. */
static void test_a_server_may_end_its_tcp_connection_when_it_has_answered(void **state)
{
    struct lying_dns server;
    (void)state;

    for (uint32_t concurrency = 1; concurrency <= 4; concurrency += 3) {
        lying_dns_start(&server, DNS_TRUTH_OVER_TCP, false);
        struct batch *batch = batch_new(12, concurrency, server.address);
        batch_run(batch);
        lying_dns_stop(&server);
        for (size_t i = 0; i < 12; i++) {
            assert_address(batch, i, LYING_DNS_TRUTH);
        }
        assert_int_equal(server.questions, 12);
        free(batch);
    }
}

/* c-ares frees the question, but leaves it in the queue of its connection: the place is idle by
 * the time that the connection is made. */
static void test_a_lookup_given_up_sends_nothing_more(void **state)
{
    /* The others take it from the 0.7 s of the first to beyond the second of a SYN. */
    MOCK(mock, "--delay", "200ms");
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_TRUTH_LATE_TCP, false);
    struct batch *batch = batch_new(concurrent() ? 12 : 5, 2, mock.dns);
    (void)snprintf(batch->urls[0], URL_ROOM, "dns://%s/n0.dev", server.address);
    batch->job.timeout_ns = 700 * NS_PER_MS;
    batch_run(batch);
    lying_dns_stop(&server);
    assert_status(batch, 0, TRANSFER_TIMEOUT);
    for (size_t i = 1; i < batch->job.count; i++) {
        assert_zone(batch, i, 0);
    }
    assert_int_equal(server.questions, 1);
    assert_int_equal(server.streams, 0);
    free(batch);
    mock_stop(&mock);
}

/* ---- servers that are not to be believed ---- */

struct lie_case {
    enum dns_lie lie;
    enum transfer_status status;
};

/* A lie about a name, and nothing behind it. */
static void test_a_lie_is_not_believed(void **state)
{
    static const struct lie_case cases[] = {
        {DNS_LIE_SHORT, TRANSFER_TIMEOUT}, {DNS_LIE_GARBAGE, TRANSFER_TIMEOUT},
        {DNS_LIE_ID, TRANSFER_TIMEOUT},    {DNS_LIE_QUESTION, TRANSFER_TIMEOUT},
        {DNS_LIE_PORT, TRANSFER_TIMEOUT},  {DNS_LIE_ECHO, TRANSFER_PROTOCOL},
        {DNS_LIE_CUT, TRANSFER_PROTOCOL},  {DNS_LIE_LOOP, TRANSFER_PROTOCOL},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct lying_dns server;
        lying_dns_start(&server, cases[i].lie, false);
        struct batch *batch = batch_new(2, 2, server.address);
        if (cases[i].status == TRANSFER_TIMEOUT) {
            batch->job.timeout_ns = 150 * NS_PER_MS;
        }
        batch_run(batch);
        lying_dns_stop(&server);
        for (size_t k = 0; k < 2; k++) {
            if (batch->results[k].status != cases[i].status) {
                fail_msg("lie %d: %s, wanted %s", (int)cases[i].lie,
                         transfer_status_name(batch->results[k].status),
                         transfer_status_name(cases[i].status));
            }
        }
        free(batch);
    }
}

static void test_a_true_answer_is_believed_behind_a_lie(void **state)
{
    static const enum dns_lie lies[] = {DNS_LIE_SHORT, DNS_LIE_GARBAGE, DNS_LIE_ID,
                                        DNS_LIE_QUESTION, DNS_LIE_PORT};
    (void)state;

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct lying_dns server;
        lying_dns_start(&server, lies[i], true);
        struct batch *batch = batch_new(10, 2, server.address);
        batch_run(batch);
        lying_dns_stop(&server);
        for (size_t k = 0; k < 10; k++) {
            assert_address(batch, k, LYING_DNS_TRUTH);
        }
        free(batch);
    }
}

static void test_an_answer_that_comes_twice_is_no_answer_to_the_next_question(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_TRUTH_TWICE, false);
    struct batch *batch = batch_new(40, 2, server.address);
    batch_run(batch);
    lying_dns_stop(&server);
    for (size_t i = 0; i < 40; i++) {
        assert_address(batch, i, LYING_DNS_TRUTH);
    }
    assert_int_equal(server.questions, 40);
    free(batch);
}

/* c-ares takes it for an answer without addresses. */
static void test_an_error_that_c_ares_does_not_know_says_nothing_of_a_name(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_NOT_AUTH, false);
    struct batch *batch = batch_new(2, 2, server.address);
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_UNRESOLVED);
    free(batch);
}

static void test_a_flood_of_wrong_answers_does_not_stretch_the_time_allowed(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_FLOOD, false);
    struct batch *batch = batch_new(1, 1, server.address);
    batch->job.timeout_ns = 150 * NS_PER_MS;
    assert_timeouts(batch, 0, 1);
    free(batch);
    lying_dns_stop(&server);
}

/* ---- the end ---- */

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

/* Stop the job some time after it began. @return how long it took after that, at best */
static uint64_t stopped_after(struct batch *batch)
{
    const uint64_t run_ns = 60 * NS_PER_MS;
    struct witness *witness = calloc(1, sizeof *witness);
    struct download_hooks hooks = {
        .user = witness, .on_complete = on_complete, .cancelled = is_cancelled};
    uint64_t best_ns = UINT64_MAX;

    assert_non_null(witness);
    batch->job.hooks = &hooks;
    for (int trial = 0; trial < TRIALS && best_ns > 150 * NS_PER_MS; trial++) {
        *witness = (struct witness){.batch = batch, .stop_ns = clock_now_ns() + run_ns};
        batch_run(batch);
        uint64_t took_ns = clock_now_ns() - witness->stop_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        assert_all(batch, TRANSFER_CANCELLED);
        assert_int_equal(witness->completions, batch->job.count);
        assert_false(witness->wrong);
    }
    batch->job.hooks = NULL;
    free(witness);
    return best_ns;
}

static void test_a_caller_who_stops_gets_every_slot_answered_soon(void **state)
{
    char address[32];
    int fd = bound_socket(address);
    struct batch *batch = batch_new(200, 8, address);
    (void)state;

    batch->job.attempts_max = 3;
    size_t before = open_descriptors();
    assert_in_range(stopped_after(batch), 0, 150 * NS_PER_MS);
    assert_int_equal(open_descriptors(), before);
    if ((backend->caps & BENCH_CAP_LOOPS) != 0) {
        batch->job.loops = 2;
        assert_in_range(stopped_after(batch), 0, 150 * NS_PER_MS);
    }
    free(batch);
    (void)close(fd);
}

static void test_a_caller_is_heard_while_wrong_answers_drip_in(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_DRIP, false);
    struct batch *batch = batch_new(3, 1, server.address);
    assert_in_range(stopped_after(batch), 0, 150 * NS_PER_MS);
    free(batch);
    lying_dns_stop(&server);
}

/* ---- sockets ---- */

static void test_a_socket_is_kept_from_lookup_to_lookup(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_NONE, false);
    struct batch *batch = batch_new(60, 4, server.address);
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_OK);
    assert_int_equal(server.questions, 60);
    assert_in_range(lying_dns_ports(&server), 1, concurrent() ? 4 : 1);
    assert_int_equal(lying_dns_ports(&server), distinct_connections(batch));
    free(batch);
}

static void test_fresh_sockets_carry_one_lookup_each(void **state)
{
    struct lying_dns server;
    (void)state;

    lying_dns_start(&server, DNS_LIE_NONE, false);
    struct batch *batch = batch_new(20, 4, server.address);
    batch->job.flags = DOWNLOAD_FRESH_CONNECTIONS;
    batch_run(batch);
    lying_dns_stop(&server);
    assert_all(batch, TRANSFER_OK);
    assert_int_equal(server.questions, 20);
    assert_int_equal(distinct_connections(batch), 20);
    /* Each is drawn from thousands: that one comes again is rare, that several do is not chance. */
    assert_in_range(lying_dns_ports(&server), 18, 20);
    free(batch);
}

/* Sockets that have the port for their peer (proc(5)): those in use, be it by no descriptor. */
struct sockets_seen {
    char peer[16];
    _Atomic uint32_t most;
};

static void count_sockets(void *user, size_t index, const struct transfer_result *result)
{
    struct sockets_seen *seen = user;
    char line[256];
    uint32_t count = 0;
    FILE *table = fopen("/proc/net/udp", "re");

    (void)index, (void)result;
    while (table != NULL && fgets(line, sizeof line, table) != NULL) {
        count += strstr(line, seen->peer) != NULL;
    }
    if (table != NULL) {
        (void)fclose(table);
    }
    if (count > seen->most) {
        seen->most = count;
    }
}

/* What still watches a closed socket keeps it, and its port. */
static void test_a_socket_that_is_given_up_is_gone_while_the_run_goes_on(void **state)
{
    char address[32];
    int fd = bound_socket(address);
    struct batch *batch = batch_new(12, 1, address);
    struct sockets_seen seen = {.most = 0};
    struct download_hooks hooks = {.user = &seen, .on_complete = count_sockets};
    (void)state;

    (void)snprintf(seen.peer, sizeof seen.peer, " 0100007F:%04X ",
                   (unsigned)strtoul(strchr(address, ':') + 1, NULL, 10));
    batch->job.timeout_ns = 20 * NS_PER_MS;
    batch->job.flags = DOWNLOAD_FRESH_CONNECTIONS;
    batch->job.hooks = &hooks;
    batch_run(batch);
    assert_all(batch, TRANSFER_TIMEOUT);
    assert_in_range(seen.most, 1, 4); /* the server's own, that in use and those that just go */
    free(batch);
    (void)close(fd);
}

static void test_nothing_stays_open_after_a_run(void **state)
{
    MOCK(mock, "--fault", "truncate@.3", "--fault", "drop@.1", "--fault", "servfail@.1");
    char closed[32];
    (void)close(bound_socket(closed));
    struct batch *batch = batch_new(24, 8, mock.dns);
    (void)state;

    for (size_t i = 0; i < 24; i += 6) {
        (void)snprintf(batch->urls[i], URL_ROOM, "dns://%s/%s", closed, batch->names[i]);
    }
    batch->job.timeout_ns = 40 * NS_PER_MS;
    batch_run(batch);
    size_t before = open_descriptors();
    for (uint32_t i = 0; i < 4; i++) {
        batch->job.flags = i % 2 == 0 ? 0 : DOWNLOAD_FRESH_CONNECTIONS;
        batch->job.loops = 1 + i / 2;
        batch_run(batch);
        assert_int_equal(open_descriptors(), before);
    }
    free(batch);
    mock_stop(&mock);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_name_gets_what_the_zone_has),
        cmocka_unit_test(test_a_name_is_the_same_in_capitals_and_with_its_last_dot),
        cmocka_unit_test(test_an_address_that_is_not_the_expected_one_is_a_mismatch),
        cmocka_unit_test(test_several_addresses_are_told_in_one_order),
        cmocka_unit_test(test_an_answer_is_not_kept_for_the_next_lookup),
        cmocka_unit_test(test_a_name_without_an_address_is_not_found),
        cmocka_unit_test(test_each_name_is_asked_of_its_own_server),
        cmocka_unit_test(test_a_server_may_have_an_ipv6_address),
        cmocka_unit_test(test_as_many_are_in_flight_as_asked_for_and_never_more),
        cmocka_unit_test(test_several_loops_share_the_places_and_the_work),
        cmocka_unit_test(test_each_completion_is_told_once_and_addresses_as_they_are),
        cmocka_unit_test(test_completions_come_as_the_answers_do_and_results_as_submitted),
        cmocka_unit_test(test_more_than_a_thousand_lookups_are_in_flight),
        cmocka_unit_test(test_an_empty_job_is_done_at_once),
        cmocka_unit_test(test_a_server_that_failed_tells_nothing_of_a_name),
        cmocka_unit_test(test_a_name_that_is_not_there_is_not_asked_for_again),
        cmocka_unit_test(test_a_failed_attempt_is_made_again_when_allowed),
        cmocka_unit_test(test_a_question_that_is_lost_is_a_timeout_and_the_others_go_on),
        cmocka_unit_test(test_a_lost_question_is_asked_again_when_allowed),
        cmocka_unit_test(test_a_black_hole_takes_no_longer_than_the_time_allowed),
        cmocka_unit_test(test_a_closed_port_is_refused_at_once),
        cmocka_unit_test(test_what_does_not_fit_a_datagram_is_asked_for_over_tcp),
        cmocka_unit_test(test_a_server_may_end_its_tcp_connection_when_it_has_answered),
        cmocka_unit_test(test_a_lookup_given_up_sends_nothing_more),
        cmocka_unit_test(test_a_lie_is_not_believed),
        cmocka_unit_test(test_a_true_answer_is_believed_behind_a_lie),
        cmocka_unit_test(test_an_answer_that_comes_twice_is_no_answer_to_the_next_question),
        cmocka_unit_test(test_an_error_that_c_ares_does_not_know_says_nothing_of_a_name),
        cmocka_unit_test(test_a_flood_of_wrong_answers_does_not_stretch_the_time_allowed),
        cmocka_unit_test(test_a_caller_who_stops_gets_every_slot_answered_soon),
        cmocka_unit_test(test_a_caller_is_heard_while_wrong_answers_drip_in),
        cmocka_unit_test(test_a_socket_is_kept_from_lookup_to_lookup),
        cmocka_unit_test(test_fresh_sockets_carry_one_lookup_each),
        cmocka_unit_test(test_a_socket_that_is_given_up_is_gone_while_the_run_goes_on),
        cmocka_unit_test(test_nothing_stays_open_after_a_run),
    };
    char reason[BENCH_REASON_BYTES] = "";

    backend = argc == 2 ? backend_find(argv[1]) : NULL;
    if (backend == NULL) {
        (void)fprintf(stderr, "usage: test_dns_contract BACKEND\n");
        return 64;
    }
    if (backend->unavailable != NULL || (backend->probe != NULL && backend->probe(reason) != 0)) {
        (void)fprintf(stderr, "skipped: %s: %s\n", backend->name,
                      backend->unavailable != NULL ? backend->unavailable : reason);
        return 77;
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* the counters of the mock server come by it */
    int failed = cmocka_run_group_tests_name(backend->name, tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
