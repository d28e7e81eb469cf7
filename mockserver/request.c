#include "request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *data;
    size_t bytes;
};

/* What the fields of one head have said so far. */
struct field_state {
    bool has_host;
    bool has_length;
    bool close;
    bool keep_alive;
};

/* What a byte may be part of: one look instead of a row of comparisons. */
enum byte_kind {
    BYTE_TOKEN = 1,  /* RFC 9110 section 5.6.2 */
    BYTE_TARGET = 2, /* printable ASCII but blank and '#' */
    BYTE_VALUE = 4,  /* all but controls; a tab is fine */
};

#define T (BYTE_TOKEN | BYTE_TARGET | BYTE_VALUE)
#define P (BYTE_TARGET | BYTE_VALUE)
#define V BYTE_VALUE
#define H (BYTE_TOKEN | BYTE_VALUE)

static const uint8_t byte_kinds[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, V, 0, 0, 0, 0, 0, 0, /* 0x09: tab */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    V, T, P, H, T, T, T, T, P, P, T, T, P, T, T, P, /*  !"#$%&'()*+,-./ */
    T, T, T, T, T, T, T, T, T, T, P, P, P, P, P, P, /* 0123456789:;<=>? */
    P, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* @ABCDEFGHIJKLMNO */
    T, T, T, T, T, T, T, T, T, T, T, P, P, P, T, T, /* PQRSTUVWXYZ[\]^_ */
    T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, T, /* `abcdefghijklmno */
    T, T, T, T, T, T, T, T, T, T, T, P, T, P, T, 0, /* pqrstuvwxyz{|}~ */
};

#undef T
#undef P
#undef V
#undef H

static bool all_are(struct text text, enum byte_kind kind)
{
    unsigned common = kind;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];
        common &= c < 0x80 ? byte_kinds[c] : BYTE_VALUE;
    }
    return common != 0;
}

static bool is_token(struct text text)
{
    return text.bytes > 0 && all_are(text, BYTE_TOKEN);
}

/* Whatever its case. @param word  lower-case letters and '-'; of a text without controls */
static inline bool text_is(struct text text, const char *word)
{
    if (text.bytes != strlen(word)) {
        return false;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if ((text.data[i] | 0x20) != word[i]) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text text)
{
    while (text.bytes > 0 && is_blank(text.data[0])) {
        text.data++;
        text.bytes--;
    }
    while (text.bytes > 0 && is_blank(text.data[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

/* Take what stands before `separator`, or all of it. */
static struct text take_until(struct text *rest, char separator)
{
    const char *end = memchr(rest->data, separator, rest->bytes);
    struct text taken = *rest;
    if (end == NULL) {
        rest->data += rest->bytes;
        rest->bytes = 0;
        return taken;
    }
    taken.bytes = (size_t)(end - rest->data);
    rest->data += taken.bytes + 1;
    rest->bytes -= taken.bytes + 1;
    return taken;
}

static int parse_number(struct text text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*value, 10, value) ||
            __builtin_add_overflow(*value, digit, value)) {
            return -EPROTO;
        }
    }
    return text.bytes > 0 ? 0 : -EPROTO;
}

static enum request_method method_of(struct text name)
{
    /* Methods are case-sensitive: RFC 9110 section 9.1. */
    if (name.bytes == 3 && memcmp(name.data, "GET", 3) == 0) {
        return REQUEST_GET;
    }
    if (name.bytes == 4 && memcmp(name.data, "HEAD", 4) == 0) {
        return REQUEST_HEAD;
    }
    if (name.bytes == 4 && memcmp(name.data, "POST", 4) == 0) {
        return REQUEST_POST;
    }
    return REQUEST_OTHER;
}

/* Absolute form, "http://host/path", has to be understood too: RFC 9112 section 3.2.2. */
static int parse_target(struct text target, struct request *request)
{
    static const char scheme[] = "http://";
    if (target.bytes >= sizeof(scheme) - 1 && target.data[0] != '/' &&
        strncasecmp(target.data, scheme, sizeof(scheme) - 1) == 0) {
        target.data += sizeof(scheme) - 1;
        target.bytes -= sizeof(scheme) - 1;
        const char *slash = memchr(target.data, '/', target.bytes);
        if (slash == NULL || slash == target.data) {
            return -EPROTO;
        }
        target.bytes -= (size_t)(slash - target.data);
        target.data = slash;
    }
    if (target.bytes == 0 || target.data[0] != '/') {
        return -EPROTO;
    }
    if (!all_are(target, BYTE_TARGET)) {
        return -EPROTO;
    }
    const char *end = target.data + target.bytes;
    struct text path = take_until(&target, '?');
    request->path = path.data;
    request->path_bytes = path.bytes;
    if (path.data + path.bytes != end) {
        request->query = target.data;
        request->query_bytes = target.bytes;
    }
    return 0;
}

static int parse_request_line(struct text line, struct request *request)
{
    struct text method = take_until(&line, ' ');
    struct text target = take_until(&line, ' ');
    if (!is_token(method) || line.bytes != 8 || memcmp(line.data, "HTTP/1.", 7) != 0 ||
        line.data[7] < '0' || line.data[7] > '9') {
        return -EPROTO;
    }
    request->method = method_of(method);
    request->version_1_0 = line.data[7] == '0';
    return parse_target(target, request);
}

static int parse_mark(struct text value, struct request *request)
{
    while (value.bytes > 0) {
        struct text item = trim(take_until(&value, ';'));
        struct text name = take_until(&item, '=');
        uint64_t number = 0;
        if (text_is(name, "run")) {
            if (!is_token(item) || item.bytes > REQUEST_RUN_BYTES_MAX) {
                return -EPROTO;
            }
            request->run = item.data;
            request->run_bytes = item.bytes;
            continue;
        }
        if (parse_number(item, &number) != 0) {
            return -EPROTO;
        }
        if (text_is(name, "req")) {
            request->has_number = true;
            request->number = number;
        } else if (text_is(name, "try") && number >= 1 && number <= UINT32_MAX) {
            request->attempt = (uint32_t)number;
        } else {
            return -EPROTO;
        }
    }
    return 0;
}

static void parse_connection(struct text value, struct field_state *state)
{
    while (value.bytes > 0) {
        struct text option = trim(take_until(&value, ','));
        state->close |= text_is(option, "close");
        state->keep_alive |= text_is(option, "keep-alive");
    }
}

static int parse_length(struct text value, struct field_state *state, struct request *request)
{
    uint64_t length = 0;
    if (state->has_length || parse_number(value, &length) != 0) {
        return -EPROTO;
    }
    state->has_length = true;
    request->has_body |= length > 0;
    return 0;
}

static int parse_field(struct text line, struct field_state *state, struct request *request)
{
    const char *colon = memchr(line.data, ':', line.bytes);
    if (colon == NULL) {
        return -EPROTO;
    }
    struct text value = line;
    struct text name = take_until(&value, ':');
    value = trim(value);
    /* Also refuses a folded line and a blank before the colon: RFC 9112 sections 5.1, 5.2. */
    if (!is_token(name) || !all_are(value, BYTE_VALUE)) {
        return -EPROTO;
    }
    switch (name.bytes) {
    case 4:
        if (text_is(name, "host")) {
            bool again = state->has_host;
            state->has_host = true;
            return again ? -EPROTO : 0;
        }
        break;
    case 7:
        return text_is(name, "x-bench") ? parse_mark(value, request) : 0;
    case 10:
        if (text_is(name, "connection")) {
            parse_connection(value, state);
        }
        break;
    case 14:
        return text_is(name, "content-length") ? parse_length(value, state, request) : 0;
    case 17:
        request->has_body |= text_is(name, "transfer-encoding");
        break;
    default:
        break;
    }
    return 0;
}

/* The next line without its CRLF. @return 0, -EAGAIN, -EPROTO (a bare LF) */
static int take_line(const char *data, size_t bytes, size_t *at, struct text *line)
{
    const char *end = memchr(data + *at, '\n', bytes - *at);
    if (end == NULL) {
        return bytes < REQUEST_HEAD_BYTES_MAX ? -EAGAIN : -EMSGSIZE;
    }
    size_t past = (size_t)(end - data) + 1;
    if (past > REQUEST_HEAD_BYTES_MAX) {
        return -EMSGSIZE;
    }
    if (past - *at < 2 || end[-1] != '\r') {
        return -EPROTO;
    }
    *line = (struct text){.data = data + *at, .bytes = past - *at - 2};
    *at = past;
    return 0;
}

static int parse_fields(const char *data, size_t bytes, size_t *at, struct request *request)
{
    struct field_state state = {0};
    for (;;) {
        struct text line;
        int error = take_line(data, bytes, at, &line);
        if (error == 0 && line.bytes == 0) {
            break;
        }
        if (error == 0) {
            error = parse_field(line, &state, request);
        }
        if (error != 0) {
            return error;
        }
    }
    /* RFC 9112 section 3.2: a request of 1.1 without Host is answered with 400. */
    if (!state.has_host && !request->version_1_0) {
        return -EPROTO;
    }
    request->keep_alive = !state.close && (!request->version_1_0 || state.keep_alive);
    return 0;
}

int request_parse(const char *data, size_t bytes, struct request *request, size_t *head_bytes)
{
    size_t at = 0;
    struct text line;
    *request = (struct request){.method = REQUEST_OTHER};
    /* One empty line in front is overlooked: RFC 9112 section 2.2. */
    int error = take_line(data, bytes, &at, &line);
    if (error == 0 && line.bytes == 0) {
        error = take_line(data, bytes, &at, &line);
    }
    if (error == 0) {
        error = parse_request_line(line, request);
    }
    if (error == 0) {
        error = parse_fields(data, bytes, &at, request);
    }
    *head_bytes = at;
    return error;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int request_decode(const char *text, size_t bytes, char *out, size_t out_bytes)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < bytes ? hex_value(text[i + 1]) : -1;
            int low = i + 2 < bytes ? hex_value(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return -EINVAL;
            }
            c = (unsigned char)(high << 4 | low);
            i += 2;
        }
        if (c < 0x20 || c == 0x7f) {
            return -EINVAL;
        }
        if (written == out_bytes) {
            return -ENOSPC;
        }
        out[written++] = (char)c;
    }
    return (int)written;
}
