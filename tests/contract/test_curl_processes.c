/* A pool of processes is there to be safe from what one of them does: the rest of the contract is
 * checked in tests/contract. */
#include "support/mock.h"

#include "backends/clock.h"
#include "backends/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT 12
#define CONCURRENCY 4
#define URL_ROOM 192

static const struct bench_backend *backend;
static struct mock mock; /* answers at once unless a query asks for a delay */

/* A run, and what is done to its processes as soon as all of them are waiting. */
struct attack {
    char urls[COUNT][URL_ROOM];
    struct transfer_request requests[COUNT];
    struct transfer_result results[COUNT];
    struct download_hooks hooks;
    struct download_job job;
    int signal;
    size_t victims_max;
    size_t victims; /* so far */
    pid_t caller;
    size_t told;
    bool told_elsewhere; /* a hook ran in another process */
};

/* @return the parent, 0 when there is no such process; its state */
static pid_t parent_of(pid_t pid, char *state)
{
    char path[64];
    char line[512] = "";
    int parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    if (fgets(line, sizeof line, file) == NULL ||
        sscanf(strrchr(line, ')') + 1, " %c %d", state, &parent) != 2) {
        parent = 0;
    }
    (void)fclose(file);
    return parent;
}

static size_t children_of(pid_t parent, pid_t but, pid_t children[], size_t children_max)
{
    DIR *folder = opendir("/proc");
    size_t count = 0;
    char state = 0;

    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (isdigit((unsigned char)entry->d_name[0]) && pid != but && count < children_max &&
            parent_of(pid, &state) == parent && state != 'Z') {
            children[count++] = pid;
        }
    }
    (void)closedir(folder);
    return count;
}

static bool all_are_waiting(void)
{
    struct server_stats stats;

    mock_stats(&mock, &stats);
    bool all = stats.requests >= CONCURRENCY;
    server_stats_release(&stats);
    return all;
}

/* Polled by the backend in our process: a good place to strike from. */
static int strike(void *user)
{
    struct attack *attack = user;
    pid_t children[CONCURRENCY + 1];

    attack->told_elsewhere = attack->told_elsewhere || getpid() != attack->caller;
    if (attack->victims > 0 || !all_are_waiting()) {
        return 0;
    }
    size_t count = children_of(getpid(), mock.pid, children, CONCURRENCY + 1);
    assert_int_equal(count, CONCURRENCY);
    while (attack->victims < attack->victims_max) {
        assert_int_equal(kill(children[attack->victims++], attack->signal), 0);
    }
    return 0;
}

static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct attack *attack = user;

    attack->told_elsewhere = attack->told_elsewhere || getpid() != attack->caller;
    attack->told += result == &attack->results[index] && result->status != TRANSFER_UNSET;
}

/* @param delay  of the first of each process, whose answers are not to come before the strike */
static struct attack *attack_new(const char *delay, int signal, size_t victims)
{
    struct attack *attack = calloc(1, sizeof *attack);

    assert_non_null(attack);
    mock_reset(&mock);
    for (size_t i = 0; i < COUNT; i++) {
        (void)snprintf(attack->urls[i], URL_ROOM, "%s%s?delay=%s", mock.origin,
                       mock.manifest.flags[i].path, i < CONCURRENCY ? delay : "1ms");
        attack->requests[i].url = attack->urls[i];
    }
    attack->hooks =
        (struct download_hooks){.user = attack, .on_complete = on_complete, .cancelled = strike};
    attack->job = (struct download_job){
        .struct_size = sizeof attack->job,
        .requests = attack->requests,
        .count = COUNT,
        .concurrency = CONCURRENCY,
        .loops = 1,
        .timeout_ns = 3 * NS_PER_S,
        .body_bytes_max = 8u << 20,
        .attempts_max = 1,
        .output_dir_fd = -1,
        .hooks = &attack->hooks,
    };
    attack->signal = signal;
    attack->victims_max = victims;
    attack->caller = getpid();
    return attack;
}

static void attack_end(struct attack *attack)
{
    pid_t children[1];

    assert_int_equal(children_of(getpid(), mock.pid, children, 1), 0);
    free(attack);
}

/* The victims' transfers have failed with a reason, all others are there. */
static void assert_victims(const struct attack *attack)
{
    size_t failed = 0;

    for (size_t i = 0; i < COUNT; i++) {
        const struct transfer_result *slot = &attack->results[i];
        if (slot->status != TRANSFER_OK) {
            assert_int_equal(slot->status, TRANSFER_RESET);
            assert_string_not_equal(slot->message, "");
            failed++;
        }
        assert_true(slot->finished_ns >= slot->started_ns);
    }
    assert_int_equal(attack->victims, attack->victims_max);
    assert_int_equal(failed, attack->victims);
    assert_int_equal(attack->told, COUNT);
    assert_false(attack->told_elsewhere);
}

static void test_a_process_that_is_killed_loses_its_own_transfer_only(void **state)
{
    struct attack *attack = attack_new("1s", SIGKILL, 1);
    (void)state;

    assert_int_equal(backend->download_many(&attack->job, attack->results), 0);
    assert_victims(attack);
    attack_end(attack);
}

static void test_the_last_process_does_the_work_of_all(void **state)
{
    struct attack *attack = attack_new("1s", SIGABRT, CONCURRENCY - 1);
    (void)state;

    assert_int_equal(backend->download_many(&attack->job, attack->results), 0);
    assert_victims(attack);
    attack_end(attack);
}

static void test_a_run_whose_processes_are_all_dead_says_so(void **state)
{
    struct attack *attack = attack_new("3s", SIGKILL, CONCURRENCY);
    (void)state;

    assert_int_equal(backend->download_many(&attack->job, attack->results), -ECHILD);
    attack_end(attack);
}

static void test_a_process_that_hangs_is_not_waited_for_for_ever(void **state)
{
    struct attack *attack = attack_new("500ms", SIGSTOP, 1);
    (void)state;

    attack->job.timeout_ns = NS_PER_S;
    uint64_t begun_ns = clock_now_ns();
    assert_int_equal(backend->download_many(&attack->job, attack->results), 0);
    assert_true(clock_now_ns() - begun_ns < 15 * NS_PER_S);
    assert_victims(attack);
    attack_end(attack);
}

static bool has_ended(pid_t pid)
{
    char state = 0;

    return parent_of(pid, &state) == 0 || state == 'Z';
}

static void test_no_process_outlives_the_caller(void **state)
{
    struct attack *attack = attack_new("20s", 0, 0);
    pid_t children[CONCURRENCY];
    size_t ended = 0;
    (void)state;

    attack->job.hooks = NULL;
    attack->job.timeout_ns = 30 * NS_PER_S;
    pid_t caller = fork();
    assert_true(caller >= 0);
    if (caller == 0) {
        (void)backend->download_many(&attack->job, attack->results);
        _exit(0);
    }
    while (!all_are_waiting()) {
        (void)usleep(10000);
    }
    assert_int_equal(children_of(caller, 0, children, CONCURRENCY), CONCURRENCY);
    assert_int_equal(kill(caller, SIGKILL), 0);
    assert_int_equal(waitpid(caller, NULL, 0), caller);
    for (int tries = 0; tries < 500 && ended < CONCURRENCY; tries++) {
        ended = 0;
        for (size_t i = 0; i < CONCURRENCY; i++) {
            ended += has_ended(children[i]);
        }
        (void)usleep(10000);
    }
    assert_int_equal(ended, CONCURRENCY);
    attack_end(attack);
}

static int start(void **state)
{
    (void)state;
    mock_start(&mock, (const char *const[]){"--delay", "0", NULL});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    mock_stop(&mock);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_process_that_is_killed_loses_its_own_transfer_only),
        cmocka_unit_test(test_the_last_process_does_the_work_of_all),
        cmocka_unit_test(test_a_run_whose_processes_are_all_dead_says_so),
        cmocka_unit_test(test_a_process_that_hangs_is_not_waited_for_for_ever),
        cmocka_unit_test(test_no_process_outlives_the_caller),
    };

    backend = backend_find("curl_processes");
    return cmocka_run_group_tests_name("curl_processes", tests, start, stop);
}
