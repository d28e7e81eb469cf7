/** Where a server has the flag of a country. */
#ifndef BENCH_FLAG_URL_H
#define BENCH_FLAG_URL_H

#include <stdbool.h>

/** "http://host/x/{cc}.png" with every {cc} replaced, or "/cc/cc.gif" appended.
 *  @param cc  two lower-case letters @return for the caller to free; NULL: no memory */
char *flag_url(const char *pattern, const char *cc);

/** "/cc/metadata.json" appended. The same return; a pattern with {cc} has none. */
char *flag_metadata_url(const char *base, const char *cc);

bool flag_url_is_pattern(const char *pattern);

#endif
