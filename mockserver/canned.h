/**
 * Replies made before the first request, head and body in one piece, so that sending one is one
 * system call and formats nothing. Only the date varies: it is patched once a second.
 *
 * Threads: a set belongs to one loop, because of the dates; each loop has its own.
 */
#ifndef MOCKSERVER_CANNED_H
#define MOCKSERVER_CANNED_H

#include "corpus.h"
#include "reply_head.h"

#include <time.h>

#define CANNED_BODY_BYTES_MAX (1u << 20) /* longer ones are sent from where they lie */
#define CANNED_SET_BYTES_MAX (UINT64_C(64) << 20)

struct canned {
    char *head; /* the body follows it */
    size_t head_bytes;
    size_t date_at;
    time_t date_second;
};

struct canned_set {
    struct canned *replies; /* [2 * corpus->count]: picture and metadata; head NULL: not made */
    char *bytes;            /* of all of them */
};

/** @param fault_name  X-Fault of all; NULL: no such field. @return 0, -ENOMEM */
int canned_set_init(struct canned_set *set, const struct corpus *corpus, const char *fault_name);
void canned_set_release(struct canned_set *set);

/** Make it say the date of now. @param second  which `date` tells */
static inline void canned_set_date(struct canned *canned, time_t second, const char *date)
{
    if (canned->date_second != second) {
        canned->date_second = second;
        __builtin_memcpy(canned->head + canned->date_at, date, HTTP_DATE_BYTES);
    }
}

#endif
