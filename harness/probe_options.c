#include "probe_options.h"

#include "exit_code.h"
#include "interrupt.h"
#include "keywords.h"
#include "log.h"
#include "option_value.h"

#include "backends/clock.h"
#include "mockserver/delay.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRIES_MAX 100
#define DEFAULT_BACKEND "dns_epoll"
#define DEFAULT_DELAY "uniform:10ms:100ms" /* so that the order of completion is to be seen */

enum option_key {
    KEY_TLD = 256,
    KEY_KEYWORDS,
    KEY_DNS,
    KEY_DELAY,
    KEY_TIMEOUT,
    KEY_RETRIES,
    KEY_SEED,
    KEY_TABLE,
    KEY_HELP,
};

struct command_line {
    struct probe_options *options;
    const char *tld;
    const char *keywords; /* LIST or FILE; NULL: those of Python */
    char **arguments;     /* [arguments_count], in argv */
    size_t arguments_count;
    bool has_delay;
    bool refused;
};

static const struct argp_option probe_argp_options[] = {
    {0, 0, 0, 0, "What to look up (default: Python's keywords of up to 4 letters, under .dev)", 1},
    {"tld", KEY_TLD, "TLD", 0, "Behind every word without a dot (default dev)", 1},
    {"keywords", KEY_KEYWORDS, "LIST|FILE", 0,
     "Words: comma-separated, or the lines of a file (-: standard input)", 1},
    {0, 0, 0, 0, "How", 2},
    {"backend", 'b', "NAME", 0, "One of the dns backends of 'bench list' (default dns_epoll)", 2},
    {"max-req", 'm', "N", 0, "The most lookups in flight (default 100)", 2},
    {"timeout", KEY_TIMEOUT, "T", 0,
     "For each attempt (default 5s); dns_uv_getaddrinfo tells it in time, but ends only when the C "
     "library's calls return, which take whole seconds, one at least for each resolver",
     2},
    {"retries", KEY_RETRIES, "N", 0,
     "Further attempts after a timeout or a server's failure (default 0)", 2},
    {0, 0, 0, 0, "Whom to ask", 3},
    {"dns", KEY_DNS, "ADDR:PORT|system", 0,
     "That server, or those of this machine (default: a mock server started for this, where about "
     "half of all names exist)",
     3},
    {"delay", KEY_DELAY, "SPEC", 0, "Of the mock server (default " DEFAULT_DELAY ")", 3},
    {"seed", KEY_SEED, "N", 0, "Of the mock server (default 0)", 3},
    {0, 0, 0, 0, "Output", 4},
    {"table", KEY_TABLE, 0, 0, "Found and not found as two columns, at the end", 4},
    {"quiet", 'q', 0, 0, "Results only", 4},
    {"help", KEY_HELP, 0, 0, "Give this list", -1},
    {0},
};

static char program_name[] = "bench probe";

/* ---- names ---- */

/* "if" -> "if.dev"; "Example.ORG" -> "example.org". No locale: names are ASCII. */
static char *name_of_word(const char *word, size_t bytes, const char *tld)
{
    char *name = NULL;
    bool whole = memchr(word, '.', bytes) != NULL;

    if (asprintf(&name, "%.*s%s%s", (int)bytes, word, whole ? "" : ".", whole ? "" : tld) < 0) {
        return NULL;
    }
    for (char *c = name; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            *c = (char)(*c | 0x20);
        }
    }
    return name;
}

/* @return 0 or an errno value, told */
static error_t add_name(struct command_line *line, const char *word, size_t bytes)
{
    struct probe_options *options = line->options;

    if (bytes > DNS_NAME_BYTES_MAX + 1) {
        return log_error_once(&line->refused, "'%.40s...': longer than a domain name can be", word);
    }
    if (options->names_count == PROBE_NAMES_MAX) {
        return log_error_once(&line->refused, "more than %d names", PROBE_NAMES_MAX);
    }
    /* Doubled whenever the count reaches a power of two. */
    if ((options->names_count & (options->names_count - 1)) == 0) {
        size_t room = options->names_count == 0 ? 1 : options->names_count * 2;
        char **grown = reallocarray(options->names, room, sizeof grown[0]);
        if (grown == NULL) {
            return log_error_once(&line->refused, "out of memory");
        }
        options->names = grown;
    }
    char *name = name_of_word(word, bytes, line->tld);
    if (name == NULL) {
        return log_error_once(&line->refused, "out of memory");
    }
    options->names[options->names_count++] = name;
    if (!dns_name_is_valid(name)) {
        return log_error_once(&line->refused,
                              "'%s': not a domain name: want labels of 1 to 63 letters, digits, "
                              "'-' and '_', joined by dots (of another script: its xn-- form)",
                              name);
    }
    return 0;
}

static error_t add_words(struct command_line *line, const char *list)
{
    error_t error = 0;

    for (const char *word = list; error == 0; word++) {
        size_t bytes = strcspn(word, ",");
        error = add_name(line, word, bytes);
        word += bytes;
        if (*word == '\0') {
            break;
        }
    }
    return error;
}

/* Empty lines and lines that begin with # are skipped. */
static error_t add_lines(struct command_line *line, FILE *file)
{
    char *text = NULL;
    size_t text_bytes = 0;
    error_t error = 0;

    while (error == 0 && getline(&text, &text_bytes, file) >= 0) {
        size_t bytes = strcspn(text, " \t\r\n");
        if (bytes > 0 && text[0] != '#') {
            error = add_name(line, text, bytes);
        }
    }
    if (error == 0 && ferror(file)) {
        error = log_error_once(&line->refused, "--keywords '%s': %s", line->keywords,
                               strerrordesc_np(errno));
    }
    free(text);
    return error;
}

static error_t read_keywords(struct command_line *line)
{
    if (strcmp(line->keywords, "-") == 0) {
        return add_lines(line, stdin);
    }
    FILE *file = fopen(line->keywords, "re");
    if (file == NULL && (errno != ENOENT || strchr(line->keywords, '/') != NULL)) {
        return log_error_once(&line->refused, "--keywords '%s': %s", line->keywords,
                              strerrordesc_np(errno));
    }
    if (file == NULL) {
        return add_words(line, line->keywords);
    }
    error_t error = add_lines(line, file);
    (void)fclose(file);
    return error;
}

static error_t add_keywords(struct command_line *line)
{
    interrupt_act(); /* a pipe or a terminal may be silent for as long as it likes */
    error_t error = read_keywords(line);
    interrupt_hold();
    return error;
}

static error_t add_all_names(struct command_line *line)
{
    error_t error = 0;

    for (size_t i = 0; error == 0 && i < line->arguments_count; i++) {
        error = add_name(line, line->arguments[i], strlen(line->arguments[i]));
    }
    if (error == 0 && line->keywords != NULL) {
        error = add_keywords(line);
    } else if (line->arguments_count == 0) {
        for (size_t i = 0; error == 0 && i < KEYWORDS_COUNT; i++) {
            error = add_name(line, keywords[i], strlen(keywords[i]));
        }
    }
    if (error == 0 && line->options->names_count == 0) {
        error = log_error_once(&line->refused, "--keywords '%s': no word in it", line->keywords);
    }
    return error;
}

/* ---- options ---- */

static error_t parse_dns(const char *text, struct command_line *line)
{
    struct probe_options *options = line->options;

    error_t error = option_dns("--dns", text, options->dns, &line->refused);
    options->server = options->dns[0] == '\0' ? PROBE_SYSTEM : PROBE_GIVEN;
    return error;
}

static error_t parse_tld(const char *text, struct command_line *line)
{
    line->tld = text;
    return dns_name_is_valid(text)
               ? 0
               : log_error_once(&line->refused, "--tld '%s': want a domain, as dev or co.uk", text);
}

static error_t parse_delay(const char *text, struct command_line *line)
{
    struct delay_spec spec;

    line->has_delay = true;
    line->options->delay = text;
    if (delay_parse(text, &spec) != 0) {
        return log_error_once(&line->refused,
                              "--delay '%s': want 0, 20ms, uniform:LOW:HIGH or "
                              "lognormal:MEDIAN:SIGMA[:MAX]",
                              text);
    }
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state);

static const struct argp probe_argp = {
    .options = probe_argp_options,
    .parser = parse_option,
    .args_doc = "[NAME...]",
    .doc = "Look up many names at once, by the way of waiting that you choose, and print each when "
           "its answer is there: '+ name' has an address, '  name' does not exist (or has none), "
           "'! name' could not be told.\vExit code: 0 fine, 6 some could not be told, 64 usage, "
           "69 the server or the backend is not available, 130 interrupted.",
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct command_line *line = state->input;
    struct probe_options *options = line->options;

    switch (key) {
    case KEY_TLD:
        return parse_tld(arg, line);
    case KEY_KEYWORDS:
        line->keywords = arg;
        return 0;
    case 'b':
        options->backend = arg;
        return 0;
    case 'm':
        return option_u32("--max-req", arg, 1, PROBE_IN_FLIGHT_MAX, &options->in_flight,
                          &line->refused);
    case KEY_RETRIES:
        return option_u32("--retries", arg, 0, RETRIES_MAX, &options->retries, &line->refused);
    case KEY_SEED:
        return option_number("--seed", arg, 0, UINT64_MAX, &options->seed, &line->refused);
    case KEY_TIMEOUT:
        return option_timeout("--timeout", arg, &options->timeout_ns, &line->refused);
    case KEY_DNS:
        return parse_dns(arg, line);
    case KEY_DELAY:
        return parse_delay(arg, line);
    case KEY_TABLE:
        options->table = true;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    case KEY_HELP:
        /* argp's own --help is silenced together with its error messages. */
        argp_help(&probe_argp, stdout, ARGP_HELP_STD_HELP, program_name);
        exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_CANNOT_WRITE);
    case ARGP_KEY_ERROR:
        return log_error_once(&line->refused,
                              "unknown option or missing value at '%s' (see 'bench probe --help')",
                              state->argv[state->next > 1 ? state->next - 1 : 0]);
    case ARGP_KEY_ARGS:
        line->arguments = &state->argv[state->next];
        line->arguments_count = (size_t)(state->argc - state->next);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t check_together(struct command_line *line)
{
    if (line->has_delay && line->options->server != PROBE_MOCK) {
        return log_error_once(&line->refused, "--delay is of the mock server, not of --dns");
    }
    return add_all_names(line);
}

int probe_options_parse(int argc, char **argv, struct probe_options *options)
{
    struct command_line line = {.options = options, .tld = "dev"};

    *options = (struct probe_options){
        .server = PROBE_MOCK,
        .backend = DEFAULT_BACKEND,
        .delay = DEFAULT_DELAY,
        .in_flight = 100,
        .timeout_ns = 5 * NS_PER_S,
    };
    argv[0] = program_name;
    error_t error = argp_parse(&probe_argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &line);
    if (error != 0) {
        (void)log_error_once(&line.refused, "bad command line (see 'bench probe --help')");
        return EXIT_USAGE_ERROR;
    }
    return check_together(&line) == 0 ? 0 : EXIT_USAGE_ERROR;
}

void probe_options_release(struct probe_options *options)
{
    for (size_t i = 0; i < options->names_count; i++) {
        free(options->names[i]);
    }
    free(options->names);
    options->names = NULL;
    options->names_count = 0;
}
