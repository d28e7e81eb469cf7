#include "backends/http1.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* RFC 9110 section 8.6 sets no limit to Content-Length; off_t of whoever writes it does. */
#define BODY_BYTES_MAX ((uint64_t)INT64_MAX)

enum state {
    STATE_STATUS_LINE = 0,
    STATE_FIELDS,
    STATE_BODY_LENGTH,
    STATE_BODY_CLOSE,
    STATE_CHUNK_SIZE,
    STATE_CHUNK_BODY,
    STATE_CHUNK_END,
    STATE_TRAILERS,
    STATE_COMPLETE,
    STATE_FAILED,
};

/* What one step reads from. */
struct input {
    const char *data;
    size_t bytes;
    size_t at; /* consumed so far */
};

static int fail(struct http1_parser *parser, const char *error)
{
    parser->state = STATE_FAILED;
    parser->keep_alive = false;
    parser->error = error;
    return -EPROTO;
}

void http1_parser_init(struct http1_parser *parser)
{
    *parser = (struct http1_parser){.state = STATE_STATUS_LINE};
}

/* ---- bytes ---- */

/* tchar of RFC 9110 section 5.6.2: what a field name is made of. */
static const bool is_token_byte[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0'] = true, ['1'] = true, ['2'] = true,
    ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,
    ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
    ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,
    ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true,
    ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true,
    ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
    ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true,
    ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
    ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true,
    ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* The next eight bytes, the first one lowest. */
static inline uint64_t load_word(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return le64toh(word);
}

/* Index of the lowest byte that has its top bit set. */
static inline size_t first_hit(uint64_t hits)
{
    return (size_t)__builtin_ctzll(hits) / 8;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_control(char c)
{
    unsigned char byte = (unsigned char)c;
    return (byte < 0x20 && byte != '\t') || byte == 0x7f;
}

/* Equal to a lower-case token of `bytes` bytes, in any case. Setting 0x20 is exact only for
 * tokens: no other token byte turns into a letter or '-'. Eight bytes at a time, the last ones
 * overlapping what went before. */
static inline bool equals_token(const char *text, const char *lower, size_t bytes)
{
    uint64_t difference = 0;
    size_t at = 0;
    for (; at + sizeof(uint64_t) <= bytes; at += sizeof(uint64_t)) {
        difference |= (load_word(text + at) | EACH_BYTE(0x20)) ^ load_word(lower + at);
    }
    if (at > 0 && at < bytes) {
        at = bytes - sizeof(uint64_t);
        difference |= (load_word(text + at) | EACH_BYTE(0x20)) ^ load_word(lower + at);
        at = bytes;
    }
    for (; at < bytes; at++) {
        difference |= (unsigned char)((text[at] | 0x20) ^ lower[at]);
    }
    return difference == 0;
}

static inline bool is_word(struct http1_span span, const char *lower, size_t bytes)
{
    return span.bytes == bytes && equals_token(span.data, lower, bytes);
}

static inline struct http1_span trim(const char *from, const char *end)
{
    while (from < end && is_blank(*from)) {
        from++;
    }
    while (end > from && is_blank(end[-1])) {
        end--;
    }
    return (struct http1_span){.data = from, .bytes = (size_t)(end - from)};
}

/* Cut the next element off a comma-separated list. */
static bool next_element(struct http1_span *list, struct http1_span *element)
{
    if (list->data == NULL) {
        return false;
    }
    const char *end = list->data + list->bytes;
    const char *comma = list->bytes > 0 ? memchr(list->data, ',', list->bytes) : NULL;
    *element = trim(list->data, comma != NULL ? comma : end);
    list->data = comma != NULL ? comma + 1 : NULL;
    list->bytes = comma != NULL ? (size_t)(end - list->data) : 0;
    return true;
}

/* ---- lines ---- */

/*
 * Index of the first control byte but HTAB, `bytes` when there is none. Eight bytes at a time:
 * a byte below n gives a borrow out of (x - n) with its own top bit clear. A borrow may mark
 * bytes above the first hit wrongly, never below it, and only the first is asked for. HTAB
 * takes the slow way; no usual head has one.
 */
static inline size_t find_control(const char *data, size_t bytes)
{
    size_t at = 0;
    while (bytes - at >= sizeof(uint64_t)) {
        uint64_t word = load_word(data + at);
        uint64_t low = (word - EACH_BYTE(0x20)) & ~word;
        uint64_t del = ((word ^ EACH_BYTE(0x7f)) - EACH_BYTE(1)) & ~word;
        uint64_t hits = (low | del) & EACH_BYTE(0x80);
        if (hits == 0) {
            at += sizeof(word);
            continue;
        }
        at += first_hit(hits);
        if (data[at] != '\t') {
            return at;
        }
        at++;
    }
    while (at < bytes && !is_control(data[at])) {
        at++;
    }
    return at;
}

/* Length of the token at the front. Letters and '-', which is what names are made of, eight at
 * a time: with bit 7 out of the way the additions cannot carry from byte to byte, and bit 7 of
 * each sum says whether the byte is at or above a bound. */
static inline size_t token_bytes(const char *data, size_t bytes)
{
    size_t at = 0;
    while (bytes - at >= sizeof(uint64_t)) {
        uint64_t word = load_word(data + at);
        uint64_t lower = (word | EACH_BYTE(0x20)) & EACH_BYTE(0x7f);
        uint64_t letter = (lower + EACH_BYTE(0x80 - 'a')) & ~(lower + EACH_BYTE(0x7f - 'z'));
        uint64_t not_dash = ((word ^ EACH_BYTE('-')) & EACH_BYTE(0x7f)) + EACH_BYTE(0x7f);
        uint64_t hits = (~(letter | ~not_dash) | word) & EACH_BYTE(0x80);
        if (hits != 0) {
            at += first_hit(hits);
            break;
        }
        at += sizeof(word);
    }
    while (at < bytes && is_token_byte[(unsigned char)data[at]]) {
        at++;
    }
    return at;
}

/*
 * Take one line of at most `bytes_max` bytes with its CR LF. Only those bytes are looked at,
 * so that the verdict does not depend on how the input was split.
 * @return 1, `line` is without CR LF; 0: not all there yet; -EPROTO
 */
static inline int take_line(struct http1_parser *parser, struct input *input, size_t bytes_max,
                            const char *too_long, struct http1_span *line)
{
    const char *data = input->data + input->at;
    size_t bytes = input->bytes - input->at;
    if (bytes == 0) {
        return 0;
    }
    size_t window = bytes < bytes_max ? bytes : bytes_max;
    size_t at = find_control(data, window);
    if (at < window && data[at] != '\r') {
        return fail(parser, data[at] == '\n' ? "a line ends without CR" : "control byte in a line");
    }
    if (at + 1 >= window) { /* no CR, or nothing behind it */
        return window == bytes_max ? fail(parser, too_long) : 0;
    }
    if (data[at + 1] != '\n') {
        return fail(parser, "CR without LF in a line");
    }
    line->data = data;
    line->bytes = at;
    input->at += at + 2;
    return 1;
}

/* A line that counts towards the limit of all heads. */
static inline int take_head_line(struct http1_parser *parser, struct input *input,
                                 struct http1_span *line)
{
    size_t bytes_max = HTTP1_HEAD_BYTES_MAX - (size_t)parser->head_bytes;
    const char *too_long = "heads above the limit of 64 KiB";
    if (bytes_max > HTTP1_LINE_BYTES_MAX) {
        bytes_max = HTTP1_LINE_BYTES_MAX;
        too_long = "a head line above the limit of 8 KiB";
    }
    int got = take_line(parser, input, bytes_max, too_long, line);
    if (got > 0) {
        parser->head_bytes += line->bytes + 2;
    }
    return got;
}

/* ---- status line, RFC 9112 section 4 ---- */

static int parse_status_line(struct http1_parser *parser, struct http1_span line)
{
    const char *text = line.data;
    if (line.bytes < 12 || (text[7] != '0' && text[7] != '1') || text[8] != ' ') {
        return fail(parser, "not the status line of HTTP/1.0 or HTTP/1.1");
    }
    if (!is_digit(text[9]) || !is_digit(text[10]) || !is_digit(text[11]) ||
        (line.bytes > 12 && text[12] != ' ')) {
        return fail(parser, "the status code is not three digits");
    }
    int status = (text[9] - '0') * 100 + (text[10] - '0') * 10 + (text[11] - '0');
    if (status < 100) {
        return fail(parser, "status code below 100");
    }
    if (status == 101) {
        return fail(parser, "the server switches protocols unasked");
    }
    parser->minor_version = (uint8_t)(text[7] - '0');
    parser->head_status = (uint16_t)status;
    parser->fields = 0;
    parser->state = STATE_FIELDS;
    return 0;
}

static int step_status_line(struct http1_parser *parser, struct input *input)
{
    static const char prefix[] = "HTTP/1.";
    const size_t prefix_bytes = sizeof(prefix) - 1;
    size_t bytes = input->bytes - input->at;
    struct http1_span line;
    if (bytes == 0) {
        return 0;
    }
    /* Before the line has ended: garbage need not contain a line end. */
    if (memcmp(input->data + input->at, prefix, bytes < prefix_bytes ? bytes : prefix_bytes) != 0) {
        return fail(parser, "the response does not begin with HTTP/1");
    }
    int got = take_head_line(parser, input, &line);
    if (got <= 0) {
        return got;
    }
    int error = parse_status_line(parser, line);
    return error != 0 ? error : 1;
}

/* ---- fields, RFC 9112 section 5 ---- */

static bool is_interim(const struct http1_parser *parser)
{
    return parser->head_status < 200;
}

static int parse_length(struct http1_span text, uint64_t *bytes)
{
    uint64_t value = 0;
    if (text.bytes == 0) {
        return -EINVAL;
    }
    for (size_t i = 0; i < text.bytes; i++) {
        if (!is_digit(text.data[i])) {
            return -EINVAL;
        }
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (value > (BODY_BYTES_MAX - digit) / 10) {
            return -ERANGE;
        }
        value = value * 10 + digit;
    }
    *bytes = value;
    return 0;
}

/* RFC 9112 section 6.3 rule 5: a list or repeated fields of one and the same length are one. */
static int field_content_length(struct http1_parser *parser, struct http1_span value)
{
    struct http1_span element;
    while (next_element(&value, &element)) {
        uint64_t bytes;
        int error = parse_length(element, &bytes);
        if (error != 0) {
            return fail(parser, error == -ERANGE ? "Content-Length above 2^63-1"
                                                 : "Content-Length is not a number");
        }
        if (parser->has_length && parser->content_bytes != bytes) {
            return fail(parser, "Content-Length says two different things");
        }
        parser->has_length = true;
        parser->content_bytes = bytes;
    }
    return 0;
}

static int field_transfer_encoding(struct http1_parser *parser, struct http1_span value)
{
    if (parser->minor_version == 0) {
        return fail(parser, "Transfer-Encoding in HTTP/1.0"); /* RFC 9112 section 6.1 */
    }
    /* We sent no TE, so nothing else may come (section 7.4), and chunked only once (6.1). */
    if (parser->chunked || !is_word(value, "chunked", 7)) {
        return fail(parser, "Transfer-Encoding is not just chunked");
    }
    parser->chunked = true;
    return 0;
}

/* RFC 9110 section 12.5.3: identity is all that was asked for. */
static int field_content_encoding(struct http1_parser *parser, struct http1_span value)
{
    if (value.bytes != 0 && !is_word(value, "identity", 8)) {
        return fail(parser, "Content-Encoding other than identity");
    }
    return 0;
}

static void field_connection(struct http1_parser *parser, struct http1_span value)
{
    struct http1_span option;
    while (next_element(&value, &option)) {
        parser->saw_close |= is_word(option, "close", 5);
        parser->saw_keep_alive |= is_word(option, "keep-alive", 10);
    }
}

/* @return HTTP1_LOCATION for that field, else 0 or -EPROTO */
static inline int use_field(struct http1_parser *parser, struct http1_span name,
                            struct http1_span value, struct http1_span *span)
{
    switch (name.bytes) {
    case 8:
        if (equals_token(name.data, "location", 8)) {
            *span = value;
            return HTTP1_LOCATION;
        }
        return 0;
    case 10:
        if (equals_token(name.data, "connection", 10)) {
            field_connection(parser, value);
        }
        return 0;
    case 14:
        if (equals_token(name.data, "content-length", 14)) {
            return field_content_length(parser, value);
        }
        return 0;
    case 16:
        if (equals_token(name.data, "content-encoding", 16)) {
            return field_content_encoding(parser, value);
        }
        return 0;
    case 17:
        if (equals_token(name.data, "transfer-encoding", 17)) {
            return field_transfer_encoding(parser, value);
        }
        return 0;
    default:
        return 0;
    }
}

/* field-line = field-name ":" OWS field-value OWS */
static inline int split_field(struct http1_parser *parser, struct http1_span line,
                              struct http1_span *name, struct http1_span *value)
{
    size_t at = token_bytes(line.data, line.bytes);
    if (at == 0 && is_blank(line.data[0])) {
        return fail(parser, "folded field line");
    }
    if (at == 0 || at == line.bytes || line.data[at] != ':') {
        return fail(parser, "not a field line");
    }
    if (++parser->fields > HTTP1_FIELDS_MAX) {
        return fail(parser, "more than 128 fields");
    }
    *name = (struct http1_span){.data = line.data, .bytes = at};
    *value = trim(line.data + at + 1, line.data + line.bytes);
    return 0;
}

/* ---- framing, RFC 9112 section 6.3 ---- */

static int end_of_head(struct http1_parser *parser)
{
    bool bodiless = parser->head_status == 204 || parser->head_status == 304;
    if (parser->has_length && parser->chunked) {
        return fail(parser, "Content-Length together with Transfer-Encoding");
    }
    parser->status = parser->head_status;
    if (bodiless) {
        /* Rule 1: whatever the fields say; in a 304 they describe the body not sent. */
        parser->has_length = false;
        parser->chunked = false;
        parser->content_bytes = 0;
        parser->state = STATE_COMPLETE;
    } else if (parser->chunked) {
        parser->state = STATE_CHUNK_SIZE;
    } else if (parser->has_length) {
        parser->remaining_bytes = parser->content_bytes;
        parser->state = STATE_BODY_LENGTH;
    } else {
        parser->saw_close = true; /* by definition */
        parser->state = STATE_BODY_CLOSE;
    }
    return HTTP1_HEAD;
}

/* @return an event; 0 for more bytes or a head that was skipped; -EPROTO */
static int step_fields(struct http1_parser *parser, struct input *input, struct http1_span *span)
{
    struct http1_span line;
    struct http1_span name;
    struct http1_span value;
    int got;
    while ((got = take_head_line(parser, input, &line)) > 0) {
        if (line.bytes == 0) {
            if (!is_interim(parser)) {
                return end_of_head(parser);
            }
            parser->state = STATE_STATUS_LINE; /* its fields were not for us */
            return 0;
        }
        int result = split_field(parser, line, &name, &value);
        if (result == 0 && !is_interim(parser)) {
            result = use_field(parser, name, value, span);
        }
        if (result != 0) {
            return result;
        }
    }
    return got;
}

/* RFC 9112 section 9.3 */
static int complete(struct http1_parser *parser)
{
    bool persistent = parser->minor_version >= 1 || parser->saw_keep_alive;
    parser->keep_alive = persistent && !parser->saw_close;
    parser->state = STATE_COMPLETE;
    return HTTP1_DONE;
}

/* ---- bodies ---- */

/* @return HTTP1_BODY, or 0 when no byte of it is there */
static int take_body(struct http1_parser *parser, struct input *input, uint64_t bytes_max,
                     struct http1_span *span)
{
    size_t bytes = input->bytes - input->at;
    if (bytes > bytes_max) {
        bytes = (size_t)bytes_max;
    }
    if (bytes == 0) {
        return 0;
    }
    *span = (struct http1_span){.data = input->data + input->at, .bytes = bytes};
    input->at += bytes;
    parser->body_bytes += bytes;
    return HTTP1_BODY;
}

static int hex_digit(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* chunk-size [ chunk-ext ], RFC 9112 section 7.1; extensions are skipped unread (7.1.1) */
static int parse_chunk_size(struct http1_parser *parser, struct http1_span line)
{
    const uint64_t bytes_max = BODY_BYTES_MAX - parser->body_bytes;
    const char *end = line.data + line.bytes;
    const char *at = line.data;
    uint64_t bytes = 0;
    int digit;
    while (at < end && (digit = hex_digit(*at)) >= 0) {
        if (bytes > (bytes_max - (unsigned)digit) / 16) {
            return fail(parser, "chunks above 2^63-1 bytes");
        }
        bytes = bytes * 16 + (unsigned)digit;
        at++;
    }
    if (at == line.data) {
        return fail(parser, "chunk size is not a hexadecimal number");
    }
    struct http1_span rest = trim(at, end);
    if (at != end && (rest.bytes == 0 || rest.data[0] != ';')) {
        return fail(parser, "chunk size is not a hexadecimal number");
    }
    parser->remaining_bytes = bytes;
    if (bytes == 0) {
        parser->fields = 0;
        parser->state = STATE_TRAILERS;
    } else {
        parser->state = STATE_CHUNK_BODY;
    }
    return 0;
}

/* Chunk lines and extensions cost the sender nothing; let them not outgrow the body without
 * end, which no limit on the body would notice. */
static int count_overhead(struct http1_parser *parser, size_t bytes)
{
    parser->overhead_bytes += bytes;
    if (parser->overhead_bytes > HTTP1_CHUNK_OVERHEAD_MAX + parser->body_bytes) {
        return fail(parser, "more chunk lines than body");
    }
    return 0;
}

/* @return 1 when the state moved on; 0; -EPROTO */
static int step_chunk_size(struct http1_parser *parser, struct input *input)
{
    struct http1_span line;
    int got = take_line(parser, input, HTTP1_LINE_BYTES_MAX,
                        "a chunk line above the limit of 8 KiB", &line);
    if (got <= 0) {
        return got;
    }
    int error = count_overhead(parser, line.bytes + 2);
    if (error == 0) {
        error = parse_chunk_size(parser, line);
    }
    return error != 0 ? error : 1;
}

/* @return 1 when the state moved on; 0; -EPROTO */
static int step_chunk_end(struct http1_parser *parser, struct input *input)
{
    const char *data = input->data + input->at;
    size_t bytes = input->bytes - input->at;
    if (bytes == 0) {
        return 0;
    }
    if (data[0] != '\r' || (bytes > 1 && data[1] != '\n')) {
        return fail(parser, "a chunk is longer than its size says");
    }
    if (bytes < 2) {
        return 0;
    }
    input->at += 2;
    parser->state = STATE_CHUNK_SIZE;
    int error = count_overhead(parser, 2);
    return error != 0 ? error : 1;
}

/* Trailer fields are dropped: RFC 9110 section 6.5.1 forbids to treat them as header fields. */
static int step_trailers(struct http1_parser *parser, struct input *input)
{
    struct http1_span line;
    struct http1_span name;
    struct http1_span value;
    int got;
    while ((got = take_head_line(parser, input, &line)) > 0) {
        if (line.bytes == 0) {
            return complete(parser);
        }
        int error = split_field(parser, line, &name, &value);
        if (error != 0) {
            return error;
        }
    }
    return got;
}

/* One state; @return an event or -EPROTO, or 0: nothing to tell yet. */
static int step(struct http1_parser *parser, struct input *input, struct http1_span *span)
{
    int result = 0;
    switch ((enum state)parser->state) {
    case STATE_STATUS_LINE:
        result = step_status_line(parser, input);
        return result > 0 ? step_fields(parser, input, span) : result;
    case STATE_FIELDS:
        return step_fields(parser, input, span);
    case STATE_BODY_LENGTH:
        if (parser->remaining_bytes == 0) {
            return complete(parser);
        }
        result = take_body(parser, input, parser->remaining_bytes, span);
        parser->remaining_bytes -= result == HTTP1_BODY ? span->bytes : 0;
        return result;
    case STATE_BODY_CLOSE:
        return take_body(parser, input, UINT64_MAX, span);
    case STATE_CHUNK_SIZE:
        result = step_chunk_size(parser, input);
        return result < 0 ? result : 0;
    case STATE_CHUNK_BODY:
        result = take_body(parser, input, parser->remaining_bytes, span);
        parser->remaining_bytes -= result == HTTP1_BODY ? span->bytes : 0;
        parser->state = parser->remaining_bytes == 0 ? STATE_CHUNK_END : STATE_CHUNK_BODY;
        return result;
    case STATE_CHUNK_END:
        result = step_chunk_end(parser, input);
        return result < 0 ? result : 0;
    case STATE_TRAILERS:
        return step_trailers(parser, input);
    case STATE_COMPLETE:
        return complete(parser);
    case STATE_FAILED:
        return -EPROTO;
    }
    assert(!"a parser that was not initialised");
    return -EPROTO;
}

int http1_parse(struct http1_parser *parser, const char *data, size_t bytes, size_t *consumed,
                struct http1_span *span)
{
    struct input input = {.data = data, .bytes = bytes};
    uint8_t state;
    size_t at;
    int result;
    /* States that have nothing to tell follow each other until one cannot go on: it then
     * neither takes a byte nor changes. */
    do {
        state = parser->state;
        at = input.at;
        result = step(parser, &input, span);
    } while (result == 0 && (parser->state != state || input.at != at));
    *consumed = input.at;
    return result;
}

int http1_finish(struct http1_parser *parser)
{
    switch ((enum state)parser->state) {
    case STATE_COMPLETE:
    case STATE_BODY_CLOSE:
        return complete(parser);
    case STATE_BODY_LENGTH:
        return parser->remaining_bytes == 0 ? complete(parser) : -EPIPE;
    case STATE_FAILED:
        return -EPROTO;
    default:
        return -EPIPE;
    }
}

/* ---- request ---- */

/* The text around what varies. Accept-Encoding is said because leaving it out would allow any
 * coding (RFC 9110 section 12.5.3). */
static const char get_text[] = "GET ";
static const char host_text[] = " HTTP/1.1\r\nHost: ";
static const char fixed_text[] =
    "\r\nUser-Agent: bench\r\nAccept: */*\r\nAccept-Encoding: identity\r\n";
static const char mark_text[] = "X-Bench: run=";
static const char number_text[] = ";req=";
static const char attempt_text[] = ";try=";
static const char line_end[] = "\r\n";
static const char close_text[] = "Connection: close\r\n";

#define TEXT_BYTES(text) (sizeof(text) - 1)
#define DECIMAL_BYTES_MAX 20 /* of UINT64_MAX */

/* Where the text goes; no longer `good` once a piece did not fit. */
struct writer {
    char *at;
    size_t room_bytes;
    bool good;
};

static inline void put(struct writer *writer, const char *text, size_t bytes)
{
    if (bytes > writer->room_bytes) {
        writer->good = false;
        return;
    }
    memcpy(writer->at, text, bytes);
    writer->at += bytes;
    writer->room_bytes -= bytes;
}

static void put_decimal(struct writer *writer, uint64_t value)
{
    char digits[DECIMAL_BYTES_MAX];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    put(writer, digits + at, sizeof(digits) - at);
}

size_t http1_request_bytes_max(const struct http1_request *request)
{
    size_t bytes = TEXT_BYTES(get_text) + request->path_bytes + TEXT_BYTES(host_text) +
                   request->authority_bytes + TEXT_BYTES(fixed_text) + TEXT_BYTES(close_text) +
                   TEXT_BYTES(line_end);
    if (request->run_mark != NULL) {
        bytes += TEXT_BYTES(mark_text) + strlen(request->run_mark) + TEXT_BYTES(number_text) +
                 TEXT_BYTES(attempt_text) + 2 * (size_t)DECIMAL_BYTES_MAX + TEXT_BYTES(line_end);
    }
    return bytes;
}

size_t http1_request_write(const struct http1_request *request, char *out, size_t out_bytes)
{
    struct writer writer = {.at = out, .room_bytes = out_bytes, .good = true};
    put(&writer, get_text, TEXT_BYTES(get_text));
    put(&writer, request->path, request->path_bytes);
    put(&writer, host_text, TEXT_BYTES(host_text));
    put(&writer, request->authority, request->authority_bytes);
    put(&writer, fixed_text, TEXT_BYTES(fixed_text));
    if (request->run_mark != NULL) {
        put(&writer, mark_text, TEXT_BYTES(mark_text));
        put(&writer, request->run_mark, strlen(request->run_mark));
        put(&writer, number_text, TEXT_BYTES(number_text));
        put_decimal(&writer, request->number);
        put(&writer, attempt_text, TEXT_BYTES(attempt_text));
        put_decimal(&writer, request->attempt);
        put(&writer, line_end, TEXT_BYTES(line_end));
    }
    if (request->close) {
        put(&writer, close_text, TEXT_BYTES(close_text));
    }
    put(&writer, line_end, TEXT_BYTES(line_end));
    return writer.good ? out_bytes - writer.room_bytes : 0;
}
