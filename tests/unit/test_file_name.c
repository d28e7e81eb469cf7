#include "backends/save.h"
#include "harness/file_name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_name_of_path(const char *path, const char *expected)
{
    char name[FILE_NAME_BYTES_MAX];

    file_name_of_path(path, strlen(path), name);
    assert_string_equal(name, expected);
    assert_true(save_name_is_safe(name));
}

static void test_file_name__is_the_last_part_of_the_path(void **state)
{
    (void)state;
    assert_name_of_path("/flags/br/br.gif", "br.gif");
    assert_name_of_path("/br.gif?size=1/2", "br.gif");
    assert_name_of_path("/", "index");
    assert_name_of_path("/folder/", "index");
    assert_name_of_path("", "index");
}

static void test_file_name__cannot_leave_the_folder_or_hide(void **state)
{
    (void)state;
    assert_name_of_path("/..", "_.");
    assert_name_of_path("/.", "_");
    assert_name_of_path("/.bashrc", "_bashrc");
    assert_name_of_path("/%2e%2e%2fetc%2fpasswd", "_._etc_passwd");
    assert_name_of_path("/a%2Fb%5cc:d", "a_b_c_d");
    assert_name_of_path("/a%00b", "a_b");
}

static void test_file_name__is_plain_whatever_the_bytes(void **state)
{
    (void)state;
    assert_name_of_path("/a%20%20b%0a.txt", "a_b_.txt");
    assert_name_of_path("/%e2%82%ac", "_");
    assert_name_of_path("/100%", "100_");
    assert_name_of_path("/%zz%4", "_zz_4");
    for (int byte = 1; byte < 256; byte++) {
        const char text[] = {(char)byte, 'x', (char)byte, '\0'};
        char name[FILE_NAME_BYTES_MAX];
        file_name_of_text(text, 3, name);
        assert_true(save_name_is_safe(name));
    }
}

static void test_file_name__keeps_the_ending_of_a_long_one(void **state)
{
    char path[5000];
    char name[FILE_NAME_BYTES_MAX];
    (void)state;

    memset(path, 'x', sizeof path);
    file_name_of_path(path, sizeof path, name);
    assert_true(save_name_is_safe(name));
    memcpy(path + 1000, ".jpeg", 5);
    file_name_of_path(path, 1005, name);
    assert_true(save_name_is_safe(name));
    assert_string_equal(name + strlen(name) - 5, ".jpeg");
}

static void test_file_name__a_mark_goes_before_the_ending(void **state)
{
    char name[FILE_NAME_BYTES_MAX] = "br.gif";
    (void)state;

    file_name_mark(name, 0x123);
    assert_string_equal(name, "br-0000000000000123.gif");
    (void)strcpy(name, "README");
    file_name_mark(name, 0x123);
    assert_string_equal(name, "README-0000000000000123");
}

static void test_file_name__has_room_for_many_marks(void **state)
{
    char path[200];
    char name[FILE_NAME_BYTES_MAX];
    (void)state;

    memset(path, 'x', sizeof path);
    file_name_of_path(path, sizeof path, name);
    for (uint64_t i = 0; i < 20; i++) {
        char before[FILE_NAME_BYTES_MAX];
        (void)snprintf(before, sizeof before, "%s", name);
        file_name_mark(name, i);
        assert_true(save_name_is_safe(name));
        assert_string_not_equal(name, before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_name__is_the_last_part_of_the_path),
        cmocka_unit_test(test_file_name__cannot_leave_the_folder_or_hide),
        cmocka_unit_test(test_file_name__is_plain_whatever_the_bytes),
        cmocka_unit_test(test_file_name__keeps_the_ending_of_a_long_one),
        cmocka_unit_test(test_file_name__a_mark_goes_before_the_ending),
        cmocka_unit_test(test_file_name__has_room_for_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
