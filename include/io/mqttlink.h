#ifndef MQTTLINK_H
#define MQTTLINK_H

#include <MQTTAsync.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "inbox.h"
#include "mqttconnect.h"

/*
 * One MQTT connection: paho's handle and the object that paho's callbacks get as their context.
 * The object outlives the handle. For mqtt.c only.
 *
 * The owner thread uses everything but what is marked; paho's threads use what is marked.
 */
struct mqtt_limits;
struct mqtt_options;
struct mqtt_publication;
struct mqttlink;
struct packet_message;

/* A publication or subscription under way: paho's context for its answer. */
struct mqttflight {
    struct mqttlink *link;
    uint64_t number; /* the caller's sequence or token; set before it is handed to paho */
    struct mqttflight *next;
    bool relayed; /* under way in the relay */
};

struct mqttlink {
    MQTTAsync handle;
    uint32_t generation; /* constant: marks every event of this connection */
    bool version5;       /* constant */
    bool tls;            /* constant */
    bool websocket;      /* constant */
    /* NULL where there is none. Made before the connection is reported, the owner's afterwards. */
    struct mqttrelay *relay;
    unsigned window; /* constant: most publications under way, as asked for */
    struct mqttconnect_files files;
    MQTTProperties json; /* MQTT 5: what marks a JSON payload; made once, paho copies it */

    struct mqttflight *flights; /* all of them */
    size_t flight_count;        /* constant */
    struct mqttflight *idle;    /* those not under way */
    atomic_uint refused;        /* messages that there was no room for; counted by any thread */

    pthread_mutex_t lock; /* a leaf, for the following: paho's threads and the owner */
    struct inbox *inbox;  /* NULL once the owner has given the connection up */
    char tls_text[400];   /* what OpenSSL said of a failure */

    struct mqttlink *next; /* in the list of those that were left behind */
};

/* Creates the handle and starts the connection attempt. NULL and the error (ERROR_BROKER) where not
 * even that can be done. Everything is copied. */
struct mqttlink *mqttlink_new(struct inbox *inbox, uint32_t generation,
    const struct mqtt_options *options, struct error *error) NODISCARD;
/* Destroys the handle, which may wait about 100 ms for paho's threads, and some seconds for one
 * that does not end. Not while the attempt is under way: paho may hold its lock for as long as a
 * name resolution takes. */
void mqttlink_free(struct mqttlink *link);
/* For an attempt under way, and at the end of the process: leaves handle and object for good,
 * without a word to paho. They stay reachable. No event of it is pushed once this has returned. */
void mqttlink_leave(struct mqttlink *link);

/* Copies what OpenSSL said; "" where it said nothing. */
void mqttlink_tls_text(struct mqttlink *link, char *out, size_t size);

/* A flight for an answer that is to come; NULL where too many are under way. */
struct mqttflight *mqttlink_flight(struct mqttlink *link, uint64_t number);
void mqttlink_flight_done(struct mqttflight *flight);
/* The flight of a publication of the relay's; NULL where none has this Packet Identifier. */
struct mqttflight *mqttlink_relayed(struct mqttlink *link, uint16_t identifier);

/* Puts a copy of a message that the relay has read into the inbox. */
void mqttlink_receive(struct mqttlink *link, const struct packet_message *packet);

/* The options that make paho report a subscription's answer to the inbox. */
MQTTAsync_responseOptions mqttlink_subscribe_response(struct mqttflight *flight);
/* Hands a publication to the relay or to paho, which copies it, with QoS and retain lowered to what
 * the broker allows. Paho's code: MQTTASYNC_SUCCESS where the response is to come. Owner only. */
int mqttlink_send(struct mqttlink *link, const struct mqtt_limits *limits,
    const struct mqtt_publication *publication, struct mqttflight *flight);
/* Starts the orderly end, reported as INBOX_MQTT_CLOSED. False where paho refuses. */
bool mqttlink_disconnect(struct mqttlink *link) NODISCARD;

/* Frees what an event points to. */
void mqttlink_discard(const struct inbox_event *event);

#endif
