#include "get_record.h"

#include "folder.h"
#include "get_session.h"
#include "interrupt.h"
#include "output_file.h"

#include "backends/body_hash.h"
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

/* A line that is not as we write them is passed over: its file will be fetched again. */
static int add_line(struct get_record *record, char *line)
{
    struct get_record_entry entry = {.key = NULL};
    int name_at = 0;

    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%" SCNu64 " %" SCNx64 " %n", &entry.bytes, &entry.xxh3, &name_at) != 2) {
        return 0;
    }
    char *name = line + name_at;
    char *space = strchr(name, ' ');
    if (name_at == 0 || space == NULL) {
        return 0;
    }
    *space = '\0';
    if (!save_name_is_safe(name)) {
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

int get_record_read(struct get_record *record, const char *output_dir)
{
    char *line = NULL;
    size_t line_bytes = 0;
    int error = 0;

    *record = (struct get_record){.path = path_of_record(output_dir)};
    FILE *file = record->path == NULL ? NULL : fopen(record->path, "re");
    if (file == NULL) {
        return 0;
    }
    while (error == 0 && getline(&line, &line_bytes, file) >= 0) {
        error = add_line(record, line);
    }
    free(line);
    (void)fclose(file);
    if (error == 0 && record->count > 0) {
        qsort(record->entries, record->count, sizeof record->entries[0], compare_keys);
    }
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

static struct get_record_entry *find(const struct get_record *record, const char *key)
{
    const struct get_record_entry wanted = {.key = (char *)(uintptr_t)key};

    return record->count == 0 ? NULL
                              : bsearch(&wanted, record->entries, record->count,
                                        sizeof record->entries[0], compare_keys);
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

/* ---- write ---- */

struct record_content {
    const struct get_record *record;
    const struct get_session *session;
};

static bool is_downloaded(const struct get_session *session, size_t index)
{
    const struct transfer_result *result = session->outcomes[index].result;

    return result != NULL && result->status == TRANSFER_OK;
}

static void write_entry(FILE *file, const struct get_record_entry *entry)
{
    (void)fprintf(file, "%" PRIu64 " %016" PRIx64 " %s %s\n", entry->bytes, entry->xxh3,
                  entry->name, entry->key);
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
        const struct transfer_result *file_result = &session->outcomes[i].parts[0];
        if (is_downloaded(session, i)) {
            write_entry(file, &(struct get_record_entry){
                                  .key = session->list->items[i].key,
                                  .name = session->list->items[i].name,
                                  .bytes = file_result->body_bytes,
                                  .xxh3 = file_result->body_xxh3,
                              });
        }
    }
    return ferror(file) ? -EIO : 0;
}

int get_record_write(struct get_record *record, const struct get_session *session)
{
    const struct record_content content = {.record = record, .session = session};

    if (record->path == NULL) {
        return -ENOENT;
    }
    for (size_t i = 0; i < session->list->count; i++) {
        struct get_record_entry *old = find(record, session->list->items[i].key);
        if (old != NULL && is_downloaded(session, i)) {
            old->replaced = true;
        }
    }
    return output_file_write(record->path, write_entries, &content);
}

void get_record_release(struct get_record *record)
{
    for (size_t i = 0; i < record->count; i++) {
        free(record->entries[i].key);
        free(record->entries[i].name);
    }
    free(record->entries);
    free(record->path);
    *record = (struct get_record){.count = 0};
}
