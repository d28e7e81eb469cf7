/**
 * dns URLs (RFC 4501): "dns://127.0.0.1:5353/example.org" asks that server, "dns:///example.org"
 * the machine's own. The server is a numeric address, IPv6 in brackets, port 53 unless given. Class
 * and type ("?type=...") are not taken: a lookup asks for addresses, IN and A.
 */
#ifndef BENCH_DNS_URL_H
#define BENCH_DNS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <strings.h>

#define DNS_NAME_BYTES_MAX 253 /* as text, without the last dot (RFC 1035 section 2.3.4) */
#define DNS_SERVER_BYTES 64    /* "[IPv6]:port" and NUL */

struct dns_url {
    char server[DNS_SERVER_BYTES]; /* "address:port"; empty: the machine's own */
    const char *name;              /* NUL-terminated: the end of the URL */
};

/** Does it begin with "dns:"? */
static inline bool dns_url_is(const char *url)
{
    /* Asked for each transfer, and nearly always of an http URL: the first byte tells. */
    return (*url == 'd' || *url == 'D') && strncasecmp(url, "dns:", 4) == 0;
}

/**
 * @param url  the name points into it
 * @return 0; -EINVAL (not such a URL, a name that is none), -ENAMETOOLONG
 */
int dns_url_parse(const char *url, struct dns_url *out);

/** Is it a domain name: labels of 1 to 63 letters, digits, '-' and '_', joined by dots? */
bool dns_name_is_valid(const char *name);

/**
 * Check "ADDR", "ADDR:PORT", "[ADDR]" or "[ADDR]:PORT", and write it with its port.
 * @return 0 or -EINVAL
 */
int dns_server_parse(const char *text, size_t text_bytes, char server[DNS_SERVER_BYTES]);

#endif
