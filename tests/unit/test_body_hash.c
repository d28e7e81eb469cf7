#include "backends/body_hash.h"

#include "tests/support/guard_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <xxhash.h>

#include <pthread.h>

/* Not inlined here: XXH3_64bits is that of the shared library, a judge from outside. */

#define BYTES_MAX 70000 /* beyond the buffer of a stream and the block of XXH3 */

static struct guard_page page;
static char bytes_of_test[BYTES_MAX];

static int set_up(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (size_t i = 0; i < BYTES_MAX; i++) {
        seed = seed * 1664525 + 1013904223;
        bytes_of_test[i] = (char)(seed >> 24);
    }
    guard_page_init(&page, BYTES_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    guard_page_release(&page);
    return 0;
}

static uint64_t hash_streamed(struct body_hash_stream *stream, const char *data, size_t bytes,
                              size_t piece_bytes)
{
    body_hash_stream_reset(stream);
    for (size_t at = 0; at < bytes; at += piece_bytes) {
        size_t left = bytes - at;
        body_hash_stream_update(stream, data + at, left < piece_bytes ? left : piece_bytes);
    }
    return body_hash_stream_digest(stream);
}

static void test_body_hash__knows_the_published_value_of_nothing(void **state)
{
    (void)state;
    assert_true(body_hash("", 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(body_hash(NULL, 0) == UINT64_C(0x2d06800538d394c2));
}

static void test_body_hash__agrees_with_the_library_at_every_length(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes <= 1000; bytes++) {
        const char *data = guard_page_put(&page, bytes_of_test, bytes);
        assert_true(body_hash(data, bytes) == XXH3_64bits(bytes_of_test, bytes));
    }
    for (size_t bytes = 1000; bytes <= BYTES_MAX; bytes += 997) {
        const char *data = guard_page_put(&page, bytes_of_test, bytes);
        assert_true(body_hash(data, bytes) == XXH3_64bits(bytes_of_test, bytes));
    }
}

static void test_body_hash__is_the_same_streamed_in_any_pieces(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 2, 7, 63, 64, 65, 255, 256, 257, 1000, 1448, BYTES_MAX};
    struct body_hash_stream *stream = body_hash_stream_create();
    assert_non_null(stream);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        for (size_t bytes = 0; bytes <= 1000; bytes++) {
            const char *data = guard_page_put(&page, bytes_of_test, bytes);
            assert_true(hash_streamed(stream, data, bytes, pieces[i]) ==
                        XXH3_64bits(bytes_of_test, bytes));
        }
        assert_true(hash_streamed(stream, bytes_of_test, BYTES_MAX, pieces[i]) ==
                    XXH3_64bits(bytes_of_test, BYTES_MAX));
    }
    body_hash_stream_destroy(stream);
}

static void test_body_hash__is_the_same_split_at_every_point(void **state)
{
    (void)state;
    const size_t bytes = 1000;
    const uint64_t expected = XXH3_64bits(bytes_of_test, bytes);
    struct body_hash_stream *stream = body_hash_stream_create();
    assert_non_null(stream);
    for (size_t at = 0; at <= bytes; at++) {
        body_hash_stream_reset(stream);
        body_hash_stream_update(stream, bytes_of_test, at);
        body_hash_stream_update(stream, bytes_of_test + at, bytes - at);
        assert_true(body_hash_stream_digest(stream) == expected);
    }
    body_hash_stream_destroy(stream);
}

static void test_body_hash__digest_leaves_the_stream_as_it_is(void **state)
{
    (void)state;
    struct body_hash_stream *stream = body_hash_stream_create();
    assert_non_null(stream);
    body_hash_stream_update(stream, bytes_of_test, 500);
    assert_true(body_hash_stream_digest(stream) == XXH3_64bits(bytes_of_test, 500));
    assert_true(body_hash_stream_digest(stream) == XXH3_64bits(bytes_of_test, 500));
    body_hash_stream_update(stream, NULL, 0);
    body_hash_stream_update(stream, bytes_of_test + 500, 500);
    assert_true(body_hash_stream_digest(stream) == XXH3_64bits(bytes_of_test, 1000));
    body_hash_stream_destroy(stream);
    body_hash_stream_destroy(NULL);
}

/* The vector code faults on a stream that is not aligned; malloc hands out every multiple of
 * 16, so that some of many would not be. */
static void test_body_hash__aligns_every_stream(void **state)
{
    (void)state;
    struct body_hash_stream *streams[32];
    for (size_t i = 0; i < 32; i++) {
        streams[i] = body_hash_stream_create();
        assert_non_null(streams[i]);
        assert_int_equal((uintptr_t)streams[i] % 64, 0);
    }
    for (size_t i = 0; i < 32; i++) {
        body_hash_stream_destroy(streams[i]);
    }
}

#define THREADS 4

static void *hash_in_a_thread(void *result)
{
    *(uint64_t *)result = body_hash(bytes_of_test, BYTES_MAX);
    return NULL;
}

static void test_body_hash__is_the_same_in_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t results[THREADS] = {0};
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, hash_in_a_thread, &results[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(results[i] == XXH3_64bits(bytes_of_test, BYTES_MAX));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body_hash__knows_the_published_value_of_nothing),
        cmocka_unit_test(test_body_hash__agrees_with_the_library_at_every_length),
        cmocka_unit_test(test_body_hash__is_the_same_streamed_in_any_pieces),
        cmocka_unit_test(test_body_hash__is_the_same_split_at_every_point),
        cmocka_unit_test(test_body_hash__digest_leaves_the_stream_as_it_is),
        cmocka_unit_test(test_body_hash__aligns_every_stream),
        cmocka_unit_test(test_body_hash__is_the_same_in_threads),
    };
    return cmocka_run_group_tests_name("body_hash", tests, set_up, tear_down);
}
