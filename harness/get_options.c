#include "get_options.h"

#include "exit_code.h"
#include "log.h"
#include "option_value.h"
#include "scenario.h"

#include "backends/clock.h"
#include "backends/url.h"
#include "mockserver/country.h"
#include "mockserver/quantity.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LETTERS 26
#define RETRIES_MAX 100
#define LIST_RETRIES 2
#define NOT_GIVEN UINT32_MAX

enum option_key {
    KEY_NAMES = 256,
    KEY_RESUME,
    KEY_LOOPS,
    KEY_TIMEOUT,
    KEY_RETRIES,
    KEY_SEED,
    KEY_CACERT,
    KEY_MAX_FILESIZE,
    KEY_HELP,
};

struct command_line {
    struct get_options *options;
    bool has_codes;
    bool refused;
};

static const struct argp_option get_argp_options[] = {
    {0, 0, 0, 0, "What to get (default: the 20 most populous countries)", 1},
    {"all", 'a', 0, 0, "All 194 flags", 1},
    {"every", 'e', 0, 0, "Every code from AA to ZZ; many are not found", 1},
    {"limit", 'l', "N", 0, "The first N of the codes only", 1},
    {"names", KEY_NAMES, 0, 0, "Ask for each flag's metadata too, and name files by country", 1},
    {"input-file", 'i', "FILE", 0,
     "Instead of flags: the URLs in FILE, one a line (-: standard input); http, and https with a "
     "curl backend",
     1},
    {0, 0, 0, 0, "How", 2},
    {"backend", 'b', "NAME", 0, "Any of 'bench list' (default raw_epoll; curl_multi for https)", 2},
    {"max-req", 'm', "N", 0, "The most requests in flight (default 30)", 2},
    {"loops", KEY_LOOPS, "N", 0,
     "Loops of an event-driven backend, each on a thread (default: one per processor, 4 at most)",
     2},
    {"timeout", KEY_TIMEOUT, "T", 0, "For each attempt (default 30s)", 2},
    {"retries", KEY_RETRIES, "N", 0,
     "Further attempts after a failed one (default 0; 2 with --input-file)", 2},
    {"max-filesize", KEY_MAX_FILESIZE, "SIZE", 0, "A larger file is an error (default 64MiB)", 2},
    {"cacert", KEY_CACERT, "FILE", 0, "Trust the certificates in FILE (PEM), for https", 2},
    {0, 0, 0, 0, "From where", 3},
    {"server", 's', "LOCAL|DELAY|ERROR|URL", 0,
     "A mock server started for this: without delay (default); with 0.5 to 5 s before each "
     "answer; the same with 25% of the answers 418. Or one that runs",
     3},
    {"seed", KEY_SEED, "N", 0, "Of delays and errors (default 0)", 3},
    {0, 0, 0, 0, "Where to", 4},
    {"output", 'o', "DIR", 0, "Made when it is not there (default downloaded)", 4},
    {"resume", KEY_RESUME, 0, 0, "Skip what is there and complete", 4},
    {"verbose", 'v', 0, 0, "A line for each file, instead of codes or a progress bar", 4},
    {"quiet", 'q', 0, 0, "Only failures and the final counts", 4},
    {"help", KEY_HELP, 0, 0, "Give this list", -1},
    {0},
};

static char program_name[] = "bench get";

/* ---- codes ---- */

static bool is_letter(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static size_t letter(char c)
{
    return (size_t)((c | 0x20) - 'a');
}

static void want_letter(struct get_codes *codes, char first)
{
    for (size_t second = 0; second < LETTERS; second++) {
        codes->wanted[letter(first) * LETTERS + second] = true;
    }
}

static void want_code(struct get_codes *codes, const char *cc)
{
    codes->wanted[letter(cc[0]) * LETTERS + letter(cc[1])] = true;
}

static error_t add_argument(const char *text, struct command_line *line)
{
    size_t bytes = strlen(text);

    line->has_codes = true;
    if (bytes == 1 && is_letter(text[0])) {
        want_letter(&line->options->codes, text[0]);
        return 0;
    }
    if (bytes == 2 && is_letter(text[0]) && is_letter(text[1])) {
        want_code(&line->options->codes, text);
        return 0;
    }
    return log_error_once(&line->refused,
                          "'%s': want a code of two letters (BR) or a letter (B: BA to BZ)", text);
}

static void want_all(struct get_codes *codes)
{
    for (size_t i = 0; i < COUNTRY_COUNT; i++) {
        want_code(codes, countries[i].cc);
    }
}

static void want_every(struct get_codes *codes)
{
    for (size_t i = 0; i < GET_CODES_MAX; i++) {
        codes->wanted[i] = true;
    }
}

static void want_most_populous(struct get_codes *codes)
{
    for (size_t i = 0; i < sizeof scenario_pop20 / sizeof scenario_pop20[0]; i++) {
        want_code(codes, scenario_pop20[i]);
    }
}

/* ---- options ---- */

/* RFC 3986 section 3.2.1; with any number of slashes, for such a URL is refused, but shown. */
char *get_options_hide_user(char *text)
{
    char *colon = strchr(text, ':');
    char *begin = colon != NULL && colon[1] == '/' ? colon + 1 : text;

    begin += strspn(begin, "/");
    char *at = memrchr(begin, '@', strcspn(begin, "/?#"));
    if (at != NULL) {
        memmove(begin, at + 1, strlen(at + 1) + 1);
    }
    return text;
}

static error_t parse_server(char *text, struct command_line *line)
{
    static const char *const labels[] = {
        [GET_LOCAL] = "LOCAL", [GET_DELAY] = "DELAY", [GET_ERROR] = "ERROR"};
    struct url_view view;

    for (size_t i = GET_LOCAL; i <= GET_ERROR; i++) {
        if (strcasecmp(text, labels[i]) == 0) {
            line->options->label = (enum get_label)i;
            return 0;
        }
    }
    if (url_parse(text, &view) != 0) {
        return log_error_once(&line->refused,
                              "--server '%s': want LOCAL, DELAY, ERROR or an http URL",
                              get_options_hide_user(text));
    }
    line->options->label = GET_URL;
    line->options->server = text;
    return 0;
}

static error_t parse_file_bytes(const char *text, struct command_line *line)
{
    uint64_t *bytes = &line->options->body_bytes_max;

    if (quantity_parse_bytes(text, bytes) != 0 || *bytes == 0 || *bytes > UINT32_MAX) {
        return log_error_once(
            &line->refused, "--max-filesize '%s': want a size from 1B to 4095MiB, as 100MB", text);
    }
    return 0;
}

static error_t parse_option(int key, char *arg, struct argp_state *state);

static const struct argp get_argp = {
    .options = get_argp_options,
    .parser = parse_option,
    .args_doc = "[CC...]",
    .doc = "Download flags, or any list of URLs, by the way of waiting that you choose. Every file "
           "is written under a temporary name and renamed: one that is there is whole. Codes (with "
           "-v: lines) are printed as downloads complete.\vExit code: 0 fine, 6 something failed, "
           "64 usage, 69 the server or the backend is not available, 73 the folder cannot be "
           "written to, 130 interrupted (what was complete is kept).",
};

static error_t parse_flag(int key, struct command_line *line)
{
    struct get_options *options = line->options;

    switch (key) {
    case 'a':
        want_all(&options->codes);
        line->has_codes = true;
        return 0;
    case 'e':
        want_every(&options->codes);
        line->has_codes = true;
        return 0;
    case KEY_NAMES:
        options->names = true;
        return 0;
    case KEY_RESUME:
        options->resume = true;
        return 0;
    case 'v':
        options->verbose = true;
        return 0;
    case 'q':
        options->quiet = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct command_line *line = state->input;
    struct get_options *options = line->options;

    switch (key) {
    case 'l':
        return option_u32("--limit", arg, 1, UINT32_MAX - 1, &options->limit, &line->refused);
    case 'm':
        return option_u32("--max-req", arg, 1, GET_IN_FLIGHT_MAX, &options->in_flight,
                          &line->refused);
    case KEY_LOOPS:
        return option_u32("--loops", arg, 1, GET_LOOPS_MAX, &options->loops, &line->refused);
    case KEY_RETRIES:
        return option_u32("--retries", arg, 0, RETRIES_MAX, &options->retries, &line->refused);
    case KEY_SEED:
        return option_number("--seed", arg, 0, UINT64_MAX, &options->seed, &line->refused);
    case KEY_TIMEOUT:
        return option_timeout("--timeout", arg, &options->timeout_ns, &line->refused);
    case KEY_MAX_FILESIZE:
        return parse_file_bytes(arg, line);
    case 's':
        return parse_server(arg, line);
    case 'b':
        options->backend = arg;
        return 0;
    case 'i':
        options->list = arg;
        return 0;
    case 'o':
        options->output_dir = arg;
        return 0;
    case KEY_CACERT:
        options->ca_file = arg;
        return 0;
    case KEY_HELP:
        /* argp's own --help is silenced together with its error messages. */
        argp_help(&get_argp, stdout, ARGP_HELP_STD_HELP, program_name);
        exit(fflush(stdout) == 0 ? EXIT_FINE : EXIT_CANNOT_WRITE);
    case ARGP_KEY_ERROR:
        return log_error_once(&line->refused,
                              "unknown option or missing value at '%s' (see 'bench get --help')",
                              state->argv[state->next > 1 ? state->next - 1 : 0]);
    case ARGP_KEY_ARG:
        return add_argument(arg, line);
    default:
        return parse_flag(key, line);
    }
}

static error_t check_together(struct command_line *line)
{
    struct get_options *options = line->options;

    if (options->list != NULL && (line->has_codes || options->names || options->limit > 0)) {
        return log_error_once(&line->refused,
                              "--input-file: codes, --all, --every, --limit and --names are for "
                              "flags");
    }
    if (options->list == NULL && !line->has_codes) {
        want_most_populous(&options->codes);
    }
    if (options->retries == NOT_GIVEN) {
        options->retries = options->list != NULL ? LIST_RETRIES : 0;
    }
    return 0;
}

int get_options_parse(int argc, char **argv, struct get_options *options)
{
    struct command_line line = {.options = options};

    *options = (struct get_options){
        .in_flight = 30,
        .label = GET_LOCAL,
        .output_dir = "downloaded",
        .timeout_ns = 30 * NS_PER_S,
        .body_bytes_max = UINT64_C(64) << 20,
        .retries = NOT_GIVEN,
        .seed = 0, /* as the mock server alone has it: its --plan then tells the errors */
    };
    argv[0] = program_name;
    error_t error = argp_parse(&get_argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, &line);
    if (error != 0) {
        (void)log_error_once(&line.refused, "bad command line (see 'bench get --help')");
        return EXIT_USAGE_ERROR;
    }
    return check_together(&line) == 0 ? 0 : EXIT_USAGE_ERROR;
}
