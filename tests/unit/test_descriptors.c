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

static void limit_descriptors(unsigned count)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(limit.rlim_max >= count);
    limit.rlim_cur = count;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_descriptors__reserving_makes_room_and_opens_none(void **state)
{
    (void)state;
    unsigned entries = table_entries();
    limit_descriptors(4 * entries);
    int next_fd = dup(STDERR_FILENO);
    (void)close(next_fd);
    descriptors_reserve(2 * entries);
    assert_true(table_entries() > 2 * entries);
    assert_int_equal(fcntl((int)(2 * entries), F_GETFD), -1);
    assert_int_equal(dup(STDERR_FILENO), next_fd);
    (void)close(next_fd);
}

/* The kernel's table has room for a power of two. */
static void test_descriptors__reserves_no_more_than_there_may_be(void **state)
{
    (void)state;
    unsigned entries = table_entries();
    limit_descriptors(entries + 1);
    descriptors_reserve(100 * entries);
    assert_in_range(table_entries(), entries + 1, 2 * entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors__reserving_makes_room_and_opens_none),
        cmocka_unit_test(test_descriptors__reserves_no_more_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
