#ifndef BRIDGE_H
#define BRIDGE_H

#include "config.h"

/*
 * Creates, wires and stops all of it, in order; the only module that knows everyone. Runs until
 * SIGTERM or SIGINT. `source` is where the configuration came from, for reading secrets again.
 * False and the error where retrying cannot mend a failure.
 */
bool bridge_run(
    struct config *config, const struct config_source *source, struct error *error) NODISCARD;

#endif
