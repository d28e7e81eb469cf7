#include "mockserver/completion_ring.h"
#include "mockserver/send_batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAIRS 4
#define WAIT_MS 2000 /* for what is sure to come */

enum end {
    SERVER,
    CLIENT
};

static struct completion_ring ring;
static int pairs[PAIRS][2];

/* What it is of is not looked at. */
static void *owner_of(size_t i)
{
    return &pairs[i];
}

static void say(size_t i, const char *text)
{
    assert_int_equal(send(pairs[i][CLIENT], text, strlen(text), 0), strlen(text));
}

static struct completion next(void)
{
    struct completion completion;
    if (!completion_ring_next(&ring, &completion)) {
        completion_ring_wait(&ring, WAIT_MS);
        assert_true(completion_ring_next(&ring, &completion));
    }
    return completion;
}

static void assert_silent(void)
{
    struct completion completion;
    completion_ring_wait(&ring, 20);
    assert_false(completion_ring_next(&ring, &completion));
}

static void assert_came(size_t i, const char *text)
{
    struct completion completion = next();
    assert_int_equal(completion.kind, COMPLETION_RECEIVED);
    assert_ptr_equal(completion.owner, owner_of(i));
    assert_int_equal(completion.result, strlen(text));
    assert_memory_equal(completion.data, text, strlen(text));
    assert_false(completion.is_last);
}

/* TCP, for an end that is there already is not told by a multishot receive of AF_UNIX. */
static bool make_pair(int pair[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(address);
    int listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair[CLIENT] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(listen_fd, 1) == 0 &&
                getsockname(listen_fd, (struct sockaddr *)&address, &bytes) == 0 &&
                connect(pair[CLIENT], (struct sockaddr *)&address, sizeof(address)) == 0;
    pair[SERVER] = good ? accept(listen_fd, NULL, NULL) : -1;
    (void)close(listen_fd);
    return pair[SERVER] >= 0;
}

static int set_up(void **state)
{
    (void)state;
    memset(&ring, 0, sizeof(ring));
    completion_ring_open(&ring);
    for (size_t i = 0; i < PAIRS; i++) {
        if (!make_pair(pairs[i]) ||
            !completion_ring_receive(&ring, pairs[i][SERVER], owner_of(i))) {
            return -1;
        }
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    completion_ring_close(&ring);
    for (size_t i = 0; i < PAIRS; i++) {
        (void)close(pairs[i][SERVER]);
        (void)close(pairs[i][CLIENT]);
    }
    return 0;
}

static void test_completion_ring__tells_what_has_come_to_whom_again_and_again(void **state)
{
    (void)state;
    for (int turn = 0; turn < 3; turn++) {
        say(2, "one");
        assert_came(2, "one");
        say(0, "another");
        assert_came(0, "another");
    }
    assert_silent();
}

static void test_completion_ring__tells_of_the_end_and_then_no_more(void **state)
{
    (void)state;
    say(1, "last words");
    (void)shutdown(pairs[1][CLIENT], SHUT_WR);
    assert_came(1, "last words");
    struct completion completion = next();
    assert_ptr_equal(completion.owner, owner_of(1));
    assert_int_equal(completion.result, 0);
    assert_true(completion.is_last);
    assert_silent();
}

static void test_completion_ring__stops_one_and_no_other(void **state)
{
    (void)state;
    completion_ring_stop(&ring, owner_of(3));
    struct completion completion = next();
    assert_ptr_equal(completion.owner, owner_of(3));
    assert_int_equal(completion.result, -ECANCELED);
    assert_true(completion.is_last);
    say(3, "not read");
    say(0, "read");
    assert_came(0, "read");
    assert_silent();
    assert_true(completion_ring_receive(&ring, pairs[3][SERVER], owner_of(3)));
    assert_came(3, "not read");
}

/* More pieces than there are buffers: those that wait come with the buffers that are given back. */
static void test_completion_ring__goes_on_when_the_buffers_are_used_up(void **state)
{
    static char sent[1 << 20];
    size_t got = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++) {
        sent[i] = (char)(i * 31 + i / 251);
    }
    for (size_t at = 0; got < sizeof(sent);) {
        ssize_t bytes = send(pairs[0][CLIENT], sent + at, sizeof(sent) - at, MSG_DONTWAIT);
        at += bytes > 0 ? (size_t)bytes : 0;
        struct completion completion = next();
        if (completion.result > 0) {
            assert_memory_equal(completion.data, sent + got, (size_t)completion.result);
            got += (size_t)completion.result;
        } else {
            assert_int_equal(completion.result, -ENOBUFS);
        }
        if (completion.is_last) {
            assert_true(completion_ring_receive(&ring, pairs[0][SERVER], owner_of(0)));
        }
    }
    assert_int_equal(got, sizeof(sent));
}

static void answer(size_t i, const char *text)
{
    completion_ring_send(&ring, pairs[i][SERVER],
                         (struct iovec){(char *)(uintptr_t)text, strlen(text)}, i);
}

static void assert_sent(size_t i, int result)
{
    struct completion completion;
    assert_true(completion_ring_next(&ring, &completion));
    assert_int_equal(completion.kind, COMPLETION_SENT);
    assert_int_equal(completion.place, i);
    assert_int_equal(completion.result, result);
}

static void assert_got(size_t i, const char *text)
{
    char got[64] = "";
    assert_int_equal(recv(pairs[i][CLIENT], got, sizeof(got) - 1, MSG_DONTWAIT), strlen(text));
    assert_string_equal(got, text);
}

static void test_completion_ring__sends_all_when_it_is_waited_for(void **state)
{
    char none;
    (void)state;
    answer(0, "first");
    answer(3, "second");
    assert_int_equal(recv(pairs[0][CLIENT], &none, 1, MSG_DONTWAIT), -1);
    completion_ring_wait(&ring, -1); /* they are something to tell, so it returns */
    assert_got(0, "first");
    assert_got(3, "second");
    assert_sent(0, strlen("first"));
    assert_sent(3, strlen("second"));
    assert_silent();
}

static void test_completion_ring__tells_of_sends_before_what_follows_them(void **state)
{
    (void)state;
    say(1, "question");
    assert_came(1, "question");
    say(2, "another one");
    answer(1, "answer");
    completion_ring_wait(&ring, WAIT_MS);
    assert_got(1, "answer");
    say(1, "next question");
    assert_sent(1, strlen("answer"));
    assert_came(2, "another one");
    assert_came(1, "next question");
}

static void test_completion_ring__tells_how_much_a_full_socket_took(void **state)
{
    static char large[16 << 20];
    struct completion completion;
    (void)state;
    completion_ring_send(&ring, pairs[0][SERVER], (struct iovec){large, sizeof(large)}, 0);
    completion_ring_wait(&ring, WAIT_MS);
    assert_true(completion_ring_next(&ring, &completion));
    assert_int_equal(completion.kind, COMPLETION_SENT);
    assert_in_range(completion.result, 1, sizeof(large) - 1);
    answer(0, "no room");
    completion_ring_wait(&ring, WAIT_MS);
    assert_sent(0, -EAGAIN);
}

static void test_completion_ring__tells_of_a_socket_that_takes_nothing_any_more(void **state)
{
    (void)state;
    assert_int_equal(shutdown(pairs[2][SERVER], SHUT_WR), 0);
    answer(2, "too late");
    answer(0, "in time");
    completion_ring_wait(&ring, WAIT_MS);
    assert_sent(2, -EPIPE);
    assert_sent(0, strlen("in time"));
    assert_got(0, "in time");
}

static void
test_completion_ring__begins_what_was_asked_for_before_a_number_is_used_again(void **state)
{
    (void)state;
    answer(1, "the old one's");
    completion_ring_begin(&ring);
    assert_int_equal(dup2(pairs[2][SERVER], pairs[1][SERVER]), pairs[1][SERVER]);
    completion_ring_wait(&ring, WAIT_MS);
    assert_sent(1, strlen("the old one's"));
    assert_got(1, "the old one's");
}

static void test_completion_ring__has_room_for_a_batch_and_not_for_any_number(void **state)
{
    (void)state;
    assert_true(completion_ring_has_room(&ring, SEND_BATCH_MAX));
    for (size_t i = 0; i < SEND_BATCH_MAX; i++) {
        answer(i % PAIRS, ".");
    }
    assert_true(completion_ring_has_room(&ring, SEND_BATCH_MAX));
    assert_false(completion_ring_has_room(&ring, 1 << 20));
}

static void test_completion_ring__watches_a_descriptor_once(void **state)
{
    int fds[2];
    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_true(completion_ring_watch(&ring, fds[0]));
    assert_silent();
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(next().kind, COMPLETION_READABLE);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_silent();
    assert_true(completion_ring_watch(&ring, fds[0]));
    assert_int_equal(next().kind, COMPLETION_READABLE);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_completion_ring__##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(tells_what_has_come_to_whom_again_and_again),
        TEST(tells_of_the_end_and_then_no_more),
        TEST(stops_one_and_no_other),
        TEST(goes_on_when_the_buffers_are_used_up),
        TEST(sends_all_when_it_is_waited_for),
        TEST(tells_of_sends_before_what_follows_them),
        TEST(tells_how_much_a_full_socket_took),
        TEST(tells_of_a_socket_that_takes_nothing_any_more),
        TEST(begins_what_was_asked_for_before_a_number_is_used_again),
        TEST(has_room_for_a_batch_and_not_for_any_number),
        TEST(watches_a_descriptor_once),
    };
#undef TEST

    completion_ring_open(&ring);
    const bool opens = ring.is_open;
    completion_ring_close(&ring);
    if (!opens) {
        (void)puts("skipped: no io_uring with multishot receive here");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
