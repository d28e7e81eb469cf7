/** Writes a GIF89a picture row by row into a buffer of the caller's. */
#ifndef MOCKSERVER_GIF_H
#define MOCKSERVER_GIF_H

#include <stddef.h>
#include <stdint.h>

#define GIF_COLOURS 128 /* of the palette; pixels are below this */
/** What a file takes besides its pixel data and comment: header, palette, descriptor, ends. */
#define GIF_FRAME_BYTES (6 + 7 + 3 * GIF_COLOURS + 10 + 1 + 1 + 1)
#define GIF_COMMENT_BYTES_MIN 5

struct gif_writer;

/** @return NULL when memory is short */
struct gif_writer *gif_writer_create(void);
void gif_writer_destroy(struct gif_writer *writer); /* NULL is fine */

/**
 * Start a picture.
 * @param palette  GIF_COLOURS times red, green, blue
 * @param out      [capacity]; must outlive the picture
 */
void gif_begin(struct gif_writer *writer, uint16_t width, uint16_t height,
               const uint8_t palette[static 3 * GIF_COLOURS], uint8_t *out, size_t capacity);

/** Append pixels, left to right and top to bottom; width x height of them in all. */
void gif_pixels(struct gif_writer *writer, const uint8_t *pixels, size_t count);

/** Bytes of the file so far. */
size_t gif_bytes(const struct gif_writer *writer);

/**
 * End the pixels and write a comment that fills the buffer to its last byte.
 * @param text  repeated as often as it fits
 * @return 0; -ENOSPC when the pixels left fewer than GIF_COMMENT_BYTES_MIN bytes
 */
int gif_end_filled(struct gif_writer *writer, const char *text);

#endif
