/** Result files: tried before anything is measured, and always whole. */
#ifndef BENCH_OUTPUT_FILE_H
#define BENCH_OUTPUT_FILE_H

#include <stdio.h>

/** Can it be written? Nothing is changed. @return 0 or -errno */
int output_file_check(const char *path);

/** Write the whole content to `file`. @return 0 or -errno */
typedef int output_writer(FILE *file, const void *content);

/** A regular file is written beside and renamed; a device or a pipe takes the text itself.
 *  @return 0 or -errno */
int output_file_write(const char *path, output_writer *writer, const void *content);

#endif
