#include "get_list.h"

#include "flag_url.h"
#include "log.h"
#include "server_process.h"

#include "backends/body_hash.h"
#include "backends/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URLS_MAX 10000000

/* ---- flags ---- */

/* What the codes are appended to. @return for the caller to free; NULL: no memory */
static char *base_of(const struct get_options *options, const struct server *server)
{
    char *base = NULL;

    if (options->label == GET_URL) {
        return strdup(options->server);
    }
    return asprintf(&base, "%s/flags", server->origin) < 0 ? NULL : base;
}

/* The manifest's word on this very URL, if it has one. */
static void expect(struct get_item *item, const struct server *server, const char *cc)
{
    size_t origin_bytes = strlen(server->origin);

    for (size_t i = 0; server->has_manifest && i < server->manifest.count; i++) {
        const struct manifest_flag *flag = &server->manifest.flags[i];
        if (strcmp(flag->cc, cc) == 0 && strncmp(item->url, server->origin, origin_bytes) == 0 &&
            strcmp(item->url + origin_bytes, flag->path) == 0) {
            item->expected = true;
            item->bytes = flag->bytes;
            item->xxh3 = flag->xxh3;
        }
    }
}

/* A server of ours listens on another port each time: the record has to know its flags again. */
static char *key_of(const struct get_options *options, const struct server *server, const char *url)
{
    char *key = NULL;

    if (options->label == GET_URL) {
        return strdup(url);
    }
    return asprintf(&key, "mock:%s", url + strlen(server->origin)) < 0 ? NULL : key;
}

/* "BR.gif": the ending that the path has. Until its country is known it is "BR~unnamed.gif", as no
 * file of another run is called: names made of URLs and of countries have no '~' (file_name.h). */
static void name_flag(struct get_item *item, const char *url, bool by_country)
{
    struct url_view view;
    char of_path[FILE_NAME_BYTES_MAX];

    of_path[0] = '\0';
    if (url_parse(url, &view) == 0) {
        file_name_of_path(view.path, view.path_bytes, of_path);
    }
    const char *dot = strrchr(of_path, '.');
    (void)snprintf(item->name, sizeof item->name, "%s%s%.16s", item->label,
                   by_country ? "~unnamed" : "", dot == NULL ? "" : dot);
}

static int add_flag(struct get_list *list, const struct get_options *options,
                    const struct server *server, const char *base, size_t code)
{
    struct get_item *item = &list->items[list->count++];
    const char cc[3] = {(char)('a' + code / 26), (char)('a' + code % 26), '\0'};

    item->label[0] = (char)(cc[0] - 'a' + 'A');
    item->label[1] = (char)(cc[1] - 'a' + 'A');
    item->url = flag_url(base, cc);
    if (options->names) {
        item->metadata_url = flag_metadata_url(base, cc);
    }
    if (item->url == NULL || (options->names && item->metadata_url == NULL)) {
        return -ENOMEM;
    }
    name_flag(item, item->url, options->names);
    expect(item, server, cc);
    item->key = key_of(options, server, item->url);
    return item->key == NULL ? -ENOMEM : 0;
}

int get_list_flags(struct get_list *list, const struct get_options *options,
                   const struct server *server)
{
    *list = (struct get_list){.items = calloc(GET_CODES_MAX, sizeof list->items[0])};
    char *base = base_of(options, server);
    int error = base == NULL || list->items == NULL ? -ENOMEM : 0;

    if (error == 0 && options->names && flag_url_is_pattern(base)) {
        log_error("--names: wants a server with metadata.json beside each flag, not a pattern");
        error = -EINVAL;
    }
    for (size_t code = 0; error == 0 && code < GET_CODES_MAX; code++) {
        bool room = options->limit == 0 || list->count < options->limit;
        if (options->codes.wanted[code] && room) {
            error = add_flag(list, options, server, base, code);
        }
    }
    free(base);
    if (error == -ENOMEM) {
        log_error("out of memory");
    }
    return error;
}

/* ---- a list of URLs ---- */

static int grow(struct get_list *list)
{
    /* Doubled whenever the count reaches a power of two. */
    if ((list->count & (list->count - 1)) != 0) {
        return 0;
    }
    size_t room = list->count == 0 ? 1 : list->count * 2;
    struct get_item *grown = reallocarray(list->items, room, sizeof grown[0]);
    if (grown == NULL) {
        return -ENOMEM;
    }
    list->items = grown;
    return 0;
}

/* What is behind '#' is never sent: without it, the same URL is the same text. */
static char *trim(char *line)
{
    char *begin = line + strspn(line, " \t");
    size_t bytes = strcspn(begin, "\r\n");

    while (bytes > 0 && (begin[bytes - 1] == ' ' || begin[bytes - 1] == '\t')) {
        bytes--;
    }
    begin[bytes] = '\0';
    char *fragment = begin[0] == '#' ? NULL : strchr(begin, '#');
    if (fragment != NULL) {
        *fragment = '\0';
    }
    return begin;
}

static int add_line(struct get_list *list, const char *file, size_t number, char *line)
{
    struct url_view view;
    char *url = trim(line);

    if (url[0] == '\0' || url[0] == '#') {
        return 0;
    }
    int result = url_parse_any(url, &view);
    if (result != 0) {
        log_error("%s:%zu: '%s': want an absolute http or https URL%s", file, number,
                  get_options_hide_user(url),
                  result == -ENAMETOOLONG ? " of at most 2048 bytes"
                                          : " without user and password");
        return -EINVAL;
    }
    if (list->count == URLS_MAX) {
        log_error("%s: more than %d URLs", file, URLS_MAX);
        return -EINVAL;
    }
    if (grow(list) != 0) {
        return -ENOMEM;
    }
    struct get_item *item = &list->items[list->count++];
    *item = (struct get_item){.url = strdup(url), .key = strdup(url)};
    file_name_of_path(view.path, view.path_bytes, item->name);
    list->has_https = list->has_https || view.tls;
    return item->url == NULL || item->key == NULL ? -ENOMEM : 0;
}

static int read_lines(struct get_list *list, const char *path)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t line_bytes = 0;
    int error = 0;

    if (file == NULL) {
        error = -errno;
        log_error("--input-file '%s': %s", path, strerrordesc_np(-error));
        return error;
    }
    for (size_t number = 1; error == 0 && getline(&line, &line_bytes, file) >= 0; number++) {
        error = add_line(list, is_stdin ? "standard input" : path, number, line);
    }
    if (error == 0 && ferror(file)) {
        error = -EIO;
        log_error("--input-file '%s': cannot be read", path);
    }
    free(line);
    if (!is_stdin) {
        (void)fclose(file);
    }
    return error;
}

/* ---- no two items with one URL, no two with one name ---- */

static int compare_urls(const void *a, const void *b)
{
    const struct get_item *const *first = a;
    const struct get_item *const *second = b;
    int order = strcmp((*first)->url, (*second)->url);

    return order != 0 ? order : (*first > *second) - (*first < *second);
}

static int compare_names(const void *a, const void *b)
{
    const struct get_item *const *first = a;
    const struct get_item *const *second = b;

    return strcmp((*first)->name, (*second)->name);
}

static struct get_item **order_of(const struct get_list *list)
{
    struct get_item **order = calloc(list->count + 1, sizeof order[0]);

    for (size_t i = 0; order != NULL && i < list->count; i++) {
        order[i] = &list->items[i];
    }
    return order;
}

static int drop_repeated(struct get_list *list)
{
    struct get_item **order = order_of(list);
    size_t kept = 0;

    if (order == NULL) {
        return -ENOMEM;
    }
    qsort(order, list->count, sizeof order[0], compare_urls);
    for (size_t i = 1; i < list->count; i++) {
        if (strcmp(order[i]->url, order[i - 1]->url) == 0) {
            order[i]->complete = true; /* marks it, until it is gone */
        }
    }
    free(order);
    for (size_t i = 0; i < list->count; i++) {
        struct get_item *item = &list->items[i];
        if (!item->complete) {
            list->items[kept++] = *item;
        } else {
            free(item->url);
            free(item->key);
        }
    }
    list->repeated = list->count - kept;
    list->count = kept;
    return 0;
}

/* All of one name but a settled one. @return whether there were any */
static bool mark(struct get_item **items, size_t count, uint64_t pass)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        const char *url = items[i]->url;
        if (!items[i]->settled) {
            any = true;
            file_name_mark(items[i]->name, body_hash(url, strlen(url)) + pass);
        }
    }
    return any;
}

static bool mark_shared_names(struct get_list *list, struct get_item **order, uint64_t pass,
                              get_list_is_taken *is_taken, const void *user)
{
    bool any = false;

    qsort(order, list->count, sizeof order[0], compare_names);
    for (size_t begin = 0, end; begin < list->count; begin = end) {
        const struct get_item *first = order[begin];
        for (end = begin + 1;
             end < list->count && compare_names(&order[begin], &order[end]) == 0;) {
            end++;
        }
        if (end - begin > 1 ||
            (is_taken != NULL && !first->settled && is_taken(user, first->name))) {
            any = mark(&order[begin], end - begin, pass) || any;
        }
    }
    return any;
}

#define PASSES_MAX 8 /* the second is for a list made to collide with the marks of the first */

int get_list_tell_apart(struct get_list *list, get_list_is_taken *is_taken, const void *user)
{
    struct get_item **order = order_of(list);
    bool shared = true;

    if (order == NULL) {
        return -ENOMEM;
    }
    for (uint64_t pass = 0; pass < PASSES_MAX && shared; pass++) {
        shared = mark_shared_names(list, order, pass, is_taken, user);
    }
    free(order);
    if (shared) {
        log_error("the list makes file names that cannot be told apart");
    }
    return shared ? -EINVAL : 0;
}

int get_list_urls(struct get_list *list, const struct get_options *options)
{
    *list = (struct get_list){.count = 0};
    int error = read_lines(list, options->list);
    if (error == 0 && list->count == 0) {
        log_error("--input-file '%s': no URL in it", options->list);
        error = -EINVAL;
    }
    if (error == 0) {
        error = drop_repeated(list);
    }
    if (error == 0) {
        error = get_list_tell_apart(list, NULL, NULL);
    }
    if (error == -ENOMEM) {
        log_error("out of memory");
    }
    return error;
}

void get_list_release(struct get_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].url);
        free(list->items[i].metadata_url);
        free(list->items[i].key);
    }
    free(list->items);
    *list = (struct get_list){.count = 0};
}
