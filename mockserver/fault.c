#include "fault.h"

#include "draw.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_BYTES_MAX 96

static int parse_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits] != '\0') {
        return -EINVAL;
    }
    if (digits > 10) {
        return -ERANGE;
    }
    *value = strtoull(text, NULL, 10);
    return *value >= low && *value <= high ? 0 : -ERANGE;
}

static int parse_probability(const char *text, uint64_t *weight)
{
    /* strtod also takes "inf", "0x1" and leading space: only digits and a point here. */
    if (*text == '\0' || strspn(text, "0123456789.") != strlen(text)) {
        return -EINVAL;
    }
    char *end = NULL;
    double probability = strtod(text, &end);
    if (*end != '\0' || end == text) {
        return -EINVAL;
    }
    if (probability > 1.0) {
        return -ERANGE;
    }
    *weight = (uint64_t)(probability * (double)FAULT_CERTAIN);
    return 0;
}

static int parse_limit(const char *text, uint32_t *attempts_max)
{
    static const char prefix[] = "try<=";
    uint64_t value = 0;
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0) {
        return -EINVAL;
    }
    int error = parse_number(text + sizeof(prefix) - 1, 1, 1000000, &value);
    *attempts_max = (uint32_t)value;
    return error;
}

const char *fault_dns_name(enum fault_kind kind)
{
    static const char *const names[FAULT_KINDS] = {
        [FAULT_SERVFAIL] = "servfail",
        [FAULT_NXDOMAIN] = "nxdomain",
        [FAULT_DROP] = "drop",
        [FAULT_TRUNCATE] = "truncate",
    };
    return names[kind];
}

static bool parse_dns(const char *text, struct fault_rule *rule)
{
    for (enum fault_kind kind = FAULT_SERVFAIL; kind < FAULT_KINDS; kind++) {
        if (strcmp(text, fault_dns_name(kind)) == 0) {
            rule->kind = kind;
            (void)snprintf(rule->name, sizeof(rule->name), "%s", text);
            return true;
        }
    }
    return false;
}

/* "NAME[:ARG]" of the rule, without probability and limit. */
static int parse_what(const char *text, struct fault_rule *rule)
{
    static const char status[] = "status:";
    uint64_t code = 0;
    if (parse_dns(text, rule)) {
        return 0;
    }
    if (strncmp(text, status, sizeof(status) - 1) != 0) {
        return -EINVAL;
    }
    int error = parse_number(text + sizeof(status) - 1, FAULT_STATUS_MIN, FAULT_STATUS_MAX, &code);
    if (error != 0) {
        return error;
    }
    rule->kind = FAULT_STATUS;
    rule->status = (int)code;
    (void)snprintf(rule->name, sizeof(rule->name), "status:%d", rule->status);
    return 0;
}

int fault_parse(const char *text, struct fault_rule *rule)
{
    char copy[RULE_BYTES_MAX];
    if (strlen(text) >= sizeof(copy)) {
        return -EINVAL;
    }
    memcpy(copy, text, strlen(text) + 1);
    *rule = (struct fault_rule){.weight = FAULT_CERTAIN, .attempts_max = UINT32_MAX};
    int error = 0;
    char *limit = strchr(copy, ',');
    if (limit != NULL) {
        *limit++ = '\0';
        error = parse_limit(limit, &rule->attempts_max);
    }
    char *probability = strchr(copy, '@');
    if (error == 0 && probability != NULL) {
        *probability++ = '\0';
        error = parse_probability(probability, &rule->weight);
    }
    return error != 0 ? error : parse_what(copy, rule);
}

/* What the rules that can hit this attempt add up to. */
static uint64_t weight_at(const struct fault_set *set, uint32_t attempt)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (attempt <= set->rules[i].attempts_max) {
            sum += set->rules[i].weight;
        }
    }
    return sum;
}

int fault_set_add(struct fault_set *set, const char *text)
{
    struct fault_rule rule;
    int error = fault_parse(text, &rule);
    if (error != 0) {
        return error;
    }
    if (set->count == FAULT_RULES_MAX) {
        return -ENOSPC;
    }
    /* Rules only ever drop out as attempts grow: the first attempt has the largest sum. */
    if (weight_at(set, 1) + rule.weight > FAULT_CERTAIN) {
        return -EOVERFLOW;
    }
    set->rules[set->count++] = rule;
    return 0;
}

const struct fault_rule *fault_draw(const struct fault_set *set, uint64_t seed, uint64_t key,
                                    uint32_t attempt)
{
    if (set->count == 0) {
        return NULL;
    }
    uint64_t bits = draw_bits53(seed, key, attempt, DRAW_STREAM_FAULT);
    uint64_t edge = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (attempt > set->rules[i].attempts_max) {
            continue;
        }
        edge += set->rules[i].weight;
        if (bits < edge) {
            return &set->rules[i];
        }
    }
    return NULL;
}

uint32_t fault_set_attempts(const struct fault_set *set)
{
    uint32_t attempts = 1;
    for (size_t i = 0; i < set->count; i++) {
        uint32_t last = set->rules[i].attempts_max;
        if (last != UINT32_MAX && last + 1 > attempts) {
            attempts = last + 1;
        }
    }
    return attempts < FAULT_ATTEMPTS_TOLD_MAX ? attempts : FAULT_ATTEMPTS_TOLD_MAX;
}
