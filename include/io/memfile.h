#ifndef MEMFILE_H
#define MEMFILE_H

#include <stdbool.h>

#include "error.h"

/*
 * A file that is in memory alone and has a name nevertheless, for a library that takes only names
 * of files. It cannot be changed, and nobody but this process can open it.
 */
struct memfile {
    int fd;        /* -1: there is none */
    char path[32]; /* "" where there is none */
};

#define MEMFILE_NONE ((struct memfile){.fd = -1})

/* Makes one with this text. False and the error (ERROR_BROKER) where the system has no room for it,
 * or no /proc: the object is MEMFILE_NONE then. The caller closes it. */
bool memfile_open(struct memfile *file, const char *text, struct error *error) NODISCARD;
/* Once nobody opens its name any more. It is MEMFILE_NONE afterwards, and may have been before. */
void memfile_close(struct memfile *file);

#endif
