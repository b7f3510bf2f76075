#ifndef SERVICE_H
#define SERVICE_H

/*
 * What systemd is told: that the bridge runs, how it is, and, while the main loop turns, that it
 * turns. Owner thread only.
 */
struct service;
struct loop;
struct health;
struct broker;

/* All arguments are borrowed for the service's life. */
struct service *service_new(
    struct loop *loop, const struct health *health, const struct broker *broker);
void service_free(struct service *service);

/* Tells what has changed; each pass of the loop. */
void service_update(struct service *service);
/* Before and after secrets and certificates are read again. */
void service_reload_begins(const struct service *service);
void service_reload_ends(struct service *service);

#endif
