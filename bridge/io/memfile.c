/* Files in memory, sealed, by their name in /proc. */
#include "memfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* Linux 6.3; a system may insist on it */
#endif

static int create(void)
{
    const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
    int fd = memfd_create("certificates", flags | MFD_NOEXEC_SEAL);
    return fd < 0 && errno == EINVAL ? memfd_create("certificates", flags) : fd;
}

static bool fill(int fd, const char *text)
{
    size_t length = strlen(text), done = 0;
    while (done < length) {
        ssize_t written = write(fd, text + done, length - done);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            return false;
    }
    return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0;
}

bool memfile_open(struct memfile *file, const char *text, struct error *error)
{
    *file = MEMFILE_NONE;
    file->fd = create();
    if (file->fd >= 0 && fill(file->fd, text)) {
        snprintf(file->path, sizeof file->path, "/proc/self/fd/%d", file->fd);
        if (access(file->path, R_OK) == 0)
            return true;
    }
    error_set(error, ERROR_BROKER,
        "the certificates cannot be handed to the MQTT library, which takes files only: %s%s",
        file->path[0] != '\0' ? "/proc is missing: " : "", strerror(errno));
    memfile_close(file);
    return false;
}

void memfile_close(struct memfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    *file = MEMFILE_NONE;
}
