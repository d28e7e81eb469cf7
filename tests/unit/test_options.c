#include "harness/exit_code.h"
#include "harness/options.h"

#include "backends/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define ARGUMENTS_MAX 12

static char room[ARGUMENTS_MAX][128];

/* The parser cuts lists in place, as it may with a real argv: give it writable copies. */
static int parse(struct options *options, const char *const *arguments)
{
    char name[] = "run";
    char *argv[ARGUMENTS_MAX + 2] = {name};
    int argc = 1;

    for (; arguments[argc - 1] != NULL; argc++) {
        assert_true(argc <= ARGUMENTS_MAX);
        (void)snprintf(room[argc - 1], sizeof room[0], "%s", arguments[argc - 1]);
        argv[argc] = room[argc - 1];
    }
    return options_parse(argc, argv, options);
}

#define PARSE(options, ...) parse(options, (const char *const[]){__VA_ARGS__, NULL})

static void test_options__without_arguments_are_the_twenty_flags(void **state)
{
    struct options options;
    (void)state;
    assert_int_equal(parse(&options, (const char *const[]){NULL}), 0);
    assert_string_equal(options.scenario, "flags20");
    assert_int_equal(options.transfers, 20);
    assert_int_equal(options.concurrency.count, 1);
    assert_int_equal(options.concurrency.values[0], 20);
    assert_int_equal(options.delays.count, 1);
    assert_string_equal(options.delays.texts[0], "20ms");
    assert_true(options.timeout_ns == 6100 * NS_PER_MS);
    assert_int_equal(options.retries, 0);
    assert_int_equal(options.seed, 1);
}

static void test_options__override_their_part_of_a_scenario(void **state)
{
    struct options options;
    (void)state;
    assert_int_equal(PARSE(&options, "--scenario", "throughput", "-n", "500", "--timeout", "1.5s"),
                     0);
    assert_int_equal(options.transfers, 500);
    assert_true(options.all_flags);
    assert_int_equal(options.concurrency.values[0], 64);
    assert_string_equal(options.delays.texts[0], "0");
    assert_true(options.timeout_ns == 1500 * NS_PER_MS);
}

static void test_options__split_lists(void **state)
{
    struct options options;
    (void)state;
    assert_int_equal(PARSE(&options, "-c", "1,16,64", "--delay", "0,5ms,uniform:1ms:2ms", "-b",
                           "raw_*,threads", "--size", "1KiB,64KiB"),
                     0);
    assert_int_equal(options.concurrency.count, 3);
    assert_int_equal(options.concurrency.values[2], 64);
    assert_int_equal(options.delays.count, 3);
    assert_string_equal(options.delays.texts[2], "uniform:1ms:2ms");
    assert_int_equal(options.backends.count, 2);
    assert_int_equal(options.sizes.count, 2);
    assert_true(options.sizes.bytes[1] == 65536);
}

static void test_options__refuse_what_they_do_not_understand(void **state)
{
    static const char *const refused[][ARGUMENTS_MAX] = {
        {"-c", "0"},
        {"-c", "1e9"},
        {"-c", "1000000000"},
        {"-c", "-1"},
        {"-c", "+1"},
        {"-c", " 1"},
        {"-c", ""},
        {"-c", "1,,2"},
        {"-c", "99999999999999999999999"},
        {"-n", "0"},
        {"-n", "20x"},
        {"-r", "0"},
        {"-l", "0"},
        {"--delay", "20"},
        {"--delay", "20ms,"},
        {"--delay", "uniform:5s:1s"},
        {"--delay", "banana"},
        {"--fault", "status:418@1.5"},
        {"--fault",
         "status:418"
         "@.6",
         "--fault", "status:500@.6"},
        {"--fault", "banana"},
        {"--timeout", "0"},
        {"--timeout", "5"},
        {"--rate", "0"},
        {"--rate", "100"},
        {"--size", "0"},
        {"--size", "12"},
        {"--size", "65MiB"},
        {"--save-mode", "fast", "--save", "x"},
        {"--save-mode", "atomic"},
        {"--connections", "both"},
        {"--retries", "101"},
        {"--scenario", "banana"},
        {"--server", "https://example.org/"},
        {"--server", "banana"},
        {"--server", "http://127.0.0.1:1/flags", "--delay", "20ms"},
        {"--server", "http://127.0.0.1:1/flags", "--urls", "x"},
        {"--urls", "x", "--size", "1KiB"},
        {"--csv", "same", "--json", "same"},
        {"--seed", "x"},
        {"--no-such-option"},
        {"-c"},
        {"banana"},
    };
    struct options options;
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        if (parse(&options, refused[i]) != EXIT_USAGE_ERROR) {
            fail_msg("accepted: %s %s", refused[i][0], refused[i][1] == NULL ? "" : refused[i][1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options__without_arguments_are_the_twenty_flags),
        cmocka_unit_test(test_options__override_their_part_of_a_scenario),
        cmocka_unit_test(test_options__split_lists),
        cmocka_unit_test(test_options__refuse_what_they_do_not_understand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
