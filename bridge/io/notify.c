/*
 * What systemd is told. The protocol is a datagram to the socket that an environment variable names
 * (sd_notify(3), "Standalone Implementations"): libsystemd would bring six more libraries and a
 * megabyte into every process for it. A lost message is nothing that could be mended: results are
 * not looked at.
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

enum { STATUS_SIZE = 512 };

static void send_message(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = name ? strlen(name) : 0;
    /* A name that begins with @ is in Linux's abstract namespace (unix(7)). */
    if (length < 2 || length >= sizeof address.sun_path || !strchr("/@", name[0]))
        return;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

/* A line end would begin another assignment, and parts of a status come from outside. */
static void tell(const char *assignment, const char *status)
{
    char text[STATUS_SIZE];
    int before = snprintf(text, sizeof text, "%sSTATUS=", assignment);
    snprintf(text + before, sizeof text - (size_t)before, "%s", status);
    for (char *at = text + before; *at != '\0'; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    send_message(text);
}

bool notify_is_wanted(void)
{
    const char *socket = getenv("NOTIFY_SOCKET");
    return socket && socket[0] != '\0';
}

void notify_ready(const char *status)
{
    tell("READY=1\n", status);
}

void notify_status(const char *status)
{
    tell("", status);
}

void notify_stopping(const char *status)
{
    tell("STOPPING=1\n", status);
}

/* The time is for systemd 253 and later, Type=notify-reload. */
void notify_reloading(void)
{
    struct timespec now = {0};
    char text[STATUS_SIZE];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    send_message(text);
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
    send_message("WATCHDOG=1");
}
