#include "flag_url.h"

#include "backends/url.h"

#include <stdio.h>
#include <string.h>

bool flag_url_is_pattern(const char *pattern)
{
    return strstr(pattern, "{cc}") != NULL;
}

static char *append(const char *base, const char *cc, const char *file, const char *ending)
{
    size_t bytes = strlen(base);
    bool slash = bytes > 0 && base[bytes - 1] == '/';
    char *url = NULL;

    return asprintf(&url, "%s%s%s/%s%s", base, slash ? "" : "/", cc, file, ending) < 0 ? NULL : url;
}

char *flag_url(const char *pattern, const char *cc)
{
    char url[URL_BYTES_MAX + 16];
    size_t used = 0;

    if (!flag_url_is_pattern(pattern)) {
        return append(pattern, cc, cc, ".gif");
    }
    for (const char *at = pattern; *at != '\0' && used + 2 < sizeof url;) {
        if (strncmp(at, "{cc}", 4) == 0) {
            url[used++] = cc[0];
            url[used++] = cc[1];
            at += 4;
        } else {
            url[used++] = *at++;
        }
    }
    url[used] = '\0';
    return strdup(url);
}

char *flag_metadata_url(const char *base, const char *cc)
{
    return append(base, cc, "metadata", ".json");
}
