#ifndef FILE_H
#define FILE_H

#include <stdbool.h>

#include "buf.h"
#include "error.h"

/*
 * Appends the whole file to `out`, at most up to the buffer's limit. Only regular files: a FIFO
 * waits for a writer, a device may never end, and the bridge reads on the one thread that does
 * everything else. On failure the error (ERROR_USAGE) has the reason without the file's name, and
 * `out` is as it was. No copies of the content are left behind, so that it can be a secret.
 */
bool file_read(const char *path, struct buf *out, struct error *error) NODISCARD;

#endif
