#include "mockserver/canned.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct corpus corpus;

static int set_up(void **state)
{
    (void)state;
    return corpus_init_builtin(&corpus);
}

static int tear_down(void **state)
{
    (void)state;
    corpus_release(&corpus);
    return 0;
}

static void check(struct canned *canned, const char *type, const char *extra, const void *body,
                  size_t body_bytes)
{
    static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";
    char head[REPLY_HEAD_BYTES_MAX];
    canned_set_date(canned, 784111777, date);
    int bytes = snprintf(head, sizeof(head),
                         "HTTP/1.1 200 OK\r\nDate: %s\r\nServer: bench-mockserver\r\n"
                         "Content-Type: %s\r\nContent-Length: %zu\r\n%s\r\n",
                         date, type, body_bytes, extra);
    assert_int_equal(canned->head_bytes, bytes);
    assert_memory_equal(canned->head, head, (size_t)bytes);
    assert_memory_equal(canned->head + bytes, body, body_bytes);
}

static void test_canned__is_head_and_body_in_one_piece(void **state)
{
    static const char *const names[] = {NULL, "none"};
    static const char *const fields[] = {"", "X-Fault: none\r\n"};
    (void)state;
    for (size_t with = 0; with < 2; with++) {
        struct canned_set set;
        assert_int_equal(canned_set_init(&set, &corpus, names[with]), 0);
        for (size_t i = 0; i < corpus.count; i++) {
            const struct corpus_entry *entry = &corpus.entries[i];
            check(&set.replies[2 * i], "image/gif", fields[with], entry->body, entry->body_bytes);
            check(&set.replies[2 * i + 1], "application/json", fields[with], entry->metadata,
                  entry->metadata_bytes);
        }
        canned_set_release(&set);
    }
}

static void test_canned__date_is_written_once_a_second(void **state)
{
    struct canned_set set;
    (void)state;
    assert_int_equal(canned_set_init(&set, &corpus, NULL), 0);
    struct canned *canned = &set.replies[0];
    canned_set_date(canned, 1, "Thu, 01 Jan 1970 00:00:01 GMT");
    canned_set_date(canned, 1, "this one is not even looked at");
    assert_memory_equal(canned->head + canned->date_at, "Thu, 01 Jan 1970 00:00:01 GMT", 29);
    canned_set_date(canned, 2, "Thu, 01 Jan 1970 00:00:02 GMT");
    assert_memory_equal(canned->head + canned->date_at, "Thu, 01 Jan 1970 00:00:02 GMT\r\n", 31);
    canned_set_release(&set);
}

static void test_canned__leaves_out_what_is_long(void **state)
{
    struct canned_set set;
    struct corpus_entry entry = corpus.entries[0];
    struct corpus one = {.entries = &entry, .count = 1};
    (void)state;
    entry.body_bytes = CANNED_BODY_BYTES_MAX + 1; /* never read */
    assert_int_equal(canned_set_init(&set, &one, NULL), 0);
    assert_null(set.replies[0].head);
    assert_non_null(set.replies[1].head);
    canned_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canned__is_head_and_body_in_one_piece),
        cmocka_unit_test(test_canned__date_is_written_once_a_second),
        cmocka_unit_test(test_canned__leaves_out_what_is_long),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
