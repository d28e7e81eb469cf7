/*
 * The first line of the input is a URL, the rest a Location that it answered with. What is
 * accepted must be harmless in a request, and resolving must come to rest.
 */
#include "tests/fuzz/fuzz.h"

#include "backends/url.h"

#include "tests/support/guard_page.h"

#include <string.h>

#define INPUT_BYTES_MAX 8192

static void check_no_refused_byte(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned char c = (unsigned char)text[i];
        FUZZ_CHECK(c > 0x20 && c != 0x7f, "a byte that may end a line");
    }
}

static void check_view(const char *url, const struct url_view *view)
{
    size_t bytes = strlen(url);
    FUZZ_CHECK(bytes <= URL_BYTES_MAX, "a URL above the limit");
    FUZZ_CHECK(view->authority >= url && view->authority + view->authority_bytes <= url + bytes,
               "an authority outside the URL");
    FUZZ_CHECK(view->host >= view->authority &&
                   view->host + view->host_bytes <= view->authority + view->authority_bytes,
               "a host outside the authority");
    FUZZ_CHECK(view->host_bytes > 0, "an empty host");
    FUZZ_CHECK(view->port != 0, "port 0");
    FUZZ_CHECK(view->path_bytes > 0 && view->path[0] == '/', "a path that is not absolute");
    FUZZ_CHECK(memchr(view->path, '#', view->path_bytes) == NULL, "a fragment in the path");
    FUZZ_CHECK(memchr(view->authority, '@', view->authority_bytes) == NULL, "userinfo");
    FUZZ_CHECK(memchr(view->authority, '/', view->authority_bytes) == NULL, "a slash in a host");
    check_no_refused_byte(view->authority, view->authority_bytes);
    check_no_refused_byte(view->path, view->path_bytes);
}

static void check_no_dot_segment(const struct url_view *view)
{
    const char *query = memchr(view->path, '?', view->path_bytes);
    const char *end = query != NULL ? query : view->path + view->path_bytes;
    const char *segment = view->path + 1;
    while (segment <= end) {
        const char *slash = memchr(segment, '/', (size_t)(end - segment));
        size_t bytes = (size_t)((slash != NULL ? slash : end) - segment);
        FUZZ_CHECK(bytes != 1 || segment[0] != '.', "a dot segment is left");
        FUZZ_CHECK(bytes != 2 || memcmp(segment, "..", 2) != 0, "a dot segment is left");
        segment += bytes + 1;
    }
}

static void check_resolve(struct guard_page *page, const char *base, const uint8_t *data,
                          size_t bytes)
{
    char out[URL_BYTES_MAX + 1];
    char again[URL_BYTES_MAX + 1];
    struct url_view view;
    const char *location = guard_page_put(page, data, bytes);
    if (url_resolve(base, location, bytes, out, sizeof(out)) != 0) {
        return;
    }
    FUZZ_CHECK(url_parse(out, &view) == 0, "a resolved URL that does not parse");
    check_view(out, &view);
    check_no_dot_segment(&view);
    FUZZ_CHECK(url_same_authority(&view, &view), "a URL unlike itself");
    FUZZ_CHECK(url_resolve(out, "", 0, again, sizeof(again)) == 0, "a URL without a here");
    FUZZ_CHECK(strcmp(out, again) == 0, "a resolved URL that resolves to another");
    FUZZ_CHECK(url_resolve(base, out, strlen(out), again, sizeof(again)) == 0,
               "a resolved URL that is no reference");
    FUZZ_CHECK(strcmp(out, again) == 0, "a resolved URL that resolves to another");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static struct guard_page url_page;
    static struct guard_page location_page;
    struct url_view view;
    if (bytes > INPUT_BYTES_MAX) {
        return 0;
    }
    if (url_page.map == NULL) {
        guard_page_init(&url_page, INPUT_BYTES_MAX + 1);
        guard_page_init(&location_page, INPUT_BYTES_MAX);
    }
    const uint8_t *line_end = bytes > 0 ? memchr(data, '\n', bytes) : NULL;
    size_t url_bytes = line_end != NULL ? (size_t)(line_end - data) : bytes;
    size_t skipped_bytes = line_end != NULL ? url_bytes + 1 : bytes;
    char text[INPUT_BYTES_MAX + 1];
    memcpy(text, data, url_bytes);
    text[url_bytes] = '\0';
    const char *url = guard_page_put(&url_page, text, strlen(text) + 1);
    if (url_parse(url, &view) == 0) {
        check_view(url, &view);
        check_resolve(&location_page, url, data + skipped_bytes, bytes - skipped_bytes);
    }
    return 0;
}
