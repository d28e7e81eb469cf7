#include "harness/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <sys/resource.h>

/* Entries of the kernel's table of our descriptors: proc_pid_status(5). */
static unsigned table_entries(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    unsigned entries = 0;

    assert_non_null(file);
    while (entries == 0 && fgets(line, sizeof line, file) != NULL) {
        (void)sscanf(line, "FDSize: %u", &entries);
    }
    (void)fclose(file);
    return entries;
}

static void test_usage__reserving_descriptors_makes_room_and_opens_none(void **state)
{
    (void)state;
    int64_t open_before = usage_descriptors();
    unsigned entries = table_entries();
    usage_reserve_descriptors(2 * entries);
    assert_true(table_entries() > 2 * entries);
    assert_int_equal(usage_descriptors(), open_before);
}

static void test_usage__reserves_no_more_descriptors_than_there_may_be(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 900;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    usage_reserve_descriptors(100000);
    assert_in_range(table_entries(), 900, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage__reserving_descriptors_makes_room_and_opens_none),
        cmocka_unit_test(test_usage__reserves_no_more_descriptors_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
