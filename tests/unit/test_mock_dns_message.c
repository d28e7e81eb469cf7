#include "mockserver/dns_message.h"

#include "tests/support/guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Header: id 0xabcd; flags; QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT. */
#define RD "\x01\x00"
#define HEADER(flags, questions, answers, authorities, additional)                                 \
    "\xab\xcd" flags "\0" questions "\0" answers "\0" authorities "\0" additional
#define IF_DEV                                                                                     \
    "\x02If\x03"                                                                                   \
    "dEv\0"
#define A_IN "\0\x01\0\x01"
#define OPT(version, flags, length)                                                                \
    "\0\0\x29\x04\xd0\0" version flags "\0\0" length /* root, type, 1232 bytes, TTL, length */
#define PLAIN HEADER(RD, "\1", "\0", "\0", "\0") IF_DEV A_IN
#define WITH_OPT HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN OPT("\0", "\x80", "\0")
#define LABEL_63 "\x3f" TEXT_63
#define TEXT_63 "123456789012345678901234567890123456789012345678901234567890abc"
/* Without the NUL that ends a literal. */
#define BYTES(text) (text), sizeof(text) - 1

static struct guard_page page;

static int set_up(void **state)
{
    (void)state;
    guard_page_init(&page, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guard_page_release(&page);
    return 0;
}

static int parse(const char *data, size_t bytes, struct dns_question *question)
{
    const uint8_t *put = (const uint8_t *)guard_page_put(&page, data, bytes);
    return dns_question_parse(put, bytes, question);
}

static void test_dns_message__reads_a_question_as_it_stands(void **state)
{
    struct dns_question question;
    (void)state;
    assert_int_equal(parse(BYTES(PLAIN), &question), DNS_NOERROR);
    assert_int_equal(question.id, 0xabcd);
    assert_true(question.recursion_desired);
    assert_false(question.has_opt);
    assert_int_equal(question.type, DNS_TYPE_A);
    assert_string_equal(question.name, "if.dev");
    assert_int_equal(question.bytes, 8 + 4);
    assert_int_equal(parse(BYTES(WITH_OPT), &question), DNS_NOERROR);
    assert_true(question.has_opt);
    assert_true(question.dnssec_ok);
    assert_string_equal(question.name, "if.dev");
}

static const struct malformed_case {
    const char *what;
    const char *data;
    size_t bytes;
    int rcode;
    size_t question_bytes;
} malformed[] = {
    {"nothing", "", 0, -EBADMSG, 0},
    {"less than a header", BYTES("\xab\xcd\x01\0\0\1\0\0\0\0\0"), -EBADMSG, 0},
    {"an answer", BYTES(HEADER("\x81\0", "\1", "\0", "\0", "\0") IF_DEV A_IN), -EBADMSG, 0},
    {"an inverse query", BYTES(HEADER("\x09\0", "\1", "\0", "\0", "\0") IF_DEV A_IN), DNS_NOTIMP,
     0},
    {"an update", BYTES(HEADER("\x28\0", "\1", "\0", "\0", "\0") IF_DEV A_IN), DNS_NOTIMP, 0},
    {"another opcode and no more", BYTES(HEADER("\x78\0", "\0", "\0", "\0", "\0")), DNS_NOTIMP, 0},
    {"no question", BYTES(HEADER(RD, "\0", "\0", "\0", "\0")), DNS_FORMERR, 0},
    {"two questions", BYTES(HEADER(RD, "\2", "\0", "\0", "\0") IF_DEV A_IN IF_DEV A_IN),
     DNS_FORMERR, 0},
    {"256 questions", BYTES("\xab\xcd\x01\0\1\0\0\0\0\0\0\0" IF_DEV A_IN), DNS_FORMERR, 0},
    {"an answer section", BYTES(HEADER(RD, "\1", "\1", "\0", "\0") IF_DEV A_IN), DNS_FORMERR, 0},
    {"an authority section", BYTES(HEADER(RD, "\1", "\0", "\1", "\0") IF_DEV A_IN), DNS_FORMERR, 0},
    {"a pointer to itself", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\xc0\x0c" A_IN), DNS_FORMERR,
     0},
    {"a pointer after a label", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\2if\xc0\x0c" A_IN),
     DNS_FORMERR, 0},
    {"a label of 64", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\x40" TEXT_63 "d\0" A_IN),
     DNS_FORMERR, 0},
    {"a label type of old", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\x41\1\0" A_IN), DNS_FORMERR,
     0},
    {"a name without an end", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\2if\3dev"), DNS_FORMERR,
     0},
    {"a name of 256",
     BYTES(HEADER(RD, "\1", "\0", "\0", "\0") LABEL_63 LABEL_63 LABEL_63
           "\x3e"
           "23456789012345678901234567890123456789012345678901234567890abc\0" A_IN),
     DNS_FORMERR, 0},
    {"more after the question", BYTES(PLAIN "\0"), DNS_FORMERR, 12},
    {"a record that is not there", BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN),
     DNS_FORMERR, 12},
    {"more after the record", BYTES(WITH_OPT "\0"), DNS_FORMERR, 12},
    {"an option cut short",
     BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN OPT("\0", "\0", "\4") "\0\x0a\0"),
     DNS_FORMERR, 12},
    {"two OPT",
     BYTES(HEADER(RD, "\1", "\0", "\0", "\2") IF_DEV A_IN OPT("\0", "\0", "\0")
               OPT("\0", "\0", "\0")),
     DNS_FORMERR, 12},
    {"OPT with a name",
     BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN "\1a" OPT("\0", "\0", "\0")), DNS_FORMERR,
     12},
    {"OPT with a pointer for a name",
     BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN "\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0"),
     DNS_FORMERR, 12},
    {"EDNS version 1", BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN OPT("\1", "\0", "\0")),
     DNS_BADVERS, 12},
    {"class CHAOS", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") IF_DEV "\0\x01\0\x03"), DNS_REFUSED,
     12},
    {"a transfer of the zone", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") IF_DEV "\0\xfc\0\x01"),
     DNS_REFUSED, 12},
};

static void test_dns_message__answers_what_it_cannot_take_by_the_book(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        struct dns_question question;
        int rcode = parse(malformed[i].data, malformed[i].bytes, &question);
        if (rcode != malformed[i].rcode || question.bytes != malformed[i].question_bytes) {
            fail_msg("%s: %d, %zu bytes", malformed[i].what, rcode, question.bytes);
        }
    }
}

static void test_dns_message__takes_what_is_unusual_but_right(void **state)
{
    static const struct {
        const char *what;
        const char *data;
        size_t bytes;
        const char *name;
    } cases[] = {
        {"the root", BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\0" A_IN), ""},
        {"a name of 255",
         BYTES(HEADER(RD, "\1", "\0", "\0", "\0") LABEL_63 LABEL_63 LABEL_63
               "\x3d"
               "3456789012345678901234567890123456789012345678901234567890abc\0" A_IN),
         TEXT_63 "." TEXT_63 "." TEXT_63
                 ".3456789012345678901234567890123456789012345678901234567890abc"},
        {"bytes that are not printed",
         BYTES(HEADER(RD, "\1", "\0", "\0", "\0") "\6a.\\ \xffZ\3d\0v\0" A_IN),
         "a\\.\\\\\\032\\255z.d\\000v"},
        {"an option with content",
         BYTES(HEADER(RD, "\1", "\0", "\0", "\1") IF_DEV A_IN OPT("\0", "\0", "\x0c") "\0\x0a\0\x08"
                                                                                      "12345678"),
         "if.dev"},
        {"a record that is not OPT, before it",
         BYTES(HEADER(RD, "\1", "\0", "\0", "\2") IF_DEV A_IN
               "\1a\xc0\x0c\0\x10\0\1\0\0\0\0\0\2\1b" OPT("\0", "\0", "\0")),
         "if.dev"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct dns_question question;
        int rcode = parse(cases[i].data, cases[i].bytes, &question);
        if (rcode != DNS_NOERROR || strcmp(question.name, cases[i].name) != 0) {
            fail_msg("%s: %d, %s", cases[i].what, rcode, question.name);
        }
    }
}

static void test_dns_message__finds_every_cut_of_a_message(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < sizeof(WITH_OPT) - 1; bytes++) {
        struct dns_question question;
        int rcode = parse(WITH_OPT, bytes, &question);
        int expected = bytes < DNS_HEADER_BYTES ? -EBADMSG : DNS_FORMERR;
        if (rcode != expected) {
            fail_msg("%zu bytes: %d", bytes, rcode);
        }
        /* Whatever was understood is answered within bounds. */
        uint8_t out[DNS_ANSWER_BYTES_MAX];
        if (rcode == DNS_FORMERR) {
            const uint8_t *query = (const uint8_t *)guard_page_put(&page, WITH_OPT, bytes);
            size_t written =
                dns_answer_write(&(struct dns_answer){.rcode = DNS_FORMERR}, &question, query, out);
            assert_true(written >= DNS_HEADER_BYTES && written <= sizeof(out));
        }
    }
}

static void test_dns_message__escapes_the_longest_name_within_bounds(void **state)
{
    (void)state;
    uint8_t data[DNS_HEADER_BYTES + DNS_QUESTION_BYTES_MAX] = {0, 0, 0, 0, 0, 1};
    uint8_t *end = data + DNS_HEADER_BYTES;
    struct dns_question question;
    for (size_t label = 0; label < 4; label++) {
        uint8_t bytes = label < 3 ? 63 : 61;
        *end++ = bytes;
        memset(end, 0xff, bytes);
        end += bytes;
    }
    memcpy(end, "\0" A_IN, 5);
    assert_int_equal(parse((const char *)data, sizeof(data), &question), DNS_NOERROR);
    assert_int_equal(strlen(question.name), 250 * 4 + 3);
    assert_int_equal(question.bytes, DNS_QUESTION_BYTES_MAX);
}

static void check_answer(const struct dns_answer *answer, const char *query, size_t query_bytes,
                         const char *expected, size_t expected_bytes)
{
    uint8_t out[DNS_ANSWER_BYTES_MAX];
    struct dns_question question;
    (void)parse(query, query_bytes, &question);
    size_t bytes = dns_answer_write(answer, &question, (const uint8_t *)query, out);
    assert_int_equal(bytes, expected_bytes);
    assert_memory_equal(out, expected, expected_bytes);
}

static void test_dns_message__writes_answers_with_the_question_byte_for_byte(void **state)
{
    const struct dns_answer found = {
        .has_address = true,
        .address = 0xc0000207,
        .ttl_s = 0x01020304,
    };
    (void)state;
    check_answer(&found, BYTES(PLAIN),
                 BYTES(HEADER("\x85\x80", "\1", "\1", "\0", "\0") IF_DEV A_IN
                       "\xc0\x0c" A_IN "\1\2\3\4\0\4\xc0\0\2\7"));
    check_answer(&found, BYTES(WITH_OPT),
                 BYTES(HEADER("\x85\x80", "\1", "\1", "\0", "\1") IF_DEV A_IN
                       "\xc0\x0c" A_IN "\1\2\3\4\0\4\xc0\0\2\7" OPT("\0", "\x80", "\0")));
    check_answer(&(struct dns_answer){.rcode = DNS_NXDOMAIN}, BYTES(PLAIN),
                 BYTES(HEADER("\x85\x83", "\1", "\0", "\0", "\0") IF_DEV A_IN));
    check_answer(&(struct dns_answer){.rcode = DNS_SERVFAIL}, BYTES(PLAIN),
                 BYTES(HEADER("\x81\x82", "\1", "\0", "\0", "\0") IF_DEV A_IN));
    check_answer(&(struct dns_answer){.truncated = true}, BYTES(PLAIN),
                 BYTES(HEADER("\x87\x80", "\1", "\0", "\0", "\0") IF_DEV A_IN));
}

static void test_dns_message__keeps_opcode_and_upper_bits_of_a_code(void **state)
{
    (void)state;
    check_answer(&(struct dns_answer){.rcode = DNS_NOTIMP},
                 BYTES(HEADER("\x28\0", "\1", "\0", "\0", "\0") IF_DEV A_IN),
                 BYTES(HEADER("\xa8\x84", "\0", "\0", "\0", "\0")));
    /* BADVERS is 16: 1 in OPT, 0 in the header. */
    check_answer(&(struct dns_answer){.rcode = DNS_BADVERS},
                 BYTES(HEADER("\0\0", "\1", "\0", "\0", "\1") IF_DEV A_IN OPT("\1", "\0", "\0")),
                 BYTES(HEADER("\x80\x80", "\1", "\0", "\0", "\1") IF_DEV A_IN
                       "\0\0\x29\x04\xd0\1\0\0\0\0\0"));
}

static void test_dns_message__reads_typed_names(void **state)
{
    static const struct {
        const char *text;
        int error;
        const char *name;
    } cases[] = {
        {"if.dev", 0, "if.dev"},
        {"If.DEV.", 0, "if.dev"},
        {".", 0, ""},
        {"_x-1.a", 0, "_x-1.a"},
        {TEXT_63, 0, TEXT_63},
        {"d" TEXT_63, -ENAMETOOLONG, NULL},
        {TEXT_63 "." TEXT_63 "." TEXT_63 "." TEXT_63, -ENAMETOOLONG, NULL},
        {"", -EINVAL, NULL},
        {"..", -EINVAL, NULL},
        {".dev", -EINVAL, NULL},
        {"if..dev", -EINVAL, NULL},
        {"if.dev..", -EINVAL, NULL},
        {"if dev", -EINVAL, NULL},
        {"if\\.dev", -EINVAL, NULL},
        {"caf\xc3\xa9.dev", -EINVAL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char name[DNS_NAME_BYTES_MAX];
        size_t bytes = strlen(cases[i].text);
        int error = dns_name_parse(guard_page_put(&page, cases[i].text, bytes), bytes, name);
        if (error != cases[i].error || (error == 0 && strcmp(name, cases[i].name) != 0)) {
            fail_msg("'%s': %d", cases[i].text, error);
        }
    }
}

static void test_dns_message__takes_typed_names_as_far_as_messages_do(void **state)
{
    (void)state;
    for (size_t bytes = 250; bytes <= 256; bytes++) {
        char text[256];
        char name[DNS_NAME_BYTES_MAX];
        for (size_t i = 0; i < bytes; i++) {
            text[i] = i % 10 == 9 ? '.' : 'a';
        }
        text[bytes - 1] = 'a';
        /* 253 are 255 on the wire. */
        assert_int_equal(dns_name_parse(text, bytes, name), bytes <= 253 ? 0 : -ENAMETOOLONG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dns_message__reads_a_question_as_it_stands),
        cmocka_unit_test(test_dns_message__answers_what_it_cannot_take_by_the_book),
        cmocka_unit_test(test_dns_message__takes_what_is_unusual_but_right),
        cmocka_unit_test(test_dns_message__finds_every_cut_of_a_message),
        cmocka_unit_test(test_dns_message__escapes_the_longest_name_within_bounds),
        cmocka_unit_test(test_dns_message__writes_answers_with_the_question_byte_for_byte),
        cmocka_unit_test(test_dns_message__keeps_opcode_and_upper_bits_of_a_code),
        cmocka_unit_test(test_dns_message__reads_typed_names),
        cmocka_unit_test(test_dns_message__takes_typed_names_as_far_as_messages_do),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
