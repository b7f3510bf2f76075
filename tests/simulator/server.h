#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "sim.h"

/*
 * HTTP by libmicrohttpd without a thread of its own: the loop in main.c polls the descriptors and
 * calls server_run. Requests that have to wait (a delay, a stall, an idle stream) are suspended.
 */
struct server;

/* Takes over the listening socket. The sim is borrowed. NULL and the error on failure. */
struct server *server_new(int listen_fd, struct sim *sim, struct error *error) NODISCARD;
/* Closes every connection. */
void server_free(struct server *server);

/* Lets requests go on whose delay is over, and closes those that are to be released. Returns when
 * it wants to be called again, or INT64_MAX. */
int64_t server_tick(struct server *server, int64_t now_ms);
/* Waits until there is something to do, extra_fd is readable or the time has come; then does it.
 * Returns true where extra_fd is readable. */
bool server_wait_and_run(struct server *server, int extra_fd, int64_t until_ms, int64_t now_ms);

#endif
