#ifndef CONTROL_H
#define CONTROL_H

#include "sim.h"

/* True for the paths under /_control, which need no key. */
bool control_owns(const struct uri *uri);
/* Carries a test's order out. */
void control_answer(struct sim *sim, const struct ask *ask, struct answer *answer);

#endif
