#include "corpus.h"

#include "country.h"
#include "draw.h"
#include "gif.h"

#include <xxhash.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Sizes of the pictures, after those of the flags that the published examples fetch. */
#define PICTURE_BYTES_MIN 1193u
#define PICTURE_BYTES_MEDIAN 9917u
#define PICTURE_BYTES_MAX 36332u
#define SHADES 32u
#define STRIPES 4u
#define WIDTH_MAX 1024u
#define METADATA_BYTES_MAX 256

static_assert(SHADES * STRIPES == GIF_COLOURS, "each stripe has its shades");

static size_t code_number(const char cc[static 2])
{
    return (size_t)(cc[0] - 'a') * 26 + (size_t)(cc[1] - 'a');
}

static bool code_is_valid(const char *cc)
{
    return cc[0] >= 'a' && cc[0] <= 'z' && cc[1] >= 'a' && cc[1] <= 'z';
}

/* Straight from the smallest to the median, then ever steeper to the largest; the weights of
 * the square and the cube are what makes the sum 2.35 MB. */
static size_t picture_bytes(size_t rank)
{
    const size_t half = COUNTRY_COUNT / 2;
    const size_t last = half - 1;
    if (rank < half) {
        return PICTURE_BYTES_MIN + (PICTURE_BYTES_MEDIAN - PICTURE_BYTES_MIN) * rank / last;
    }
    size_t k = rank - half;
    size_t curve = (k * k * 95 + k * k * k * 5 / last) * 1000 / (last * last * 100);
    return PICTURE_BYTES_MEDIAN + (PICTURE_BYTES_MAX - PICTURE_BYTES_MEDIAN) * curve / 1000;
}

/* Which country has which size: shuffled, or all flags of A would be small. */
static void shuffle_ranks(size_t ranks[static COUNTRY_COUNT])
{
    for (size_t i = 0; i < COUNTRY_COUNT; i++) {
        ranks[i] = i;
    }
    for (size_t i = COUNTRY_COUNT - 1; i > 0; i--) {
        size_t j = (size_t)(draw_mix(i) % (i + 1));
        size_t kept = ranks[i];
        ranks[i] = ranks[j];
        ranks[j] = kept;
    }
}

static void make_palette(uint64_t seed, uint8_t palette[static 3 * GIF_COLOURS])
{
    for (size_t stripe = 0; stripe < STRIPES; stripe++) {
        uint64_t colour = draw_mix(seed + stripe);
        for (size_t shade = 0; shade < SHADES; shade++) {
            for (size_t channel = 0; channel < 3; channel++) {
                unsigned base = (unsigned)(colour >> (8 * channel)) & 0xff;
                /* From three quarters of the colour up to all of it. */
                palette[(stripe * SHADES + shade) * 3 + channel] =
                    (uint8_t)(base * (96 + shade + 1) / 128);
            }
        }
    }
}

static void make_row(uint64_t *state, size_t stripe, bool grain, uint8_t *row, size_t width)
{
    for (size_t x = 0; x < width; x++) {
        size_t shade = SHADES - 1;
        if (grain) {
            shade = draw_mix((*state)++) % SHADES;
        }
        row[x] = (uint8_t)(stripe * SHADES + shade);
    }
}

static size_t square_root(size_t value)
{
    size_t root = 0;
    while ((root + 1) * (root + 1) <= value) {
        root++;
    }
    return root;
}

/* Three or four stripes; rows get grain as long as the file lags behind its size. */
static int draw_picture(struct gif_writer *writer, const char *cc, uint8_t *out, size_t bytes)
{
    uint8_t palette[3 * GIF_COLOURS];
    uint8_t row[WIDTH_MAX];
    uint64_t state = draw_mix(draw_key(cc, 2));
    size_t stripes = 3 + draw_mix(state) % 2;
    size_t pixel_bytes = bytes - GIF_FRAME_BYTES;
    size_t width = square_root(pixel_bytes * 3); /* 3:2, and two pixels for each byte */
    size_t height = width * 2 / 3;
    assert(width <= WIDTH_MAX);
    size_t reserve = 2 * width + 64; /* a row of grain, and the comment */
    assert(pixel_bytes > reserve);
    make_palette(state, palette);
    gif_begin(writer, (uint16_t)width, (uint16_t)height, palette, out, bytes);
    for (size_t y = 0; y < height; y++) {
        size_t due = GIF_FRAME_BYTES + (pixel_bytes - reserve) * y / height;
        make_row(&state, y * stripes / height, gif_bytes(writer) < due, row, width);
        gif_pixels(writer, row, width);
    }
    char comment[64];
    (void)snprintf(comment, sizeof(comment), "A made-up flag for %.2s. ", cc);
    return gif_end_filled(writer, comment);
}

static int entry_finish(struct corpus_entry *entry, const char *cc, const char *extension)
{
    memcpy(entry->cc, cc, 2);
    const char *name = country_name(entry->cc);
    entry->country = name != NULL ? name : entry->cc;
    entry->content_type = strcmp(extension, "gif") == 0   ? "image/gif"
                          : strcmp(extension, "png") == 0 ? "image/png"
                                                          : "image/svg+xml";
    (void)snprintf(entry->path, sizeof(entry->path), "/flags/%s/%s.%s", entry->cc, entry->cc,
                   extension);
    entry->xxh3 = XXH3_64bits(entry->body, entry->body_bytes);
    entry->metadata = malloc(METADATA_BYTES_MAX);
    if (entry->metadata == NULL) {
        return -ENOMEM;
    }
    /* Names of countries here have nothing to escape in JSON. */
    entry->metadata_bytes = (size_t)snprintf(
        entry->metadata, METADATA_BYTES_MAX,
        "{\"country\": \"%s\", \"iso_cc\": \"%c%c\", \"cc\": \"%s\", \"bytes\": %zu}\n",
        entry->country, cc[0] - 'a' + 'A', cc[1] - 'a' + 'A', entry->cc, entry->body_bytes);
    assert(entry->metadata_bytes < METADATA_BYTES_MAX);
    return 0;
}

/* Called with all entries in place. @return 0, -ENOMEM */
static int corpus_finish(struct corpus *corpus)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL) {
        return -ENOMEM;
    }
    (void)XXH3_64bits_reset(state);
    for (size_t i = 0; i < CORPUS_ENTRIES_MAX; i++) {
        corpus->index[i] = -1;
    }
    for (size_t i = 0; i < corpus->count; i++) {
        const struct corpus_entry *entry = &corpus->entries[i];
        (void)XXH3_64bits_update(state, entry->path, strlen(entry->path) + 1);
        (void)XXH3_64bits_update(state, entry->body, entry->body_bytes);
        corpus->index[code_number(entry->cc)] = (int16_t)i;
    }
    corpus->identity = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return 0;
}

static int builtin_entry(struct gif_writer *writer, const char *cc, size_t bytes,
                         struct corpus_entry *entry)
{
    entry->body = malloc(bytes);
    if (entry->body == NULL) {
        return -ENOMEM;
    }
    entry->body_bytes = bytes;
    int error = draw_picture(writer, cc, entry->body, bytes);
    return error != 0 ? error : entry_finish(entry, cc, "gif");
}

int corpus_init_builtin(struct corpus *corpus)
{
    size_t ranks[COUNTRY_COUNT];
    *corpus = (struct corpus){0};
    int error = -ENOMEM;
    struct gif_writer *writer = gif_writer_create();
    corpus->entries = calloc(COUNTRY_COUNT, sizeof(corpus->entries[0]));
    if (writer == NULL || corpus->entries == NULL) {
        goto out;
    }
    shuffle_ranks(ranks);
    for (size_t i = 0; i < COUNTRY_COUNT; i++) {
        corpus->count = i + 1;
        error =
            builtin_entry(writer, countries[i].cc, picture_bytes(ranks[i]), &corpus->entries[i]);
        if (error != 0) {
            goto out;
        }
    }
    error = corpus_finish(corpus);
out:
    gif_writer_destroy(writer);
    if (error != 0) {
        corpus_release(corpus);
    }
    return error;
}

static int read_whole(int fd, uint8_t *out, size_t bytes)
{
    size_t at = 0;
    while (at < bytes) {
        ssize_t got = read(fd, out + at, bytes - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            return -EIO; /* shorter than it said */
        }
        at += (size_t)got;
    }
    return 0;
}

static int load_file(int folder_fd, const char *name, struct corpus_entry *entry)
{
    struct stat status;
    int error = 0;
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &status) != 0) {
        error = -errno;
        goto out;
    }
    if (!S_ISREG(status.st_mode)) {
        error = -ENOENT;
        goto out;
    }
    if (status.st_size > CORPUS_FILE_BYTES_MAX) {
        error = -EFBIG;
        goto out;
    }
    entry->body_bytes = (size_t)status.st_size;
    entry->body = malloc(entry->body_bytes + 1);
    error = entry->body == NULL ? -ENOMEM : read_whole(fd, entry->body, entry->body_bytes);
out:
    (void)close(fd);
    return error;
}

/* Look for the file of one code. @return 0 (entry->body says whether there was one) or -errno */
static int load_code(int folder_fd, const char *cc, struct corpus_entry *entry)
{
    static const char *const extensions[] = {"gif", "png", "svg"};
    char name[CORPUS_PATH_BYTES_MAX];
    for (size_t e = 0; e < sizeof(extensions) / sizeof(extensions[0]); e++) {
        for (size_t p = 0; p < 2; p++) {
            if (p == 0) {
                (void)snprintf(name, sizeof(name), "%s.%s", cc, extensions[e]);
            } else {
                (void)snprintf(name, sizeof(name), "%s/%s.%s", cc, cc, extensions[e]);
            }
            int error = load_file(folder_fd, name, entry);
            if (error == 0) {
                return entry_finish(entry, cc, extensions[e]);
            }
            if (error != -ENOENT && error != -ENOTDIR) {
                return error;
            }
        }
    }
    return 0;
}

int corpus_init_folder(struct corpus *corpus, const char *folder)
{
    *corpus = (struct corpus){0};
    int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0) {
        return -errno;
    }
    corpus->entries = calloc(CORPUS_ENTRIES_MAX, sizeof(corpus->entries[0]));
    if (corpus->entries == NULL) {
        (void)close(folder_fd);
        return -ENOMEM;
    }
    int error = 0;
    for (size_t number = 0; number < CORPUS_ENTRIES_MAX; number++) {
        char cc[3] = {(char)('a' + number / 26), (char)('a' + number % 26), '\0'};
        struct corpus_entry *entry = &corpus->entries[corpus->count];
        error = load_code(folder_fd, cc, entry);
        corpus->count += entry->body != NULL;
        if (error != 0) {
            goto out;
        }
    }
    error = corpus->count == 0 ? -ENODATA : corpus_finish(corpus);
out:
    (void)close(folder_fd);
    if (error != 0) {
        corpus_release(corpus);
    }
    return error;
}

void corpus_release(struct corpus *corpus)
{
    for (size_t i = 0; i < corpus->count; i++) {
        free(corpus->entries[i].body);
        free(corpus->entries[i].metadata);
    }
    free(corpus->entries);
    *corpus = (struct corpus){0};
}

const struct corpus_entry *corpus_find(const struct corpus *corpus, const char cc[static 2])
{
    if (!code_is_valid(cc)) {
        return NULL;
    }
    int index = corpus->index[code_number(cc)];
    return index < 0 ? NULL : &corpus->entries[index];
}

void sized_body_fill_ring(uint64_t seed, uint8_t ring[static SIZED_BODY_RING_BYTES])
{
    for (size_t i = 0; i < SIZED_BODY_RING_BYTES; i += 8) {
        uint64_t word = draw_mix(draw_mix(seed) + i);
        for (size_t b = 0; b < 8; b++) {
            ring[i + b] = (uint8_t)(word >> (8 * b)); /* the same on any byte order */
        }
    }
}

size_t sized_body_start(const char cc[static 2])
{
    return draw_mix(draw_key(cc, 2)) % SIZED_BODY_RING_BYTES;
}

int sized_body_hash(const uint8_t ring[static SIZED_BODY_RING_BYTES], const char cc[static 2],
                    uint64_t bytes, uint64_t *xxh3)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL) {
        return -ENOMEM;
    }
    (void)XXH3_64bits_reset(state);
    size_t at = sized_body_start(cc);
    while (bytes > 0) {
        uint64_t piece = SIZED_BODY_RING_BYTES - at;
        piece = piece < bytes ? piece : bytes;
        (void)XXH3_64bits_update(state, ring + at, (size_t)piece);
        bytes -= piece;
        at = 0;
    }
    *xxh3 = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return 0;
}
