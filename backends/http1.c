#include "backends/http1.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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

/* A field line; the value still has its optional white space (OWS) around it. */
struct field {
    struct http1_span name;
    struct http1_span value;
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
    return byte < 0x20 || byte == 0x7f;
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

static inline struct http1_span trim(struct http1_span text)
{
    const char *from = text.data;
    const char *end = text.data + text.bytes;
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
    size_t bytes = comma != NULL ? (size_t)(comma - list->data) : list->bytes;
    *element = trim((struct http1_span){.data = list->data, .bytes = bytes});
    list->data = comma != NULL ? comma + 1 : NULL;
    list->bytes = comma != NULL ? (size_t)(end - list->data) : 0;
    return true;
}

/* ---- blocks ---- */

/*
 * Two questions decide what a head costs: where is the next control byte, and how far does a name
 * go. Both are asked of BLOCK_BYTES bytes at once: bit i says whether byte i is one.
 */
#if defined(__SSE2__) && !defined(BENCH_HTTP1_PORTABLE)

#define BLOCK_BYTES 16

/* Unsigned, for SSE2 has signed comparisons only. */
static inline __m128i at_most(__m128i bytes, char limit)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(limit)), bytes);
}

static inline unsigned block_controls(const char *data)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(at_most(bytes, 0x1f), del));
}

/* Neither a letter nor '-', which is what names are made of. */
static inline unsigned block_not_of_name(const char *data)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)data);
    __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
    __m128i letter = at_most(_mm_sub_epi8(lower, _mm_set1_epi8('a')), 'z' - 'a');
    __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, dash)) ^ 0xffff;
}

#else

#define BLOCK_BYTES 8

/* The top bit of each byte that is `limit` (1 to 0x80) or more. With bit 7 out of the way no
 * addition carries into the next byte, and bit 7 of each sum says how the lower bits compare. */
static inline uint64_t at_least(uint64_t word, unsigned limit)
{
    return ((word & EACH_BYTE(0x7f)) + EACH_BYTE(0x80 - limit)) | word;
}

static inline uint64_t not_equal(uint64_t word, unsigned byte)
{
    return at_least(word ^ EACH_BYTE(byte), 1);
}

/* One bit for each top bit: the product moves the one of byte i to bit 56 + i, and no two of its
 * other terms meet. */
static inline unsigned top_bits(uint64_t word)
{
    uint64_t bits = (word & EACH_BYTE(0x80)) >> 7;
    return (unsigned)((bits * UINT64_C(0x0102040810204080)) >> 56);
}

static inline unsigned block_controls(const char *data)
{
    uint64_t word = load_word(data);
    return top_bits(~(at_least(word, 0x20) & not_equal(word, 0x7f)));
}

/* Neither a letter nor '-', which is what names are made of. */
static inline unsigned block_not_of_name(const char *data)
{
    uint64_t word = load_word(data);
    uint64_t lower = word | EACH_BYTE(0x20);
    uint64_t letter = at_least(lower, 'a') & ~at_least(lower, 'z' + 1);
    return top_bits(~letter & not_equal(word, '-'));
}

#endif

/* Index of the lowest bit that is set. */
static inline size_t first_bit(uint64_t bits)
{
    return (unsigned)__builtin_ctzll(bits);
}

/* Index of the first control byte, `bytes` when there is none. */
static inline size_t find_any_control(const char *data, size_t bytes)
{
    const char *at = data;
    for (; bytes >= BLOCK_BYTES; at += BLOCK_BYTES, bytes -= BLOCK_BYTES) {
        unsigned hits = block_controls(at);
        if (hits != 0) {
            return (size_t)(at - data) + first_bit(hits);
        }
    }
    for (; bytes > 0 && !is_control(*at); bytes--) {
        at++;
    }
    return (size_t)(at - data);
}

/* The same but for HTAB, which values may have and no usual one has. */
static inline size_t find_control(const char *data, size_t bytes)
{
    size_t at = find_any_control(data, bytes);
    while (at < bytes && data[at] == '\t') {
        at++;
        at += find_any_control(data + at, bytes - at);
    }
    return at;
}

/*
 * Length of the token at the front of a line.
 * @param bytes  that may be read, beyond the line too: the control byte that ends the line ends
 *               any token
 */
static inline size_t token_bytes(const char *data, size_t bytes)
{
    const char *at = data;
    for (; bytes >= BLOCK_BYTES; at += BLOCK_BYTES, bytes -= BLOCK_BYTES) {
        unsigned hits = block_not_of_name(at);
        if (hits != 0) {
            size_t first = first_bit(hits);
            at += first;
            bytes -= first;
            if (*at == ':') {
                return (size_t)(at - data);
            }
            break;
        }
    }
    for (; bytes > 0 && is_token_byte[(unsigned char)*at]; bytes--) {
        at++;
    }
    return (size_t)(at - data);
}

/* ---- lines ---- */

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

static inline size_t head_line_bytes_max(const struct http1_parser *parser)
{
    size_t left = HTTP1_HEAD_BYTES_MAX - (size_t)parser->head_bytes;
    return left < HTTP1_LINE_BYTES_MAX ? left : HTTP1_LINE_BYTES_MAX;
}

/* A line that counts towards the limit of all heads. */
static inline int take_head_line(struct http1_parser *parser, struct input *input,
                                 struct http1_span *line)
{
    size_t bytes_max = head_line_bytes_max(parser);
    const char *too_long = bytes_max < HTTP1_LINE_BYTES_MAX
                               ? "heads above the limit of 64 KiB"
                               : "a head line above the limit of 8 KiB";
    int got = take_line(parser, input, bytes_max, too_long, line);
    if (got > 0) {
        parser->head_bytes += line->bytes + 2;
    }
    return got;
}

/* ---- status line, RFC 9112 section 4 ---- */

static int begin_fields(struct http1_parser *parser, char minor_version, int status)
{
    parser->minor_version = (uint8_t)(minor_version - '0');
    parser->head_status = (uint16_t)status;
    parser->fields = 0;
    parser->state = STATE_FIELDS;
    return 1;
}

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
    return begin_fields(parser, text[7], status);
}

/* What nearly every response begins with; nothing in it has to be looked for. */
static inline bool take_usual_status_line(struct http1_parser *parser, struct input *input)
{
    static const char usual[] = "HTTP/1.1 200 OK\r\n";
    const size_t usual_bytes = sizeof(usual) - 1;
    if (input->bytes - input->at < usual_bytes || head_line_bytes_max(parser) < usual_bytes ||
        memcmp(input->data + input->at, usual, usual_bytes) != 0) {
        return false;
    }
    input->at += usual_bytes;
    parser->head_bytes += usual_bytes;
    (void)begin_fields(parser, '1', 200);
    return true;
}

/* @return 1 when the state moved on; 0; -EPROTO */
static int step_status_line(struct http1_parser *parser, struct input *input)
{
    static const char prefix[] = "HTTP/1.";
    const size_t prefix_bytes = sizeof(prefix) - 1;
    size_t bytes = input->bytes - input->at;
    struct http1_span line;
    if (bytes == 0) {
        return 0;
    }
    if (take_usual_status_line(parser, input)) {
        return 1;
    }
    /* Before the line has ended: garbage need not contain a line end. */
    if (memcmp(input->data + input->at, prefix, bytes < prefix_bytes ? bytes : prefix_bytes) != 0) {
        return fail(parser, "the response does not begin with HTTP/1");
    }
    int got = take_head_line(parser, input, &line);
    return got > 0 ? parse_status_line(parser, line) : got;
}

/* ---- fields, RFC 9112 section 5 ---- */

static inline struct field field_of(struct http1_span line, size_t name_bytes)
{
    return (struct field){
        .name = {.data = line.data, .bytes = name_bytes},
        .value = {.data = line.data + name_bytes + 1, .bytes = line.bytes - name_bytes - 1},
    };
}

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
        uint64_t digit = (uint64_t)(text.data[i] - '0');
        if (value >= BODY_BYTES_MAX / 10 &&
            (value > BODY_BYTES_MAX / 10 || digit > BODY_BYTES_MAX % 10)) {
            return -ERANGE;
        }
        value = value * 10 + digit;
    }
    *bytes = value;
    return 0;
}

static int take_length(struct http1_parser *parser, uint64_t bytes)
{
    if (parser->has_length && parser->content_bytes != bytes) {
        return fail(parser, "Content-Length says two different things");
    }
    parser->has_length = true;
    parser->content_bytes = bytes;
    return 0;
}

/* RFC 9112 section 6.3 rule 5: a list or repeated fields of one and the same length are one. */
static int field_content_length(struct http1_parser *parser, struct http1_span value)
{
    struct http1_span element;
    uint64_t bytes;
    if (parse_length(value, &bytes) == 0) {
        return take_length(parser, bytes); /* no list, as nearly always */
    }
    while (next_element(&value, &element)) {
        int error = parse_length(element, &bytes);
        if (error != 0) {
            return fail(parser, error == -ERANGE ? "Content-Length above 2^63-1"
                                                 : "Content-Length is not a number");
        }
        error = take_length(parser, bytes);
        if (error != 0) {
            return error;
        }
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
    if (is_word(value, "keep-alive", 10)) {
        parser->saw_keep_alive = true; /* no list, as nearly always */
        return;
    }
    while (next_element(&value, &option)) {
        parser->saw_close |= is_word(option, "close", 5);
        parser->saw_keep_alive |= is_word(option, "keep-alive", 10);
    }
}

/* @return HTTP1_LOCATION for that field, else 0 or -EPROTO */
static inline int use_field(struct http1_parser *parser, struct field field,
                            struct http1_span *span)
{
    switch (field.name.bytes) {
    case 8:
        if (equals_token(field.name.data, "location", 8)) {
            *span = trim(field.value);
            return HTTP1_LOCATION;
        }
        return 0;
    case 10:
        if (equals_token(field.name.data, "connection", 10)) {
            field_connection(parser, trim(field.value));
        }
        return 0;
    case 14:
        if (equals_token(field.name.data, "content-length", 14)) {
            return field_content_length(parser, trim(field.value));
        }
        return 0;
    case 16:
        if (equals_token(field.name.data, "content-encoding", 16)) {
            return field_content_encoding(parser, trim(field.value));
        }
        return 0;
    case 17:
        if (equals_token(field.name.data, "transfer-encoding", 17)) {
            return field_transfer_encoding(parser, trim(field.value));
        }
        return 0;
    default:
        return 0;
    }
}

/* field-line = field-name ":" OWS field-value OWS; `input` stands behind the line */
static inline int split_field(struct http1_parser *parser, const struct input *input,
                              struct http1_span line, struct field *field)
{
    const char *end = input->data + input->bytes;
    size_t at = token_bytes(line.data, (size_t)(end - line.data));
    if (at == 0 && is_blank(line.data[0])) {
        return fail(parser, "folded field line");
    }
    if (at == 0 || line.data[at] != ':') {
        return fail(parser, "not a field line");
    }
    if (++parser->fields > HTTP1_FIELDS_MAX) {
        return fail(parser, "more than 128 fields");
    }
    *field = field_of(line, at);
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

/* The empty line behind the fields. @return HTTP1_HEAD; 0: an interim head, not for us; -EPROTO */
static int blank_line(struct http1_parser *parser)
{
    if (is_interim(parser)) {
        parser->state = STATE_STATUS_LINE;
        return 0;
    }
    return end_of_head(parser);
}

/*
 * The lines that are there whole, as in nearly every head all of them are. They are taken as long
 * as nothing is wrong with them; the first of which that cannot be said is left to take_head_line
 * and split_field, which know why. None of these lines can break a limit: they lie within a stretch
 * that is itself no longer than one line may be, and than the heads may still become.
 * @return an event; 0 when the state moved on or the next line is not for here; -EPROTO
 */
static int take_whole_lines(struct http1_parser *parser, struct input *input,
                            struct http1_span *span)
{
    const bool interim = is_interim(parser);
    const size_t bytes_max = head_line_bytes_max(parser);
    const char *data = input->data + input->at;
    size_t bytes = input->bytes - input->at < bytes_max ? input->bytes - input->at : bytes_max;
    size_t at = 0;
    int result = 0;
    while (result == 0) {
        struct http1_span line = {.data = data + at,
                                  .bytes = find_any_control(data + at, bytes - at)};
        if (at + line.bytes + 2 > bytes || memcmp(line.data + line.bytes, "\r\n", 2) != 0) {
            break;
        }
        if (line.bytes == 0) {
            at += 2;
            result = blank_line(parser);
            break;
        }
        size_t name_bytes = token_bytes(line.data, bytes - at);
        if (name_bytes == 0 || line.data[name_bytes] != ':' || parser->fields == HTTP1_FIELDS_MAX) {
            break;
        }
        at += line.bytes + 2;
        parser->fields++;
        if (!interim) {
            result = use_field(parser, field_of(line, name_bytes), span);
        }
    }
    input->at += at;
    parser->head_bytes += at;
    return result;
}

/* @return an event; 0 for more bytes or a head that was skipped; -EPROTO */
static int step_fields(struct http1_parser *parser, struct input *input, struct http1_span *span)
{
    struct http1_span line;
    struct field field;
    int result = take_whole_lines(parser, input, span);
    while (result == 0 && parser->state == STATE_FIELDS) {
        int got = take_head_line(parser, input, &line);
        if (got <= 0) {
            return got;
        }
        if (line.bytes == 0) {
            return blank_line(parser);
        }
        result = split_field(parser, input, line, &field);
        if (result == 0 && !is_interim(parser)) {
            result = use_field(parser, field, span);
        }
    }
    return result;
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
    struct http1_span rest = trim((struct http1_span){.data = at, .bytes = (size_t)(end - at)});
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
    struct field field;
    int got;
    while ((got = take_head_line(parser, input, &line)) > 0) {
        if (line.bytes == 0) {
            return complete(parser);
        }
        int error = split_field(parser, input, line, &field);
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
