/* What systemd is told. A lost message is nothing that could be mended: results are not looked at.
 */
#include "notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { STATUS_SIZE = 512 };

/* A line end would begin another assignment, and parts of a status come from outside. */
static void tell(const char *assignment, const char *status)
{
    char line[STATUS_SIZE];
    snprintf(line, sizeof line, "%s", status);
    for (char *at = line; *at != '\0'; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
    (void)sd_notifyf(0, "%sSTATUS=%s", assignment, line);
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
    clock_gettime(CLOCK_MONOTONIC, &now);
    (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
        (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

int64_t notify_watchdog_ms(void)
{
    uint64_t usec = 0;
    return sd_watchdog_enabled(0, &usec) > 0 ? (int64_t)(usec / 1000) : 0;
}

void notify_watchdog(void)
{
    (void)sd_notify(0, "WATCHDOG=1");
}
