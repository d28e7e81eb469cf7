#include "mockserver/corpus.h"
#include "mockserver/country.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static int compare_sizes(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;
    return (x > y) - (x < y);
}

/* Pinned: results of different machines and versions are about the same bytes. */
static void test_corpus__is_the_same_everywhere(void **state)
{
    (void)state;
    size_t sizes[COUNTRY_COUNT];
    size_t sum = 0;
    assert_int_equal(corpus.count, COUNTRY_COUNT);
    for (size_t i = 0; i < corpus.count; i++) {
        sizes[i] = corpus.entries[i].body_bytes;
        sum += sizes[i];
    }
    qsort(sizes, corpus.count, sizeof(sizes[0]), compare_sizes);
    assert_int_equal(sizes[0], 1193);
    assert_int_equal(sizes[96], 9917);
    assert_int_equal(sizes[97], 9917);
    assert_int_equal(sizes[193], 36332);
    assert_int_equal(sum, 2347483);
    assert_int_equal(corpus.identity, UINT64_C(0xdfa5dd31fb8fb89c));
}

static void test_corpus__has_every_country_once_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < corpus.count; i++) {
        const struct corpus_entry *entry = &corpus.entries[i];
        char path[CORPUS_PATH_BYTES_MAX];
        (void)snprintf(path, sizeof(path), "/flags/%.2s/%.2s.gif", countries[i].cc,
                       countries[i].cc);
        assert_string_equal(entry->path, path);
        assert_string_equal(entry->country, countries[i].name);
        assert_ptr_equal(corpus_find(&corpus, countries[i].cc), entry);
        assert_null(strpbrk(entry->country, "\"\\"));
        if (i > 0) {
            assert_true(strcmp(countries[i - 1].cc, countries[i].cc) < 0);
        }
    }
    assert_null(corpus_find(&corpus, "zz"));
    assert_null(corpus_find(&corpus, "CN"));
    assert_null(corpus_find(&corpus, "c1"));
}

/* --- a reader of GIF89a, written from the specification --- */

struct reader {
    const uint8_t *data;
    size_t bytes;
    size_t at;
    size_t block_left; /* of the data block at hand */
    uint32_t bits;
    unsigned bit_count;
};

static unsigned next_byte(struct reader *reader)
{
    assert_true(reader->at < reader->bytes);
    return reader->data[reader->at++];
}

static unsigned next_16(struct reader *reader)
{
    unsigned low = next_byte(reader);
    return low | next_byte(reader) << 8;
}

static unsigned next_code(struct reader *reader, unsigned width)
{
    while (reader->bit_count < width) {
        if (reader->block_left == 0) {
            reader->block_left = next_byte(reader);
            assert_true(reader->block_left > 0);
        }
        reader->block_left--;
        reader->bits |= next_byte(reader) << reader->bit_count;
        reader->bit_count += 8;
    }
    unsigned code = reader->bits & ((1u << width) - 1);
    reader->bits >>= width;
    reader->bit_count -= width;
    return code;
}

/* Decode LZW data. @return the number of pixels */
static size_t count_pixels(struct reader *reader, unsigned minimum)
{
    static unsigned lengths[4096]; /* of the string that each code stands for */
    const unsigned clear = 1u << minimum;
    unsigned width = minimum + 1;
    unsigned next = clear + 2;
    unsigned before = UINT32_MAX;
    size_t pixels = 0;
    for (;;) {
        unsigned code = next_code(reader, width);
        if (code == clear) {
            width = minimum + 1;
            next = clear + 2;
            before = UINT32_MAX;
            continue;
        }
        if (code == clear + 1) {
            break;
        }
        if (before != UINT32_MAX && next < 4096) {
            lengths[next++] = (before < clear ? 1 : lengths[before]) + 1;
            if (next == 1u << width && width < 12) {
                width++;
            }
        }
        assert_true(code < clear || (code > clear + 1 && code < next));
        pixels += code < clear ? 1 : lengths[code];
        before = code;
    }
    assert_int_equal(reader->block_left, 0);
    assert_int_equal(next_byte(reader), 0);
    return pixels;
}

static void skip_blocks(struct reader *reader)
{
    for (unsigned block = next_byte(reader); block > 0; block = next_byte(reader)) {
        reader->at += block;
    }
}

static void check_picture(const struct corpus_entry *entry)
{
    struct reader reader = {.data = entry->body, .bytes = entry->body_bytes, .at = 6};
    assert_memory_equal(entry->body, "GIF89a", 6);
    unsigned width = next_16(&reader);
    unsigned height = next_16(&reader);
    unsigned flags = next_byte(&reader);
    assert_true((flags & 0x80) != 0);
    reader.at += 2 + 3 * (2u << (flags & 7));
    assert_int_equal(next_byte(&reader), ',');
    assert_int_equal(next_16(&reader), 0);
    assert_int_equal(next_16(&reader), 0);
    assert_int_equal(next_16(&reader), width);
    assert_int_equal(next_16(&reader), height);
    assert_int_equal(next_byte(&reader), 0);
    unsigned minimum = next_byte(&reader);
    assert_int_equal(minimum, (flags & 7) + 1);
    assert_int_equal(count_pixels(&reader, minimum), (size_t)width * height);
    assert_int_equal(next_byte(&reader), '!');
    assert_int_equal(next_byte(&reader), 0xfe);
    skip_blocks(&reader);
    assert_int_equal(next_byte(&reader), ';');
    assert_int_equal(reader.at, reader.bytes);
}

static void test_corpus__holds_valid_pictures_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < corpus.count; i++) {
        check_picture(&corpus.entries[i]);
    }
}

/* --- folders --- */

static char folder[64];

static void make_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void make_folder(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/test_mock_corpus.XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down_folder(void **state)
{
    static const char *const names[] = {"cn.png",  "cn.svg", "br/br.gif", "br", "eu.gif",
                                        "USA.gif", "Us.gif", "fr.txt",    ""};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        (void)remove(path);
    }
    return access(folder, F_OK) == 0 ? -1 : 0;
}

static void test_corpus__reads_flags_of_a_folder_and_nothing_else(void **state)
{
    (void)state;
    struct corpus loaded;
    make_folder("br");
    make_file("br/br.gif", "brazil");
    make_file("cn.png", "china");
    make_file("cn.svg", "china drawn");
    make_file("eu.gif", "");
    make_file("USA.gif", "x");
    make_file("Us.gif", "x");
    make_file("fr.txt", "x");
    assert_int_equal(corpus_init_folder(&loaded, folder), 0);
    assert_int_equal(loaded.count, 3);
    assert_string_equal(loaded.entries[0].path, "/flags/br/br.gif");
    assert_string_equal(loaded.entries[1].path, "/flags/cn/cn.png");
    assert_string_equal(loaded.entries[1].content_type, "image/png");
    assert_int_equal(loaded.entries[1].body_bytes, 5);
    assert_memory_equal(loaded.entries[1].body, "china", 5);
    assert_string_equal(loaded.entries[2].path, "/flags/eu/eu.gif");
    assert_int_equal(loaded.entries[2].body_bytes, 0);
    corpus_release(&loaded);
}

static void test_corpus__refuses_a_folder_without_flags(void **state)
{
    (void)state;
    struct corpus loaded;
    make_file("fr.txt", "x");
    make_folder("br");
    assert_int_equal(corpus_init_folder(&loaded, folder), -ENODATA);
    assert_int_equal(corpus_init_folder(&loaded, "/nonexistent"), -ENOENT);
}

static void test_corpus__sized_bodies_wrap_around_the_ring(void **state)
{
    (void)state;
    uint8_t *ring = malloc(SIZED_BODY_RING_BYTES);
    uint64_t whole = 0;
    uint64_t other = 0;
    assert_non_null(ring);
    sized_body_fill_ring(1, ring);
    /* A whole turn and two bytes more: byte for byte, the end comes back to the beginning. */
    assert_int_equal(sized_body_hash(ring, "cn", SIZED_BODY_RING_BYTES + 2, &whole), 0);
    assert_int_equal(sized_body_hash(ring, "br", SIZED_BODY_RING_BYTES + 2, &other), 0);
    assert_int_not_equal(whole, other);
    sized_body_fill_ring(2, ring);
    assert_int_equal(sized_body_hash(ring, "cn", SIZED_BODY_RING_BYTES + 2, &other), 0);
    assert_int_not_equal(whole, other);
    assert_int_equal(sized_body_hash(ring, "cn", 0, &other), 0);
    assert_int_equal(other, UINT64_C(0x2d06800538d394c2)); /* XXH3-64 of nothing */
    free(ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus__is_the_same_everywhere),
        cmocka_unit_test(test_corpus__has_every_country_once_in_order),
        cmocka_unit_test(test_corpus__holds_valid_pictures_only),
        cmocka_unit_test_setup_teardown(test_corpus__reads_flags_of_a_folder_and_nothing_else,
                                        set_up_folder, tear_down_folder),
        cmocka_unit_test_setup_teardown(test_corpus__refuses_a_folder_without_flags, set_up_folder,
                                        tear_down_folder),
        cmocka_unit_test(test_corpus__sized_bodies_wrap_around_the_ring),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
