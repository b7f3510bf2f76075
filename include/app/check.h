#ifndef CHECK_H
#define CHECK_H

#include "config.h"

/* `--check`: asks AIVA's /health, connects to the broker under a client id of its own, tries its
 * rights; prints what it found on standard output. False and the error (ERROR_UPSTREAM or
 * ERROR_BROKER) at the first that fails. */
bool check_run(const struct config *config, struct error *error) NODISCARD;

#endif
