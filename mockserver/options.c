#include "options.h"

#include "quantity.h"

#include <arpa/inet.h>

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MOCKSERVER_VERSION
#define MOCKSERVER_VERSION "unknown"
#endif

#define REQUESTS_MAX UINT64_C(1000000000)
#define RATE_MAX (UINT64_C(1) << 40)

enum option_key {
    KEY_PORT = 0x100,
    KEY_BIND,
    KEY_LOOPS,
    KEY_FLAGS,
    KEY_DELAY,
    KEY_FAULT,
    KEY_RATE,
    KEY_MAX_REQUESTS,
    KEY_SEED,
    KEY_ADMIN_PORT,
    KEY_PLAN,
    KEY_DIE_WITH_PARENT,
    KEY_DNS,
    KEY_HELP,
    KEY_VERSION,
};

static const struct argp_option option_table[] = {
    {"dns", KEY_DNS, NULL, 0,
     "Be a DNS server instead, over UDP and TCP, for a zone that by the seed has about half of all "
     "names",
     0},
    {"port", KEY_PORT, "N", 0, "Port of the flags, or of DNS; 0, the default: any free one", 0},
    {"bind", KEY_BIND, "ADDR", 0, "IPv4 or IPv6 address; default 127.0.0.1", 0},
    {"loops", KEY_LOOPS, "N", 0, "Threads that each run a loop, 1 to 64; default 1", 0},
    {"flags", KEY_FLAGS, "DIR", 0,
     "Serve the files of a folder (CC.gif, CC.png, CC.svg or CC/CC.gif) instead of the "
     "built-in flags",
     0},
    {"delay", KEY_DELAY, "SPEC", 0,
     "Wait before each answer: 20ms, uniform:LO:HI or lognormal:MEDIAN:SIGMA[:MAX]; default 0", 0},
    {"fault", KEY_FAULT, "SPEC", 0,
     "Answer wrongly: status:CODE[@P][,try<=K], with --dns servfail, nxdomain, drop or truncate "
     "instead of status:CODE; P is a probability, K the last attempt hit; may be given several "
     "times",
     0},
    {"rate", KEY_RATE, "BYTES", 0, "Body bytes per second and connection, such as 64KiB", 0},
    {"max-requests", KEY_MAX_REQUESTS, "N", 0, "Close a connection after N requests", 0},
    {"seed", KEY_SEED, "N", 0, "Of delays, faults, sized bodies and names; default 0", 0},
    {"admin-port", KEY_ADMIN_PORT, "N", 0,
     "Port of /stats, /healthz and /reset; 0, the default: any free one", 0},
    {"plan", KEY_PLAN, "CODES", 0,
     "Print what the codes (CN,IN,US; with --dns names: if.dev,for.dev) would be answered, and "
     "exit: one line per attempt as far as try<=K reaches",
     0},
    {"die-with-parent", KEY_DIE_WITH_PARENT, "PID", OPTION_HIDDEN | OPTION_ARG_OPTIONAL, NULL, 0},
    {"help", KEY_HELP, NULL, 0, "Print this and exit", -1},
    {"version", KEY_VERSION, NULL, 0, "Print the version and exit", -1},
    {0},
};

static error_t parse_option(int key, char *text, struct argp_state *state);

static const char documentation[] =
    "Serves flags over HTTP on a loopback port, with delays and faults that depend on the seed "
    "and the request alone.\v"
    "When ready it prints one line of JSON: url (with --dns: dns), admin, pid. Durations and sizes "
    "carry units "
    "(20ms, 64KiB). SIGINT or SIGTERM ends it.";

static char own_name[] = "mockserver"; /* argp_help wants it writable */

static const struct argp parser = {
    .options = option_table,
    .parser = parse_option,
    .doc = documentation,
};

__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fputs("mockserver: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_BAD_USAGE);
}

static uint64_t parse_number(const char *option, const char *text, uint64_t low, uint64_t high)
{
    bool digits = *text != '\0' && strspn(text, "0123456789") == strlen(text);
    errno = 0;
    uint64_t value = digits ? strtoull(text, NULL, 10) : 0;
    if (!digits || errno != 0 || value < low || value > high) {
        refuse("--%s %s: not a whole number from %llu to %llu", option, text,
               (unsigned long long)low, (unsigned long long)high);
    }
    return value;
}

static void parse_delay(const char *text, struct options *options)
{
    int error = delay_parse(text, &options->delay);
    if (error == -ERANGE) {
        refuse("--delay %s: out of range; at most an hour, LO <= HI, MEDIAN <= MAX, SIGMA <= 10",
               text);
    }
    if (error != 0) {
        refuse("--delay %s: not a delay; say 20ms, uniform:LO:HI or "
               "lognormal:MEDIAN:SIGMA[:MAX], with units (us, ms, s)",
               text);
    }
}

static void parse_fault(const char *text, struct options *options)
{
    int error = fault_set_add(&options->faults, text);
    switch (error) {
    case 0:
        return;
    case -ERANGE:
        refuse("--fault %s: out of range; CODE is 200 to 599, P 0 to 1, K 1 or more", text);
    case -EOVERFLOW:
        refuse("--fault %s: the probabilities of all faults sum to more than 1", text);
    case -ENOSPC:
        refuse("--fault %s: more than %d faults", text, FAULT_RULES_MAX);
    default:
        refuse("--fault %s: not a fault; say status:CODE[@P][,try<=K], such as status:418@0.25; "
               "with --dns servfail, nxdomain, drop or truncate",
               text);
    }
}

static void parse_rate(const char *text, struct options *options)
{
    if (quantity_parse_bytes(text, &options->rate) != 0 || options->rate > RATE_MAX) {
        refuse("--rate %s: not a size with a unit (B, kB, KiB, MB, MiB)", text);
    }
}

static void parse_address(const char *text, struct options *options)
{
    memset(&options->address, 0, sizeof(options->address));
    if (inet_pton(AF_INET, text, &options->address.v4.sin_addr) == 1) {
        options->address.v4.sin_family = AF_INET;
    } else if (inet_pton(AF_INET6, text, &options->address.v6.sin6_addr) == 1) {
        options->address.v6.sin6_family = AF_INET6;
    } else {
        refuse("--bind %s: not an IPv4 or IPv6 address, such as 127.0.0.1", text);
    }
}

static error_t parse_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case KEY_PORT:
        options->port = (uint16_t)parse_number("port", text, 0, UINT16_MAX);
        break;
    case KEY_ADMIN_PORT:
        options->admin_port = (uint16_t)parse_number("admin-port", text, 0, UINT16_MAX);
        break;
    case KEY_BIND:
        parse_address(text, options);
        break;
    case KEY_LOOPS:
        options->flags_option = "loops";
        options->loops = (uint32_t)parse_number("loops", text, 1, OPTIONS_LOOPS_MAX);
        break;
    case KEY_FLAGS:
        options->flags_option = "flags";
        options->flags_folder = text;
        break;
    case KEY_DELAY:
        parse_delay(text, options);
        break;
    case KEY_FAULT:
        parse_fault(text, options);
        break;
    case KEY_RATE:
        options->flags_option = "rate";
        parse_rate(text, options);
        break;
    case KEY_MAX_REQUESTS:
        options->flags_option = "max-requests";
        options->requests_max = parse_number("max-requests", text, 0, REQUESTS_MAX);
        break;
    case KEY_SEED:
        options->seed = parse_number("seed", text, 0, UINT64_MAX);
        break;
    case KEY_PLAN:
        options->plan = text;
        break;
    case KEY_DNS:
        options->dns = true;
        break;
    case KEY_DIE_WITH_PARENT:
        options->die_with_parent = true;
        options->parent =
            text == NULL ? 0 : (pid_t)parse_number("die-with-parent", text, 1, INT32_MAX);
        break;
    case KEY_HELP:
        argp_help(&parser, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, own_name);
        exit(EXIT_FINE);
    case KEY_VERSION:
        (void)puts("mockserver " MOCKSERVER_VERSION);
        exit(EXIT_FINE);
    case ARGP_KEY_ERROR:
        refuse("'%s' is not an option, or its value is missing; see mockserver --help",
               state->argv[state->next - 1]);
    case ARGP_KEY_ARG:
        refuse("'%s' is not an option; see mockserver --help", text);
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Each kind of server has its own faults, and one of flags has more options. */
static void check_together(const struct options *options)
{
    if (options->dns && options->flags_option != NULL) {
        refuse("--%s: not with --dns", options->flags_option);
    }
    for (size_t i = 0; i < options->faults.count; i++) {
        const struct fault_rule *rule = &options->faults.rules[i];
        if (fault_is_dns(rule) && !options->dns) {
            refuse("--fault %s: only with --dns", rule->name);
        }
        if (!fault_is_dns(rule) && options->dns) {
            refuse("--fault %s: not with --dns, which has servfail, nxdomain, drop and truncate",
                   rule->name);
        }
    }
}

void options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.loops = 1};
    parse_address("127.0.0.1", options);
    /* argp's own complaints have two lines, and without them its --help says nothing. */
    if (argp_parse(&parser, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP, NULL, options) != 0) {
        refuse("bad arguments; see mockserver --help");
    }
    check_together(options);
}
