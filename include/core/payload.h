#ifndef PAYLOAD_H
#define PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "config.h"
#include "jobs.h"

/* Renders what is published, as CONTRACT-stable JSON. Each appends one JSON object to `out`. Pure.
 */

/* <root>/jobs/<job>/state: the record and `observed_at`. */
void payload_state(struct buf *out, const struct job *job);

enum payload_source { PAYLOAD_STREAM, PAYLOAD_POLL, PAYLOAD_LIST, PAYLOAD_COMMAND };

/* <root>/jobs/<job>/event. previous "" for a job not seen before; event_type "deleted" for one
 * that is gone, otherwise its status. `scratch` is used to read the record. */
void payload_event(struct buf *out, const struct job *job, const char *event_type,
    const char *previous, enum payload_source source, int64_t now_unix_ms,
    struct json_object *scratch);

/* <root>/bridge/jobs */
void payload_counts(struct buf *out, const struct jobs *jobs);
/* <root>/bridge/info. prefixes: where discovery of this bridge may stand, for a later run with
 * other settings; nothing is said of it where there is none. */
void payload_info(struct buf *out, const char *version, int64_t started_unix_ms,
    const char *upstream_url, const struct config_list *prefixes);
/* <root>/bridge/upstream */
void payload_upstream(
    struct buf *out, const char *state, int64_t since_unix_ms, const char *detail);

/* The answer to a command. Strings may be NULL or "" where absent. */
struct payload_result {
    const char *command;
    const char *job_id; /* NULL for the bridge's own commands */
    bool ok;
    struct json_slice id; /* raw JSON from the request; length 0 where it had none */
    int http_status;      /* 0 where there was no HTTP answer */
    const char *status;   /* the upstream's words */
    const char *message;
    int64_t duration_ms;
    const char *error; /* where !ok */
    const char *detail;
};
void payload_result(struct buf *out, const struct payload_result *result);

#endif
