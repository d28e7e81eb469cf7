/**
 * DNS messages as far as a server of one zone needs them (RFC 1035 section 4, RFC 6891 for OPT):
 * one question in, the same question and perhaps an address out. Pure functions.
 */
#ifndef MOCKSERVER_DNS_MESSAGE_H
#define MOCKSERVER_DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_HEADER_BYTES 12
#define DNS_WIRE_NAME_BYTES_MAX 255 /* RFC 1035 section 2.3.4 */
#define DNS_QUESTION_BYTES_MAX (DNS_WIRE_NAME_BYTES_MAX + 4)
/* As text, NUL included: at most 250 bytes that are no lengths, each as \DDD, and three dots. */
#define DNS_NAME_BYTES_MAX 1024
/* Question, an address, OPT: less than the 512 that fit any datagram (RFC 1035 section 4.2.1). */
#define DNS_ANSWER_BYTES_MAX (DNS_HEADER_BYTES + DNS_QUESTION_BYTES_MAX + 16 + 11)

enum dns_type {
    DNS_TYPE_A = 1,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_OPT = 41,
    DNS_TYPE_IXFR = 251,
    DNS_TYPE_AXFR = 252,
    DNS_TYPE_ANY = 255,
};

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_BADVERS = 16, /* RFC 6891 section 9: needs OPT for its upper bits */
    DNS_RCODES,
};

struct dns_question {
    uint16_t id;
    unsigned opcode;
    bool recursion_desired;
    bool has_opt;
    bool dnssec_ok;
    uint16_t type;
    char name[DNS_NAME_BYTES_MAX]; /* "if.dev": as by dns_name_parse; "": the root */
    size_t bytes; /* of the question as it was sent, from DNS_HEADER_BYTES on; 0: not understood */
};

/**
 * Names are text in lower case (case makes no difference: RFC 4343) without the last dot. What a
 * label may hold besides is escaped as in RFC 1035 section 5.1, so that no two names look alike.
 * @return DNS_NOERROR; DNS_FORMERR, DNS_NOTIMP (not a query), DNS_BADVERS (an EDNS not known),
 *         DNS_REFUSED (a class other than IN, a transfer of the zone): answer with that;
 *         -EBADMSG: shorter than a header, or an answer itself: to be dropped
 */
int dns_question_parse(const uint8_t *data, size_t data_bytes, struct dns_question *question);

/**
 * A name as typed, "Blog.dev.", as dns_question_parse would give it; escapes are not understood.
 * @return 0; -EINVAL (an empty label, a byte that would need an escape), -ENAMETOOLONG
 */
int dns_name_parse(const char *text, size_t text_bytes, char name[static DNS_NAME_BYTES_MAX]);

struct dns_answer {
    enum dns_rcode rcode;
    bool truncated; /* TC: ask again over TCP */
    bool has_address;
    uint32_t address; /* IPv4, host byte order */
    uint32_t ttl_s;
};

/**
 * @param query  as it came: the question is echoed byte for byte, since the case of its letters
 *               may be what the client knows its answer by
 * @return how many bytes were written
 */
size_t dns_answer_write(const struct dns_answer *answer, const struct dns_question *question,
                        const uint8_t *query, uint8_t out[static DNS_ANSWER_BYTES_MAX]);

/** "NOERROR", or NULL for one that this server never sends. */
const char *dns_rcode_name(unsigned rcode);

#endif
