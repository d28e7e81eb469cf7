#include "backends/descriptors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

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

static void test_descriptors__reserving_makes_room_and_opens_none(void **state)
{
    (void)state;
    int next_fd = dup(STDERR_FILENO);
    (void)close(next_fd);
    unsigned entries = table_entries();
    descriptors_reserve(2 * entries);
    assert_true(table_entries() > 2 * entries);
    assert_int_equal(fcntl((int)(2 * entries), F_GETFD), -1);
    assert_int_equal(dup(STDERR_FILENO), next_fd);
    (void)close(next_fd);
}

static void test_descriptors__reserves_no_more_than_there_may_be(void **state)
{
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 900;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_reserve(100000);
    assert_in_range(table_entries(), 900, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors__reserving_makes_room_and_opens_none),
        cmocka_unit_test(test_descriptors__reserves_no_more_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
