#include "option_value.h"

#include "log.h"

#include "backends/clock.h"
#include "mockserver/quantity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int option_number(const char *option, const char *text, uint64_t low, uint64_t high,
                  uint64_t *value, bool *said)
{
    char *end = NULL;

    errno = 0;
    *value = strtoull(text, &end, 10);
    /* strtoull takes signs and white space; a count has neither. */
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *value < low ||
        *value > high) {
        return log_error_once(said, "%s '%s': want a whole number from %llu to %llu", option, text,
                              (unsigned long long)low, (unsigned long long)high);
    }
    return 0;
}

int option_u32(const char *option, const char *text, uint32_t low, uint32_t high, uint32_t *value,
               bool *said)
{
    uint64_t wide = 0;
    int error = option_number(option, text, low, high, &wide, said);

    *value = (uint32_t)wide;
    return error;
}

int option_timeout(const char *option, const char *text, uint64_t *timeout_ns, bool *said)
{
    if (quantity_parse_duration_ns(text, timeout_ns) != 0 || *timeout_ns < NS_PER_MS ||
        *timeout_ns > 86400 * NS_PER_S) {
        return log_error_once(said, "%s '%s': want a duration from 1ms to 1440m, as 500ms or 30s",
                              option, text);
    }
    return 0;
}

int option_dns(const char *option, const char *text, char server[DNS_SERVER_BYTES], bool *said)
{
    server[0] = '\0';
    if (strcasecmp(text, "system") == 0 || dns_server_parse(text, strlen(text), server) == 0) {
        return 0;
    }
    return log_error_once(said,
                          "%s '%s': want an address with or without a port, as 127.0.0.1:5353 or "
                          "[::1]:53, or 'system'",
                          option, text);
}
