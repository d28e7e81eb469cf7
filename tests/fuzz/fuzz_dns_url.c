/*
 * The input is a dns URL. What is accepted must name a server that parses to itself, and a name
 * whose wire form fits into a question.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/dns_url.h"

#include "tests/support/guard_page.h"

#include <string.h>

#define INPUT_BYTES_MAX 1024
#define WIRE_BYTES_MAX 255 /* RFC 1035 section 2.3.4 */

static void check_server(const char *server)
{
    char again[DNS_SERVER_BYTES];

    FUZZ_CHECK(strlen(server) < DNS_SERVER_BYTES, "a server without an end");
    FUZZ_CHECK(strspn(server, "0123456789abcdefABCDEF.:[]") == strlen(server),
               "a server that is not numeric");
    FUZZ_CHECK(strrchr(server, ':') != NULL, "a server without a port");
    FUZZ_CHECK(strcmp(strrchr(server, ':'), ":0") != 0, "port 0");
    FUZZ_CHECK(dns_server_parse(server, strlen(server), again) == 0,
               "a server that does not parse again");
    FUZZ_CHECK(strcmp(server, again) == 0, "a server that parses to another");
}

static void check_name(const char *name)
{
    size_t wire_bytes = 1; /* of the root */
    size_t label_bytes = 0;

    for (const char *at = name;; at++) {
        if (*at != '.' && *at != '\0') {
            FUZZ_CHECK(*at > 0x20 && *at < 0x7f, "a byte that may end a line");
            label_bytes++;
            continue;
        }
        FUZZ_CHECK(label_bytes > 0 || (*at == '\0' && at > name), "an empty label");
        FUZZ_CHECK(label_bytes <= 63, "a label that is too long");
        wire_bytes += label_bytes > 0 ? 1 + label_bytes : 0;
        label_bytes = 0;
        if (*at == '\0') {
            break;
        }
    }
    FUZZ_CHECK(wire_bytes <= WIRE_BYTES_MAX, "a name that does not fit into a question");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct guard_page page;
    char text[INPUT_BYTES_MAX + 1];
    char server[DNS_SERVER_BYTES];
    struct dns_url url;

    if (bytes > INPUT_BYTES_MAX) {
        return 0;
    }
    if (page.map == NULL) {
        guard_page_init(&page, INPUT_BYTES_MAX + 1);
    }
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    const char *input = guard_page_put(&page, text, strlen(text) + 1);
    if (dns_url_parse(input, &url) == 0) {
        FUZZ_CHECK(dns_url_is(input), "a dns URL that is none");
        FUZZ_CHECK(url.name > input && url.name < input + strlen(input), "a name from elsewhere");
        if (url.server[0] != '\0') {
            check_server(url.server);
        }
        check_name(url.name);
    }
    if (dns_server_parse(guard_page_put(&page, data, bytes), bytes, server) == 0) {
        check_server(server);
    }
    return 0;
}
