/**
 * Writing a verified body to a file below a directory fd, never outside it.
 *
 * direct: opened without O_TRUNC, written, cut only when the size differs (truncating an
 * existing file first makes ext4 flush it at close). atomic: a file is whole before it has its
 * name. The steps are named here so that every model performs the same ones in its own way:
 * direct: open, fstat (anything but a regular file: ENXIO), write, ftruncate when it was longer,
 * close. atomic: open under a temporary name (EEXIST: left by a run that was killed; unlink it,
 * open once more), write, close, rename; unlink when one of these failed. Where calls block, a
 * file is opened without any name (O_TMPFILE), written, and linked to its name: one entry in the
 * folder instead of two, and nothing is left by a run that is killed; the temporary name is needed
 * only where another file has the name, or the file system knows no such files.
 */
#ifndef BENCH_SAVE_H
#define BENCH_SAVE_H

#include "transfer.h"

#include <stdbool.h>
#include <stddef.h>

#define SAVE_NAME_BYTES_MAX 128 /* of save_name, NUL included */
#define SAVE_PATH_BYTES_MAX 192 /* of a temporary name, NUL included */

/* O_NOFOLLOW: a link planted in the folder is refused; O_NONBLOCK: so is a FIFO, at once. */
#define SAVE_OPEN_DIRECT (O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define SAVE_OPEN_TEMPORARY (O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC)
#define SAVE_OPEN_UNNAMED (O_WRONLY | O_TMPFILE | O_CLOEXEC)
#define SAVE_FILE_MODE 0644

/** A plain name: not empty, no '/', no leading '.', printable, shorter than the limit. */
bool save_name_is_safe(const char *name);

/** ".NAME.INDEX.part": no two transfers share one. */
void save_temporary_name(char out[static SAVE_PATH_BYTES_MAX], const char *name, size_t index);

/** All steps, blocking. @return 0 or -errno; a temporary file is removed on failure. */
int save_file_blocking(int dir_fd, const char *name, size_t index, bool atomic, const void *data,
                       size_t bytes);

/** The file of a transfer whose step is TRANSFER_SAVE, for models that write it where they are.
 *  @return 0 or -errno, for transfer_saved */
int save_transfer_blocking(const struct transfer *transfer);

#endif
