/**
 * What `bench get` has saved into a folder: for --resume, which has to tell a file that is there
 * from one that is complete. A text file of "bytes xxh3 name URL" lines in
 * $XDG_STATE_HOME/bench (default ~/.local/state/bench), one for each folder.
 */
#ifndef BENCH_GET_RECORD_H
#define BENCH_GET_RECORD_H

#include "get_list.h"

struct get_record_entry {
    char *key;  /* of the item */
    char *name; /* of the file */
    uint64_t bytes;
    uint64_t xxh3;
    bool replaced; /* fetched anew in this run */
};

struct get_record {
    char *path;                       /* NULL: there is no place for it */
    struct get_record_entry *entries; /* sorted by key, when just read */
    size_t count;
};

/** Find and read the record of a folder; none is fine. @return 0, -ENOMEM */
int get_record_read(struct get_record *record, const char *output_dir);

/**
 * Mark the items whose files are complete: they have the length and the hash that the manifest
 * says, or else those that they had when they were saved.
 * @return 0; -EINTR when the user stops
 */
int get_record_find_complete(const struct get_record *record, struct get_list *list, int dir_fd);

struct get_session;

/** Write it anew, with what the session has downloaded. @return 0 or -errno */
int get_record_write(struct get_record *record, const struct get_session *session);

void get_record_release(struct get_record *record);

#endif
