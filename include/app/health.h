#ifndef HEALTH_H
#define HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "readiness.h"

/*
 * What the bridge says of itself to those who ask: /healthz, /readyz and /metrics on http.listen.
 * Looks at the other modules, and changes nothing there. Owner thread only.
 */
struct health;
struct loop;
struct config;
struct counters;
struct broker;
struct upstream;
struct publisher;
struct tracker;
struct commands;

/* Whom it looks at; borrowed for its life. */
struct health_parts {
    struct loop *loop;
    const struct config *config;
    struct counters *counters;
    const struct broker *broker;
    const struct upstream *upstream;
    const struct publisher *publisher;
    const struct tracker *tracker;
    const struct commands *commands;
};

/* Listens if http.listen says so. NULL and the error (ERROR_RUN) where that fails. */
struct health *health_new(const struct health_parts *parts, struct error *error) NODISCARD;
void health_free(struct health *health);

/* The stop has begun: not ready from now on. */
void health_set_stopping(struct health *health);
/* What is true now. The texts are borrowed until something changes. */
void health_readiness(const struct health *health, struct readiness *readiness);

#endif
