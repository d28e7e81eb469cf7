/* The model that hands getaddrinfo(3) to a pool, with a getaddrinfo of ours in its place: a
 * program's own comes before that of the C library. */
#include "backends/clock.h"
#include "backends/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CALL_MS 60
#define SLOW_MS 400
#define ALL_MS 5000 /* at most, until all threads of the pool are in a call */
#define NAMES_MAX 16
#define NODE_BYTES 512
#define LABEL_63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_61 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_61

static _Atomic int in_call;
static _Atomic int most_in_call;
static _Atomic int calls;
static char asked[NAMES_MAX][NODE_BYTES]; /* by the calls, in order */
static int patience_s[NAMES_MAX];         /* of the C library, in the calls */

/* Of libuv's threads; of another number in a process that is told so. */
static int pool_calls = 4;

static void sleep_ms(long ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

/* What the calling thread's resolver would wait when nobody answered; 0: it says nothing. */
static int resolver_patience_s(void)
{
#if defined(__GLIBC__)
    return (_res.options & RES_INIT) != 0 ? _res.nscount * _res.retrans * _res.retry : 0;
#else
    return 0;
#endif
}

static void note_entry(const char *node)
{
    int now = atomic_fetch_add(&in_call, 1) + 1;
    int most = atomic_load(&most_in_call);
    int number = atomic_fetch_add(&calls, 1) % NAMES_MAX;

    (void)snprintf(asked[number], NODE_BYTES, "%s", node);
    patience_s[number] = resolver_patience_s();
    while (most < now && !atomic_compare_exchange_weak(&most_in_call, &most, now)) {
        /* `most` is the new value */
    }
}

/* Two addresses, the larger one first: the backend has to sort them. */
static struct addrinfo *addresses_of(void)
{
    struct addrinfo *last = NULL;

    for (int i = 0; i < 2; i++) {
        struct addrinfo *one = calloc(1, sizeof *one + sizeof(struct sockaddr_in));
        struct sockaddr_in *address = (struct sockaddr_in *)(void *)(one + 1);
        assert_non_null(one);
        address->sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, i == 0 ? "192.0.2.1" : "192.0.2.9", &address->sin_addr),
                         1);
        one->ai_addr = (struct sockaddr *)address;
        one->ai_addrlen = sizeof *address;
        one->ai_family = AF_INET;
        one->ai_next = last;
        last = one;
    }
    return last;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    (void)service, (void)hints;
    note_entry(node);
    for (int ms = 0;
         strncmp(node, "all", 3) == 0 && ms < ALL_MS && atomic_load(&most_in_call) < pool_calls;
         ms++) {
        sleep_ms(1);
    }
    sleep_ms(strncmp(node, "slow", 4) == 0 ? SLOW_MS : CALL_MS);
    (void)atomic_fetch_sub(&in_call, 1);
    if (strncmp(node, "none", 4) == 0) {
        return EAI_NONAME;
    }
    if (strncmp(node, "again", 5) == 0) {
        return EAI_AGAIN;
    }
    *result = addresses_of();
    return 0;
}

void freeaddrinfo(struct addrinfo *all)
{
    while (all != NULL) {
        struct addrinfo *next = all->ai_next;
        free(all);
        all = next;
    }
}

struct run {
    struct transfer_request requests[NAMES_MAX];
    struct transfer_result results[NAMES_MAX];
    struct download_job job;
    struct download_hooks hooks;
    uint64_t stop_ns; /* when the caller wants to stop */
    unsigned char bodies[NAMES_MAX][64];
    size_t body_bytes[NAMES_MAX];
};

static int on_cancelled(void *user)
{
    const struct run *run = user;

    return run->stop_ns != 0 && clock_now_ns() >= run->stop_ns;
}

static void on_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct run *run = user;

    assert_true(body_bytes <= sizeof run->bodies[0]);
    memcpy(run->bodies[index], body, body_bytes);
    run->body_bytes[index] = body_bytes;
}

static int setup(void **state)
{
    struct run *run = calloc(1, sizeof *run);

    assert_non_null(run);
    run->hooks =
        (struct download_hooks){.user = run, .cancelled = on_cancelled, .on_body = on_body};
    run->job = (struct download_job){
        .struct_size = sizeof run->job,
        .requests = run->requests,
        .concurrency = 8,
        .loops = 1,
        .timeout_ns = 5 * NS_PER_S,
        .body_bytes_max = 65536,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .run_mark = "test",
        .hooks = &run->hooks,
    };
    atomic_store(&most_in_call, 0);
    atomic_store(&calls, 0);
    memset(asked, 0, sizeof asked);
    *state = run;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void ask(struct run *run, const char *const urls[], size_t count)
{
    const struct bench_backend *backend = backend_find("dns_uv_getaddrinfo");

    assert_non_null(backend);
    run->job.count = count;
    for (size_t i = 0; i < count; i++) {
        run->requests[i].url = urls[i];
    }
    assert_int_equal(backend->download_many(&run->job, run->results), 0);
    for (size_t i = 0; i < NAMES_MAX && asked[i][0] != '\0'; i++) {
        assert_int_equal(asked[i][strlen(asked[i]) - 1], '.'); /* else `search` comes into it */
    }
}

/* @return how many lookups were under way at the same time, by what the results say */
static int most_in_flight(const struct run *run)
{
    int most = 0;

    for (size_t i = 0; i < run->job.count; i++) {
        const uint64_t now_ns = run->results[i].started_ns;
        int count = 0;
        for (size_t k = 0; k < run->job.count; k++) {
            count += run->results[k].started_ns <= now_ns && now_ns < run->results[k].finished_ns;
        }
        most = count > most ? count : most;
    }
    return most;
}

static void test_getaddrinfo__tells_outcomes_and_sorted_addresses(void **state)
{
    static const char *const urls[] = {"dns:///there.dev", "dns:///none.dev", "dns:///again.dev"};
    static const unsigned char sorted[] = {192, 0, 2, 1, 192, 0, 2, 9};
    struct run *run = *state;

    ask(run, urls, 3);
    assert_int_equal(run->results[0].status, TRANSFER_OK);
    assert_int_equal(run->results[1].status, TRANSFER_NOT_FOUND);
    assert_int_equal(run->results[2].status, TRANSFER_UNRESOLVED);
    assert_int_equal(run->body_bytes[0], sizeof sorted);
    assert_memory_equal(run->bodies[0], sorted, sizeof sorted);
}

static void test_getaddrinfo__asks_for_each_name_with_one_last_dot(void **state)
{
    static const char *const urls[] = {"dns:///there.dev", "dns:///there.dev.",
                                       "dns:///localhost", "dns:///10.1",
                                       "dns:///" NAME_253, "dns:///" NAME_253 "."};
    static const char *const wanted[] = {"there.dev.", "there.dev.", "localhost.",
                                         "10.1.",      NAME_253 ".", NAME_253 "."};
    struct run *run = *state;

    run->job.concurrency = 1;
    ask(run, urls, 6);
    assert_int_equal(atomic_load(&calls), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(asked[i], wanted[i]);
        assert_int_equal(run->results[i].status, TRANSFER_OK);
    }
}

static void test_getaddrinfo__has_the_pool_at_most(void **state)
{
    const char *urls[8];
    struct run *run = *state;

    for (size_t i = 0; i < 8; i++) {
        urls[i] = "dns:///all.dev";
    }
    run->job.concurrency = 6;
    ask(run, urls, 8);
    assert_int_equal(atomic_load(&calls), 8);
    assert_int_equal(atomic_load(&most_in_call), pool_calls);
    assert_int_equal(most_in_flight(run), pool_calls);
}

/* libuv makes its threads once in a process, hence another one. */
static void assert_pool(const char *threads, int wanted_calls)
{
    char program[] = "test_dns_uv_getaddrinfo";
    char wanted[16];
    char *const argv[] = {program, wanted, NULL};
    int status = 0;
    pid_t pid = -1;

    (void)snprintf(wanted, sizeof wanted, "%d", wanted_calls);
    assert_int_equal(setenv("UV_THREADPOOL_SIZE", threads, 1), 0);
    assert_int_equal(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    (void)unsetenv("UV_THREADPOOL_SIZE");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) != 0) {
        fail_msg("UV_THREADPOOL_SIZE=%s: not %d calls at a time", threads, wanted_calls);
    }
}

static void test_getaddrinfo__takes_the_size_of_the_pool_as_libuv_does(void **state)
{
    (void)state;
    assert_pool("1", 1);
    assert_pool("2", 2);
    assert_pool("5", 5);
    assert_pool("40", 6); /* not more than `concurrency` */
    assert_pool("none", 1);
    assert_pool("0", 1);
}

static void test_getaddrinfo__never_has_more_in_flight_than_asked_for(void **state)
{
    static const char *const urls[] = {"dns:///a.dev", "dns:///b.dev", "dns:///c.dev"};
    struct run *run = *state;

    run->job.concurrency = 1;
    ask(run, urls, 3);
    assert_int_equal(atomic_load(&calls), 3);
    assert_int_equal(atomic_load(&most_in_call), 1);
    assert_int_equal(most_in_flight(run), 1);
}

/* As many as that, over and over. */
static void ask_slowly(struct run *run, size_t count)
{
    const char *urls[NAMES_MAX];

    for (size_t i = 0; i < count; i++) {
        urls[i] = "dns:///slow.dev";
    }
    run->job.concurrency = (uint32_t)count;
    ask(run, urls, count);
}

/* The last four wait for their turn as long as they may take after that. */
static void test_getaddrinfo__begins_the_time_of_a_lookup_with_its_call(void **state)
{
    struct run *run = *state;

    run->job.timeout_ns = UINT64_C(2) * SLOW_MS * NS_PER_MS;
    ask_slowly(run, 12);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(run->results[i].status, TRANSFER_OK);
    }
}

static void test_getaddrinfo__tells_no_timeout_of_a_name_that_was_not_asked_for(void **state)
{
    struct run *run = *state;

    run->job.timeout_ns = SLOW_MS / 2 * NS_PER_MS;
    ask_slowly(run, 8);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(run->results[i].status, TRANSFER_TIMEOUT);
    }
    assert_int_equal(atomic_load(&calls), 8);
    assert_int_equal(most_in_flight(run), pool_calls);
}

static void test_getaddrinfo__tries_again_after_a_failure_only(void **state)
{
    static const char *const urls[] = {"dns:///there.dev", "dns:///none.dev", "dns:///again.dev"};
    struct run *run = *state;

    run->job.attempts_max = 3;
    ask(run, urls, 3);
    assert_int_equal(run->results[0].attempts, 1);
    assert_int_equal(run->results[1].attempts, 1);
    assert_int_equal(run->results[2].attempts, 3);
    assert_int_equal(atomic_load(&calls), 5);
}

static void test_getaddrinfo__tells_a_timeout_in_time_but_has_to_wait_for_the_call(void **state)
{
    static const char *const urls[] = {"dns:///slow.dev", "dns:///slow-2.dev"};
    struct run *run = *state;

    run->job.timeout_ns = 100 * NS_PER_MS;
    run->job.attempts_max = 3;
    run->job.concurrency = 1;
    uint64_t started_ns = clock_now_ns();
    ask(run, urls, 2);
    for (size_t i = 0; i < 2; i++) {
        const struct transfer_result *result = &run->results[i];
        assert_int_equal(result->status, TRANSFER_TIMEOUT);
        assert_int_equal(result->attempts, 1); /* none can follow: the call goes on */
        assert_true(result->finished_ns - result->started_ns < SLOW_MS * NS_PER_MS);
    }
    assert_true(clock_now_ns() - started_ns >= UINT64_C(2) * SLOW_MS * NS_PER_MS);
}

/* The jobs are served by the same threads: one may not be left with the limit of an earlier job. */
static void test_getaddrinfo__has_the_c_library_wait_no_longer_than_the_lookup(void **state)
{
#if defined(__GLIBC__)
    static const char *const url[] = {"dns:///there.dev"};
    static const uint64_t timeouts_s[] = {1, 3, 5, 60, 2, 8};
    struct run *run = *state;

    assert_int_equal(res_ninit(&_res), 0);
    for (size_t i = 0; i < sizeof timeouts_s / sizeof timeouts_s[0]; i++) {
        const int seconds = (int)timeouts_s[i];
        const int all = resolver_patience_s(); /* as resolv.conf(5) has it */
        run->job.timeout_ns = (timeouts_s[i] - 1) * NS_PER_S + 300 * NS_PER_MS;
        atomic_store(&calls, 0);
        ask(run, url, 1);
        assert_in_range(patience_s[0], seconds < all ? seconds : all, all);
        assert_in_range(patience_s[0], 1, seconds + _res.nscount * _res.retry - 1);
    }
    res_nclose(&_res);
#else
    (void)state;
    skip();
#endif
}

static void test_getaddrinfo__leaves_no_slot_open_when_the_caller_stops(void **state)
{
    struct run *run = *state;

    run->stop_ns = clock_now_ns() + SLOW_MS / 2 * NS_PER_MS;
    ask_slowly(run, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(run->results[i].status, TRANSFER_CANCELLED);
    }
    assert_int_equal(atomic_load(&calls), pool_calls); /* the others have not begun */
}

static void test_getaddrinfo__refuses_a_job_for_another_server(void **state)
{
    struct run *run = *state;

    run->requests[0].url = "dns://127.0.0.1:5353/there.dev";
    run->job.count = 1;
    assert_int_equal(backend_find("dns_uv_getaddrinfo")->download_many(&run->job, run->results),
                     -EOPNOTSUPP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_getaddrinfo__##name, setup, teardown)

/* Without an argument: everything. With one: that so many calls run at a time, in this process. */
int main(int argc, char **argv)
{
    const struct CMUnitTest pool_tests[] = {TEST(has_the_pool_at_most)};
    const struct CMUnitTest tests[] = {
        TEST(tells_outcomes_and_sorted_addresses),
        TEST(asks_for_each_name_with_one_last_dot),
        TEST(has_the_pool_at_most),
        TEST(takes_the_size_of_the_pool_as_libuv_does),
        TEST(never_has_more_in_flight_than_asked_for),
        TEST(begins_the_time_of_a_lookup_with_its_call),
        TEST(tells_no_timeout_of_a_name_that_was_not_asked_for),
        TEST(tries_again_after_a_failure_only),
        TEST(tells_a_timeout_in_time_but_has_to_wait_for_the_call),
        TEST(has_the_c_library_wait_no_longer_than_the_lookup),
        TEST(leaves_no_slot_open_when_the_caller_stops),
        TEST(refuses_a_job_for_another_server),
    };
    if (argc == 2) {
        pool_calls = (int)strtol(argv[1], NULL, 10);
        return cmocka_run_group_tests_name("a pool of its own", pool_tests, NULL, NULL);
    }
    (void)unsetenv("UV_THREADPOOL_SIZE"); /* of whoever runs this */
    return cmocka_run_group_tests_name("dns_uv_getaddrinfo", tests, NULL, NULL);
}
