/**
 * http and https URLs as views into somebody else's string: no copies, no heap (RFC 3986, the part
 * that a GET needs). Strict: a byte below 0x21 or 0x7f anywhere is refused, so that no URL
 * can carry a line break into a request; userinfo is refused.
 */
#ifndef BENCH_URL_H
#define BENCH_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define URL_BYTES_MAX 2048 /* without the NUL */

struct url_view {
    const char *authority; /* "host" or "host:port", as it goes into the Host field */
    size_t authority_bytes;
    const char *host; /* without port, without [ ] */
    size_t host_bytes;
    uint16_t port;    /* 80, with https 443, when not given */
    bool tls;         /* https */
    const char *path; /* "/path?query" without fragment; "/" when the URL has none */
    size_t path_bytes;
};

/**
 * A query right behind the host ("http://host?a") is refused: the view would have to show a
 * '/' that is not there. url_resolve writes it.
 * @param url  NUL-terminated; the view points into it
 * @return 0; -EINVAL (not an absolute http URL), -EPROTONOSUPPORT (another scheme),
 *         -ENAMETOOLONG (URL_BYTES_MAX)
 */
int url_parse(const char *url, struct url_view *view);

/** The same, and https is fine too. */
int url_parse_any(const char *url, struct url_view *view);

/**
 * Resolve a Location against the URL it answered (RFC 3986 section 5.2), for http, and
 * for https when the base is: a scheme other than the base's is refused.
 * @param location  need not be NUL-terminated; its fragment is dropped
 * @param out  [out_bytes], the absolute URL, NUL-terminated; may be base; untouched on error
 * @return 0; -EINVAL, -EPROTONOSUPPORT, -ENAMETOOLONG as in url_parse
 */
int url_resolve(const char *base, const char *location, size_t location_bytes, char *out,
                size_t out_bytes);

/** Same scheme, host (case-insensitive) and port. */
bool url_same_authority(const struct url_view *a, const struct url_view *b);

#endif
