#include "options.h"

#include "exit_code.h"
#include "log.h"
#include "option_value.h"
#include "paired.h"
#include "placement.h"
#include "scenario.h"
#include "version.h"

#include "backends/clock.h"
#include "backends/url.h"
#include "mockserver/delay.h"
#include "mockserver/dns_tries.h"
#include "mockserver/fault.h"
#include "mockserver/quantity.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_FOR_PRECISION 200

_Static_assert(OPTION_ROUNDS_MAX <= PAIRED_ROUNDS_MAX, "every round enters the estimates");

enum option_key {
    KEY_REFERENCE = 256,
    KEY_TIME_LIMIT,
    KEY_DELAY,
    KEY_DNS,
    KEY_WORKLOAD,
    KEY_FAULT,
    KEY_RATE,
    KEY_SIZE,
    KEY_FLAGS,
    KEY_SAVE,
    KEY_SAVE_MODE,
    KEY_TIMEOUT,
    KEY_RETRIES,
    KEY_CONNECTIONS,
    KEY_SERVER,
    KEY_URLS,
    KEY_SEED,
    KEY_SCENARIO,
    KEY_CSV,
    KEY_JSON,
    KEY_HELP,
    KEY_PRECISION,
    KEY_PIN,
    KEY_SUMMARY,
    KEY_MARKDOWN,
    KEY_BMF,
    KEY_GAB,
    KEY_HYPERFINE,
};

static const struct argp_option run_options[] = {
    {0, 0, 0, 0, "What to compare", 1},
    {"backend", 'b', "LIST", 0,
     "Backends: names, model names, globs, label=path.so (default: all that can run here)", 1},
    {"reference", KEY_REFERENCE, "NAME", 0,
     "What the others are compared with (default: the first)", 1},
    {"scenario", KEY_SCENARIO, "NAME", 0,
     "Defaults: flags20 (20 flags, 20 ms delay), throughput (20,000 transfers, no delay), scale "
     "(1,000 in flight, 100 ms), faults (9% fail), save (files written), slow (0.5 to 5 s delay), "
     "dns20 (20 lookups, 100 ms delay)",
     1},
    {"workload", KEY_WORKLOAD, "flags|dns", 0,
     "Files over HTTP, or lookups of names (scenario dns20)", 1},
    {0, 0, 0, 0, "The job; a LIST makes a sweep, every combination is a cell", 2},
    {"transfers", 'n', "N", 0, "Transfers in a trial, cycling over the URLs", 2},
    {"concurrency", 'c', "LIST", 0, "Transfers in flight", 2},
    {"loops", 'l', "LIST", 0, "Loops of an event-driven model, each on a thread", 2},
    {"size", KEY_SIZE, "LIST", 0, "Bodies of this size instead of flags (64KiB)", 2},
    {"connections", KEY_CONNECTIONS, "reuse|fresh", 0, "Keep connections alive or not", 2},
    {"timeout", KEY_TIMEOUT, "T", 0, "For each attempt of a transfer (default 6.1s)", 2},
    {"retries", KEY_RETRIES, "N", 0, "Further attempts after a failed one (default 0)", 2},
    {"save", KEY_SAVE, "DIR", 0, "Save every body into DIR", 2},
    {"save-mode", KEY_SAVE_MODE, "direct|atomic", 0,
     "Write in place, or to a temporary name that is renamed (default direct)", 2},
    {0, 0, 0, 0, "The server (one of our own is started unless --server or --urls is given)", 3},
    {"delay", KEY_DELAY, "LIST", 0,
     "Before each answer: 20ms, uniform:500ms:5s, lognormal:20ms:0.5", 3},
    {"fault", KEY_FAULT, "SPEC", 0, "Answer wrongly on purpose: status:418@.25 (repeatable)", 3},
    {"rate", KEY_RATE, "BYTES", 0, "Bytes per second of each connection (100KiB)", 3},
    {"flags", KEY_FLAGS, "DIR", 0, "Serve the images of DIR: cc.gif, cc.png, cc.svg", 3},
    {"server", KEY_SERVER, "URL", 0,
     "Use a server that runs; /cc/cc.gif is appended, or {cc} in the URL replaced", 3},
    {"urls", KEY_URLS, "FILE", 0, "Use the http URLs in FILE, one a line", 3},
    {"dns", KEY_DNS, "ADDR:PORT|system", 0,
     "For lookups: ask that server, or those of this machine", 3},
    {0, 0, 0, 0, "The measurement", 4},
    {"rounds", 'r', "N", 0, "Rounds; each runs every cell once, in an order drawn anew", 4},
    {"time-limit", KEY_TIME_LIMIT, "T", 0, "Start no further round after T", 4},
    {"precision", KEY_PRECISION, "P", 0,
     "Stop once every ratio is known to +-P (2%), after 10 rounds at least", 4},
    {"pin", KEY_PIN, "auto|off|CLIENT:SERVER", 0,
     "Cores of client and server (0,2-3:1); auto keeps them apart where there are two", 4},
    {"seed", KEY_SEED, "N", 0, "Of delays, faults and the order of trials (default 1)", 4},
    {0, 0, 0, 0, "Results", 5},
    {"csv", KEY_CSV, "FILE", 0, "One row per trial, written as each ends", 5},
    {"json", KEY_JSON, "FILE", 0, "Everything: environment, options, samples, cells", 5},
    {"summary", KEY_SUMMARY, "FILE", 0, "One CSV row per cell: estimates and intervals", 5},
    {"markdown", KEY_MARKDOWN, "FILE", 0, "The table for a pull request", 5},
    {"bmf", KEY_BMF, "FILE", 0, "Bencher Metric Format", 5},
    {"gab", KEY_GAB, "PREFIX", 0,
     "github-action-benchmark: PREFIX-smaller.json and PREFIX-bigger.json", 5},
    {"hyperfine", KEY_HYPERFINE, "FILE", 0, "The shape of hyperfine's JSON", 5},
    {"quiet", 'q', 0, 0, "No progress, no warnings", 5},
    {"verbose", 'v', 0, 0, "Say more on stderr", 5},
    {"help", KEY_HELP, 0, 0, "Give this list", -1},
    {0},
};

/* One line, once: what was wrong and what is accepted. */
static bool refused;
#define refuse(...) log_error_once(&refused, __VA_ARGS__)

static char program_name[] = "bench run";

static error_t parse_texts(const char *option, char *text, struct option_texts *list)
{
    list->count = 0;
    for (char *rest = text; rest != NULL;) {
        char *item = strsep(&rest, ",");
        if (*item == '\0') {
            return refuse("%s: an empty item in the list", option);
        }
        if (list->count == OPTION_TEXT_LIST_MAX) {
            return refuse("%s: more than %d items", option, OPTION_TEXT_LIST_MAX);
        }
        list->texts[list->count++] = item;
    }
    return 0;
}

static error_t parse_numbers(const char *option, char *text, uint32_t high,
                             struct option_numbers *list)
{
    struct option_texts items = {.count = 0};

    if (parse_texts(option, text, &items) != 0) {
        return EINVAL;
    }
    if (items.count > OPTION_LIST_MAX) {
        return refuse("%s: more than %d items", option, OPTION_LIST_MAX);
    }
    list->count = items.count;
    for (size_t i = 0; i < items.count; i++) {
        if (option_u32(option, items.texts[i], 1, high, &list->values[i], &refused) != 0) {
            return EINVAL;
        }
    }
    return 0;
}

static error_t parse_duration(const char *option, const char *text, uint64_t low_ns,
                              uint64_t *duration_ns)
{
    if (quantity_parse_duration_ns(text, duration_ns) != 0 || *duration_ns < low_ns ||
        *duration_ns > 24 * 3600 * NS_PER_S) {
        return refuse("%s '%s': want a duration with a unit, as 20ms, 1.5s or 2m, from %s to 24h",
                      option, text, low_ns == 0 ? "0" : "1ms");
    }
    return 0;
}

static error_t parse_sizes(char *text, struct option_sizes *list)
{
    struct option_texts items = {.count = 0};

    if (parse_texts("--size", text, &items) != 0) {
        return EINVAL;
    }
    if (items.count > OPTION_LIST_MAX) {
        return refuse("--size: more than %d items", OPTION_LIST_MAX);
    }
    list->count = items.count;
    for (size_t i = 0; i < items.count; i++) {
        list->texts[i] = items.texts[i];
        if (quantity_parse_bytes(items.texts[i], &list->bytes[i]) != 0 || list->bytes[i] == 0 ||
            list->bytes[i] > OPTION_SIZE_BYTES_MAX) {
            return refuse(
                "--size '%s': want a size with a unit, as 500B or 64KiB, from 1B to 64MiB",
                items.texts[i]);
        }
    }
    return 0;
}

static error_t parse_delays(char *text, struct option_texts *list)
{
    struct delay_spec spec;

    if (parse_texts("--delay", text, list) != 0) {
        return EINVAL;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (delay_parse(list->texts[i], &spec) != 0) {
            return refuse("--delay '%s': want 0, a duration with a unit as 20ms, "
                          "uniform:500ms:5s or lognormal:20ms:0.5[:MAX]",
                          list->texts[i]);
        }
    }
    return 0;
}

static error_t parse_choice(const char *option, const char *text, const char *no, const char *yes,
                            bool *value)
{
    if (strcmp(text, no) != 0 && strcmp(text, yes) != 0) {
        return refuse("%s '%s': want %s or %s", option, text, no, yes);
    }
    *value = strcmp(text, yes) == 0;
    return 0;
}

static error_t add_fault(const char *text, struct option_texts *list)
{
    struct fault_set set = {.count = 0};

    if (list->count == FAULT_RULES_MAX) {
        return refuse("--fault: more than %d", FAULT_RULES_MAX);
    }
    list->texts[list->count++] = text;
    for (size_t i = 0; i < list->count; i++) {
        int error = fault_set_add(&set, list->texts[i]);
        if (error == -EOVERFLOW) {
            return refuse("--fault '%s': the probabilities add up to more than 1", text);
        }
        if (error != 0) {
            return refuse("--fault '%s': want status:CODE@PROBABILITY[,try<=K], as "
                          "status:418@.25; for lookups servfail, nxdomain, drop or truncate "
                          "instead of the status",
                          text);
        }
    }
    return 0;
}

static error_t parse_scenario(const char *name, struct options *options)
{
    if (scenario_find(name) == NULL) {
        char known[256] = "";
        size_t used = 0;
        const struct scenario *scenario;
        for (size_t i = 0; (scenario = scenario_at(i)) != NULL && used < sizeof known; i++) {
            used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                                     scenario->name);
        }
        return refuse("--scenario '%s': unknown; there are %s", name, known);
    }
    options->scenario = name;
    return 0;
}

static error_t parse_rate(const char *text, struct options *options)
{
    uint64_t bytes = 0;

    if (quantity_parse_bytes(text, &bytes) != 0 || bytes == 0) {
        return refuse("--rate '%s': want bytes per second with a unit, as 100KiB", text);
    }
    options->rate = text;
    return 0;
}

static error_t parse_precision(const char *text, struct options *options)
{
    char *end = NULL;

    double percent = strtod(text, &end);
    if (text[0] < '0' || text[0] > '9' || strcmp(end, "%") != 0 || !(percent >= 0.1) ||
        percent > 50) {
        return refuse("--precision '%s': want a percentage from 0.1%% to 50%%, as 2%%", text);
    }
    options->precision = percent / 100;
    return 0;
}

static error_t parse_pin(const char *text, struct options *options)
{
    struct placement placement;
    int error = placement_choose(&placement, text);

    if (error == -ERANGE) {
        return refuse("--pin '%s': a core that this process may not use", text);
    }
    if (error != 0) {
        return refuse("--pin '%s': want auto, off, or CLIENT:SERVER as 0,2-3:1", text);
    }
    options->pin = text;
    return 0;
}

static error_t parse_server(const char *url, struct options *options)
{
    struct url_view view;

    if (url_parse(url, &view) != 0) {
        return refuse("--server '%s': want an http URL, as http://127.0.0.1:8000/flags or "
                      "http://127.0.0.1:8000/{cc}.png",
                      url);
    }
    options->server = url;
    return 0;
}

static error_t parse_dns(const char *text, struct options *options)
{
    options->dns = options->dns_text;
    return option_dns("--dns", text, options->dns_text, &refused);
}

static error_t parse_workload(const char *text, struct options *options)
{
    bool is_dns = false;

    options->workload_given = true;
    error_t error = parse_choice("--workload", text, "flags", "dns", &is_dns);
    options->workload = is_dns ? WORKLOAD_DNS : WORKLOAD_FLAGS;
    return error;
}

static error_t parse_option(int key, char *arg, struct argp_state *state);

static const struct argp run_argp = {
    .options = run_options,
    .parser = parse_option,
    .doc = "Compare backends: the same transfers, the same bytes checked, only the waiting "
           "differs.\vWithout options: the 20 flags of scenario flags20. Exit codes: 0 fine, 6 "
           "wrong or failed downloads or an invalid trial, 64 usage, 69 server or every backend "
           "unavailable, 70 internal, 73 a file cannot be written, 130 interrupted.",
};

/* Where an option goes that is taken as it is: names of files, folders and backends. */
static const char **plain_text(struct options *options, int key)
{
    switch (key) {
    case KEY_REFERENCE:
        return &options->reference;
    case KEY_FLAGS:
        return &options->flags_dir;
    case KEY_SAVE:
        return &options->save_dir;
    case KEY_URLS:
        return &options->urls;
    case KEY_CSV:
        return &options->csv;
    case KEY_JSON:
        return &options->json;
    case KEY_SUMMARY:
        return &options->summary;
    case KEY_MARKDOWN:
        return &options->markdown;
    case KEY_BMF:
        return &options->bmf;
    case KEY_GAB:
        return &options->gab;
    case KEY_HYPERFINE:
        return &options->hyperfine;
    default:
        return NULL;
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    const char **text = plain_text(options, key);

    if (text != NULL) {
        *text = arg;
        return 0;
    }
    switch (key) {
    case 'b':
        return parse_texts("--backend", arg, &options->backends);
    case KEY_SCENARIO:
        return parse_scenario(arg, options);
    case 'n':
        return option_u32("--transfers", arg, 1, OPTION_TRANSFERS_MAX, &options->transfers,
                          &refused);
    case 'c':
        return parse_numbers("--concurrency", arg, OPTION_CONCURRENCY_MAX, &options->concurrency);
    case 'l':
        return parse_numbers("--loops", arg, OPTION_LOOPS_MAX, &options->loops);
    case 'r':
        options->rounds_given = true;
        return option_u32("--rounds", arg, 1, OPTION_ROUNDS_MAX, &options->rounds, &refused);
    case KEY_TIME_LIMIT:
        return parse_duration("--time-limit", arg, NS_PER_MS, &options->time_limit_ns);
    case KEY_PRECISION:
        return parse_precision(arg, options);
    case KEY_PIN:
        return parse_pin(arg, options);
    case KEY_DELAY:
        return parse_delays(arg, &options->delays);
    case KEY_FAULT:
        return add_fault(arg, &options->faults);
    case KEY_RATE:
        return parse_rate(arg, options);
    case KEY_SIZE:
        return parse_sizes(arg, &options->sizes);
    case KEY_SAVE_MODE:
        return parse_choice("--save-mode", arg, "direct", "atomic", &options->save_atomic);
    case KEY_TIMEOUT:
        return parse_duration("--timeout", arg, NS_PER_MS, &options->timeout_ns);
    case KEY_RETRIES:
        return option_u32("--retries", arg, 0, OPTION_RETRIES_MAX, &options->retries, &refused);
    case KEY_CONNECTIONS:
        return parse_choice("--connections", arg, "reuse", "fresh", &options->fresh_connections);
    case KEY_SERVER:
        return parse_server(arg, options);
    case KEY_DNS:
        return parse_dns(arg, options);
    case KEY_WORKLOAD:
        return parse_workload(arg, options);
    case KEY_SEED:
        return option_number("--seed", arg, 0, UINT64_MAX, &options->seed, &refused);
    case 'q':
        options->quiet = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case KEY_HELP:
        /* argp's own --help is silenced together with its error messages. */
        argp_help(&run_argp, stdout, ARGP_HELP_STD_HELP, program_name);
        exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_CANNOT_WRITE);
    case ARGP_KEY_ARG:
        return refuse("unexpected argument '%s' (see 'bench run --help')", arg);
    case ARGP_KEY_ERROR:
        return refuse("unknown option or missing value at '%s' (see 'bench run --help')",
                      state->argv[state->next > 1 ? state->next - 1 : 0]);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Each workload has one that is the default, and a scenario says which workload it is of. */
static error_t choose_scenario(struct options *options)
{
    if (options->scenario == NULL) {
        options->scenario = options->workload == WORKLOAD_DNS ? "dns20" : "flags20";
    }
    const struct scenario *scenario = scenario_find(options->scenario);
    if (options->workload_given && options->workload != scenario->workload) {
        return refuse("--scenario '%s' is not of --workload %s", scenario->name,
                      options->workload == WORKLOAD_DNS ? "dns" : "flags");
    }
    options->workload = scenario->workload;
    return 0;
}

/* Two results in one file would be none. */
static error_t check_files(const struct options *options)
{
    const char *const files[] = {options->csv,      options->json, options->summary,
                                 options->markdown, options->bmf,  options->hyperfine};
    const size_t count = sizeof files / sizeof files[0];

    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (files[i] != NULL && files[j] != NULL && strcmp(files[i], files[j]) == 0) {
                return refuse("two results are to go into the same file '%s'", files[i]);
            }
        }
    }
    return 0;
}

/* Each workload has its own; those given have been parsed before. */
static error_t check_faults(const struct options *options)
{
    bool is_dns = options->workload == WORKLOAD_DNS;

    for (size_t i = 0; i < options->faults.count; i++) {
        struct fault_rule rule;
        if (fault_parse(options->faults.texts[i], &rule) == 0 && fault_is_dns(&rule) != is_dns) {
            return refuse("--fault '%s' does not go with --workload %s: want %s",
                          options->faults.texts[i], is_dns ? "dns" : "flags",
                          is_dns ? "servfail, nxdomain, drop or truncate" : "status:CODE");
        }
    }
    return 0;
}

/* Lookups have no bodies to size, to save or to serve. */
static error_t check_workload(const struct options *options)
{
    if (check_faults(options) != 0) {
        return EINVAL;
    }
    if (options->workload == WORKLOAD_FLAGS) {
        return options->dns == NULL ? 0 : refuse("--dns goes with --workload dns");
    }
    if (options->server != NULL || options->urls != NULL || options->flags_dir != NULL ||
        options->rate != NULL || options->sizes.count > 0 || options->save_dir != NULL ||
        options->save_atomic) {
        return refuse("--server, --urls, --flags, --rate, --size, --save and --save-mode do not "
                      "go with --workload dns");
    }
    if (options->dns == NULL && options->transfers > DNS_TRIES_MAX) {
        return refuse("--transfers %u: the mock DNS server tells no more than %zu names apart",
                      options->transfers, DNS_TRIES_MAX);
    }
    return 0;
}

static bool has_own_server(const struct options *options)
{
    return options->server == NULL && options->urls == NULL && options->dns == NULL;
}

/* What only makes sense together, or not together. */
static error_t check_combination(const struct options *options)
{
    bool own_server = has_own_server(options);

    if (check_workload(options) != 0) {
        return EINVAL;
    }
    if (options->server != NULL && options->urls != NULL) {
        return refuse("--server and --urls exclude each other");
    }
    if (!own_server && (options->delays.count > 0 || options->faults.count > 0 ||
                        options->rate != NULL || options->flags_dir != NULL)) {
        return refuse("--delay, --fault, --rate and --flags tell a server of our own what to do; "
                      "they do not go with --server, --urls or --dns");
    }
    if (!own_server && options->sizes.count > 0) {
        return refuse("--size needs a server of our own; it does not go with --server or --urls");
    }
    if (check_files(options) != 0) {
        return EINVAL;
    }
    if (options->save_atomic && options->save_dir == NULL &&
        scenario_find(options->scenario)->save_dir == NULL) {
        return refuse("--save-mode needs --save DIR");
    }
    return 0;
}

static void set_one(struct option_numbers *list, uint32_t value)
{
    if (list->count == 0) {
        list->values[0] = value;
        list->count = 1;
    }
}

/* What was not given comes from the scenario. */
static void fill_in(struct options *options)
{
    const struct scenario *scenario = scenario_find(options->scenario);
    bool own_server = has_own_server(options);

    options->all_flags = scenario->all_flags;
    options->default_backends = scenario->backends;
    if (options->save_dir == NULL) {
        options->save_dir = scenario->save_dir;
    }
    if (options->transfers == 0 && options->urls == NULL) {
        options->transfers = scenario->transfers;
    }
    set_one(&options->concurrency, scenario->concurrency);
    set_one(&options->loops, 1);
    if (options->rounds == 0) {
        /* With a target to reach, the scenario's number is no limit. */
        options->rounds = options->precision > 0 ? ROUNDS_FOR_PRECISION : scenario->rounds;
    }
    if (own_server && options->delays.count == 0) {
        options->delays.texts[options->delays.count++] = scenario->delay;
    }
    if (own_server && options->faults.count == 0) {
        for (size_t i = 0; scenario->faults != NULL && scenario->faults[i] != NULL; i++) {
            options->faults.texts[options->faults.count++] = scenario->faults[i];
        }
    }
    if (options->sizes.count == 0) {
        options->sizes.texts[0] = "";
        options->sizes.count = 1;
    }
    if (options->timeout_ns == 0) {
        options->timeout_ns = scenario->timeout_ns;
    }
}

int options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.seed = 1, .pin = "auto"};
    refused = false;
    /* ARGP_NO_ERRS: argp says two lines and exits; we say one and return. */
    if (argp_parse(&run_argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, options) != 0) {
        (void)refuse("bad command line (see 'bench run --help')");
        return EXIT_USAGE_ERROR;
    }
    if (choose_scenario(options) != 0 || check_combination(options) != 0) {
        return EXIT_USAGE_ERROR;
    }
    fill_in(options);
    return 0;
}
