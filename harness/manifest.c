#include "manifest.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int parse_hex64(const char *text, uint64_t *value)
{
    char *end = NULL;

    if (text == NULL || strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16) {
        return -EINVAL;
    }
    *value = strtoull(text, &end, 16);
    return 0;
}

static int parse_flag(struct manifest_flag *flag, const json_t *item)
{
    const char *cc = json_string_value(json_object_get(item, "cc"));
    const char *path = json_string_value(json_object_get(item, "path"));
    const json_t *bytes = json_object_get(item, "bytes");

    if (cc == NULL || strlen(cc) != 2 || strspn(cc, "abcdefghijklmnopqrstuvwxyz") != 2 ||
        path == NULL || path[0] != '/' || !json_is_integer(bytes) ||
        json_integer_value(bytes) < 0) {
        return -EINVAL;
    }
    memcpy(flag->cc, cc, sizeof flag->cc);
    flag->bytes = (uint64_t)json_integer_value(bytes);
    if (parse_hex64(json_string_value(json_object_get(item, "xxh3")), &flag->xxh3) != 0) {
        return -EINVAL;
    }
    flag->path = strdup(path);
    return flag->path == NULL ? -ENOMEM : 0;
}

static int parse_root(struct manifest *manifest, const json_t *root)
{
    const char *corpus = json_string_value(json_object_get(root, "corpus"));
    const char *admin = json_string_value(json_object_get(root, "admin"));
    const json_t *flags = json_object_get(root, "flags");
    uint64_t ignored;
    int error = 0;

    if (parse_hex64(corpus, &ignored) != 0 || json_array_size(flags) == 0) {
        return -EINVAL;
    }
    memcpy(manifest->corpus, corpus, sizeof manifest->corpus);
    manifest->admin = admin == NULL ? NULL : strdup(admin);
    manifest->flags = calloc(json_array_size(flags), sizeof manifest->flags[0]);
    if (manifest->flags == NULL || (admin != NULL && manifest->admin == NULL)) {
        return -ENOMEM;
    }
    while (error == 0 && manifest->count < json_array_size(flags)) {
        error =
            parse_flag(&manifest->flags[manifest->count], json_array_get(flags, manifest->count));
        manifest->count++;
    }
    return error;
}

int manifest_parse(struct manifest *manifest, const char *text, size_t text_bytes)
{
    json_t *root = json_loadb(text, text_bytes, JSON_REJECT_DUPLICATES, NULL);
    int error = -EINVAL;

    *manifest = (struct manifest){.count = 0};
    if (root != NULL) {
        error = parse_root(manifest, root);
        json_decref(root);
    }
    if (error != 0) {
        manifest_release(manifest);
    }
    return error;
}

void manifest_release(struct manifest *manifest)
{
    for (size_t i = 0; i < manifest->count; i++) {
        free(manifest->flags[i].path);
    }
    free(manifest->flags);
    free(manifest->admin);
    *manifest = (struct manifest){.count = 0};
}
