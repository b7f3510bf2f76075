/* Reading the files that the configuration names, and the configuration itself. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "a directory";
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    default:
        return "a device";
    }
}

/* Opening a FIFO would wait for its writer, a terminal could become the process's own. */
static int open_regular(const char *path, struct error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0) {
        error_set(error, ERROR_USAGE, "%s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        error_set(error, ERROR_USAGE, "expected a regular file, found %s", kind_of(status.st_mode));
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool read_whole(int fd, char *bytes, size_t size, size_t *length, struct error *error)
{
    *length = 0;
    while (*length < size) {
        ssize_t got = read(fd, bytes + *length, size - *length);
        if (got == 0)
            return true;
        if (got < 0 && errno != EINTR)
            return error_set(error, ERROR_USAGE, "%s", strerror(errno));
        if (got > 0)
            *length += (size_t)got;
    }
    return error_set(error, ERROR_USAGE, "longer than %zu bytes", size - 1);
}

/* In one piece: a buffer that grows leaves copies of a secret behind. */
bool file_read(const char *path, struct buf *out, struct error *error)
{
    int fd = open_regular(path, error);
    if (fd < 0)
        return false;
    size_t size = out->limit - out->length + 1, length;
    char *bytes = xcalloc(1, size);
    bool done = read_whole(fd, bytes, size, &length, error) && buf_append(out, bytes, length);
    explicit_bzero(bytes, length);
    free(bytes);
    close(fd);
    return done;
}
