#include "plan.h"

#include "draw.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PLAN_ATTEMPTS_MAX 100

static uint32_t attempts_of(const struct fault_set *faults)
{
    uint32_t attempts = 1;
    for (size_t i = 0; i < faults->count; i++) {
        uint32_t last = faults->rules[i].attempts_max;
        if (last != UINT32_MAX && last + 1 > attempts) {
            attempts = last + 1;
        }
    }
    return attempts < PLAN_ATTEMPTS_MAX ? attempts : PLAN_ATTEMPTS_MAX;
}

static void print_code(const struct options *options, const struct corpus *corpus, const char *cc,
                       uint64_t number)
{
    const struct corpus_entry *entry = corpus_find(corpus, cc);
    char path[CORPUS_PATH_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "/flags/%.2s/%.2s.gif", cc, cc);
    uint64_t key = entry != NULL ? draw_key_numbered(entry->path, strlen(entry->path), number)
                                 : draw_key_numbered(path, strlen(path), number);
    for (uint32_t attempt = 1; attempt <= attempts_of(&options->faults); attempt++) {
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
