#include "get_record.h"

#include "folder.h"
#include "get_session.h"
#include "interrupt.h"
#include "output_file.h"

#include "backends/body_hash.h"
#include "backends/clock.h"
#include "backends/save.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- where it is ---- */

/* Made when it is not there. @return for the caller to free; NULL: none */
static char *state_folder(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    char *folder = NULL;
    int written = -1;

    if (state != NULL && state[0] == '/') { /* relative ones are invalid: XDG base directories */
        written = asprintf(&folder, "%s/bench", state);
    } else if (home != NULL && home[0] == '/') {
        written = asprintf(&folder, "%s/.local/state/bench", home);
    }
    if (written < 0) {
        return NULL;
    }
    (void)folder_make(folder, 0700); /* writing the record will tell */
    return folder;
}

static char *path_of_record(const char *output_dir)
{
    char real[PATH_MAX];
    char *path = NULL;
    char *folder = state_folder();

    if (folder == NULL || realpath(output_dir, real) == NULL ||
        asprintf(&path, "%s/get-%016" PRIx64 ".txt", folder, body_hash(real, strlen(real))) < 0) {
        path = NULL;
    }
    free(folder);
    return path;
}

/* ---- read ---- */

static int compare_keys(const void *a, const void *b)
{
    const struct get_record_entry *first = a;
    const struct get_record_entry *second = b;

    return strcmp(first->key, second->key);
}

static int compare_names(const void *a, const void *b)
{
    const struct get_record_entry *first = a;
    const struct get_record_entry *second = b;

    return strcmp(first->name, second->name);
}

static int compare_lines(const struct get_record_entry *a, const struct get_record_entry *b)
{
    return (a->line > b->line) - (a->line < b->line);
}

static int compare_keys_then_lines(const void *a, const void *b)
{
    int order = compare_keys(a, b);

    return order != 0 ? order : compare_lines(a, b);
}

static int compare_names_then_lines(const void *a, const void *b)
{
    int order = compare_names(a, b);

    return order != 0 ? order : compare_lines(a, b);
}

static void entry_release(struct get_record_entry *entry)
{
    free(entry->key);
    free(entry->name);
}

/* Of those that `compare` takes for the same, the last line alone. They are sorted by `sort`. */
static void keep_last(struct get_record *record, int (*compare)(const void *, const void *),
                      int (*sort)(const void *, const void *))
{
    struct get_record_entry *entries = record->entries;
    size_t kept = 0;

    qsort(entries, record->count, sizeof entries[0], sort);
    for (size_t i = 0; i < record->count; i++) {
        if (i + 1 < record->count && compare(&entries[i], &entries[i + 1]) == 0) {
            entry_release(&entries[i]);
        } else {
            entries[kept++] = entries[i];
        }
    }
    record->outdated = record->outdated || kept < record->count;
    record->count = kept;
}

/* One of get_list: a URL, or what stands for it. What was made of two lines has a space in it. */
static bool is_key(const char *text)
{
    return strchr(text, ':') != NULL && strchr(text, ' ') == NULL;
}

/* A line that is not as we write them is passed over: its file will be fetched again. */
static int add_line(struct get_record *record, char *line, size_t number)
{
    struct get_record_entry entry = {.line = number};
    int name_at = 0;

    if (sscanf(line, "%" SCNu64 " %" SCNx64 " %n", &entry.bytes, &entry.xxh3, &name_at) != 2) {
        return 0;
    }
    char *name = line + name_at;
    char *space = strchr(name, ' ');
    if (name_at == 0 || space == NULL) {
        return 0;
    }
    *space = '\0';
    if (!save_name_is_safe(name) || !is_key(space + 1)) {
        return 0;
    }
    if ((record->count & (record->count - 1)) == 0) {
        size_t room = record->count == 0 ? 1 : record->count * 2;
        struct get_record_entry *grown = reallocarray(record->entries, room, sizeof grown[0]);
        if (grown == NULL) {
            return -ENOMEM;
        }
        record->entries = grown;
    }
    entry.name = strdup(name);
    entry.key = strdup(space + 1);
    record->entries[record->count++] = entry;
    return entry.name == NULL || entry.key == NULL ? -ENOMEM : 0;
}

/* A torn line is passed over even if it looks whole: the end of its URL may be missing. */
static int read_lines(struct get_record *record, FILE *file)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t bytes = 0;
    int error = 0;

    for (size_t number = 0; error == 0 && (bytes = getline(&line, &room, file)) > 0; number++) {
        size_t before = record->count;
        record->torn = line[bytes - 1] != '\n';
        line[bytes - 1] = '\0';
        if (!record->torn && strlen(line) + 1 == (size_t)bytes) {
            error = add_line(record, line, number);
        }
        record->outdated = record->outdated || record->count == before;
    }
    free(line);
    return error;
}

int get_record_read(struct get_record *record, const char *output_dir)
{
    *record = (struct get_record){.path = path_of_record(output_dir)};
    FILE *file = record->path == NULL ? NULL : fopen(record->path, "re");
    if (file == NULL) {
        return 0;
    }
    int error = read_lines(record, file);
    (void)fclose(file);
    if (error == 0 && record->count > 0) {
        keep_last(record, compare_names, compare_names_then_lines);
        keep_last(record, compare_keys, compare_keys_then_lines);
    }
    return error;
}

static struct get_record_entry *find(const struct get_record *record, const char *key)
{
    const struct get_record_entry wanted = {.key = (char *)(uintptr_t)key};

    return record->count == 0 ? NULL
                              : bsearch(&wanted, record->entries, record->count,
                                        sizeof record->entries[0], compare_keys);
}

/* ---- names that are known ---- */

struct known_names {
    const char **names; /* [count], sorted */
    size_t count;
    int dir_fd;
};

static int compare_texts(const void *a, const void *b)
{
    const char *const *first = a;
    const char *const *second = b;

    return strcmp(*first, *second);
}

/* Asked of names that no item of the list was saved under: they are of other URLs. */
static bool is_taken(const void *user, const char *name)
{
    const struct known_names *known = user;
    struct stat status;

    return bsearch(&name, known->names, known->count, sizeof name, compare_texts) != NULL &&
           fstatat(known->dir_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

static void keep_names(const struct get_record *record, struct get_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct get_item *item = &list->items[i];
        const struct get_record_entry *entry = find(record, item->key);
        if (entry != NULL && strlen(entry->name) < sizeof item->name) {
            memcpy(item->name, entry->name, strlen(entry->name) + 1);
            item->settled = true;
        }
    }
}

int get_record_settle_names(const struct get_record *record, struct get_list *list, int dir_fd)
{
    struct known_names known = {
        .names = calloc(record->count + 1, sizeof known.names[0]),
        .count = record->count,
        .dir_fd = dir_fd,
    };

    if (known.names == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < record->count; i++) {
        known.names[i] = record->entries[i].name;
    }
    qsort(known.names, known.count, sizeof known.names[0], compare_texts);
    keep_names(record, list);
    int error = get_list_tell_apart(list, is_taken, &known);
    free(known.names);
    return error;
}

/* ---- compare with the folder ---- */

#define PIECE_BYTES (UINT64_C(1) << 20)

/* In pieces, for a large file takes longer than a user who stops wants to wait. */
static bool hash_is(const unsigned char *data, uint64_t bytes, uint64_t xxh3)
{
    if (bytes <= PIECE_BYTES) {
        return body_hash(data, bytes) == xxh3;
    }
    struct body_hash_stream *stream = body_hash_stream_create();
    uint64_t at = 0;
    while (stream != NULL && at < bytes && !interrupted()) {
        uint64_t piece_bytes = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
        body_hash_stream_update(stream, data + at, piece_bytes);
        at += piece_bytes;
    }
    bool same = at == bytes && body_hash_stream_digest(stream) == xxh3;
    body_hash_stream_destroy(stream);
    return same;
}

/* @return whether the file has this length and hash; false too when the user stops */
static bool file_is(int dir_fd, const char *name, uint64_t bytes, uint64_t xxh3)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    bool same = false;

    if (fd < 0) {
        return false;
    }
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size == bytes) {
        void *data = bytes == 0 ? NULL : mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data != MAP_FAILED) {
            same = hash_is(bytes == 0 ? (const void *)"" : data, bytes, xxh3);
        }
        if (data != MAP_FAILED && data != NULL) {
            (void)munmap(data, bytes);
        }
    }
    (void)close(fd);
    return same;
}

static void find_complete(const struct get_record *record, struct get_item *item, int dir_fd)
{
    const struct get_record_entry *entry = find(record, item->key);
    const char *name = entry != NULL ? entry->name : item->name;

    if (item->metadata_url != NULL && entry == NULL) {
        return; /* nobody knows yet what it is called */
    }
    if (item->expected) {
        item->complete = file_is(dir_fd, name, item->bytes, item->xxh3);
    } else if (entry != NULL) {
        item->complete = file_is(dir_fd, name, entry->bytes, entry->xxh3);
    }
    if (item->complete) {
        (void)snprintf(item->name, sizeof item->name, "%s", name);
    }
}

int get_record_find_complete(const struct get_record *record, struct get_list *list, int dir_fd)
{
    for (size_t i = 0; i < list->count && !interrupted(); i++) {
        find_complete(record, &list->items[i], dir_fd);
    }
    return interrupted() ? -EINTR : 0;
}

/* ---- append, while it runs ---- */

#define FLUSH_INTERVAL_NS NS_PER_S

static void write_entry(FILE *file, const struct get_record_entry *entry)
{
    (void)fprintf(file, "%" PRIu64 " %016" PRIx64 " %s %s\n", entry->bytes, entry->xxh3,
                  entry->name, entry->key);
}

static void write_item(FILE *file, const struct get_item *item, const struct transfer_result *saved)
{
    write_entry(file, &(struct get_record_entry){
                          .key = item->key,
                          .name = (char *)(uintptr_t)item->name,
                          .bytes = saved->body_bytes,
                          .xxh3 = saved->body_xxh3,
                      });
}

void get_record_begin(struct get_record *record)
{
    record->log = record->path == NULL ? NULL : fopen(record->path, "ae");
    if (record->log != NULL && record->torn) {
        (void)fputs(" \n", record->log); /* no key ends in a space: the line stays none of ours */
    }
}

void get_record_add(struct get_record *record, const struct get_item *item,
                    const struct transfer_result *file)
{
    if (record->log == NULL) {
        return;
    }
    write_item(record->log, item, file);
    if (atomic_load(&record->due_at_ns) == 0) {
        atomic_store(&record->due_at_ns, clock_now_ns() + FLUSH_INTERVAL_NS);
    }
}

bool get_record_is_due(struct get_record *record)
{
    uint64_t due_at_ns = atomic_load_explicit(&record->due_at_ns, memory_order_relaxed);

    return due_at_ns != 0 && clock_now_ns() >= due_at_ns;
}

void get_record_flush(struct get_record *record)
{
    if (record->log != NULL) {
        (void)fflush(record->log); /* an error shows in the end: then all is written anew */
    }
    atomic_store(&record->due_at_ns, 0);
}

/* @return whether all that was appended is in the file */
static bool end(struct get_record *record)
{
    if (record->log == NULL) {
        return false;
    }
    bool failed = ferror(record->log) != 0;
    failed = fclose(record->log) != 0 || failed;
    record->log = NULL;
    return !failed;
}

/* ---- write anew ---- */

struct record_content {
    const struct get_record *record;
    const struct get_session *session;
};

static bool is_downloaded(const struct get_session *session, size_t index)
{
    const struct transfer_result *result = session->outcomes[index].result;

    return result != NULL && result->status == TRANSFER_OK;
}

static int write_entries(FILE *file, const void *content)
{
    const struct get_record *record = ((const struct record_content *)content)->record;
    const struct get_session *session = ((const struct record_content *)content)->session;

    for (size_t i = 0; i < record->count; i++) {
        if (!record->entries[i].replaced) {
            write_entry(file, &record->entries[i]);
        }
    }
    for (size_t i = 0; i < session->list->count; i++) {
        if (is_downloaded(session, i)) {
            write_item(file, &session->list->items[i], &session->outcomes[i].parts[0]);
        }
    }
    return ferror(file) ? -EIO : 0;
}

int get_record_write(struct get_record *record, const struct get_session *session)
{
    const struct record_content content = {.record = record, .session = session};

    bool has_all = end(record);
    if (record->path == NULL) {
        return -ENOENT;
    }
    for (size_t i = 0; i < session->list->count; i++) {
        struct get_record_entry *old = find(record, session->list->items[i].key);
        if (old != NULL && is_downloaded(session, i)) {
            old->replaced = true;
            record->outdated = true;
        }
    }
    if (has_all && !record->outdated) {
        return 0;
    }
    return output_file_write(record->path, write_entries, &content);
}

void get_record_release(struct get_record *record)
{
    (void)end(record);
    for (size_t i = 0; i < record->count; i++) {
        entry_release(&record->entries[i]);
    }
    free(record->entries);
    free(record->path);
    *record = (struct get_record){.count = 0};
}
