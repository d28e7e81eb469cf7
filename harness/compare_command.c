#include "compare_command.h"

#include "compare_report.h"
#include "exit_code.h"
#include "interrupt.h"
#include "log.h"
#include "output_file.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum option_key {
    KEY_THRESHOLD = 256,
    KEY_METRIC,
    KEY_MARKDOWN,
    KEY_JSON,
    KEY_HELP,
};

struct command_line {
    struct compare_options options;
    const char *files[COMPARE_BASES_MAX + 1];
    size_t files_count;
    const char *markdown;
    const char *json;
    bool quiet;
    bool refused;
};

static const struct argp_option compare_argp_options[] = {
    {"threshold", KEY_THRESHOLD, "P", 0, "Worse by more than this is a regression (default 5%)", 1},
    {"metric", KEY_METRIC, "LIST", 0,
     "wall_s, cpu_us_per_transfer, transfers_per_s, latency_p50_ms, latency_p99_ms (default: "
     "cpu_us_per_transfer; wall_s too where there is no delay and the server was not the limit)",
     1},
    {"markdown", KEY_MARKDOWN, "FILE", 0, "The comparison for a pull request", 2},
    {"json", KEY_JSON, "FILE", 0, "The comparison for programs", 2},
    {"quiet", 'q', 0, 0, "No warnings", 2},
    {"help", KEY_HELP, 0, 0, "Give this list", -1},
    {0},
};

static char program_name[] = "bench compare";

static error_t parse_threshold(const char *text, struct command_line *line)
{
    char *end = NULL;

    double percent = strtod(text, &end);
    if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 || !(percent >= 0.1) ||
        percent > 1000) {
        return log_error_once(&line->refused,
                              "--threshold '%s': want a percentage from 0.1%% to 1000%%, as 5%%",
                              text);
    }
    line->options.threshold = percent / 100;
    return 0;
}

static error_t add_metric(const char *name, struct command_line *line)
{
    struct compare_options *options = &line->options;
    enum metric metric = 0;

    while (metric < METRIC_COUNT && strcmp(metric_name(metric), name) != 0) {
        metric++;
    }
    if (metric == METRIC_COUNT) {
        return log_error_once(&line->refused,
                              "--metric '%s': want wall_s, cpu_us_per_transfer, transfers_per_s, "
                              "latency_p50_ms or latency_p99_ms",
                              name);
    }
    for (size_t i = 0; i < options->metrics_count; i++) {
        if (options->metrics[i] == metric) {
            return log_error_once(&line->refused, "--metric: %s stands twice", name);
        }
    }
    options->metrics[options->metrics_count++] = metric;
    return 0;
}

static error_t parse_metrics(char *text, struct command_line *line)
{
    error_t error = 0;

    line->options.metrics_count = 0;
    for (char *rest = text; rest != NULL && error == 0;) {
        error = add_metric(strsep(&rest, ","), line);
    }
    return error;
}

static error_t add_file(const char *path, struct command_line *line)
{
    if (line->files_count == sizeof line->files / sizeof line->files[0]) {
        return log_error_once(&line->refused, "more than %d base files", COMPARE_BASES_MAX);
    }
    line->files[line->files_count++] = path;
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state);

static const struct argp compare_argp = {
    .options = compare_argp_options,
    .parser = parse_option,
    .args_doc = "BASE... NEW",
    .doc = "Is NEW worse than BASE? The files are those of 'bench run --json'; of several, the "
           "last is NEW and the others are its history. Ratios to the reference of the same run "
           "are compared, never seconds.\vExit code: 0 no regression, 3 regression, 4 "
           "inconclusive, 5 no baseline or not comparable, 64 usage, 73 a file cannot be written.",
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct command_line *line = state->input;

    switch (key) {
    case KEY_THRESHOLD:
        return parse_threshold(arg, line);
    case KEY_METRIC:
        return parse_metrics(arg, line);
    case KEY_MARKDOWN:
        line->markdown = arg;
        return 0;
    case KEY_JSON:
        line->json = arg;
        return 0;
    case 'q':
        line->quiet = true;
        return 0;
    case KEY_HELP:
        argp_help(&compare_argp, stdout, ARGP_HELP_STD_HELP, program_name);
        exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_CANNOT_WRITE);
    case ARGP_KEY_ARG:
        return add_file(arg, line);
    case ARGP_KEY_ERROR:
        return log_error_once(
            &line->refused, "unknown option or missing value at '%s' (see 'bench compare --help')",
            state->argv[state->next > 1 ? state->next - 1 : 0]);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* By inode: the same file may have two names. A device may be named as often as one likes. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat of_a;
    struct stat of_b;

    if (strcmp(a, b) == 0) {
        return true;
    }
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && S_ISREG(of_a.st_mode) &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

static error_t check_output(struct command_line *line, const char *option, const char *path)
{
    for (size_t i = 0; path != NULL && i < line->files_count; i++) {
        if (is_same_file(path, line->files[i])) {
            return log_error_once(&line->refused, "%s '%s' is one of the files to compare", option,
                                  path);
        }
    }
    return 0;
}

static error_t check_combination(struct command_line *line)
{
    if (line->files_count < 2) {
        return log_error_once(&line->refused,
                              "compare: want BASE and NEW, two result files of 'bench run --json'");
    }
    if (line->markdown != NULL && line->json != NULL && is_same_file(line->markdown, line->json)) {
        return log_error_once(&line->refused, "two results are to go into the same file '%s'",
                              line->json);
    }
    if (check_output(line, "--markdown", line->markdown) != 0) {
        return EINVAL;
    }
    return check_output(line, "--json", line->json);
}

static int parse(int argc, char **argv, struct command_line *line)
{
    *line = (struct command_line){.options = {.threshold = COMPARE_THRESHOLD}};
    if (argp_parse(&compare_argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, line) != 0) {
        (void)log_error_once(&line->refused, "bad command line (see 'bench compare --help')");
        return EXIT_USAGE_ERROR;
    }
    return check_combination(line) == 0 ? 0 : EXIT_USAGE_ERROR;
}

/* ---- files out ---- */

static int check_writable(const char *option, const char *path)
{
    int error = path == NULL ? 0 : output_file_check(path);

    if (error != 0) {
        log_error("%s '%s': cannot write: %s", option, path, strerrordesc_np(-error));
        return EXIT_CANNOT_WRITE;
    }
    return 0;
}

static int write_file(const char *option, const char *path, output_writer *writer,
                      const struct comparison *comparison)
{
    int error = path == NULL ? 0 : output_file_write(path, writer, comparison);

    if (error != 0) {
        log_error("%s '%s': %s", option, path, strerrordesc_np(-error));
        return EXIT_CANNOT_WRITE;
    }
    return 0;
}

static int report(const struct command_line *line, const struct comparison *comparison)
{
    for (size_t i = 0; i < comparison->warnings_count; i++) {
        log_warn("%s", comparison->warnings[i]);
    }
    int exit_code = write_file("--markdown", line->markdown, compare_write_markdown, comparison);
    int json_code = write_file("--json", line->json, compare_write_json, comparison);
    if (exit_code == 0) {
        exit_code = json_code;
    }
    if (compare_print(comparison) != 0) {
        log_error("cannot write the table to stdout");
        exit_code = EXIT_CANNOT_WRITE;
    }
    return exit_code;
}

/* ---- files in ---- */

/* A pipe or a terminal may be silent for as long as it likes. */
static int read_document(struct compare_document *document, const char *path,
                         char reason[static COMPARE_REASON_BYTES])
{
    interrupt_act();
    int error = compare_document_read(document, path, reason);
    interrupt_hold();
    return error;
}

/* @return exit code; the documents read so far are counted and have to be released */
static int read_documents(const struct command_line *line, struct compare_document *documents,
                          size_t *count)
{
    char reason[COMPARE_REASON_BYTES] = "";

    for (; *count < line->files_count; (*count)++) {
        const char *path = line->files[*count];
        int error = read_document(&documents[*count], path, reason);
        if (error != 0) {
            log_error("%s'%s': %s", *count + 1 < line->files_count ? "no baseline: " : "", path,
                      reason);
            return error == -ENOMEM ? EXIT_INTERNAL : EXIT_NOT_COMPARABLE;
        }
    }
    return 0;
}

static int exit_code_of(const struct comparison *comparison)
{
    switch (comparison->verdict) {
    case COMPARE_REGRESSION:
        return EXIT_REGRESSION;
    case COMPARE_INCONCLUSIVE:
        return EXIT_INCONCLUSIVE;
    default:
        return EXIT_FINE;
    }
}

static int compare(const struct command_line *line, const struct compare_document *documents)
{
    char reason[COMPARE_REASON_BYTES] = "";
    struct comparison comparison;
    size_t bases = line->files_count - 1;
    int exit_code;

    int error =
        compare_documents(&comparison, &line->options, documents, bases, &documents[bases], reason);
    if (error != 0) {
        log_error("%s", reason);
        exit_code = error == -ENOMEM ? EXIT_INTERNAL : EXIT_NOT_COMPARABLE;
    } else {
        exit_code = report(line, &comparison);
        exit_code = exit_code == 0 ? exit_code_of(&comparison) : exit_code;
    }
    compare_release(&comparison);
    return exit_code;
}

int compare_command(int argc, char **argv)
{
    struct command_line line;
    size_t count = 0;

    int exit_code = parse(argc, argv, &line);
    if (exit_code != 0) {
        return exit_code;
    }
    log_set_level(line.quiet ? LOG_ERROR : LOG_WARN);
    if (check_writable("--markdown", line.markdown) != 0 ||
        check_writable("--json", line.json) != 0) {
        return EXIT_CANNOT_WRITE;
    }
    struct compare_document *documents = calloc(line.files_count, sizeof documents[0]);
    if (documents == NULL) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    exit_code = read_documents(&line, documents, &count);
    if (exit_code == 0) {
        exit_code = compare(&line, documents);
    }
    for (size_t i = 0; i < count; i++) {
        compare_document_release(&documents[i]);
    }
    free(documents);
    return exit_code;
}
