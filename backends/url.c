#include "backends/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define HTTP_PORT 80
#define HTTPS_PORT 443
#define IPV6_TEXT_BYTES_MAX 45 /* the longest, with an IPv4 tail; INET6_ADDRSTRLEN - 1 */

struct span {
    const char *text;
    size_t bytes;
};

/* The components of a reference, RFC 3986 section 4.1; the fragment is left out because it
 * never goes to a server (section 3.5). */
struct reference {
    struct span scheme;
    struct span authority;
    struct span path;
    struct span query; /* without '?' */
    bool has_scheme;
    bool has_authority;
    bool has_query;
};

/* What a byte is in a URL. A URL is read for every transfer, so each byte is looked up once rather
 * than compared with all that it might be. */
enum byte_class {
    CLASS_NAME = 1u << 0,     /* what host names are made of, see take_host_name */
    CLASS_COLON = 1u << 1,    /* ends a scheme */
    CLASS_SLASH = 1u << 2,    /* ends an authority */
    CLASS_QUESTION = 1u << 3, /* ends a path */
    CLASS_HASH = 1u << 4,     /* ends a query */
    CLASS_BRACKET = 1u << 5,  /* ends an IPv6 address */
    CLASS_REFUSED = 1u << 6,  /* a control byte or a blank: in no URL at all */
};

#define NAM CLASS_NAME
#define COL CLASS_COLON
#define SLA CLASS_SLASH
#define QUE CLASS_QUESTION
#define HAS CLASS_HASH
#define BRA CLASS_BRACKET
#define REF CLASS_REFUSED
/* clang-format off */
static const uint8_t class_of[256] = {
    REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, /* 0x00 */
    REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, REF, /* 0x10 */
    REF,   0,   0, HAS,   0,   0,   0,   0,   0,   0,   0,   0,   0, NAM, NAM, SLA, /* 0x20 */
    NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, COL,   0,   0,   0,   0, QUE, /* 0x30 */
      0, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, /* 0x40 */
    NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM,   0,   0, BRA,   0, NAM, /* 0x50 */
      0, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, /* 0x60 */
    NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM, NAM,   0,   0,   0, NAM, REF, /* 0x70 */
};
/* clang-format on */
#undef NAM
#undef COL
#undef SLA
#undef QUE
#undef HAS
#undef BRA
#undef REF

static inline unsigned byte_class(char c)
{
    return class_of[(unsigned char)c];
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* tolower() and strncasecmp() ask the locale, and a host name has none. */
static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool equal_ignoring_case(const char *a, const char *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (to_lower(a[i]) != to_lower(b[i])) {
            return false;
        }
    }
    return true;
}

static bool has_refused_byte(const char *text, size_t bytes)
{
    unsigned seen = 0;
    for (size_t i = 0; i < bytes; i++) {
        seen |= byte_class(text[i]);
    }
    return (seen & CLASS_REFUSED) != 0;
}

/* scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ), RFC 3986 section 3.1 */
static bool is_scheme(struct span text)
{
    if (text.bytes == 0 || !is_alpha(text.text[0])) {
        return false;
    }
    for (size_t i = 1; i < text.bytes; i++) {
        char c = text.text[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') {
            return false;
        }
    }
    return true;
}

/* Take what stands before the first byte of these classes. */
static inline struct span take_until(struct span *rest, unsigned classes)
{
    size_t bytes = 0;
    while (bytes < rest->bytes && (byte_class(rest->text[bytes]) & classes) == 0) {
        bytes++;
    }
    struct span taken = {.text = rest->text, .bytes = bytes};
    rest->text += bytes;
    rest->bytes -= bytes;
    return taken;
}

/* Drop `bytes` bytes from the front. */
static void skip(struct span *rest, size_t bytes)
{
    rest->text += bytes;
    rest->bytes -= bytes;
}

/* The expression of RFC 3986 appendix B, by hand. */
static int reference_split(const char *text, size_t bytes, struct reference *reference)
{
    struct span rest = {.text = text, .bytes = bytes};
    struct span start = rest;
    *reference = (struct reference){0};

    if (bytes > URL_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    if (has_refused_byte(text, bytes)) {
        return -EINVAL;
    }
    struct span head = take_until(&rest, CLASS_COLON | CLASS_SLASH | CLASS_QUESTION | CLASS_HASH);
    if (rest.bytes > 0 && rest.text[0] == ':') {
        /* Otherwise a relative path with a colon in its first segment: section 4.2 has none. */
        if (!is_scheme(head)) {
            return -EINVAL;
        }
        reference->scheme = head;
        reference->has_scheme = true;
        skip(&rest, 1);
    } else {
        rest = start;
    }
    if (rest.bytes >= 2 && rest.text[0] == '/' && rest.text[1] == '/') {
        skip(&rest, 2);
        reference->authority = take_until(&rest, CLASS_SLASH | CLASS_QUESTION | CLASS_HASH);
        reference->has_authority = true;
    }
    reference->path = take_until(&rest, CLASS_QUESTION | CLASS_HASH);
    if (rest.bytes > 0 && rest.text[0] == '?') {
        skip(&rest, 1);
        reference->query = take_until(&rest, CLASS_HASH);
        reference->has_query = true;
    }
    return 0;
}

static bool is_http(struct span scheme)
{
    return scheme.bytes == 4 && equal_ignoring_case(scheme.text, "http", 4);
}

static bool is_https(struct span scheme)
{
    return scheme.bytes == 5 && equal_ignoring_case(scheme.text, "https", 5);
}

/* Names that DNS or a hosts file can hold: letters, digits, '-', '.', '_' and '~'. RFC 3986 section
 * 3.2.2 also allows sub-delims and percent-encoding in a reg-name; nothing resolves them, and
 * decoding them would make two spellings of one host. */
static struct span take_host_name(struct span *rest)
{
    struct span name = {.text = rest->text, .bytes = 0};
    while (name.bytes < rest->bytes && (byte_class(name.text[name.bytes]) & CLASS_NAME) != 0) {
        name.bytes++;
    }
    skip(rest, name.bytes);
    return name;
}

static bool is_ipv6(struct span host)
{
    char text[IPV6_TEXT_BYTES_MAX + 1];
    struct in6_addr address;
    if (host.bytes > IPV6_TEXT_BYTES_MAX) {
        return false;
    }
    memcpy(text, host.text, host.bytes);
    text[host.bytes] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* port = *DIGIT; an empty one stands for the default (RFC 3986 section 3.2.3), which is there. */
static int parse_port(struct span text, uint16_t *port)
{
    uint32_t value = 0;
    if (text.bytes == 0) {
        return 0;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_digit(text.text[i])) {
            return -EINVAL;
        }
        value = value * 10 + (uint32_t)(text.text[i] - '0');
        if (value > UINT16_MAX) {
            return -EINVAL;
        }
    }
    *port = (uint16_t)value;
    return value == 0 ? -EINVAL : 0;
}

/* authority = host [ ":" port ]. Userinfo has an '@', which no host or port allows. */
static int parse_authority(struct span authority, struct url_view *view)
{
    struct span rest = authority;
    struct span host;
    bool good;

    if (rest.bytes > 0 && rest.text[0] == '[') {
        skip(&rest, 1);
        host = take_until(&rest, CLASS_BRACKET);
        good = rest.bytes > 0 && is_ipv6(host);
        skip(&rest, rest.bytes > 0 ? 1 : 0);
    } else {
        host = take_host_name(&rest);
        good = host.bytes > 0;
    }
    if (!good || (rest.bytes > 0 && rest.text[0] != ':')) {
        return -EINVAL;
    }
    view->authority = authority.text;
    view->authority_bytes = authority.bytes;
    view->host = host.text;
    view->host_bytes = host.bytes;
    if (rest.bytes == 0) {
        return 0;
    }
    skip(&rest, 1);
    if (rest.bytes == 0) {
        view->authority_bytes--; /* "host:" says no more than "host" */
    }
    return parse_port(rest, &view->port);
}

int url_parse_any(const char *url, struct url_view *view)
{
    struct reference parts;
    int error = reference_split(url, strnlen(url, URL_BYTES_MAX + 1), &parts);
    if (error != 0) {
        return error;
    }
    if (!parts.has_scheme) {
        return -EINVAL;
    }
    const bool tls = is_https(parts.scheme);
    if (!tls && !is_http(parts.scheme)) {
        return -EPROTONOSUPPORT;
    }
    if (!parts.has_authority) {
        return -EINVAL;
    }
    *view = (struct url_view){
        .path = "/", .path_bytes = 1, .tls = tls, .port = tls ? HTTPS_PORT : HTTP_PORT};
    error = parse_authority(parts.authority, view);
    if (error != 0) {
        return error;
    }
    if (parts.path.bytes > 0) {
        view->path = parts.path.text;
        view->path_bytes = parts.path.bytes + (parts.has_query ? 1 + parts.query.bytes : 0);
    } else if (parts.has_query) {
        return -EINVAL; /* see url.h: the view would have to show a '/' that is not there */
    }
    return 0;
}

int url_parse(const char *url, struct url_view *view)
{
    int error = url_parse_any(url, view);

    return error == 0 && view->tls ? -EPROTONOSUPPORT : error;
}

/* A URL being put together. */
struct text {
    char data[URL_BYTES_MAX + 1];
    size_t bytes;
    bool overflow;
};

static void text_append(struct text *text, const char *data, size_t bytes)
{
    if (bytes > URL_BYTES_MAX - text->bytes) {
        text->overflow = true;
        return;
    }
    if (bytes > 0) {
        memcpy(text->data + text->bytes, data, bytes);
        text->bytes += bytes;
    }
}

/*
 * RFC 3986 section 5.2.4 in place, for a path that begins with '/': what has been read is
 * never shorter than what has been written.
 * @return bytes left
 */
static size_t remove_dot_segments(char *path, size_t bytes)
{
    size_t out = 0;
    size_t in = 0;
    while (in < bytes) {
        /* One segment with the '/' in front of it. */
        size_t end = in + 1;
        while (end < bytes && path[end] != '/') {
            end++;
        }
        size_t name_bytes = end - in - 1;
        bool one_dot = name_bytes == 1 && path[in + 1] == '.';
        bool two_dots = name_bytes == 2 && path[in + 1] == '.' && path[in + 2] == '.';
        if (two_dots) {
            while (out > 0 && path[--out] != '/') {
            }
        }
        if (!one_dot && !two_dots) {
            memmove(path + out, path + in, end - in);
            out += end - in;
        } else if (end == bytes) {
            path[out++] = '/'; /* a dot segment at the end names a folder */
        }
        in = end;
    }
    return out;
}

/* The path of the result before its dot segments go, RFC 3986 section 5.2.2 and 5.2.3. */
static void append_path(struct text *text, const struct reference *base,
                        const struct reference *reference)
{
    size_t start = text->bytes;
    struct span path = reference->path;
    bool own_root = reference->has_scheme || reference->has_authority;

    if (!own_root && path.bytes == 0) {
        path = base->path;
    } else if (!own_root && path.text[0] != '/') {
        size_t folder_bytes = base->path.bytes;
        while (folder_bytes > 0 && base->path.text[folder_bytes - 1] != '/') {
            folder_bytes--;
        }
        text_append(text, base->path.text, folder_bytes);
    }
    if (text->bytes == start && (path.bytes == 0 || path.text[0] != '/')) {
        text_append(text, "/", 1);
    }
    text_append(text, path.text, path.bytes);
    if (!text->overflow) {
        text->bytes = start + remove_dot_segments(text->data + start, text->bytes - start);
    }
}

int url_resolve(const char *base, const char *location, size_t location_bytes, char *out,
                size_t out_bytes)
{
    struct text text = {.bytes = 0};
    struct reference from;
    struct reference to;
    struct url_view view;
    int error = url_parse_any(base, &view);
    if (error == 0) {
        error = reference_split(base, strlen(base), &from);
    }
    if (error == 0) {
        error = reference_split(location, location_bytes, &to);
    }
    if (error != 0) {
        return error;
    }
    if (to.has_scheme && !(view.tls ? is_https(to.scheme) : is_http(to.scheme))) {
        return -EPROTONOSUPPORT;
    }
    if (to.has_scheme && !to.has_authority) {
        return -EINVAL; /* "http:path", which section 5.2.2 leaves to the lenient */
    }

    const struct span *authority = to.has_authority ? &to.authority : &from.authority;
    const char *scheme = view.tls ? "https://" : "http://";
    text_append(&text, scheme, strlen(scheme));
    text_append(&text, authority->text, authority->bytes);
    append_path(&text, &from, &to);
    bool inherits = !to.has_authority && to.path.bytes == 0 && !to.has_query;
    const struct reference *query = inherits ? &from : &to;
    if (query->has_query) {
        text_append(&text, "?", 1);
        text_append(&text, query->query.text, query->query.bytes);
    }
    if (text.overflow || text.bytes >= out_bytes) {
        return -ENAMETOOLONG;
    }
    text.data[text.bytes] = '\0';
    error = url_parse_any(text.data, &view);
    if (error == 0) {
        memcpy(out, text.data, text.bytes + 1);
    }
    return error;
}

bool url_same_authority(const struct url_view *a, const struct url_view *b)
{
    return a->tls == b->tls && a->port == b->port && a->host_bytes == b->host_bytes &&
           equal_ignoring_case(a->host, b->host, a->host_bytes);
}
