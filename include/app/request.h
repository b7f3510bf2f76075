#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mqtt.h"
#include "topic.h"

/* One command as it came over MQTT, and the way back to whoever sent it. Owner thread only. */
struct config;
struct publisher;

/* All strings are owned. */
struct request {
    char *command;        /* as it came */
    char *level;          /* the job's topic level as it came; NULL for the bridge's own commands */
    char *job_id;         /* decoded; NULL for the bridge's own commands and for refused ids */
    char *id;             /* raw JSON, a string or a number; NULL where the request had none */
    char *response_topic; /* NULL where there is none, or it was refused */
    char *correlation;    /* NULL where there is none */
    size_t correlation_length;
    enum topic_id id_class; /* of job_id; TOPIC_ID_URL_SAFE for the bridge's own commands */
    const char *bad_level;  /* a literal: why the level names no job; NULL where it does */
    bool id_too_long;       /* the request had one of more than LIMIT_COMMAND_ID, not kept */
    bool refused_response;  /* there was a Response Topic, which must not be used */
};

/* Copies what matters of a message on a command topic. The caller clears. */
void request_init(struct request *request, const struct config *config,
    const struct topic_parts *topic, const struct mqtt_message *message);
/* The answer goes to the result topic alone. */
void request_refuse_response(struct request *request);
/* The memory that it keeps, in bytes. */
size_t request_bytes(const struct request *request);
void request_clear(struct request *request);

/* How it ended. Texts may be NULL or "". */
struct verdict {
    const char *error;            /* one of the contract's words; NULL: it was done */
    int http_status;              /* 0 where there was no HTTP answer */
    const char *status, *message; /* the upstream's words */
    const char *detail;           /* for people */
    bool refused;                 /* at once: the answer is no news, and may wait */
};

/* Publishes the answer on the result topic and, where there is one, on the Response Topic; says it
 * in the log unless `quiet`. */
void request_answer(const struct request *request, const struct config *config,
    struct publisher *publisher, const struct verdict *verdict, bool quiet, int64_t duration_ms);

#endif
