#include "descriptor_claim.h"

#include "exit_code.h"
#include "log.h"

#include "backends/descriptors.h"

int descriptor_claim(uint32_t in_flight, uint64_t places, unsigned each)
{
    uint64_t needed = places * each + DESCRIPTORS_SPARE;
    uint64_t limit = descriptors_raise_limit();

    if (needed > limit) {
        log_error("--max-req %u: needs %llu descriptors, the limit is %llu (ulimit -Hn)", in_flight,
                  (unsigned long long)needed, (unsigned long long)limit);
        return EXIT_USAGE_ERROR;
    }
    descriptors_reserve(places * DESCRIPTORS_EACH_MAX + DESCRIPTORS_SPARE);
    return 0;
}
