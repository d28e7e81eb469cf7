#include "harness/server_stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_server_stats__are_read_by_name(void **state)
{
    static const char text[] = "{\"requests\":20,\"accepted\":4,\"max_in_flight\":3,"
                               "\"duplicates\":1,\"cpu_user_s\":0.5,\"cpu_sys_s\":0.25,"
                               "\"paths\":{\"/b\":7,\"/a\":13}}";
    struct server_stats stats;
    (void)state;
    assert_int_equal(server_stats_parse(&stats, text, strlen(text)), 0);
    assert_int_equal(stats.requests, 20);
    assert_int_equal(stats.accepted, 4);
    assert_int_equal(stats.max_in_flight, 3);
    assert_int_equal(stats.duplicates, 1);
    assert_true(stats.cpu_s == 0.75);
    assert_int_equal(server_stats_path(&stats, "/a"), 13);
    assert_int_equal(server_stats_path(&stats, "/b"), 7);
    assert_int_equal(server_stats_path(&stats, "/c"), 0);
    server_stats_release(&stats);
}

static void test_server_stats__refuse_an_answer_that_lacks_one(void **state)
{
    static const char *const texts[] = {
        "",
        "{}",
        "not json",
        "{\"requests\":20,\"accepted\":4,\"max_in_flight\":3,\"duplicates\":0,"
        "\"cpu_user_s\":0.5,\"paths\":{}}",
        "{\"requests\":-1,\"accepted\":4,\"max_in_flight\":3,\"duplicates\":0,"
        "\"cpu_user_s\":0.5,\"cpu_sys_s\":1,\"paths\":{}}",
        "{\"requests\":1,\"accepted\":4,\"max_in_flight\":3,\"duplicates\":0,"
        "\"cpu_user_s\":0.5,\"cpu_sys_s\":1,\"paths\":[]}",
    };
    struct server_stats stats;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(server_stats_parse(&stats, texts[i], strlen(texts[i])), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_stats__are_read_by_name),
        cmocka_unit_test(test_server_stats__refuse_an_answer_that_lacks_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
