#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

#include "error.h"
#include "journal.h"

/* One way to misbehave. Requests that met it hold it by a count, so that clearing the list does
 * not pull it away from under them. */
struct fault {
    unsigned on;        /* bit 1 << kind for each kind it meets */
    unsigned long left; /* how often still; 0 where endless */
    bool endless;
    unsigned status; /* 0: the answer's own */
    char *body;      /* NULL: the answer's own; owned, as the next three */
    char *content_type;
    char *retry_after;
    char *location;
    long long delay_ms;
    long long cut_after; /* body bytes before the connection is closed; see the two below */
    bool stall;
    size_t chunk; /* most bytes in one piece; 0: no limit */
    bool after_work;
    unsigned holders;
    struct fault *next;
};

#define FAULT_NO_CUT    (-2) /* cut_after was not given */
#define FAULT_NO_ANSWER (-1) /* closed before the answer begins */

/* The faults in the order in which they apply. Zero-initialise. */
struct faults {
    struct fault *first;
};

/* Appends the fault or the faults described. On an error none is added. */
bool faults_add(struct faults *faults, const cJSON *description, struct error *error) NODISCARD;
void faults_clear(struct faults *faults);
/* The next fault for such a request, used up by one; NULL for none. To be given back with
 * fault_release. */
struct fault *faults_take(struct faults *faults, enum kind kind);
void fault_release(struct fault *fault);
/* True where the answer is the fault's and not the request's; a status of success alone leaves the
 * body as it is. */
bool fault_replaces_answer(const struct fault *fault);
/* True where the client does not get a whole and true answer. */
bool fault_spoils_answer(const struct fault *fault);

#endif
