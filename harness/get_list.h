/** What `bench get` downloads: URLs, the files they become, and what is known of them. */
#ifndef BENCH_GET_LIST_H
#define BENCH_GET_LIST_H

#include "file_name.h"
#include "get_options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

struct get_item {
    char *url;
    char *metadata_url; /* with --names; else NULL */
    char *key;          /* of the record: the URL, or what stands for it on a server of ours */
    char label[3];      /* "BR"; empty: not a flag */
    char name[FILE_NAME_BYTES_MAX]; /* of the file; with --names a provisional one at first */
    uint64_t bytes;                 /* with `expected` */
    uint64_t xxh3;
    bool expected; /* the server's manifest says what the body is */
    bool complete; /* it is there already: nothing to do */
    bool settled;  /* the name is the one that it was saved under before */
};

struct get_list {
    struct get_item *items;
    size_t count;
    size_t repeated; /* lines of the list left out: the same URL stands above */
    bool has_https;
};

/** Flags in order of their codes. @return 0; -EINVAL, -ENOMEM, with a line on stderr */
int get_list_flags(struct get_list *list, const struct get_options *options,
                   const struct server *server);

/** The URLs of options->list. Same return; -errno when it cannot be read. */
int get_list_urls(struct get_list *list, const struct get_options *options);

/** Is this the name of somebody else's file? */
typedef bool get_list_is_taken(const void *user, const char *name);

/**
 * Names that several items have get a hash of the URL, each of them: so what a URL's file is called
 * does not depend on the order of the list. So do those that are taken. Settled names stay: no two
 * of them may be the same.
 * @param is_taken  NULL: none is
 * @return 0; -EINVAL, with a line on stderr; -ENOMEM
 */
int get_list_tell_apart(struct get_list *list, get_list_is_taken *is_taken, const void *user);

void get_list_release(struct get_list *list);

#endif
