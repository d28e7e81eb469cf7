#include "backends/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_BYTES 64
#define MANY 3000 /* more than are kept */

static void assert_goes_to(const struct target *target, const char *authority, const char *path)
{
    assert_int_equal(target->path_bytes, strlen(path));
    assert_memory_equal(target->path, path, strlen(path));
    assert_int_equal(target->endpoint->authority_bytes, strlen(authority));
    assert_memory_equal(target->endpoint->authority, authority, strlen(authority));
    assert_int_not_equal(target->endpoint->address_bytes, 0);
}

static void test_target__is_found_again_for_every_url_of_a_job(void **state)
{
    static const char a[] = "http://127.0.0.1:81/a";
    static const char b[] = "http://127.0.0.2/b";
    const struct transfer_request requests[] = {{.url = a}, {.url = b}, {.url = a}};
    const struct download_job job = {.requests = requests, .count = 3};
    struct target_table table;
    struct target spare;
    (void)state;

    assert_int_equal(target_table_init(&table, &job), 0);
    for (int i = 0; i < 2; i++) {
        assert_goes_to(target_find(&table, a, &spare), "127.0.0.1:81", "/a");
        assert_goes_to(target_find(&table, b, &spare), "127.0.0.2", "/b");
    }
    assert_int_equal(table.count, 2);
    assert_int_equal(table.endpoints.count, 2);
    target_table_release(&table);
}

static void test_target__of_a_redirect_is_taken_apart_when_it_comes(void **state)
{
    static const struct transfer_request request = {.url = "http://127.0.0.1:81/a"};
    const struct download_job job = {.requests = &request, .count = 1};
    char moved[] = "http://127.0.0.1:81/first";
    struct target_table table;
    struct target spare;
    (void)state;

    assert_int_equal(target_table_init(&table, &job), 0);
    assert_goes_to(target_find(&table, moved, &spare), "127.0.0.1:81", "/first");
    /* The place's buffer, at the same address, leads elsewhere for the next transfer. */
    memcpy(moved, "http://127.0.0.1:81/other", sizeof moved);
    assert_goes_to(target_find(&table, moved, &spare), "127.0.0.1:81", "/other");
    target_table_release(&table);
}

static void test_target__is_right_when_there_are_more_than_can_be_kept(void **state)
{
    char(*urls)[URL_BYTES] = calloc(MANY, sizeof *urls);
    struct transfer_request *requests = calloc(MANY, sizeof requests[0]);
    const struct download_job job = {.requests = requests, .count = MANY};
    char path[URL_BYTES];
    char authority[URL_BYTES];
    struct target_table table;
    struct target spare;
    (void)state;

    assert_non_null(urls);
    assert_non_null(requests);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(urls[i], sizeof urls[i], "http://127.0.0.%d/%d", i % 3 + 1, i);
        requests[i].url = urls[i];
    }
    assert_int_equal(target_table_init(&table, &job), 0);
    assert_in_range(table.count, 1, MANY - 1);
    assert_int_equal(table.endpoints.count, 3);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(path, sizeof path, "/%d", i);
        (void)snprintf(authority, sizeof authority, "127.0.0.%d", i % 3 + 1);
        assert_goes_to(target_find(&table, urls[i], &spare), authority, path);
    }
    target_table_release(&table);
    free(requests);
    free(urls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target__is_found_again_for_every_url_of_a_job),
        cmocka_unit_test(test_target__of_a_redirect_is_taken_apart_when_it_comes),
        cmocka_unit_test(test_target__is_right_when_there_are_more_than_can_be_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
