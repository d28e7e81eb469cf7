#include "file_name.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define MARK_BYTES 17 /* '-' and 16 digits */
#define ENDING_BYTES_MAX 16

/* What stays of a name without a mark: a mark has to fit behind it. */
#define PLAIN_BYTES_MAX (FILE_NAME_BYTES_MAX - 1 - MARK_BYTES)

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._-+=,@()", c) != NULL);
}

/* Where the ending begins: at the last dot, when what follows is short. */
static size_t ending_at(const char *name, size_t bytes)
{
    for (size_t at = bytes; at > 1 && bytes - at < ENDING_BYTES_MAX; at--) {
        if (name[at - 1] == '.') {
            return at - 1;
        }
    }
    return bytes;
}

/* Keep the ending, which says what kind of file it is. */
static size_t cut(char *name, size_t bytes)
{
    if (bytes <= PLAIN_BYTES_MAX) {
        return bytes;
    }
    size_t at = ending_at(name, bytes);
    size_t ending_bytes = bytes - at;
    memmove(name + PLAIN_BYTES_MAX - ending_bytes, name + at, ending_bytes);
    return PLAIN_BYTES_MAX;
}

#define TEXT_BYTES_MAX 4096 /* what lies behind is not looked at */

void file_name_of_text(const char *text, size_t text_bytes, char out[static FILE_NAME_BYTES_MAX])
{
    char name[TEXT_BYTES_MAX];
    size_t bytes = 0;

    for (size_t i = 0; i < text_bytes && bytes < sizeof name; i++) {
        bool plain = is_plain((unsigned char)text[i]) && (bytes > 0 || text[i] != '.');
        if (plain) {
            name[bytes++] = text[i];
        } else if (bytes == 0 || name[bytes - 1] != '_') {
            name[bytes++] = '_';
        }
    }
    if (bytes == 0) {
        name[bytes++] = '_';
    }
    bytes = cut(name, bytes);
    memcpy(out, name, bytes);
    out[bytes] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1; what is no such triplet stays as it is. */
static size_t percent_decode(const char *text, size_t bytes, char *out)
{
    size_t used = 0;

    for (size_t i = 0; i < bytes; i++) {
        int high = text[i] == '%' && i + 2 < bytes ? hex_value(text[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            out[used++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[used++] = text[i];
        }
    }
    return used;
}

void file_name_of_path(const char *path, size_t path_bytes, char out[static FILE_NAME_BYTES_MAX])
{
    char decoded[TEXT_BYTES_MAX];
    const char *query = memchr(path, '?', path_bytes);
    size_t end = query == NULL ? path_bytes : (size_t)(query - path);

    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') {
        begin--;
    }
    if (begin == end) {
        file_name_of_text("index", strlen("index"), out);
        return;
    }
    /* The split came first: a decoded "/" is a byte like any other that is not plain. */
    size_t bytes = end - begin < sizeof decoded ? end - begin : sizeof decoded;
    file_name_of_text(decoded, percent_decode(path + begin, bytes, decoded), out);
}

void file_name_mark(char name[static FILE_NAME_BYTES_MAX], uint64_t hash)
{
    char ending[FILE_NAME_BYTES_MAX];
    size_t bytes = strlen(name);
    size_t at = ending_at(name, bytes);

    if (bytes + MARK_BYTES >= FILE_NAME_BYTES_MAX) { /* marked before: the new mark replaces it */
        bytes = cut(name, bytes);
        name[bytes] = '\0';
        at = ending_at(name, bytes);
    }
    (void)snprintf(ending, sizeof ending, "%s", name + at);
    (void)snprintf(name + at, FILE_NAME_BYTES_MAX - at, "-%016" PRIx64 "%s", hash, ending);
}
