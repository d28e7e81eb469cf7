#include "workload.h"

#include "flag_url.h"
#include "http_client.h"
#include "keywords.h"
#include "log.h"
#include "manifest.h"
#include "scenario.h"

#include "backends/body_hash.h"
#include "backends/save.h"
#include "backends/url.h"
#include "mockserver/country.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text_of(const char *format, ...)
{
    va_list args;
    char *text = NULL;

    va_start(args, format);
    int written = vasprintf(&text, format, args);
    va_end(args);
    return written < 0 ? NULL : text;
}

static int reserve(struct workload *workload, size_t count)
{
    *workload = (struct workload){.count = 0};
    workload->targets = calloc(count, sizeof workload->targets[0]);
    return workload->targets == NULL ? -ENOMEM : 0;
}

/* The path that a server sees, without query. */
static char *path_of_url(const char *url)
{
    struct url_view view;

    if (url_parse(url, &view) != 0) {
        return NULL;
    }
    const char *query = memchr(view.path, '?', view.path_bytes);
    size_t bytes = query == NULL ? view.path_bytes : (size_t)(query - view.path);
    return strndup(view.path, bytes);
}

/* "CN.gif": upper case, the ending that the path has. */
static char *flag_save_name(const char *cc, const char *path)
{
    const char *dot = strrchr(path, '.');
    char *name = text_of("%c%c%s", cc[0] - 'a' + 'A', cc[1] - 'a' + 'A', dot == NULL ? "" : dot);

    if (name != NULL && !save_name_is_safe(name)) {
        free(name);
        name = text_of("%c%c", cc[0] - 'a' + 'A', cc[1] - 'a' + 'A');
    }
    return name;
}

static bool complete(const struct workload_target *target)
{
    return target->url != NULL && target->save_name != NULL && target->path != NULL;
}

static const struct manifest_flag *find_flag(const struct manifest *manifest, const char *cc)
{
    for (size_t i = 0; i < manifest->count; i++) {
        if (strcmp(manifest->flags[i].cc, cc) == 0) {
            return &manifest->flags[i];
        }
    }
    return NULL;
}

static int add_flag(struct workload *workload, const char *origin, const struct manifest_flag *flag,
                    uint64_t size_bytes, bool spare)
{
    struct workload_target *target = &workload->targets[workload->count++];
    char query[48] = "";

    if (size_bytes > 0) {
        (void)snprintf(query, sizeof query, "?size=%" PRIu64, size_bytes);
    }
    target->url = text_of("%s%s%s", origin, flag->path, query);
    target->path = strdup(flag->path);
    target->save_name = flag_save_name(flag->cc, flag->path);
    if (spare) {
        target->warmup_url = text_of("%s%s%s%sdelay=0&fault=none", origin, flag->path, query,
                                     query[0] == '\0' ? "?" : "&");
    }
    target->bytes = flag->bytes;
    target->xxh3 = flag->xxh3;
    target->expected = size_bytes == 0;
    return complete(target) && (target->warmup_url != NULL || !spare) ? 0 : -ENOMEM;
}

/* Sized bodies are in no manifest: each is fetched once, by the harness itself. */
static int learn_bodies(struct workload *workload)
{
    for (size_t i = 0; i < workload->count; i++) {
        struct workload_target *target = &workload->targets[i];
        struct http_reply reply;
        const char *url = target->warmup_url != NULL ? target->warmup_url : target->url;
        int error = http_client_get(url, &reply);
        if (error == 0 && reply.status == 200) {
            target->bytes = reply.body_bytes;
            target->xxh3 = body_hash(reply.body, reply.body_bytes);
            target->expected = true;
        } else {
            log_error("%s: cannot learn the body: HTTP status %d %s", url, reply.status,
                      reply.error);
            error = -EIO;
        }
        http_reply_release(&reply);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static int add_wanted_flags(struct workload *workload, const char *origin,
                            const struct manifest *manifest, bool all, uint64_t size_bytes,
                            bool spare)
{
    size_t wanted = all ? manifest->count : sizeof scenario_pop20 / sizeof scenario_pop20[0];
    int error = 0;

    for (size_t i = 0; i < wanted && error == 0; i++) {
        const struct manifest_flag *flag =
            all ? &manifest->flags[i] : find_flag(manifest, scenario_pop20[i]);
        if (flag == NULL) {
            log_warn("the server has no flag '%s'; left out", scenario_pop20[i]);
        } else {
            error = add_flag(workload, origin, flag, size_bytes, spare);
        }
    }
    return error;
}

int workload_from_manifest(struct workload *workload, const char *origin,
                           const struct manifest *manifest, bool all, uint64_t size_bytes,
                           bool spare)
{
    size_t room = manifest->count > 20 ? manifest->count : 20;

    if (reserve(workload, room) != 0) {
        return -ENOMEM;
    }
    memcpy(workload->corpus, manifest->corpus, sizeof workload->corpus);
    workload->verified = true;
    int error = add_wanted_flags(workload, origin, manifest, all, size_bytes, spare);
    if (error == 0 && workload->count == 0) {
        log_error("the server's manifest has none of the flags wanted");
        error = -ENOENT;
    }
    if (error == 0 && size_bytes > 0) {
        error = learn_bodies(workload);
    }
    if (error != 0) {
        workload_release(workload);
    }
    return error;
}

int workload_from_pattern(struct workload *workload, const char *pattern, bool all)
{
    size_t count = all ? COUNTRY_COUNT : sizeof scenario_pop20 / sizeof scenario_pop20[0];

    if (reserve(workload, count) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        const char *cc = all ? countries[i].cc : scenario_pop20[i];
        struct workload_target *target = &workload->targets[workload->count++];
        target->url = flag_url(pattern, cc);
        target->path = target->url == NULL ? NULL : path_of_url(target->url);
        target->save_name = target->path == NULL ? NULL : flag_save_name(cc, target->path);
        if (!complete(target)) {
            workload_release(workload);
            return -ENOMEM;
        }
    }
    return 0;
}

int workload_of_names(struct workload *workload, const char *server, size_t count)
{
    if (reserve(workload, count) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct workload_target *target = &workload->targets[workload->count++];
        size_t number = i / KEYWORDS_COUNT;
        target->path = number == 0 ? text_of("%s.dev", keywords[i])
                                   : text_of("%s-%zu.dev", keywords[i % KEYWORDS_COUNT], number);
        target->url = target->path == NULL ? NULL : text_of("dns://%s/%s", server, target->path);
        target->save_name = strdup("");
        if (!complete(target)) {
            workload_release(workload);
            return -ENOMEM;
        }
    }
    return 0;
}

static int add_line(struct workload *workload, const char *file, size_t line_number, char *line)
{
    struct url_view view;

    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') {
        return 0;
    }
    if (url_parse(line, &view) != 0) {
        log_error("%s:%zu: '%s': want an http URL", file, line_number, line);
        return -EINVAL;
    }
    if (workload->count == WORKLOAD_TARGETS_MAX) {
        log_error("%s: more than %d URLs", file, WORKLOAD_TARGETS_MAX);
        return -EINVAL;
    }
    /* Doubled whenever the count reaches a power of two. */
    if ((workload->count & (workload->count - 1)) == 0) {
        size_t room = workload->count == 0 ? 1 : workload->count * 2;
        struct workload_target *grown =
            reallocarray(workload->targets, room, sizeof workload->targets[0]);
        if (grown == NULL) {
            return -ENOMEM;
        }
        workload->targets = grown;
    }
    struct workload_target *target = &workload->targets[workload->count];
    *target = (struct workload_target){
        .url = strdup(line),
        .path = path_of_url(line),
        .save_name = text_of("%06zu", workload->count + 1),
    };
    workload->count++;
    return complete(target) ? 0 : -ENOMEM;
}

int workload_from_file(struct workload *workload, const char *path)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t line_bytes = 0;
    int error = 0;

    *workload = (struct workload){.count = 0};
    if (file == NULL) {
        error = -errno;
        log_error("--urls '%s': %s", path, strerrordesc_np(-error));
        return error;
    }
    for (size_t number = 1; error == 0 && getline(&line, &line_bytes, file) >= 0; number++) {
        error = add_line(workload, path, number, line);
    }
    if (error == 0 && workload->count == 0) {
        log_error("--urls '%s': no URL in it", path);
        error = -EINVAL;
    }
    free(line);
    (void)fclose(file);
    if (error != 0) {
        workload_release(workload);
    }
    return error;
}

void workload_release(struct workload *workload)
{
    for (size_t i = 0; i < workload->count; i++) {
        free(workload->targets[i].url);
        free(workload->targets[i].warmup_url);
        free(workload->targets[i].save_name);
        free(workload->targets[i].path);
    }
    free(workload->targets);
    *workload = (struct workload){.count = 0};
}
