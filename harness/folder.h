/** Folders to write into. */
#ifndef BENCH_FOLDER_H
#define BENCH_FOLDER_H

#include <sys/types.h>

/** With its parents, as mkdir -p does. Whether it worked shows when it is opened: one that is
 *  there already may be in a folder that is not ours to write to. @return 0 or -ENOMEM */
int folder_make(const char *path, mode_t mode);

#endif
