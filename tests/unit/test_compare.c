#include "harness/compare_report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A run of `curl` (the reference), its copy, and `epoll`, as bench would write it. */
struct recipe {
    const char *run_id;
    size_t rounds;           /* 0: 20 */
    double factor;           /* of epoll's cost; 0: 1 */
    double noise;            /* of epoll's cost, a spread on the log scale */
    const double *log_costs; /* [rounds] instead of factor and noise */
    double machine;          /* all costs; 0: 1 */
    const char *delay;       /* NULL: "0" */
    bool server_limited;
    double failed_share; /* of epoll's transfers */
};

/* Twenty values of a standard normal distribution, symmetric, in an order without meaning. */
static double noise_of(size_t round)
{
    static const double values[] = {0.19,  -1.28, 0.84,  0.45,  -0.06, 1.28,  -0.84,
                                    -1.64, 0.06,  -0.45, 1.64,  0.67,  -0.19, -1.04,
                                    0.32,  1.04,  -0.67, -0.32, 1.96,  -1.96};
    return values[round % (sizeof values / sizeof values[0])];
}

static json_t *cell_of(const struct recipe *recipe, const char *backend, bool is_copy)
{
    return json_pack("{s:s+, s:s, s:b, s:s, s:s, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:b, s:f, "
                     "s:f, s:n}",
                     "name", backend, "/n=100/c=8", "backend", backend, "copy", is_copy, "engine",
                     "e", "model", "m", "concurrency", 8, "loops", 1, "transfers", 100, "delay",
                     recipe->delay == NULL ? "0" : recipe->delay, "fault", "", "size", "",
                     "connections", "reuse", "server_limited", recipe->server_limited, "efficiency",
                     0.9, "syscalls_per_transfer", 2.0, "rank");
}

static json_t *sample_of(const struct recipe *recipe, const char *backend, size_t round,
                         double cost, double failed)
{
    json_t *sample = cell_of(recipe, backend, false);
    json_t *more =
        json_pack("{s:i, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "round", (int)round + 1, "valid",
                  1, "wall_s", 0.5 * cost, "cpu_us_per_transfer", 30 * cost, "transfers_per_s",
                  200 / cost, "latency_p50_ms", 4 * cost, "latency_p99_ms", 9 * cost, "ok",
                  100 - failed, "failed", failed);

    json_object_update(sample, more);
    json_decref(more);
    return sample;
}

static json_t *build(const struct recipe *recipe)
{
    size_t rounds = recipe->rounds == 0 ? 20 : recipe->rounds;
    double factor = recipe->factor == 0 ? 1 : recipe->factor;
    double machine = recipe->machine == 0 ? 1 : recipe->machine;
    json_t *root = json_pack(
        "{s:i, s:s, s:{s:s, s:i, s:s, s:s, s:b, s:s, s:s, s:n}, s:{s:s, s:n, s:i, s:s, s:s, s:n, "
        "s:n, s:n, s:s, s:i, s:[], s:f}, s:s, s:[], s:[], s:[s]}",
        "schema", 1, "run_id", recipe->run_id == NULL ? "" : recipe->run_id, "environment", "arch",
        "x86_64", "cores", 2, "corpus", "0123456789abcdef", "build_type", "Release",
        "untrusted_build", 0, "cpu_model", "Some CPU", "kernel", "Linux 6.1", "governor", "options",
        "scenario", "throughput", "rate", "retries", 0, "connections", "reuse", "save_mode",
        "direct", "save", "server", "urls", "pin", "auto", "seed", 1, "fault", "timeout_s", 6.1,
        "reference", "curl", "cells", "samples", "warnings", "a warning");
    json_t *cells = json_object_get(root, "cells");
    json_t *samples = json_object_get(root, "samples");

    json_array_append_new(cells, cell_of(recipe, "curl", false));
    json_array_append_new(cells, cell_of(recipe, "epoll", false));
    json_array_append_new(cells, cell_of(recipe, "curl#2", true));
    for (size_t i = 0; i < rounds; i++) {
        double log_cost = recipe->log_costs == NULL ? log(factor) + recipe->noise * noise_of(i)
                                                    : recipe->log_costs[i];
        json_array_append_new(samples, sample_of(recipe, "epoll", i, machine * 0.5 * exp(log_cost),
                                                 100 * recipe->failed_share));
        json_array_append_new(samples, sample_of(recipe, "curl", i, machine, 0));
        json_array_append_new(samples, sample_of(recipe, "curl#2", i, 1.01 * machine, 0));
    }
    return root;
}

static int parse_text(struct compare_document *document, const char *text, char *reason)
{
    reason[0] = '\0';
    return compare_document_parse(document, "file.json", text, strlen(text), reason);
}

/* Takes the reference to `root`. */
static void parse_built(struct compare_document *document, const char *name, json_t *root)
{
    char reason[COMPARE_REASON_BYTES] = "";
    char *text = json_dumps(root, 0);

    assert_non_null(text);
    if (compare_document_parse(document, name, text, strlen(text), reason) != 0) {
        fail_msg("%s", reason);
    }
    free(text);
    json_decref(root);
}

/* Base runs and the new one, and what comes of them; released with trial_release. */
struct trial {
    struct compare_document documents[8];
    size_t count;
    struct compare_options options;
    struct comparison comparison;
    char reason[COMPARE_REASON_BYTES];
    int error;
};

static void trial_add(struct trial *trial, json_t *root)
{
    static const char *const names[] = {"0.json", "1.json", "2.json", "3.json",
                                        "4.json", "5.json", "6.json", "7.json"};

    parse_built(&trial->documents[trial->count], names[trial->count], root);
    trial->count++;
}

static void trial_run(struct trial *trial)
{
    trial->options.threshold = COMPARE_THRESHOLD;
    trial->error =
        compare_documents(&trial->comparison, &trial->options, trial->documents, trial->count - 1,
                          &trial->documents[trial->count - 1], trial->reason);
}

static void trial_release(struct trial *trial)
{
    compare_release(&trial->comparison);
    for (size_t i = 0; i < trial->count; i++) {
        compare_document_release(&trial->documents[i]);
    }
}

static void trial_of(struct trial *trial, const struct recipe *base, const struct recipe *now,
                     enum metric metric)
{
    *trial = (struct trial){.count = 0};
    trial->options.metrics[trial->options.metrics_count++] = metric;
    trial_add(trial, build(base));
    trial_add(trial, build(now));
    trial_run(trial);
    assert_int_equal(trial->error, 0);
    assert_true(trial->comparison.judged == 1);
}

static enum compare_verdict verdict_between(const struct recipe *base, const struct recipe *now,
                                            enum metric metric)
{
    struct trial trial;

    trial_of(&trial, base, now, metric);
    enum compare_verdict verdict = trial.comparison.rows[0].verdict;
    trial_release(&trial);
    return verdict;
}

/* ---- verdicts ---- */

static const struct recipe plain = {.run_id = "a", .noise = 0.02};

static void test_compare__equal_runs_pass(void **state)
{
    struct trial trial;
    (void)state;
    trial_of(&trial, &plain, &(struct recipe){.run_id = "b", .noise = 0.02}, METRIC_WALL_S);
    assert_true(trial.comparison.rows[0].change == 0);
    assert_int_equal(trial.comparison.rows[0].verdict, COMPARE_SAME);
    assert_int_equal(trial.comparison.verdict, COMPARE_SAME);
    assert_true(trial.comparison.rows[0].base > 0.49);
    assert_true(trial.comparison.rows[0].base < 0.51);
    trial_release(&trial);
}

static void test_compare__the_change_decides(void **state)
{
    static const struct {
        double factor;
        double noise;
        enum compare_verdict verdict;
    } cases[] = {
        {1.10, 0.02, COMPARE_REGRESSION},   {1.05, 0.05, COMPARE_INCONCLUSIVE},
        {1.10, 0.20, COMPARE_INCONCLUSIVE}, {1.02, 0.02, COMPARE_SAME},
        {0.85, 0.02, COMPARE_IMPROVEMENT},  {0.94, 0.06, COMPARE_NOT_WORSE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct recipe now = {.factor = cases[i].factor, .noise = cases[i].noise};
        print_message("x%g, noise %g\n", cases[i].factor, cases[i].noise);
        assert_int_equal(verdict_between(&plain, &now, METRIC_CPU_US_PER_TRANSFER),
                         cases[i].verdict);
    }
}

static void test_compare__fewer_transfers_per_second_are_worse(void **state)
{
    struct recipe slower = {.factor = 1.1, .noise = 0.02};
    struct recipe faster = {.factor = 0.85, .noise = 0.02};
    struct trial trial;
    (void)state;
    assert_int_equal(verdict_between(&plain, &faster, METRIC_TRANSFERS_PER_S), COMPARE_IMPROVEMENT);
    trial_of(&trial, &plain, &slower, METRIC_TRANSFERS_PER_S);
    assert_int_equal(trial.comparison.rows[0].verdict, COMPARE_REGRESSION);
    assert_true(trial.comparison.rows[0].change < -0.08);
    assert_true(trial.comparison.rows[0].high < -0.04);
    trial_release(&trial);
}

static void test_compare__a_slower_machine_is_no_regression(void **state)
{
    struct trial trial;
    (void)state;
    trial_of(&trial, &plain, &(struct recipe){.noise = 0.02, .machine = 2}, METRIC_WALL_S);
    assert_int_equal(trial.comparison.rows[0].verdict, COMPARE_SAME);
    assert_true(fabs(trial.comparison.machine_factor - 2) < 1e-9);
    assert_true(fabs(trial.comparison.noise_new[METRIC_WALL_S].high - 1.01) < 1e-9);
    trial_release(&trial);
}

/* Six log ratios: the 95% interval is from the least to the greatest, 0.06 wide. */
static void test_compare__the_error_is_the_width_of_the_interval(void **state)
{
    static const double log_costs[] = {-0.03, 0.02, 0.01, -0.01, -0.02, 0.03};
    struct recipe run = {.rounds = 6, .log_costs = log_costs};
    struct trial trial;
    (void)state;
    trial_of(&trial, &run, &run, METRIC_WALL_S);
    double expected = sqrt(2) * 0.06 / 3.92;
    const struct compare_row *row = &trial.comparison.rows[0];
    assert_true(fabs(row->log_error - expected) < 1e-12);
    assert_true(fabs(row->high - expm1(1.6448536269514722 * expected)) < 1e-9);
    assert_true(isnan(row->tau));
    assert_true(trial.comparison.advisory);
    trial_release(&trial);
}

static void test_compare__fewer_than_six_rounds_decide_nothing(void **state)
{
    struct recipe five = {.rounds = 5, .factor = 3};
    struct recipe six = {.rounds = 6, .factor = 3};
    struct trial trial;
    (void)state;
    trial_of(&trial, &plain, &five, METRIC_WALL_S);
    assert_int_equal(trial.comparison.verdict, COMPARE_INCONCLUSIVE);
    assert_non_null(strstr(trial.comparison.rows[0].reason, "5 in the new run; each needs 6"));
    trial_release(&trial);
    assert_int_equal(verdict_between(&five, &plain, METRIC_WALL_S), COMPARE_INCONCLUSIVE);
    assert_int_equal(verdict_between(&plain, &six, METRIC_WALL_S), COMPARE_REGRESSION);
}

static void test_compare__all_rows_share_the_level(void **state)
{
    struct trial trial = {
        .options = {.metrics = {METRIC_WALL_S, METRIC_CPU_US_PER_TRANSFER}, .metrics_count = 2}};
    (void)state;
    trial_add(&trial, build(&plain));
    trial_add(&trial, build(&plain));
    trial_run(&trial);
    assert_int_equal(trial.comparison.judged, 2);
    assert_true(fabs(trial.comparison.z - 1.959963984540054) < 1e-9);
    trial_release(&trial);
}

static void test_compare__another_share_of_failures_is_other_work(void **state)
{
    struct recipe failing = {.factor = 0.5, .failed_share = 0.5};
    struct trial trial;
    (void)state;
    trial_of(&trial, &plain, &failing, METRIC_CPU_US_PER_TRANSFER);
    assert_int_equal(trial.comparison.verdict, COMPARE_INCONCLUSIVE);
    assert_non_null(strstr(trial.comparison.rows[0].reason, "50.0% in the new one"));
    trial_release(&trial);
}

static void test_compare__discarded_rounds_and_invalid_trials_do_not_count(void **state)
{
    static const double log_costs[8] = {[6] = 5, [7] = 5};
    struct trial trial = {.options = {.metrics = {METRIC_WALL_S}, .metrics_count = 1}};
    json_t *now = build(&(struct recipe){.rounds = 8, .log_costs = log_costs});
    json_t *rounds = json_array();
    (void)state;
    for (int i = 0; i < 8; i++) {
        json_array_append_new(rounds, json_pack("{s:b}", "discarded", i == 6));
    }
    json_object_set_new(now, "rounds", rounds);
    json_object_set_new(json_array_get(json_object_get(now, "samples"), 3 * 7), "valid",
                        json_false());
    trial_add(&trial, build(&(struct recipe){.rounds = 8}));
    trial_add(&trial, now);
    trial_run(&trial);
    assert_int_equal(trial.comparison.rows[0].new_rounds, 6);
    assert_int_equal(trial.comparison.rows[0].verdict, COMPARE_SAME);
    assert_int_equal(trial.comparison.warnings_count, 1);
    assert_non_null(strstr(trial.comparison.warnings[0], "1 of 8 trials"));
    trial_release(&trial);
}

/* ---- which metrics ---- */

static void assert_default_metrics(const struct recipe *recipe, size_t judged)
{
    struct trial trial = {.count = 0};

    trial_add(&trial, build(recipe));
    trial_add(&trial, build(recipe));
    trial_run(&trial);
    assert_int_equal(trial.comparison.judged, judged);
    assert_true(compare_judges(&trial.comparison, METRIC_CPU_US_PER_TRANSFER));
    assert_int_equal(compare_judges(&trial.comparison, METRIC_WALL_S), judged == 2);
    trial_release(&trial);
}

static void test_compare__wall_time_is_judged_where_it_holds_across_machines(void **state)
{
    (void)state;
    assert_default_metrics(&(struct recipe){.delay = "0"}, 2);
    assert_default_metrics(&(struct recipe){.delay = "0ms"}, 2);
    assert_default_metrics(&(struct recipe){.delay = "20ms"}, 1);
    assert_default_metrics(&(struct recipe){.delay = "uniform:0:5s"}, 1);
    assert_default_metrics(&(struct recipe){.delay = ""}, 1);
    assert_default_metrics(&(struct recipe){.server_limited = true}, 1);
}

/* ---- history ---- */

/* Without noise the errors are 0. Estimates -0.02 ... 0.02: variance 0.00025, tau its root. */
static void test_compare__several_base_runs_give_the_variation_between_runs(void **state)
{
    struct trial trial = {.options = {.metrics = {METRIC_WALL_S}, .metrics_count = 1}};
    char run_id[] = "0";
    (void)state;
    for (int i = 0; i < 5; i++) {
        run_id[0] = (char)('0' + i);
        trial_add(&trial, build(&(struct recipe){.run_id = run_id, .factor = exp(0.01 * (i - 2))}));
    }
    trial_add(&trial, build(&(struct recipe){.factor = exp(0.06)}));
    trial_run(&trial);
    const struct compare_row *row = &trial.comparison.rows[0];
    assert_int_equal(row->base_runs, 5);
    assert_int_equal(row->base_rounds, 100);
    assert_true(fabs(row->tau - sqrt(0.00025)) < 1e-9);
    assert_true(fabs(row->log_error - sqrt(0.00025 * (1 + 1.0 / 5))) < 1e-9);
    assert_true(fabs(row->log_change - 0.06) < 1e-9);
    assert_int_equal(row->verdict, COMPARE_INCONCLUSIVE);
    assert_false(trial.comparison.advisory);
    trial_release(&trial);
    /* the middle run alone would have been sure */
    assert_int_equal(verdict_between(&(struct recipe){.factor = 1},
                                     &(struct recipe){.factor = exp(0.06)}, METRIC_WALL_S),
                     COMPARE_REGRESSION);
}

static void test_compare__the_same_base_run_counts_once(void **state)
{
    struct trial trial = {.options = {.metrics = {METRIC_WALL_S}, .metrics_count = 1}};
    (void)state;
    trial_add(&trial, build(&plain));
    trial_add(&trial, build(&plain));
    trial_add(&trial, build(&(struct recipe){.run_id = "b", .noise = 0.02}));
    trial_run(&trial);
    assert_int_equal(trial.comparison.rows[0].base_runs, 1);
    assert_int_equal(trial.comparison.warnings_count, 1);
    assert_non_null(strstr(trial.comparison.warnings[0], "counted once"));
    trial_release(&trial);
}

/* ---- comparable? ---- */

static void trial_with(struct trial *trial, const char *group, const char *name, json_t *value,
                       const char *delay)
{
    struct recipe recipe = {.delay = delay};
    json_t *now = build(&recipe);

    *trial = (struct trial){.count = 0};
    json_object_set_new(group == NULL ? now : json_object_get(now, group), name, value);
    trial_add(trial, build(&recipe));
    trial_add(trial, now);
    trial_run(trial);
}

static void test_compare__names_what_is_not_comparable(void **state)
{
    const struct {
        const char *group;
        const char *name;
        json_t *value;
        const char *old;
        const char *new;
        const char *delay;
    } cases[] = {
        {"environment", "arch", json_string("aarch64"), "\"x86_64\"", "\"aarch64\"", "0"},
        {"environment", "cores", json_integer(4), "2", "4", "0"},
        {"environment", "corpus", json_string("f"), "\"0123456789abcdef\"", "\"f\"", "0"},
        {"environment", "corpus", json_null(), "\"0123456789abcdef\"", "null", "0"},
        {"environment", "build_type", json_string("Debug"), "\"Release\"", "\"Debug\"", "0"},
        {"environment", "untrusted_build", json_true(), "false", "true", "0"},
        {"options", "scenario", json_string("flags20"), "\"throughput\"", "\"flags20\"", "0"},
        {"options", "retries", json_integer(3), "0", "3", "0"},
        {"options", "rate", json_string("1MB"), "null", "\"1MB\"", "0"},
        {"options", "connections", json_string("fresh"), "\"reuse\"", "\"fresh\"", "0"},
        {"options", "save_mode", json_string("atomic"), "\"direct\"", "\"atomic\"", "0"},
        {"options", "save", json_string("out"), "null", "\"out\"", "0"},
        {"options", "server", json_string("http://h/"), "null", "\"http://h/\"", "0"},
        {"options", "urls", json_string("l.txt"), "null", "\"l.txt\"", "0"},
        {"options", "seed", json_integer(2), "1", "2", "uniform:1ms:2ms"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trial trial;
        char wanted[256];
        print_message("%s\n", cases[i].name);
        trial_with(&trial, cases[i].group, cases[i].name, cases[i].value, cases[i].delay);
        assert_int_equal(trial.error, -ENOTSUP);
        (void)snprintf(wanted, sizeof wanted, "not comparable: %s.%s is %s in '0.json' and %s in",
                       cases[i].group, cases[i].name, cases[i].old, cases[i].new);
        if (strstr(trial.reason, wanted) == NULL) {
            fail_msg("%s", trial.reason);
        }
        trial_release(&trial);
    }
}

static void test_compare__tells_of_what_may_differ(void **state)
{
    const struct {
        const char *group;
        const char *name;
        json_t *value;
        size_t warnings;
    } cases[] = {
        {"environment", "cpu_model", json_string("Another CPU"), 1},
        {"environment", "kernel", json_string("Linux 6.6"), 1},
        {"environment", "governor", json_string("powersave"), 0},
        {"options", "pin", json_string("off"), 1},
        {"options", "timeout_s", json_real(1), 0},
        {"options", "seed", json_integer(2), 0}, /* nothing is drawn but the order */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trial trial;
        print_message("%s\n", cases[i].name);
        trial_with(&trial, cases[i].group, cases[i].name, cases[i].value, "20ms");
        assert_int_equal(trial.error, 0);
        assert_int_equal(trial.comparison.verdict, COMPARE_SAME);
        assert_int_equal(trial.comparison.warnings_count, cases[i].warnings);
        if (cases[i].warnings > 0) {
            assert_non_null(strstr(trial.comparison.warnings[0], cases[i].name));
        }
        trial_release(&trial);
    }
}

/* The same names, with the copy as the reference. */
static void test_compare__another_reference_is_not_comparable(void **state)
{
    struct trial trial = {.count = 0};
    json_t *now = build(&plain);
    (void)state;
    json_object_set_new(now, "reference", json_string("epoll"));
    trial_add(&trial, build(&plain));
    trial_add(&trial, now);
    trial_run(&trial);
    assert_int_equal(trial.error, -ENOTSUP);
    assert_non_null(strstr(trial.reason, "reference is \"curl\" in '0.json' and \"epoll\""));
    trial_release(&trial);
}

static void test_compare__no_cell_in_common_is_not_comparable(void **state)
{
    struct trial trial = {.count = 0};
    (void)state;
    trial_add(&trial, build(&(struct recipe){.delay = "1ms"}));
    trial_add(&trial, build(&(struct recipe){.delay = "2ms"}));
    trial_run(&trial);
    assert_int_equal(trial.error, -ENOTSUP);
    assert_non_null(strstr(trial.reason, "no cell of '1.json'"));
    trial_release(&trial);
}

static void test_compare__a_run_without_rounds_is_no_baseline(void **state)
{
    for (int empty = 0; empty < 2; empty++) {
        struct trial trial = {.count = 0};
        (void)state;
        for (int i = 0; i < 2; i++) {
            json_t *root = build(&plain);
            if (i == empty) {
                json_object_set_new(root, "samples", json_array());
            }
            trial_add(&trial, root);
        }
        trial_run(&trial);
        assert_int_equal(trial.error, -ENODATA);
        assert_non_null(strstr(trial.reason, empty == 0 ? "no baseline: '0.json'" : "'1.json'"));
        trial_release(&trial);
    }
}

/* ---- hostile files ---- */

static void assert_refused(const char *text, const char *says)
{
    struct compare_document document;
    char reason[COMPARE_REASON_BYTES];

    assert_int_equal(parse_text(&document, text, reason), -EINVAL);
    if (strstr(reason, says) == NULL) {
        fail_msg("'%s' says '%s', not '%s'", text, reason, says);
    }
}

static void test_document__refuses_what_is_not_one(void **state)
{
    static const char *const cases[][2] = {
        {"", "not JSON"},
        {"nonsense", "not JSON"},
        {"{\"schema\":1,\"schema\":1}", "not JSON"},
        {"{\"schema\":1e999}", "not JSON"},
        {"{\"schema\":99999999999999999999}", "not JSON"},
        {"{\"schema\":NaN}", "not JSON"},
        {"{} trailing", "not JSON"},
        {"{}", "not a result of bench"},
        {"[]", "not a result of bench"},
        {"{\"schema\":1,\"environment\":[],\"options\":{},\"reference\":\"a\"}", "not a result"},
        {"{\"schema\":\"1\",\"environment\":{},\"options\":{},\"reference\":\"a\"}",
         "not a result"},
        {"{\"schema\":2,\"environment\":{},\"options\":{},\"reference\":\"a\"}",
         "schema is 2, this bench reads 1"},
        {"{\"schema\":1,\"environment\":{},\"options\":{},\"reference\":7}", "not a result"},
        {"{\"schema\":1,\"environment\":{},\"options\":{},\"reference\":\"a\"}", "no 'cells'"},
        {"{\"schema\":1,\"environment\":{},\"options\":{},\"reference\":\"a\",\"cells\":[7]}",
         "cells[0] is no object"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(cases[i][0], cases[i][1]);
    }
}

static void test_document__refuses_every_cut(void **state)
{
    struct compare_document document;
    char reason[COMPARE_REASON_BYTES];
    json_t *root = build(&(struct recipe){.rounds = 1});
    char *text = json_dumps(root, JSON_COMPACT);
    (void)state;
    for (size_t bytes = 0; bytes < strlen(text); bytes++) {
        assert_int_equal(compare_document_parse(&document, "cut", text, bytes, reason), -EINVAL);
    }
    free(text);
    json_decref(root);
}

static void test_document__refuses_wrong_members(void **state)
{
    const struct {
        const char *list;
        const char *name;
        json_t *value;
        const char *says;
    } cases[] = {
        {"cells", "backend", json_integer(1), "cells[0].backend: want a text"},
        {"cells", "backend", json_string(""), "cells[0].backend: want a text"},
        {"cells", "copy", json_string("no"), "cells[0].copy: want true or false"},
        {"cells", "concurrency", json_integer(-1), "cells[0].concurrency: want a whole"},
        {"cells", "concurrency", json_real(8.5), "cells[0].concurrency: want a whole"},
        {"cells", "transfers", json_null(), "cells[0].transfers: want a whole"},
        {"cells", "delay", json_array(), "cells[0].delay: want a text"},
        {"cells", "efficiency", json_string("1"), "cells[0].efficiency: want a number"},
        {"cells", "backend", json_string("epoll"), "stands twice"},
        {"cells", "backend", json_string("other"), "has no reference 'curl'"},
        {"samples", "backend", json_string("other"), "samples[0] belongs to no cell"},
        {"samples", "round", json_integer(0), "samples[0].round: want a whole"},
        {"samples", "round", json_integer(1LL << 40), "samples[0].round: want a whole"},
        {"samples", "round", json_integer(2), "round 2 of 'epoll/n=100/c=8' stands twice"},
        {"samples", "valid", json_integer(1), "samples[0].valid: want true or false"},
        {"samples", "wall_s", json_real(-0.5), "samples[0].wall_s: want a number"},
        {"samples", "latency_p99_ms", json_string("nan"), "samples[0].latency_p99_ms: want"},
        {"samples", "failed", json_true(), "samples[0].failed: want a number"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = build(&(struct recipe){.rounds = 2});
        json_t *item = json_array_get(json_object_get(root, cases[i].list), 0);
        json_object_set_new(item, cases[i].name, cases[i].value);
        char *text = json_dumps(root, 0);
        assert_refused(text, cases[i].says);
        free(text);
        json_decref(root);
    }
}

static void test_document__refuses_deep_nesting(void **state)
{
    struct compare_document document;
    char reason[COMPARE_REASON_BYTES];
    const size_t bytes = 1000000;
    char *text = malloc(bytes);
    (void)state;
    assert_non_null(text);
    memset(text, '[', bytes);
    assert_int_equal(compare_document_parse(&document, "deep", text, bytes, reason), -EINVAL);
    assert_non_null(strstr(reason, "not JSON"));
    free(text);
}

/* Figures at the edge of what a double holds: their ratio is beyond it. */
static void test_report__has_null_where_there_is_no_number(void **state)
{
    static const double log_costs[] = {-700, -700, -700, -700, -700, -700};
    static const double inverse[] = {700, 700, 700, 700, 700, 700};
    struct recipe small = {.rounds = 6, .log_costs = log_costs};
    struct recipe large = {.rounds = 6, .log_costs = inverse};
    struct trial trial;
    char *text = NULL;
    size_t bytes = 0;
    json_error_t error;
    (void)state;
    trial_of(&trial, &small, &large, METRIC_WALL_S);
    FILE *file = open_memstream(&text, &bytes);
    assert_non_null(file);
    assert_int_equal(compare_write_json(file, &trial.comparison), 0);
    assert_int_equal(fclose(file), 0);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(root);
    const json_t *row = json_array_get(json_object_get(root, "cells"), 0);
    assert_true(json_is_null(json_object_get(row, "change")));
    assert_string_equal(json_string_value(json_object_get(row, "verdict")), "regression");
    assert_string_equal(json_string_value(json_object_get(root, "verdict")), "regression");
    json_decref(root);
    free(text);
    trial_release(&trial);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare__equal_runs_pass),
        cmocka_unit_test(test_compare__the_change_decides),
        cmocka_unit_test(test_compare__fewer_transfers_per_second_are_worse),
        cmocka_unit_test(test_compare__a_slower_machine_is_no_regression),
        cmocka_unit_test(test_compare__the_error_is_the_width_of_the_interval),
        cmocka_unit_test(test_compare__fewer_than_six_rounds_decide_nothing),
        cmocka_unit_test(test_compare__all_rows_share_the_level),
        cmocka_unit_test(test_compare__another_share_of_failures_is_other_work),
        cmocka_unit_test(test_compare__discarded_rounds_and_invalid_trials_do_not_count),
        cmocka_unit_test(test_compare__wall_time_is_judged_where_it_holds_across_machines),
        cmocka_unit_test(test_compare__several_base_runs_give_the_variation_between_runs),
        cmocka_unit_test(test_compare__the_same_base_run_counts_once),
        cmocka_unit_test(test_compare__names_what_is_not_comparable),
        cmocka_unit_test(test_compare__tells_of_what_may_differ),
        cmocka_unit_test(test_compare__another_reference_is_not_comparable),
        cmocka_unit_test(test_compare__no_cell_in_common_is_not_comparable),
        cmocka_unit_test(test_compare__a_run_without_rounds_is_no_baseline),
        cmocka_unit_test(test_document__refuses_what_is_not_one),
        cmocka_unit_test(test_document__refuses_every_cut),
        cmocka_unit_test(test_document__refuses_wrong_members),
        cmocka_unit_test(test_document__refuses_deep_nesting),
        cmocka_unit_test(test_report__has_null_where_there_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
