#ifndef READINESS_H
#define READINESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

/*
 * Whether the bridge does its work at the moment, and why not: the body of /readyz, and systemd's
 * status line. Pure.
 */

/* What it depends on. Texts are borrowed and may be "". */
struct readiness {
    bool stopping;
    bool broker_connected;
    const char *broker_url;
    const char *broker_detail;  /* why it is not connected */
    bool memory_read;           /* what the broker remembers; AIVA is asked after that */
    const char *upstream_state; /* one of bridge/upstream's words */
    const char *upstream_detail;
    int64_t upstream_since_ms;                  /* Unix time */
    const char *refused_topic, *refused_reason; /* retained, by the broker; NULL or "": none */
    bool stream_paused;
    size_t waiting_messages;
};

/* The broker is connected and takes what is retained, and AIVA's stream is followed or polled. */
bool readiness_is_given(const struct readiness *readiness);

/* One JSON object: ready, reasons (sentences for people; empty where it is ready), broker,
 * upstream, stream_paused, waiting_messages. */
void readiness_write(struct buf *out, const struct readiness *readiness);

/* One line of text: the reasons, or what is well. */
void readiness_summary(struct buf *out, const struct readiness *readiness);

#endif
