#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/*
 * What systemd is told (sd_notify(3)), where it wants to know ($NOTIFY_SOCKET); elsewhere nothing
 * happens. A status is one line of text for `systemctl status`; characters that could deceive on a
 * terminal are escaped. Nothing here waits. Any thread, but meant for the owner.
 */
bool notify_is_wanted(void); /* $NOTIFY_SOCKET is set */
/* Each false where systemd has no room for it at the moment: to be said again. */
bool notify_ready(const char *status) NODISCARD;
bool notify_status(const char *status) NODISCARD;
bool notify_stopping(const char *status) NODISCARD;
/* Reading the settings again; ends with notify_ready. */
void notify_reloading(void);

/* Milliseconds after which systemd takes the process for stuck unless it hears
 * notify_watchdog (sd_watchdog_enabled(3)); 0 where it does not watch this process. */
int64_t notify_watchdog_ms(void);
void notify_watchdog(void);

#endif
