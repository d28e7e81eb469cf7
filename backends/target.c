#include "target.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a longer list each file is wanted once, and then nothing is gained by keeping. */
#define KEPT_MAX 512
#define SLOTS (2 * KEPT_MAX)

/* Strings of one list lie close together, so their addresses are mixed first (Knuth, The Art of
 * Computer Programming, vol. 3, section 6.4: multiplicative hashing). */
static size_t slot_of(const char *url)
{
    const uint64_t golden_ratio = 0x9e3779b97f4a7c15; /* of 2^64 */

    return (size_t)(((uint64_t)(uintptr_t)url * golden_ratio) >> 32) % SLOTS;
}

/* @return the URL's own slot, or the free one where it would go: half of them are free */
static struct target *slot_find(const struct target_table *table, const char *url)
{
    size_t at = slot_of(url);

    while (table->targets[at].url != NULL && table->targets[at].url != url) {
        at = (at + 1) % SLOTS;
    }
    return &table->targets[at];
}

static struct url_view view_of(const char *url)
{
    struct url_view view;

    int result = url_parse(url, &view);
    assert(result == 0);
    (void)result;
    return view;
}

static struct target target_of(const struct target_table *table, const char *url)
{
    const struct url_view view = view_of(url);

    return (struct target){
        .url = url,
        .authority = view.authority,
        .authority_bytes = view.authority_bytes,
        .path = view.path,
        .path_bytes = view.path_bytes,
        .endpoint = endpoint_find(&table->endpoints, &view),
    };
}

static int add(struct target_table *table, const char *url)
{
    struct target *slot = slot_find(table, url);

    if (slot->url != NULL) {
        return 0;
    }
    const struct url_view view = view_of(url);
    if (table->count < KEPT_MAX) {
        slot->url = url;
        table->count++;
    }
    return endpoint_table_add(&table->endpoints, &view);
}

/* Once all are known: the endpoints move while their number grows. */
static void complete(struct target_table *table)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (table->targets[i].url != NULL) {
            table->targets[i] = target_of(table, table->targets[i].url);
        }
    }
}

int target_table_init(struct target_table *table, const struct download_job *job)
{
    int result = 0;

    *table = (struct target_table){0};
    table->targets = aligned_alloc(TARGET_ALIGN, SLOTS * sizeof table->targets[0]);
    if (table->targets == NULL) {
        return -ENOMEM;
    }
    memset(table->targets, 0, SLOTS * sizeof table->targets[0]);
    for (size_t i = 0; i < job->count && result == 0; i++) {
        result = add(table, job->requests[i].url);
    }
    if (result == 0) {
        complete(table);
    }
    return result;
}

void target_table_release(struct target_table *table)
{
    endpoint_table_release(&table->endpoints);
    free(table->targets);
    *table = (struct target_table){0};
}

const struct target *target_find(const struct target_table *table, const char *url,
                                 struct target *spare)
{
    const struct target *kept = slot_find(table, url);

    if (kept->url != NULL) {
        return kept;
    }
    *spare = target_of(table, url);
    return spare;
}
