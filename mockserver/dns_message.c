#include "dns_message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define FLAG_RESPONSE 0x8000u
#define FLAG_AUTHORITATIVE 0x0400u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSION_DESIRED 0x0100u
#define FLAG_RECURSION_AVAILABLE 0x0080u
#define OPCODE_SHIFT 11
#define OPCODE_MASK 0xfu
#define RCODE_MASK 0xfu /* the header has only the lower four bits */

#define CLASS_IN 1
#define LABEL_BYTES_MAX 63
#define POINTER_MARK 0xc0u
#define POINTER_TO_QUESTION (0xc000u | DNS_HEADER_BYTES) /* RFC 1035 section 4.1.4 */

#define OPT_UDP_BYTES 1232 /* what we take: more than any query has */
#define OPT_RCODE_SHIFT 24 /* in what is the TTL of other records: RFC 6891 section 6.1.3 */
#define OPT_VERSION_MASK 0x00ff0000u
#define OPT_DNSSEC_OK 0x00008000u

/* --- read --- */

struct cursor {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    bool failed; /* from then on nothing is taken */
};

/* @return the next bytes; NULL: not so many are left */
static const uint8_t *take(struct cursor *cursor, size_t bytes)
{
    if (cursor->failed || cursor->bytes - cursor->at < bytes) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *taken = cursor->data + cursor->at;
    cursor->at += bytes;
    return taken;
}

static uint8_t take_u8(struct cursor *cursor)
{
    const uint8_t *one = take(cursor, 1);
    return one == NULL ? 0 : *one;
}

static uint16_t take_u16(struct cursor *cursor)
{
    const uint8_t *two = take(cursor, 2);
    return two == NULL ? 0 : (uint16_t)(two[0] << 8 | two[1]);
}

static uint32_t take_u32(struct cursor *cursor)
{
    uint32_t high = take_u16(cursor);
    return high << 16 | take_u16(cursor);
}

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool is_plain(uint8_t c)
{
    return c > 0x20 && c < 0x7f && c != '.' && c != '\\';
}

/* A label may hold any byte (RFC 2181 section 11). @return bytes of text */
static size_t put_byte(char out[static 4], uint8_t c)
{
    if (is_plain(c)) {
        out[0] = lower(c);
        return 1;
    }
    out[0] = '\\';
    if (c == '.' || c == '\\') {
        out[1] = (char)c;
        return 2;
    }
    out[1] = (char)('0' + c / 100);
    out[2] = (char)('0' + c / 10 % 10);
    out[3] = (char)('0' + c % 10);
    return 4;
}

/* The name of a question. A pointer is none: nothing stands before it that could be meant. */
static void take_name(struct cursor *cursor, char name[static DNS_NAME_BYTES_MAX])
{
    const size_t begin = cursor->at;
    size_t used = 0;
    for (;;) {
        size_t bytes = take_u8(cursor);
        if (bytes > LABEL_BYTES_MAX) {
            cursor->failed = true;
        }
        const uint8_t *label = take(cursor, bytes);
        if (label == NULL || bytes == 0) {
            break;
        }
        if (cursor->at - begin >= DNS_WIRE_NAME_BYTES_MAX) {
            cursor->failed = true; /* and the root is still to come */
            break;
        }
        if (used > 0) {
            name[used++] = '.';
        }
        for (size_t i = 0; i < bytes; i++) {
            used += put_byte(name + used, label[i]);
        }
    }
    name[used] = '\0';
}

/* The name of a record, which may end in a pointer. @return whether it is the root */
static bool skip_name(struct cursor *cursor)
{
    const size_t begin = cursor->at;
    for (;;) {
        uint8_t bytes = take_u8(cursor);
        if ((bytes & POINTER_MARK) == POINTER_MARK) {
            (void)take_u8(cursor);
            return false;
        }
        if (bytes > LABEL_BYTES_MAX) {
            cursor->failed = true;
        }
        if (take(cursor, bytes) == NULL || bytes == 0) {
            return cursor->at - begin == 1;
        }
    }
}

/* Records that come with a question: only OPT means anything. @return DNS_NOERROR, _BADVERS */
static enum dns_rcode take_additional(struct cursor *cursor, unsigned records,
                                      struct dns_question *question)
{
    enum dns_rcode rcode = DNS_NOERROR;
    for (unsigned i = 0; i < records && !cursor->failed; i++) {
        bool is_root = skip_name(cursor);
        bool is_opt = take_u16(cursor) == DNS_TYPE_OPT;
        (void)take_u16(cursor); /* a class; of OPT: how much the client takes, more than we send */
        uint32_t ttl = take_u32(cursor);
        (void)take(cursor, take_u16(cursor));
        if (!is_opt || cursor->failed) {
            continue;
        }
        if (!is_root || question->has_opt) {
            cursor->failed = true; /* RFC 6891 section 6.1.1 */
        }
        question->has_opt = true;
        question->dnssec_ok = (ttl & OPT_DNSSEC_OK) != 0;
        rcode = (ttl & OPT_VERSION_MASK) != 0 ? DNS_BADVERS : DNS_NOERROR;
    }
    return rcode;
}

/* A query is taken apart from QDCOUNT on. @return rcode */
static int parse_query(struct cursor *cursor, struct dns_question *question)
{
    unsigned questions = take_u16(cursor);
    unsigned answers = take_u16(cursor);
    unsigned authorities = take_u16(cursor);
    unsigned additional = take_u16(cursor);
    if (questions != 1 || answers != 0 || authorities != 0) {
        return DNS_FORMERR; /* RFC 9619 section 4 for more than one; none would need a cookie */
    }
    take_name(cursor, question->name);
    question->type = take_u16(cursor);
    uint16_t class = take_u16(cursor);
    if (cursor->failed) {
        return DNS_FORMERR;
    }
    question->bytes = cursor->at - DNS_HEADER_BYTES;
    enum dns_rcode rcode = take_additional(cursor, additional, question);
    if (cursor->failed || cursor->at != cursor->bytes) {
        return DNS_FORMERR;
    }
    bool is_transfer = question->type == DNS_TYPE_AXFR || question->type == DNS_TYPE_IXFR;
    if (rcode == DNS_NOERROR && (class != CLASS_IN || is_transfer)) {
        rcode = DNS_REFUSED;
    }
    return (int)rcode;
}

int dns_question_parse(const uint8_t *data, size_t data_bytes, struct dns_question *question)
{
    struct cursor cursor = {.data = data, .bytes = data_bytes};
    memset(question, 0, sizeof(*question));
    question->id = take_u16(&cursor);
    unsigned flags = take_u16(&cursor);
    if (data_bytes < DNS_HEADER_BYTES || (flags & FLAG_RESPONSE) != 0) {
        return -EBADMSG; /* two servers that answer each other's answers would never stop */
    }
    question->opcode = flags >> OPCODE_SHIFT & OPCODE_MASK;
    question->recursion_desired = (flags & FLAG_RECURSION_DESIRED) != 0;
    if (question->opcode != 0) {
        return DNS_NOTIMP; /* what the sections of another opcode hold is not ours to read */
    }
    return parse_query(&cursor, question);
}

int dns_name_parse(const char *text, size_t text_bytes, char name[static DNS_NAME_BYTES_MAX])
{
    name[0] = '\0';
    if (text_bytes == 1 && text[0] == '.') {
        return 0;
    }
    text_bytes -= text_bytes > 0 && text[text_bytes - 1] == '.';
    /* On the wire: a length before each label, and the root. */
    if (text_bytes + 2 > DNS_WIRE_NAME_BYTES_MAX) {
        return -ENAMETOOLONG;
    }
    size_t label_bytes = 0;
    for (size_t i = 0; i < text_bytes; i++) {
        bool is_dot = text[i] == '.';
        if (is_dot ? label_bytes == 0 : !is_plain((uint8_t)text[i])) {
            return -EINVAL;
        }
        label_bytes = is_dot ? 0 : label_bytes + 1;
        if (label_bytes > LABEL_BYTES_MAX) {
            return -ENAMETOOLONG;
        }
        name[i] = lower((uint8_t)text[i]);
    }
    name[text_bytes] = '\0';
    return label_bytes == 0 ? -EINVAL : 0;
}

/* --- write --- */

static uint8_t *put_u16(uint8_t *out, unsigned value)
{
    *out++ = (uint8_t)(value >> 8);
    *out++ = (uint8_t)value;
    return out;
}

static uint8_t *put_u32(uint8_t *out, uint32_t value)
{
    return put_u16(put_u16(out, value >> 16), value & 0xffff);
}

static uint8_t *put_address(uint8_t *out, uint32_t address, uint32_t ttl_s)
{
    out = put_u16(out, POINTER_TO_QUESTION);
    out = put_u16(out, DNS_TYPE_A);
    out = put_u16(out, CLASS_IN);
    out = put_u32(out, ttl_s);
    out = put_u16(out, sizeof(address));
    return put_u32(out, address);
}

/* Our version is 0; DO comes back as it came (RFC 3225 section 3). */
static uint8_t *put_opt(uint8_t *out, enum dns_rcode rcode, bool dnssec_ok)
{
    *out++ = 0; /* the root */
    out = put_u16(out, DNS_TYPE_OPT);
    out = put_u16(out, OPT_UDP_BYTES);
    out = put_u32(out, (uint32_t)rcode >> 4 << OPT_RCODE_SHIFT | (dnssec_ok ? OPT_DNSSEC_OK : 0));
    return put_u16(out, 0);
}

/* Recursion is said to be there, or stub resolvers that want it warn. */
static unsigned flags_of(const struct dns_answer *answer, const struct dns_question *question)
{
    bool is_ours = answer->rcode == DNS_NOERROR || answer->rcode == DNS_NXDOMAIN;
    return FLAG_RESPONSE | FLAG_RECURSION_AVAILABLE | question->opcode << OPCODE_SHIFT |
           (is_ours ? FLAG_AUTHORITATIVE : 0) | (answer->truncated ? FLAG_TRUNCATED : 0) |
           (question->recursion_desired ? FLAG_RECURSION_DESIRED : 0) |
           ((unsigned)answer->rcode & RCODE_MASK);
}

size_t dns_answer_write(const struct dns_answer *answer, const struct dns_question *question,
                        const uint8_t *query, uint8_t out[static DNS_ANSWER_BYTES_MAX])
{
    assert(question->bytes <= DNS_QUESTION_BYTES_MAX);
    assert(!answer->has_address || question->bytes > 0);
    uint8_t *end = put_u16(out, question->id);
    end = put_u16(end, flags_of(answer, question));
    end = put_u16(end, question->bytes > 0);
    end = put_u16(end, answer->has_address);
    end = put_u16(end, 0);
    end = put_u16(end, question->has_opt);
    memcpy(end, query + DNS_HEADER_BYTES, question->bytes);
    end += question->bytes;
    if (answer->has_address) {
        end = put_address(end, answer->address, answer->ttl_s);
    }
    if (question->has_opt) {
        end = put_opt(end, answer->rcode, question->dnssec_ok);
    }
    return (size_t)(end - out);
}

const char *dns_rcode_name(unsigned rcode)
{
    static const char *const names[DNS_RCODES] = {
        [DNS_NOERROR] = "NOERROR",   [DNS_FORMERR] = "FORMERR", [DNS_SERVFAIL] = "SERVFAIL",
        [DNS_NXDOMAIN] = "NXDOMAIN", [DNS_NOTIMP] = "NOTIMP",   [DNS_REFUSED] = "REFUSED",
        [DNS_BADVERS] = "BADVERS",
    };
    return rcode < DNS_RCODES ? names[rcode] : NULL;
}
