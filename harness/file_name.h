/** Names for files that come from somebody else's URLs: plain, printable, no two the same. */
#ifndef BENCH_FILE_NAME_H
#define BENCH_FILE_NAME_H

#include <stddef.h>
#include <stdint.h>

#define FILE_NAME_BYTES_MAX 120 /* NUL included; within SAVE_NAME_BYTES_MAX of save.h */

/**
 * Any text as a file name: bytes other than letters, digits and "._-+=,@()" become '_', runs of
 * them one; so does a dot in front. Too long a text is cut before its ending (".gif").
 * Never empty, never longer than `out`, always a safe name (save_name_is_safe).
 */
void file_name_of_text(const char *text, size_t text_bytes, char out[static FILE_NAME_BYTES_MAX]);

/** The same for the last part of a URL's path, percent-decoded; "index" when that is empty. */
void file_name_of_path(const char *path, size_t path_bytes, char out[static FILE_NAME_BYTES_MAX]);

/** "NAME-0123456789abcdef.gif": a name that many share, told apart by a hash. In place. */
void file_name_mark(char name[static FILE_NAME_BYTES_MAX], uint64_t hash);

#endif
