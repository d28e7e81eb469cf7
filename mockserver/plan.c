#include "plan.h"

#include "dns_message.h"
#include "dns_zone.h"
#include "draw.h"

#include <arpa/inet.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void print_code(const struct options *options, const struct corpus *corpus, const char *cc,
                       uint64_t number)
{
    const struct corpus_entry *entry = corpus_find(corpus, cc);
    char path[CORPUS_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "/flags/%.2s/%.2s.gif", cc, cc);
    uint64_t key = entry != NULL ? draw_key_numbered(entry->path, strlen(entry->path), number)
                                 : draw_key_numbered(path, strlen(path), number);
    for (uint32_t attempt = 1; attempt <= fault_set_attempts(&options->faults); attempt++) {
        const struct fault_rule *fault = fault_draw(&options->faults, options->seed, key, attempt);
        uint64_t delay_ns = delay_draw_ns(&options->delay, options->seed, key, attempt);
        int status = fault != NULL ? fault->status : entry != NULL ? 200 : 404;
        (void)printf("%.2s\t%u\t%d\t%.6f\n", cc, (unsigned)attempt, status, (double)delay_ns / 1e6);
    }
}

static bool is_list_of_codes(const char *text)
{
    for (;; text += 3) {
        if (!isalpha((unsigned char)text[0]) || !isalpha((unsigned char)text[1])) {
            return false;
        }
        if (text[2] != ',') {
            return text[2] == '\0';
        }
    }
}

int plan_print(const struct options *options, const struct corpus *corpus)
{
    const char *codes = options->plan;
    if (!is_list_of_codes(codes)) {
        return -EINVAL;
    }
    (void)puts("cc\tattempt\tstatus\tdelay_ms");
    for (size_t i = 0; i < (strlen(codes) + 1) / 3; i++) {
        char cc[2] = {
            (char)tolower((unsigned char)codes[3 * i]),
            (char)tolower((unsigned char)codes[3 * i + 1]),
        };
        print_code(options, corpus, cc, i);
    }
    return 0;
}

/* The address that an answer carries; of a truncated one that over TCP. */
static void print_address(const struct dns_verdict *verdict)
{
    char text[INET_ADDRSTRLEN] = "-";
    bool carries = verdict->outcome == DNS_OUTCOME_FOUND ||
                   (verdict->outcome == DNS_OUTCOME_TRUNCATE && verdict->exists);
    if (carries) {
        (void)inet_ntop(AF_INET, &(struct in_addr){.s_addr = htonl(verdict->address)}, text,
                        sizeof(text));
    }
    (void)printf("%s", text);
}

static void print_name(const struct dns_zone *zone, const char *name)
{
    for (uint32_t attempt = 1; attempt <= fault_set_attempts(&zone->faults); attempt++) {
        struct dns_verdict verdict = dns_zone_judge(zone, name, attempt);
        (void)printf("%s\t%u\t%s\t", name, (unsigned)attempt, dns_outcome_name(verdict.outcome));
        print_address(&verdict);
        (void)printf("\t%.6f\n", (double)verdict.delay_ns / 1e6);
    }
}

/* @return 0, -EINVAL, -ENAMETOOLONG */
static int for_each_name(const char *names, const struct dns_zone *zone,
                         void (*each)(const struct dns_zone *zone, const char *name))
{
    for (const char *at = names;; at++) {
        char name[DNS_NAME_BYTES_MAX];
        size_t bytes = strcspn(at, ",");
        int error = dns_name_parse(at, bytes, name);
        if (error != 0) {
            return error;
        }
        if (each != NULL) {
            each(zone, name);
        }
        at += bytes;
        if (*at == '\0') {
            return 0;
        }
    }
}

int plan_print_dns(const struct options *options)
{
    const struct dns_zone zone = {
        .seed = options->seed,
        .delay = options->delay,
        .faults = options->faults,
    };
    int error = for_each_name(options->plan, NULL, NULL); /* all are names, or none is printed */
    if (error != 0) {
        return error;
    }
    (void)puts("name\tattempt\toutcome\taddress\tdelay_ms");
    return for_each_name(options->plan, &zone, print_name);
}
