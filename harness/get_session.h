/** One run of `bench get`: the job, what is told while it runs, and how it ended. */
#ifndef BENCH_GET_SESSION_H
#define BENCH_GET_SESSION_H

#include "get_list.h"
#include "get_options.h"
#include "get_record.h"

#include "backends/backend.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct get_counts {
    size_t downloaded;
    size_t not_found;
    size_t errors;
    size_t unfinished; /* cancelled: nothing is wrong with them */
    size_t skipped;    /* complete before it began */
    uint64_t body_bytes;
};

/** What became of an item. */
struct get_outcome {
    struct transfer_result parts[2];      /* of its file; with --names of its metadata */
    unsigned ended;                       /* parts that have */
    const struct transfer_result *result; /* the worse part, when all have; NULL before */
    char *country;                        /* of the metadata; NULL: not known */
};

struct get_session {
    const struct get_options *options;
    struct get_list *list;
    struct get_record *record; /* of what is saved, as it is */
    int dir_fd;
    uint32_t loops;
    size_t *asked; /* [asked_count] item of each request, or of each pair of them */
    size_t asked_count;
    struct transfer_request *requests;
    struct transfer_result *results;
    struct get_outcome *outcomes; /* [list->count] */
    struct get_counts counts;
    uint64_t started_ns;
    uint64_t finished_ns;
    uint64_t drawn_ns; /* when the progress bar was */
    bool bar;
    bool column;          /* codes have been printed on this line */
    pthread_mutex_t lock; /* hooks come from all threads of a backend */
};

/** @param dir_fd  of the output folder @param loops  that the backend runs @return 0 or -ENOMEM;
 * get_session_release is fine after either */
int get_session_init(struct get_session *session, const struct get_options *options,
                     struct get_list *list, struct get_record *record, int dir_fd, uint32_t loops);

/** Download all that is not complete. @return 0; -errno when the backend could not run */
int get_session_run(struct get_session *session, const struct bench_backend *backend);

/** The counts and, for a list, each failure. @return 0, -errno of stdout */
int get_session_report(const struct get_session *session);

void get_session_release(struct get_session *session);

#endif
