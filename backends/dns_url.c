#include "dns_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LABEL_BYTES_MAX 63
#define PORT_DEFAULT 53
#define PORT_MAX 65535

/* No locale: names are ASCII. */
static bool is_label_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool dns_name_is_valid(const char *name)
{
    size_t label_bytes = 0;
    size_t bytes = 0;

    for (; name[bytes] != '\0'; bytes++) {
        if (name[bytes] == '.') {
            if (label_bytes == 0) {
                return false;
            }
            label_bytes = 0;
        } else if (!is_label_byte(name[bytes]) || ++label_bytes > LABEL_BYTES_MAX) {
            return false;
        }
    }
    size_t dot_bytes = bytes > 0 && label_bytes == 0 ? 1 : 0; /* "example.org." */
    return bytes > dot_bytes && bytes - dot_bytes <= DNS_NAME_BYTES_MAX;
}

/* @return the port; 0 when it is none */
static unsigned port_parse(const char *text, size_t bytes)
{
    unsigned port = 0;

    if (bytes == 0 || bytes > 5) {
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port <= PORT_MAX ? port : 0;
}

/* @return where the address ends in `text`, behind its bracket; NULL when it does not */
static const char *address_end(const char *text, size_t bytes)
{
    const char *end = memchr(text, text[0] == '[' ? ']' : ':', bytes);

    if (text[0] == '[') {
        return end == NULL ? NULL : end + 1;
    }
    return end == NULL ? text + bytes : end;
}

int dns_server_parse(const char *text, size_t text_bytes, char server[DNS_SERVER_BYTES])
{
    char address[INET6_ADDRSTRLEN];
    unsigned char binary[sizeof(struct in6_addr)];
    unsigned port = PORT_DEFAULT;

    if (text_bytes == 0) {
        return -EINVAL;
    }
    bool is_ipv6 = text[0] == '[';
    const char *end = address_end(text, text_bytes);
    if (end == NULL) {
        return -EINVAL;
    }
    size_t bytes = (size_t)(end - text) - (is_ipv6 ? 2 : 0);
    size_t rest_bytes = text_bytes - (size_t)(end - text);
    if (bytes >= sizeof address) {
        return -EINVAL;
    }
    memcpy(address, text + (is_ipv6 ? 1 : 0), bytes);
    address[bytes] = '\0';
    if (rest_bytes > 0) {
        port = end[0] == ':' ? port_parse(end + 1, rest_bytes - 1) : 0;
    }
    if (port == 0 || inet_pton(is_ipv6 ? AF_INET6 : AF_INET, address, binary) != 1) {
        return -EINVAL;
    }
    (void)snprintf(server, DNS_SERVER_BYTES, is_ipv6 ? "[%s]:%u" : "%s:%u", address, port);
    return 0;
}

int dns_url_parse(const char *url, struct dns_url *out)
{
    out->server[0] = '\0';
    if (!dns_url_is(url) || strncmp(url + 4, "//", 2) != 0) {
        return -EINVAL;
    }
    const char *authority = url + 6;
    const char *slash = strchr(authority, '/');
    if (slash == NULL) {
        return -EINVAL;
    }
    size_t bytes = (size_t)(slash - authority);
    if (bytes > 0 && dns_server_parse(authority, bytes, out->server) != 0) {
        return -EINVAL;
    }
    out->name = slash + 1;
    if (strlen(out->name) > DNS_NAME_BYTES_MAX + 1) {
        return -ENAMETOOLONG;
    }
    return dns_name_is_valid(out->name) ? 0 : -EINVAL;
}
