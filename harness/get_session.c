#include "get_session.h"

#include "interrupt.h"
#include "log.h"

#include "backends/clock.h"
#include "backends/transfer.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BAR_COLUMNS 30
#define BAR_INTERVAL_NS (100 * NS_PER_MS)

/* Requests of an item: its file, and with --names its metadata behind it. */
static size_t requests_per_item(const struct get_session *session)
{
    return session->options->names ? 2 : 1;
}

static size_t request_count(const struct get_session *session)
{
    return session->asked_count * requests_per_item(session);
}

int get_session_init(struct get_session *session, const struct get_options *options,
                     struct get_list *list, struct get_record *record, int dir_fd, uint32_t loops)
{
    *session = (struct get_session){
        .options = options,
        .list = list,
        .record = record,
        .dir_fd = dir_fd,
        .loops = loops,
    };
    (void)pthread_mutex_init(&session->lock, NULL);
    session->asked = calloc(list->count + 1, sizeof session->asked[0]);
    session->outcomes = calloc(list->count + 1, sizeof session->outcomes[0]);
    if (session->asked == NULL || session->outcomes == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].complete) {
            session->counts.skipped++;
        } else {
            session->asked[session->asked_count++] = i;
        }
    }
    session->requests = calloc(request_count(session) + 1, sizeof session->requests[0]);
    session->results = calloc(request_count(session) + 1, sizeof session->results[0]);
    session->bar = session->asked_count > 0 && !options->verbose && !options->quiet &&
                   isatty(STDERR_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
    return session->requests == NULL || session->results == NULL ? -ENOMEM : 0;
}

void get_session_release(struct get_session *session)
{
    for (size_t i = 0; session->outcomes != NULL && i < session->list->count; i++) {
        free(session->outcomes[i].country);
    }
    free(session->asked);
    free(session->outcomes);
    free(session->requests);
    free(session->results);
    (void)pthread_mutex_destroy(&session->lock);
}

static void make_requests(struct get_session *session)
{
    struct transfer_request *request = session->requests;

    for (size_t i = 0; i < session->asked_count; i++) {
        const struct get_item *item = &session->list->items[session->asked[i]];
        *request++ = (struct transfer_request){
            .url = item->url,
            .save_name = item->name,
            .expected_bytes = item->bytes,
            .expected_xxh3 = item->xxh3,
            .flags = item->expected ? TRANSFER_EXPECT_BODY : 0,
        };
        if (session->options->names) {
            *request++ = (struct transfer_request){.url = item->metadata_url};
        }
    }
}

/* ---- told while it runs ---- */

/* On a terminal only: \r and "erase to end of line" (ECMA-48 EL) rewrite it in place. */
static void draw_bar(struct get_session *session, bool last)
{
    const struct get_counts *counts = &session->counts;
    uint64_t now_ns = clock_now_ns();
    size_t ended = counts->downloaded + counts->not_found + counts->errors;
    char bar[BAR_COLUMNS + 1];

    if (!session->bar || (!last && now_ns - session->drawn_ns < BAR_INTERVAL_NS)) {
        return;
    }
    session->drawn_ns = now_ns;
    memset(bar, '.', BAR_COLUMNS);
    memset(bar, '#', ended * BAR_COLUMNS / session->asked_count);
    bar[BAR_COLUMNS] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %zu/%zu, %zu not found, %zu failed, %.1f MB, %.1f s%s", bar,
                  ended, session->asked_count, counts->not_found, counts->errors,
                  (double)counts->body_bytes / 1e6,
                  (double)(now_ns - session->started_ns) / (double)NS_PER_S, last ? "\n" : "");
    (void)fflush(stderr);
}

static const char *label_of(const struct get_item *item)
{
    return item->label[0] != '\0' ? item->label : item->name;
}

static void tell_line(const struct get_item *item, const struct transfer_result *result)
{
    const char *status = transfer_status_name((enum transfer_status)result->status);
    double ms = (double)(result->finished_ns - result->started_ns) / 1e6;

    if (result->status == TRANSFER_OK) {
        (void)printf("%s %s: %llu bytes in %.1f ms\n", status, item->name,
                     (unsigned long long)result->body_bytes, ms);
    } else {
        (void)printf("%s %s: %s\n", status, item->label[0] != '\0' ? item->label : item->url,
                     result->message);
    }
}

static void tell(struct get_session *session, const struct get_item *item,
                 const struct transfer_result *result)
{
    if (session->bar) {
        draw_bar(session, false);
    } else if (session->options->verbose) {
        tell_line(item, result);
    } else if (!session->options->quiet && result->status == TRANSFER_OK) {
        bool is_flag = item->label[0] != '\0';
        (void)printf("%s%s%s", session->column && is_flag ? " " : "", label_of(item),
                     is_flag ? "" : "\n");
        session->column = is_flag;
    }
    if (!session->bar) {
        (void)fflush(stdout); /* as they complete, into a pipe too */
    }
}

static void count(struct get_session *session, const struct get_outcome *outcome)
{
    struct get_counts *counts = &session->counts;

    switch ((enum transfer_status)outcome->result->status) {
    case TRANSFER_OK:
        counts->downloaded++;
        counts->body_bytes += outcome->parts[0].body_bytes;
        break;
    case TRANSFER_NOT_FOUND:
        counts->not_found++;
        break;
    case TRANSFER_CANCELLED:
        counts->unfinished++;
        break;
    default:
        counts->errors++;
        break;
    }
}

/* ---- --names: the file takes the country's name once both answers are there ---- */

static bool name_is_taken(const struct get_session *session, const char *name)
{
    for (size_t i = 0; i < session->list->count; i++) {
        const struct get_item *item = &session->list->items[i];
        if ((item->complete || session->outcomes[i].result != NULL) &&
            strcmp(item->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* "Brazil.gif"; "Brazil-BR.gif" when two countries make one name. */
static void name_by_country(const struct get_session *session, const struct get_item *item,
                            const char *country, char name[static FILE_NAME_BYTES_MAX])
{
    const char *ending = strrchr(item->name, '.');
    char text[FILE_NAME_BYTES_MAX * 2];

    (void)snprintf(text, sizeof text, "%.80s%s", country, ending == NULL ? "" : ending);
    file_name_of_text(text, strlen(text), name);
    if (name_is_taken(session, name)) {
        (void)snprintf(text, sizeof text, "%.80s-%s%s", country, item->label,
                       ending == NULL ? "" : ending);
        file_name_of_text(text, strlen(text), name);
    }
}

/* The answer to the metadata was fine but has no name, or the file cannot take it. */
static void fail(struct transfer_result *result, enum transfer_status status, const char *message)
{
    result->status = status;
    (void)snprintf(result->message, sizeof result->message, "%s", message);
}

static void take_name(struct get_session *session, struct get_item *item,
                      struct get_outcome *outcome)
{
    struct transfer_result *metadata = &outcome->parts[1];
    char name[FILE_NAME_BYTES_MAX];

    if (outcome->parts[0].status != TRANSFER_OK) {
        return;
    }
    if (metadata->status == TRANSFER_OK && outcome->country == NULL) {
        fail(metadata, TRANSFER_PROTOCOL, "no country in the metadata");
    }
    if (metadata->status == TRANSFER_OK) {
        name_by_country(session, item, outcome->country, name);
        if (renameat(session->dir_fd, item->name, session->dir_fd, name) == 0) {
            memcpy(item->name, name, sizeof name);
        } else {
            fail(metadata, TRANSFER_SAVE_FAILED, "the file cannot take the country's name");
        }
    }
    if (metadata->status != TRANSFER_OK) {
        (void)unlinkat(session->dir_fd, item->name, 0);
    }
}

static void on_body(void *user, size_t index, const void *body, size_t body_bytes)
{
    struct get_session *session = user;

    if (index % 2 == 0) {
        return; /* a flag: the backend saves it */
    }
    json_t *root = json_loadb(body, body_bytes, 0, NULL);
    const char *country = json_string_value(json_object_get(root, "country"));
    struct get_outcome *outcome = &session->outcomes[session->asked[index / 2]];
    free(outcome->country); /* of an attempt that failed after all */
    outcome->country = country == NULL ? NULL : strdup(country);
    json_decref(root);
}

/* Both requests of an item end here, in either order; the second one finishes it. The slot that
 * the hook is shown may be gone afterwards: results are copied. */
static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct get_session *session = user;
    size_t parts = requests_per_item(session);
    struct get_item *item = &session->list->items[session->asked[index / parts]];
    struct get_outcome *outcome = &session->outcomes[session->asked[index / parts]];

    (void)pthread_mutex_lock(&session->lock);
    outcome->parts[index % parts] = *result;
    if (++outcome->ended == parts) {
        if (parts == 2) {
            take_name(session, item, outcome);
        }
        outcome->result = outcome->parts[0].status != TRANSFER_OK || parts == 1
                              ? &outcome->parts[0]
                              : &outcome->parts[1];
        if (outcome->result->status == TRANSFER_OK) {
            get_record_add(session->record, item, &outcome->parts[0]);
        }
        count(session, outcome);
        tell(session, item, outcome->result);
    }
    (void)pthread_mutex_unlock(&session->lock);
}

/* The backend could not go on: flags whose countries nobody is going to ask for any more. */
static void drop_unnamed(const struct get_session *session)
{
    for (size_t i = 0; session->options->names && i < session->asked_count; i++) {
        const struct get_outcome *outcome = &session->outcomes[session->asked[i]];
        if (outcome->ended == 1 && outcome->parts[0].status == TRANSFER_OK) {
            (void)unlinkat(session->dir_fd, session->list->items[session->asked[i]].name, 0);
        }
    }
}

/* Backends ask several times a second, also when nothing completes: the clock of the record. */
static int on_cancelled(void *user)
{
    struct get_session *session = user;

    if (get_record_is_due(session->record)) {
        (void)pthread_mutex_lock(&session->lock);
        get_record_flush(session->record);
        (void)pthread_mutex_unlock(&session->lock);
    }
    return interrupted();
}

/* ---- the run ---- */

int get_session_run(struct get_session *session, const struct bench_backend *backend)
{
    const struct get_options *options = session->options;
    const struct download_hooks hooks = {
        .user = session,
        .on_complete = on_complete,
        .on_body = options->names ? on_body : NULL,
        .cancelled = on_cancelled,
    };
    const struct download_job job = {
        .struct_size = sizeof job,
        .flags = DOWNLOAD_SAVE_ATOMIC,
        .requests = session->requests,
        .count = request_count(session),
        .concurrency = options->in_flight,
        .loops = session->loops,
        .timeout_ns = options->timeout_ns,
        .body_bytes_max = options->body_bytes_max,
        .attempts_max = options->retries + 1,
        .redirects_max = 5,
        .output_dir_fd = session->dir_fd,
        .run_mark = "get",
        .hooks = &hooks,
        .ca_file = options->ca_file,
    };

    make_requests(session);
    get_record_begin(session->record);
    session->started_ns = clock_now_ns();
    int result = job.count == 0 ? 0 : backend->download_many(&job, session->results);
    session->finished_ns = clock_now_ns();
    if (result != 0) {
        drop_unnamed(session);
    }
    draw_bar(session, true);
    if (session->column) {
        (void)printf("\n");
    }
    return result;
}

/* ---- how it ended ---- */

/* Of codes that were only tried, not those that are nobody's. */
static bool is_told(const struct get_session *session, const struct transfer_result *result)
{
    bool is_list = session->options->list != NULL;

    return result != NULL && result->status != TRANSFER_OK &&
           result->status != TRANSFER_CANCELLED &&
           (is_list || result->status != TRANSFER_NOT_FOUND);
}

static void print_failures(const struct get_session *session)
{
    for (size_t i = 0; i < session->list->count; i++) {
        const struct transfer_result *result = session->outcomes[i].result;
        if (!is_told(session, result)) {
            continue;
        }
        (void)printf("  %s after %u attempt%s: %s%s%s\n",
                     transfer_status_name((enum transfer_status)result->status), result->attempts,
                     result->attempts == 1 ? "" : "s", session->list->items[i].url,
                     result->message[0] == '\0' ? "" : ": ", result->message);
    }
}

static void print_count(size_t number, const char *what, const char *whats, const char *end)
{
    (void)printf("%zu %s%s\n", number, number == 1 ? what : whats, end);
}

int get_session_report(const struct get_session *session)
{
    const struct get_counts *counts = &session->counts;
    bool is_list = session->options->list != NULL;

    if (counts->skipped > 0) {
        print_count(counts->skipped, "was", "were", " complete already.");
    }
    print_count(counts->downloaded, is_list ? "file" : "flag", is_list ? "files" : "flags",
                " downloaded.");
    if (counts->not_found > 0) {
        print_count(counts->not_found, "not found", "not found", ".");
    }
    if (counts->errors > 0) {
        print_count(counts->errors, "error", "errors", ".");
    }
    if (counts->unfinished > 0) {
        print_count(counts->unfinished, "not finished", "not finished", ".");
    }
    print_failures(session);
    (void)printf("Elapsed time: %.2fs\n",
                 (double)(session->finished_ns - session->started_ns) / (double)NS_PER_S);
    return fflush(stdout) == 0 && !ferror(stdout) ? 0 : -EIO;
}
