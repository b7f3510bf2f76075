#ifndef HEALTHCHECK_H
#define HEALTHCHECK_H

#include "config.h"

/* `--healthcheck`: asks the running bridge's http.listen whether its main loop turns (/healthz),
 * and appends to `found`, in one line without its end, whether it is ready (/readyz). An address
 * that stands for all of the machine's is asked by loopback. False and the error (ERROR_RUN) where
 * there is no answer. A bridge that is not ready is healthy: what waits in its memory is lost by a
 * restart, and an orchestrator restarts what is not healthy. */
bool healthcheck_run(const struct config *config, struct buf *found, struct error *error) NODISCARD;

/* The URL to ask for http.listen; the caller frees. Pure. */
char *healthcheck_url(const char *listen) NODISCARD;

#endif
