/** What the server serves: one picture per country, and seeded bodies of any length. */
#ifndef MOCKSERVER_CORPUS_H
#define MOCKSERVER_CORPUS_H

#include <stddef.h>
#include <stdint.h>

#define CORPUS_ENTRIES_MAX 676 /* aa to zz */
#define CORPUS_PATH_BYTES_MAX 24
#define CORPUS_HASH_TEXT_BYTES 17 /* 16 hex digits and NUL */
#define CORPUS_FILE_BYTES_MAX (16u << 20)

struct corpus_entry {
    char cc[3];                       /* lower case */
    char path[CORPUS_PATH_BYTES_MAX]; /* "/flags/cn/cn.gif" */
    const char *country;
    const char *content_type;
    uint8_t *body;
    size_t body_bytes;
    uint64_t xxh3;  /* of the body */
    char *metadata; /* JSON */
    size_t metadata_bytes;
};

struct corpus {
    struct corpus_entry *entries; /* sorted by code */
    size_t count;
    uint64_t identity;                 /* XXH3-64 over the codes, paths and bytes of all */
    int16_t index[CORPUS_ENTRIES_MAX]; /* of the entry, by code; -1: none */
};

/** The built-in pictures: the same bytes on every machine. @return 0, -ENOMEM */
int corpus_init_builtin(struct corpus *corpus);

/**
 * Files of a folder: CC.gif, CC.png, CC.svg, CC/CC.gif and so on, CC two lower-case letters.
 * Other files are passed over; of two for one code gif goes before png before svg.
 * @return 0; -ENOENT (no such folder), -ENODATA (no flag in it), -EFBIG, -ENOMEM, -EIO, ...
 */
int corpus_init_folder(struct corpus *corpus, const char *folder);

void corpus_release(struct corpus *corpus);

/** @return NULL when there is none */
const struct corpus_entry *corpus_find(const struct corpus *corpus, const char cc[static 2]);

#define SIZED_BODY_RING_BYTES (1u << 20)
#define SIZED_BODY_BYTES_MAX (UINT64_C(64) << 20)

/**
 * The ring that every body of `?size=N` is read from: byte i of the body of code cc is
 * ring[(sized_body_start(cc) + i) % SIZED_BODY_RING_BYTES].
 */
void sized_body_fill_ring(uint64_t seed, uint8_t ring[static SIZED_BODY_RING_BYTES]);
size_t sized_body_start(const char cc[static 2]);

/** XXH3-64 of such a body. @return 0, -ENOMEM */
int sized_body_hash(const uint8_t ring[static SIZED_BODY_RING_BYTES], const char cc[static 2],
                    uint64_t bytes, uint64_t *xxh3);

#endif
