#include "mockserver/send_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 10
#define LARGE_BYTES (4u << 20)

enum end {
    SERVER,
    CLIENT
};

static struct send_batch batch;
static int pairs[PAIRS][2];
static char texts[PAIRS][32];
static char large[LARGE_BYTES];

/* What it is of is not looked at, only whether there is one. */
static struct connection *some_connection(void)
{
    return (struct connection *)(void *)&batch;
}

static size_t add(size_t i)
{
    (void)snprintf(texts[i], sizeof(texts[i]), "answer of connection %zu", i);
    struct iovec piece = {texts[i], strlen(texts[i])};
    return send_batch_add(&batch, some_connection(), pairs[i][SERVER], piece);
}

static void assert_received(size_t i, const char *text)
{
    char got[64] = "";
    ssize_t bytes = recv(pairs[i][CLIENT], got, sizeof(got) - 1, MSG_DONTWAIT);
    if (text == NULL) {
        assert_int_equal(bytes, -1);
    } else {
        assert_int_equal(bytes, strlen(text));
        assert_string_equal(got, text);
    }
}

static int set_up(void **state)
{
    (void)state;
    memset(&batch, 0, sizeof(batch));
    send_batch_open(&batch);
    for (size_t i = 0; i < PAIRS; i++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pairs[i]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    send_batch_close(&batch);
    for (size_t i = 0; i < PAIRS; i++) {
        (void)close(pairs[i][SERVER]);
        (void)close(pairs[i][CLIENT]);
    }
    return 0;
}

static void test_send_batch__takes_nothing_when_it_is_not_open(void **state)
{
    (void)state;
    send_batch_close(&batch);
    assert_true(send_batch_is_full(&batch));
}

static void test_send_batch__is_full_at_its_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < SEND_BATCH_MAX; i++) {
        assert_false(send_batch_is_full(&batch));
        assert_int_equal(add(i % PAIRS), i + 1);
    }
    assert_true(send_batch_is_full(&batch));
    send_batch_submit(&batch);
    for (size_t i = 0; i < SEND_BATCH_MAX; i++) {
        assert_int_equal(batch.items[i].sent, strlen(texts[i % PAIRS]));
    }
}

static void test_send_batch__sends_every_item_to_its_socket(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        for (size_t i = 0; i < PAIRS; i++) {
            (void)add(i);
        }
        send_batch_submit(&batch);
        for (size_t i = 0; i < PAIRS; i++) {
            assert_int_equal(batch.items[i].sent, strlen(texts[i]));
            assert_received(i, texts[i]);
        }
        batch.count = 0;
    }
}

static void test_send_batch__leaves_out_what_was_taken_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAIRS; i++) {
        size_t place = add(i);
        if (i % 3 == 0) {
            send_batch_take_back(&batch, place);
        }
    }
    send_batch_submit(&batch);
    for (size_t i = 0; i < PAIRS; i++) {
        assert_received(i, i % 3 == 0 ? NULL : texts[i]);
    }
}

static void test_send_batch__tells_how_much_a_full_socket_took(void **state)
{
    (void)state;
    (void)add(0);
    (void)send_batch_add(&batch, some_connection(), pairs[1][SERVER],
                         (struct iovec){large, LARGE_BYTES});
    (void)add(2);
    send_batch_submit(&batch);
    assert_in_range(batch.items[1].sent, 1, LARGE_BYTES - 1);
    size_t got = 0;
    ssize_t bytes = 0;
    while ((bytes = recv(pairs[1][CLIENT], large, LARGE_BYTES, MSG_DONTWAIT)) > 0) {
        got += (size_t)bytes;
    }
    assert_int_equal(got, batch.items[1].sent);
    assert_received(0, texts[0]);
    assert_received(2, texts[2]);
}

static void test_send_batch__tells_why_one_failed_and_sends_the_others(void **state)
{
    (void)state;
    (void)close(pairs[1][CLIENT]);
    pairs[1][CLIENT] = -1;
    (void)add(0);
    (void)add(1);
    (void)send_batch_add(&batch, some_connection(), -1, (struct iovec){texts[0], 1});
    (void)add(2);
    send_batch_submit(&batch);
    assert_int_equal(batch.items[1].sent, -EPIPE);
    assert_int_equal(batch.items[2].sent, -EBADF);
    assert_received(0, texts[0]);
    assert_received(2, texts[2]);
}

static void test_send_batch__keeps_the_places_of_those_that_have_departed(void **state)
{
    (void)state;
    size_t departed = add(0);
    send_batch_depart(&batch, 1);
    size_t collected = add(1);
    assert_int_not_equal(collected, departed);
    send_batch_take_back(&batch, departed);
    send_batch_submit(&batch); /* only what is collected */
    assert_received(0, NULL);
    assert_received(1, texts[1]);
    batch.departed = 0;
    send_batch_depart(&batch, 1);
    assert_int_equal(add(2), departed);
    assert_non_null(batch.items[collected - 1].connection);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_send_batch__takes_nothing_when_it_is_not_open),
        TEST(test_send_batch__is_full_at_its_limit),
        TEST(test_send_batch__sends_every_item_to_its_socket),
        TEST(test_send_batch__leaves_out_what_was_taken_back),
        TEST(test_send_batch__tells_how_much_a_full_socket_took),
        TEST(test_send_batch__keeps_the_places_of_those_that_have_departed),
        TEST(test_send_batch__tells_why_one_failed_and_sends_the_others),
    };

    send_batch_open(&batch);
    const bool opens = batch.is_open;
    send_batch_close(&batch);
    if (!opens) {
        (void)puts("skipped: no io_uring here");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
