#include "manifest.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>

static json_t *entry_json(const struct corpus_entry *entry, const uint8_t *ring, uint64_t size)
{
    char path[CORPUS_PATH_BYTES_MAX + 32];
    char hash[CORPUS_HASH_TEXT_BYTES];
    uint64_t bytes = entry->body_bytes;
    uint64_t xxh3 = entry->xxh3;
    (void)snprintf(path, sizeof(path), "%s", entry->path);
    if (ring != NULL) {
        bytes = size;
        (void)snprintf(path, sizeof(path), "%s?size=%" PRIu64, entry->path, size);
        if (sized_body_hash(ring, entry->cc, size, &xxh3) != 0) {
            return NULL;
        }
    }
    (void)snprintf(hash, sizeof(hash), "%016" PRIx64, xxh3);
    return json_pack("{s:s, s:s, s:s, s:I, s:s}", "cc", entry->cc, "country", entry->country,
                     "path", path, "bytes", (json_int_t)bytes, "xxh3", hash);
}

char *manifest_text(const struct corpus *corpus, const char *admin_url, const uint8_t *ring,
                    uint64_t size)
{
    char identity[CORPUS_HASH_TEXT_BYTES];
    char *text = NULL;
    (void)snprintf(identity, sizeof(identity), "%016" PRIx64, corpus->identity);
    json_t *flags = json_array();
    for (size_t i = 0; i < corpus->count; i++) {
        /* Takes the reference over, and refuses NULL. */
        if (json_array_append_new(flags, entry_json(&corpus->entries[i], ring, size)) != 0) {
            json_decref(flags);
            return NULL;
        }
    }
    json_t *manifest =
        json_pack("{s:s, s:s, s:o}", "corpus", identity, "admin", admin_url, "flags", flags);
    if (manifest != NULL) {
        text = json_dumps(manifest, JSON_COMPACT);
        json_decref(manifest);
    }
    return text;
}
