/*
 * What systemd is told. The protocol is a datagram to the socket that an environment variable names
 * (sd_notify(3), "Standalone Implementations"): libsystemd would bring six more libraries and a
 * megabyte into every process for it. Nothing here waits for systemd: a message that it has no room
 * for is lost, and the caller is told.
 */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "escape.h"

enum { STATUS_SIZE = 512 };

static bool send_message(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = name ? strlen(name) : 0;
    /* A name that begins with @ is in Linux's abstract namespace (unix(7)). */
    if (length < 2 || length >= sizeof address.sun_path || !strchr("/@", name[0]))
        return false;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
        (const struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
    return sent >= 0;
}

/* Escaped, since a line end would begin another assignment, parts of a status come from outside,
 * and systemd refuses what is not UTF-8; for that it is cut between characters. */
static bool tell(const char *assignment, const char *status)
{
    char text[STATUS_SIZE];
    size_t length = (size_t)snprintf(text, sizeof text, "%sSTATUS=", assignment);
    struct escaped shown;
    for (size_t left = strlen(status), used; left > 0; left -= used, status += used) {
        used = escape_next(status, left, false, &shown);
        if (length + shown.length >= sizeof text)
            break;
        memcpy(text + length, shown.at, shown.length);
        length += shown.length;
    }
    text[length] = '\0';
    return send_message(text);
}

bool notify_is_wanted(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");
    return socket && socket[0] != '\0';
}

bool notify_ready(const char *status)
{
    return tell("READY=1\n", status);
}

bool notify_status(const char *status)
{
    return tell("", status);
}

bool notify_stopping(const char *status)
{
    return tell("STOPPING=1\n", status);
}

/* The time is for systemd 253 and later, Type=notify-reload. */
void notify_reloading(void)
{
    struct timespec now = {0};
    char text[STATUS_SIZE];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    (void)send_message(text);
}

int64_t notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    if (!usec || (pid && strtoll(pid, NULL, 10) != (long long)getpid()))
        return 0;
    long long wanted = strtoll(usec, NULL, 10);
    return wanted > 0 ? wanted / 1000 : 0;
}

void notify_watchdog(void)
{
    (void)send_message("WATCHDOG=1");
}
