#include "canned.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 64u

struct piece {
    const char *content_type;
    const void *body;
    size_t body_bytes;
};

static struct piece piece_of(const struct corpus_entry *entry, bool metadata)
{
    if (metadata) {
        return (struct piece){"application/json", entry->metadata, entry->metadata_bytes};
    }
    return (struct piece){entry->content_type, entry->body, entry->body_bytes};
}

static size_t write_head(const struct piece *piece, const char *fault_name,
                         char out[static REPLY_HEAD_BYTES_MAX], size_t *date_at)
{
    char date[HTTP_DATE_BYTES];
    memset(date, ' ', sizeof(date));
    return reply_head_write(
        &(struct reply_head){
            .status = 200,
            .date = date,
            .content_type = piece->content_type,
            .body_bytes = piece->body_bytes,
            .fault_name = fault_name,
        },
        out, date_at);
}

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Lay the replies out one after the other; with nowhere to write, only say how long they are. */
static size_t lay_out(struct canned_set *set, const struct corpus *corpus, const char *fault_name)
{
    size_t used = 0;
    for (size_t i = 0; i < 2 * corpus->count; i++) {
        char head[REPLY_HEAD_BYTES_MAX];
        struct canned *canned = &set->replies[i];
        struct piece piece = piece_of(&corpus->entries[i / 2], i % 2 == 1);
        size_t head_bytes = write_head(&piece, fault_name, head, &canned->date_at);
        size_t bytes = aligned(head_bytes + piece.body_bytes);
        if (piece.body_bytes > CANNED_BODY_BYTES_MAX || used + bytes > CANNED_SET_BYTES_MAX) {
            continue;
        }
        if (set->bytes != NULL) {
            canned->head = set->bytes + used;
            canned->head_bytes = head_bytes;
            memcpy(canned->head, head, head_bytes);
            memcpy(canned->head + head_bytes, piece.body, piece.body_bytes);
        }
        used += bytes;
    }
    return used;
}

int canned_set_init(struct canned_set *set, const struct corpus *corpus, const char *fault_name)
{
    *set = (struct canned_set){0};
    set->replies = calloc(2 * corpus->count, sizeof(set->replies[0]));
    if (set->replies == NULL) {
        return -ENOMEM;
    }
    set->bytes = aligned_alloc(ALIGNMENT, lay_out(set, corpus, fault_name) + ALIGNMENT);
    if (set->bytes == NULL) {
        canned_set_release(set);
        return -ENOMEM;
    }
    (void)lay_out(set, corpus, fault_name);
    return 0;
}

void canned_set_release(struct canned_set *set)
{
    free(set->replies);
    free(set->bytes);
    *set = (struct canned_set){0};
}
