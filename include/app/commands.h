#ifndef COMMANDS_H
#define COMMANDS_H

#include <stddef.h>

#include "mqtt.h"
#include "topic.h"

/* MQTT request -> REST call -> exactly one answer. Owner thread only. */
struct commands;
struct loop;
struct http_client;
struct tracker;
struct publisher;
struct poller;
struct catchup;
struct config;
struct counters;

/* All arguments are borrowed for the life of commands. */
struct commands *commands_new(struct loop *loop, struct http_client *client,
    struct tracker *tracker, struct publisher *publisher, struct poller *poller,
    struct catchup *catchup, const struct config *config, struct counters *counters);
void commands_free(struct commands *commands);

/* A message on a command topic. */
void commands_receive(
    struct commands *commands, const struct topic_parts *topic, const struct mqtt_message *message);
/* Those that wait for AIVA's answer, or for their turn. */
size_t commands_under_way(const struct commands *commands);
/* Ends what is under way, each with its answer; what comes later is answered, not carried out. */
void commands_stop(struct commands *commands);

#endif
