#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "rawjson.h"

struct sim;
struct scenario;

/* Reads a script: the jobs it starts with, and steps that follow one another. The text is copied.
 * NULL and the error, which names the part that is wrong. */
struct scenario *scenario_parse(struct slice text, struct error *error) NODISCARD;
struct scenario *scenario_load(const char *path, struct error *error) NODISCARD;
void scenario_free(struct scenario *scenario);

/* Puts the script's jobs in place of those that are there, without events. */
bool scenario_begin(
    struct scenario *scenario, struct sim *sim, int64_t now_ms, struct error *error) NODISCARD;
/* Takes the steps that are due. Returns when the next one is, or INT64_MAX. */
int64_t scenario_step(struct scenario *scenario, struct sim *sim, int64_t now_ms);

#endif
