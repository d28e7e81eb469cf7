/*
 * The input is a message to the DNS server. Whatever it is, what is made of it must be within
 * bounds, and an answer must be one: a question is echoed as it came, and nothing is answered
 * twice.
 */
#include "tests/fuzz/fuzz.h"

#include "mockserver/dns_message.h"

#include "tests/support/guard_page.h"

#include <errno.h>
#include <string.h>

#define INPUT_BYTES_MAX 4096

static void check_name(const struct dns_question *question)
{
    size_t bytes = strnlen(question->name, DNS_NAME_BYTES_MAX);
    FUZZ_CHECK(bytes < DNS_NAME_BYTES_MAX, "a name without an end");
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)question->name[i];
        FUZZ_CHECK(c > 0x20 && c < 0x7f, "a byte that is not escaped");
        FUZZ_CHECK(c < 'A' || c > 'Z', "a capital letter");
    }
}

static void check_typed_name(const struct dns_question *question)
{
    char again[DNS_NAME_BYTES_MAX];
    if (question->name[0] == '\0' || strchr(question->name, '\\') != NULL) {
        return;
    }
    FUZZ_CHECK(dns_name_parse(question->name, strlen(question->name), again) == 0,
               "a name that cannot be typed");
    FUZZ_CHECK(strcmp(question->name, again) == 0, "a name that is typed in another way");
}

static void check_answer(const struct dns_question *question, const uint8_t *query, int rcode)
{
    uint8_t out[DNS_ANSWER_BYTES_MAX];
    struct dns_question read;
    const struct dns_answer answer = {
        .rcode = (enum dns_rcode)rcode,
        .has_address = rcode == DNS_NOERROR,
        .address = 0xc0000201,
    };
    size_t bytes = dns_answer_write(&answer, question, query, out);
    FUZZ_CHECK(bytes <= sizeof(out), "an answer beyond its bounds");
    FUZZ_CHECK(memcmp(out, query, 2) == 0, "an answer to another question");
    FUZZ_CHECK(memcmp(out + DNS_HEADER_BYTES, query + DNS_HEADER_BYTES, question->bytes) == 0,
               "a question that is not echoed");
    FUZZ_CHECK(dns_question_parse(out, bytes, &read) == -EBADMSG, "an answer that is a query");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct guard_page page;
    struct dns_question question;
    if (bytes > INPUT_BYTES_MAX) {
        return 0;
    }
    if (page.map == NULL) {
        guard_page_init(&page, INPUT_BYTES_MAX);
    }
    const uint8_t *query = (const uint8_t *)guard_page_put(&page, data, bytes);
    int rcode = dns_question_parse(query, bytes, &question);
    FUZZ_CHECK(question.bytes <= DNS_QUESTION_BYTES_MAX, "a question beyond its bounds");
    FUZZ_CHECK(question.bytes == 0 || DNS_HEADER_BYTES + question.bytes <= bytes,
               "a question beyond the message");
    check_name(&question);
    if (rcode < 0) {
        FUZZ_CHECK(rcode == -EBADMSG, "an error without a name");
        return 0;
    }
    FUZZ_CHECK(dns_rcode_name((unsigned)rcode) != NULL, "a code without a name");
    FUZZ_CHECK(rcode != DNS_NOERROR || question.bytes > 0, "no question to answer");
    FUZZ_CHECK(rcode != DNS_BADVERS || question.has_opt, "a code that needs OPT without it");
    if (question.bytes > 0) {
        check_typed_name(&question);
    }
    check_answer(&question, query, rcode);
    return 0;
}
