/* GIF89a specification (CompuServe, 1990): sections 17-24 for blocks, appendix F for LZW. */
#include "gif.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LZW_MINIMUM_BITS 7
#define LZW_CLEAR (1u << LZW_MINIMUM_BITS)
#define LZW_END (LZW_CLEAR + 1)
#define LZW_FIRST (LZW_CLEAR + 2)
#define LZW_CODES 4096u
#define SLOTS 8192u /* of the dictionary's hash table, at most half full */
#define NO_CODE UINT32_MAX
#define BLOCK_BYTES_MAX 255

static_assert(GIF_COLOURS == 1 << LZW_MINIMUM_BITS, "a code for each colour");

struct gif_writer {
    uint8_t *out;
    size_t capacity;
    size_t bytes;
    bool overflow;
    size_t block_at; /* of the length byte of the open data block */
    uint32_t bits;   /* not yet written, the lowest first */
    unsigned bit_count;
    unsigned code_bits;
    uint32_t next_code;
    uint32_t prefix;      /* code of the string matched so far */
    uint32_t keys[SLOTS]; /* prefix << 8 | pixel, plus 1; 0 is a free slot */
    uint16_t codes[SLOTS];
};

struct gif_writer *gif_writer_create(void)
{
    return calloc(1, sizeof(struct gif_writer));
}

void gif_writer_destroy(struct gif_writer *writer)
{
    free(writer);
}

size_t gif_bytes(const struct gif_writer *writer)
{
    return writer->bytes;
}

static void put(struct gif_writer *writer, uint8_t byte)
{
    if (writer->bytes == writer->capacity) {
        writer->overflow = true;
        return;
    }
    writer->out[writer->bytes++] = byte;
}

static void put_all(struct gif_writer *writer, const void *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        put(writer, ((const uint8_t *)data)[i]);
    }
}

static void put_16(struct gif_writer *writer, uint16_t value)
{
    put(writer, (uint8_t)(value & 0xff));
    put(writer, (uint8_t)(value >> 8));
}

/* A byte of pixel data, in blocks of at most 255. */
static void put_data(struct gif_writer *writer, uint8_t byte)
{
    if (writer->overflow) {
        return;
    }
    if (writer->block_at == 0 || writer->out[writer->block_at] == BLOCK_BYTES_MAX) {
        writer->block_at = writer->bytes;
        put(writer, 0);
    }
    if (!writer->overflow) {
        put(writer, byte);
        writer->out[writer->block_at]++;
    }
}

static void put_code(struct gif_writer *writer, uint32_t code)
{
    writer->bits |= code << writer->bit_count;
    writer->bit_count += writer->code_bits;
    while (writer->bit_count >= 8) {
        put_data(writer, (uint8_t)(writer->bits & 0xff));
        writer->bits >>= 8;
        writer->bit_count -= 8;
    }
}

static void dictionary_clear(struct gif_writer *writer)
{
    put_code(writer, LZW_CLEAR);
    memset(writer->keys, 0, sizeof(writer->keys));
    writer->code_bits = LZW_MINIMUM_BITS + 1;
    writer->next_code = LZW_FIRST;
}

static uint32_t dictionary_slot(const struct gif_writer *writer, uint32_t key)
{
    uint32_t slot = (key * 2654435761u) >> 19;
    while (writer->keys[slot] != 0 && writer->keys[slot] != key) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

static void dictionary_add(struct gif_writer *writer, uint32_t slot, uint32_t key)
{
    uint32_t code = writer->next_code++;
    writer->keys[slot] = key;
    writer->codes[slot] = (uint16_t)code;
    /* The reader learns each code one code later than the writer, hence not code + 1. */
    if (code == 1u << writer->code_bits) {
        writer->code_bits++;
    }
    if (writer->next_code == LZW_CODES) {
        dictionary_clear(writer);
    }
}

void gif_begin(struct gif_writer *writer, uint16_t width, uint16_t height,
               const uint8_t palette[static 3 * GIF_COLOURS], uint8_t *out, size_t capacity)
{
    writer->out = out;
    writer->capacity = capacity;
    writer->bytes = 0;
    writer->overflow = false;
    writer->block_at = 0;
    writer->bits = 0;
    writer->bit_count = 0;
    writer->prefix = NO_CODE;

    put_all(writer, "GIF89a", 6);
    put_16(writer, width);
    put_16(writer, height);
    put(writer, 0x80 | 0x70 | (LZW_MINIMUM_BITS - 1)); /* global palette of 128 colours */
    put(writer, 0);                                    /* background colour */
    put(writer, 0);                                    /* aspect ratio not given */
    put_all(writer, palette, (size_t)3 * GIF_COLOURS);
    put(writer, ',');
    put_16(writer, 0);
    put_16(writer, 0);
    put_16(writer, width);
    put_16(writer, height);
    put(writer, 0); /* no local palette, not interlaced */
    put(writer, LZW_MINIMUM_BITS);
    writer->code_bits = LZW_MINIMUM_BITS + 1;
    dictionary_clear(writer);
}

void gif_pixels(struct gif_writer *writer, const uint8_t *pixels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t pixel = pixels[i];
        assert(pixel < GIF_COLOURS);
        if (writer->prefix == NO_CODE) {
            writer->prefix = pixel;
            continue;
        }
        uint32_t key = (writer->prefix << 8 | pixel) + 1;
        uint32_t slot = dictionary_slot(writer, key);
        if (writer->keys[slot] == key) {
            writer->prefix = writer->codes[slot];
            continue;
        }
        put_code(writer, writer->prefix);
        dictionary_add(writer, slot, key);
        writer->prefix = pixel;
    }
}

static void end_pixels(struct gif_writer *writer)
{
    if (writer->prefix != NO_CODE) {
        put_code(writer, writer->prefix);
        /* The reader adds a code here as well; a width grown by it must be grown here too. */
        if (writer->next_code == 1u << writer->code_bits && writer->code_bits < 12) {
            writer->code_bits++;
        }
    }
    put_code(writer, LZW_END);
    if (writer->bit_count > 0) {
        put_data(writer, (uint8_t)(writer->bits & 0xff));
    }
    put(writer, 0);
}

int gif_end_filled(struct gif_writer *writer, const char *text)
{
    size_t text_bytes = strlen(text);
    size_t at = 0;
    end_pixels(writer);
    if (writer->overflow || writer->capacity - writer->bytes < 1 + GIF_COMMENT_BYTES_MIN) {
        return -ENOSPC;
    }
    put(writer, '!');
    put(writer, 0xfe);
    size_t rest = writer->capacity - writer->bytes - 2; /* less the two bytes that end it all */
    while (rest > 0) {
        size_t block = rest > BLOCK_BYTES_MAX + 1 ? BLOCK_BYTES_MAX + 1 : rest;
        if (rest - block == 1) {
            block--; /* one byte alone would be the length of an empty block: the end */
        }
        put(writer, (uint8_t)(block - 1));
        for (size_t i = 1; i < block; i++) {
            put(writer, (uint8_t)text[at++ % text_bytes]);
        }
        rest -= block;
    }
    put(writer, 0);
    put(writer, ';');
    assert(!writer->overflow && writer->bytes == writer->capacity);
    return 0;
}
