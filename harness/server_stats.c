#include "server_stats.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct server_path_count *)a)->path,
                  ((const struct server_path_count *)b)->path);
}

static int take_number(const json_t *root, const char *name, uint64_t *value)
{
    const json_t *item = json_object_get(root, name);

    if (!json_is_integer(item) || json_integer_value(item) < 0) {
        return -EINVAL;
    }
    *value = (uint64_t)json_integer_value(item);
    return 0;
}

static int take_paths(struct server_stats *stats, json_t *paths)
{
    const char *path;
    json_t *count;

    if (!json_is_object(paths)) {
        return -EINVAL;
    }
    stats->paths = calloc(json_object_size(paths) + 1, sizeof stats->paths[0]);
    if (stats->paths == NULL) {
        return -ENOMEM;
    }
    json_object_foreach(paths, path, count)
    {
        struct server_path_count *entry = &stats->paths[stats->paths_count];
        entry->path = strdup(path);
        entry->requests = (uint64_t)json_integer_value(count);
        if (entry->path == NULL) {
            return -ENOMEM;
        }
        stats->paths_count++;
    }
    qsort(stats->paths, stats->paths_count, sizeof stats->paths[0], compare_paths);
    return 0;
}

static int take_root(struct server_stats *stats, const json_t *root)
{
    const json_t *user = json_object_get(root, "cpu_user_s");
    const json_t *system = json_object_get(root, "cpu_sys_s");

    if (take_number(root, "requests", &stats->requests) != 0 ||
        take_number(root, "accepted", &stats->accepted) != 0 ||
        take_number(root, "max_in_flight", &stats->max_in_flight) != 0 || !json_is_number(user) ||
        !json_is_number(system)) {
        return -EINVAL;
    }
    stats->cpu_s = json_number_value(user) + json_number_value(system);
    const json_t *transports = json_object_get(root, "by_transport");
    if (transports != NULL) {
        return take_number(transports, "tcp", &stats->over_tcp) != 0
                   ? -EINVAL
                   : take_paths(stats, json_object_get(root, "keys"));
    }
    return take_number(root, "duplicates", &stats->duplicates) != 0
               ? -EINVAL
               : take_paths(stats, json_object_get(root, "paths"));
}

int server_stats_parse(struct server_stats *stats, const char *text, size_t text_bytes)
{
    json_t *root = json_loadb(text, text_bytes, 0, NULL);
    int error = -EINVAL;

    *stats = (struct server_stats){.requests = 0};
    if (root != NULL) {
        error = take_root(stats, root);
        json_decref(root);
    }
    if (error != 0) {
        server_stats_release(stats);
    }
    return error;
}

uint64_t server_stats_path(const struct server_stats *stats, const char *path)
{
    struct server_path_count key = {.path = (char *)path};
    const struct server_path_count *found = stats->paths_count == 0
                                                ? NULL
                                                : bsearch(&key, stats->paths, stats->paths_count,
                                                          sizeof stats->paths[0], compare_paths);
    return found == NULL ? 0 : found->requests;
}

void server_stats_release(struct server_stats *stats)
{
    for (size_t i = 0; i < stats->paths_count; i++) {
        free(stats->paths[i].path);
    }
    free(stats->paths);
    *stats = (struct server_stats){.requests = 0};
}
