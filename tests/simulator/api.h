#ifndef API_H
#define API_H

#include "sim.h"

/* The documented API. */
struct route {
    enum kind kind;
    const char *id;    /* borrowed from the uri; NULL where the path names no job */
    const char *allow; /* the method that the path has, where the request's is another */
};

struct route api_route(const char *method, const struct uri *uri);

/* Carries the request out. For the stream a status of 200 means: open it. */
void api_answer(
    struct sim *sim, const struct route *route, const struct ask *ask, struct answer *answer);

#endif
