#include "expectation.h"

#include "backends/body_hash.h"
#include "backends/transfer.h"
#include "mockserver/draw.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

void expectation_init(struct expectation *expectation, const struct options *options,
                      const char *delay)
{
    *expectation = (struct expectation){.seed = options->seed};
    int error = delay_parse(delay, &expectation->delay);
    assert(error == 0);
    for (size_t i = 0; i < options->faults.count; i++) {
        error = fault_set_add(&expectation->faults, options->faults.texts[i]);
        assert(error == 0);
    }
}

uint64_t expectation_delay_ns(const struct expectation *expectation, const char *path,
                              uint64_t number)
{
    uint64_t key = draw_key_numbered(path, strlen(path), number);
    return delay_draw_ns(&expectation->delay, expectation->seed, key, 1);
}

int expectation_fault_status(const struct expectation *expectation, const char *path,
                             uint64_t number, uint32_t attempts_max, uint32_t *attempts)
{
    uint64_t key = draw_key_numbered(path, strlen(path), number);

    for (*attempts = 1;; ++*attempts) {
        const struct fault_rule *rule =
            fault_draw(&expectation->faults, expectation->seed, key, *attempts);
        if (rule == NULL) {
            return 0;
        }
        enum transfer_status status =
            rule->status == 404 ? TRANSFER_NOT_FOUND : TRANSFER_HTTP_ERROR;
        if (*attempts == attempts_max || !transfer_is_worth_another_attempt(status, rule->status)) {
            return rule->status;
        }
    }
}

static struct dns_zone zone_of(const struct expectation *expectation)
{
    return (struct dns_zone){
        .seed = expectation->seed,
        .delay = expectation->delay,
        .faults = expectation->faults,
    };
}

uint64_t expectation_lookup_delay_ns(const struct expectation *expectation, const char *name)
{
    const struct dns_zone zone = zone_of(expectation);

    return dns_zone_judge(&zone, name, 1).delay_ns;
}

static enum transfer_status status_of(enum dns_outcome outcome, bool exists)
{
    switch (outcome) {
    case DNS_OUTCOME_FOUND:
        return TRANSFER_OK;
    case DNS_OUTCOME_NO_DATA:
    case DNS_OUTCOME_NXDOMAIN:
        return TRANSFER_NOT_FOUND;
    case DNS_OUTCOME_TRUNCATE: /* asked again over TCP, within the attempt */
        return exists ? TRANSFER_OK : TRANSFER_NOT_FOUND;
    case DNS_OUTCOME_DROP:
        return TRANSFER_TIMEOUT;
    default:
        return TRANSFER_UNRESOLVED;
    }
}

struct expected_lookup expectation_lookup(const struct expectation *expectation, const char *name,
                                          uint32_t attempts_max)
{
    const struct dns_zone zone = zone_of(expectation);

    for (uint32_t attempts = 1;; attempts++) {
        struct dns_verdict verdict = dns_zone_judge(&zone, name, attempts);
        enum transfer_status status = status_of(verdict.outcome, verdict.exists);
        if (attempts == attempts_max || !transfer_is_worth_another_lookup(status)) {
            return (struct expected_lookup){.status = status, .attempts = attempts};
        }
    }
}

void expectation_fill_in_addresses(const struct expectation *expectation, struct workload *workload)
{
    const struct dns_zone zone = zone_of(expectation);

    for (size_t i = 0; i < workload->count; i++) {
        struct workload_target *target = &workload->targets[i];
        struct dns_verdict verdict = dns_zone_judge(&zone, target->path, 1);
        uint32_t address = htonl(verdict.address);
        if (verdict.exists) {
            target->bytes = sizeof address;
            target->xxh3 = body_hash(&address, sizeof address);
            target->expected = true;
        }
    }
    workload->verified = true;
}
