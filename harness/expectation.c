#include "expectation.h"

#include "backends/transfer.h"
#include "mockserver/draw.h"

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
