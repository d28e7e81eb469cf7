/**
 * What `bench get` has saved into a folder: for --resume, which has to tell a file that is there
 * from one that is complete. A text file of "bytes xxh3 name URL" lines in
 * $XDG_STATE_HOME/bench (default ~/.local/state/bench), one for each folder. Lines are appended
 * as files complete, so that a run that is killed has not worked for nothing; when a run ends, a
 * file in which something is out of date is written anew without it.
 */
#ifndef BENCH_GET_RECORD_H
#define BENCH_GET_RECORD_H

#include "get_list.h"

#include <stdatomic.h>
#include <stdio.h>

struct transfer_result;

struct get_record_entry {
    char *key;  /* of the item */
    char *name; /* of the file */
    uint64_t bytes;
    uint64_t xxh3;
    size_t line;   /* of the file */
    bool replaced; /* fetched anew in this run */
};

struct get_record {
    char *path;                       /* NULL: there is no place for it */
    struct get_record_entry *entries; /* sorted by key; no two with one key or one name */
    size_t count;
    bool torn;                  /* the last line has no end: whoever wrote it was killed */
    bool outdated;              /* the file has lines that say nothing any more */
    FILE *log;                  /* lines of this run go there; NULL: they cannot be kept */
    _Atomic uint64_t due_at_ns; /* when they have to be in the file; 0: they are */
};

/** Find and read the record of a folder; none is fine. @return 0, -ENOMEM */
int get_record_read(struct get_record *record, const char *output_dir);

/**
 * Keep the names that URLs were saved under before, and do not take over a file that is there and
 * is another URL's. So the same list gets the same names again. @return as get_list_tell_apart
 */
int get_record_settle_names(const struct get_record *record, struct get_list *list, int dir_fd);

/**
 * Mark the items whose files are complete: they have the length and the hash that the manifest
 * says, or else those that they had when they were saved.
 * @return 0; -EINTR when the user stops
 */
int get_record_find_complete(const struct get_record *record, struct get_list *list, int dir_fd);

/** Have lines appended from here on, if that can be. */
void get_record_begin(struct get_record *record);

/** Append a line for an item that is complete; it may stay in memory for a second. One at a time.
 */
void get_record_add(struct get_record *record, const struct get_item *item,
                    const struct transfer_result *file);

/** Has a line been in memory for a second? From any thread, at any time. */
bool get_record_is_due(struct get_record *record);

/** Put into the file what is in memory. One at a time. */
void get_record_flush(struct get_record *record);

struct get_session;

/** Nothing is added any more; see that it has what the session has downloaded, and nothing that is
 *  out of date. @return 0 or -errno */
int get_record_write(struct get_record *record, const struct get_session *session);

void get_record_release(struct get_record *record);

#endif
