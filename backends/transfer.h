/**
 * Bookkeeping of one transfer, shared by every backend of both engines: attempts, redirects,
 * body limit, hash, verdict, result slot, hooks. It never waits and touches no descriptor.
 *
 * A model owns one `struct transfer` per place in flight and uses it for one request after
 * the other. Each call that may end something returns the step the model has to take next.
 *
 * Threads: a transfer belongs to one thread at a time.
 */
#ifndef BENCH_TRANSFER_H
#define BENCH_TRANSFER_H

#include "backend.h"

#include "body_hash.h"
#include "url.h"

#include <stdbool.h>

enum transfer_step {
    TRANSFER_MORE = 0, /* keep receiving */
    TRANSFER_AGAIN,    /* ask (again): a redirect or another attempt; `url` says where */
    TRANSFER_SAVE,     /* write `body` to request->save_name, then call transfer_saved */
    TRANSFER_DONE,     /* the slot is final; take the next request */
};

struct transfer {
    const struct download_job *job;
    struct transfer_result *results;

    /* of the current request */
    size_t index;
    const struct transfer_request *request;
    struct transfer_result *slot;
    const char *url;      /* where this attempt goes: the request's, or where a redirect leads */
    uint64_t deadline_ns; /* of this attempt */
    bool is_lookup;       /* of a dns URL: it goes nowhere by HTTP */
    uint32_t redirects;   /* followed in this attempt */
    char *redirect_url;   /* backs `url` after a redirect; kept for reuse */
    char *location;       /* of the response at hand; kept for reuse */
    bool has_location;

    /* of the current response body */
    uint64_t body_bytes;
    uint64_t body_xxh3;
    struct body_hash_stream *stream; /* only once a body arrived split; kept for reuse */
    bool streaming;
    const unsigned char *body; /* when it is to be saved or shown: `kept`, or lent by the model */
    unsigned char *kept;       /* for reuse */
    size_t kept_capacity;

    /* private */
    size_t location_bytes;
    uint64_t limit_bytes; /* of this body: the length announced, else the job's limit */
    bool has_length;      /* limit_bytes is the length announced */
    bool is_lent;         /* transfer_lend */
};

/** Bind to a job. Never fails; buffers are made when first needed. */
void transfer_init(struct transfer *transfer, const struct download_job *job,
                   struct transfer_result *results);
void transfer_release(struct transfer *transfer);

/**
 * The model leaves the bytes that it gives to transfer_body as they are until it has taken the
 * step that follows, saving included: a body that arrives whole need not be copied.
 */
static inline void transfer_lend(struct transfer *transfer)
{
    transfer->is_lent = true;
}

/**
 * Begin request `index`: attempt 1, deadline from now_ns. request->url must parse (the host
 * has checked it; misuse is an assert).
 */
void transfer_start(struct transfer *transfer, size_t index, uint64_t now_ns);

/** Note which connection carries the attempt (1, 2, ... in order of opening). */
static inline void transfer_connection(struct transfer *transfer, uint32_t number)
{
    transfer->slot->connection = number;
}

/** Note the first byte of a response; only the first call of a response counts. */
static inline void transfer_first_byte(struct transfer *transfer, uint64_t now_ns)
{
    if (transfer->slot->first_byte_ns == 0) {
        transfer->slot->first_byte_ns = now_ns;
    }
}

/** Note the value of a Location field. @return 0, -ENAMETOOLONG, -ENOMEM */
int transfer_location(struct transfer *transfer, const char *value, size_t bytes);

/** Announce the whole body length when known. @return 0; -EFBIG above the job's limit */
int transfer_expect(struct transfer *transfer, uint64_t body_bytes);

/** Take a piece of the body. @return 0; -EFBIG above the job's limit, -ENOMEM */
int transfer_body(struct transfer *transfer, const void *data, size_t bytes);

/**
 * The response is complete.
 * @return TRANSFER_AGAIN (redirect or retry), TRANSFER_SAVE or TRANSFER_DONE
 */
enum transfer_step transfer_complete(struct transfer *transfer, int http_status, uint64_t now_ns);

/**
 * A lookup has its answer, told by transfer_body; there is nothing to redirect or to save.
 * @return TRANSFER_AGAIN (a retry) or TRANSFER_DONE
 */
enum transfer_step transfer_found(struct transfer *transfer, uint64_t now_ns);

/**
 * The attempt failed.
 * @param os_error  errno value or 0
 * @param message   what to tell; NULL: derived from status and os_error
 * @return TRANSFER_AGAIN when another attempt is due, else TRANSFER_DONE
 */
enum transfer_step transfer_fail(struct transfer *transfer, enum transfer_status status,
                                 int os_error, const char *message, uint64_t now_ns);

/** The same, when no other attempt can be made. @return TRANSFER_DONE */
enum transfer_step transfer_give_up(struct transfer *transfer, enum transfer_status status,
                                    int os_error, const char *message, uint64_t now_ns);

/** The status that fits an errno value of connect, send or receive. */
enum transfer_status transfer_status_of_errno(int os_error);

/** Can another attempt end differently? Not a 404, nor what the client itself refuses. */
bool transfer_is_worth_another_attempt(enum transfer_status status, int http_status);

/** The same of a lookup, where a server that failed may yet answer. */
bool transfer_is_worth_another_lookup(enum transfer_status status);

/** The file is written (error 0) or not (errno value). @return TRANSFER_DONE */
enum transfer_step transfer_saved(struct transfer *transfer, int os_error, uint64_t now_ns);

/** Has the caller asked to stop? */
static inline bool transfer_cancelled(const struct download_job *job)
{
    return job->hooks != NULL && job->hooks->cancelled != NULL &&
           job->hooks->cancelled(job->hooks->user) != 0;
}

/** Answer a request that was never started as cancelled. */
void transfer_cancel_unstarted(const struct download_job *job, struct transfer_result *results,
                               size_t index, uint64_t now_ns);

/** "ok", "not_found", ...: the names used in every report. */
const char *transfer_status_name(enum transfer_status status);

#endif
