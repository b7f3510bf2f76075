#ifndef PAHO_FAKE_H
#define PAHO_FAKE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A stand-in for paho's MQTTAsync library, at link time. It has what makes the real one dangerous:
 * a thread of its own that calls back with a global lock held, calls back on the caller's thread in
 * MQTTAsync_destroy, and callbacks that come late. It plays what the test says, and it notes every
 * call that the real one would punish.
 *
 * All functions here are for the test's thread. Each that makes callbacks runs them on the fake's
 * thread and returns when they have returned. They concern the handle that was connected last, or
 * the one before where they say so.
 */
struct fake_counts {
    unsigned handles;         /* that exist now */
    unsigned memory;          /* blocks given out and not given back */
    unsigned connects;        /* so far */
    unsigned destroys;        /* so far */
    unsigned disconnects;     /* so far */
    unsigned in_flight;       /* publications of the last handle without an answer */
    unsigned most_in_flight;  /* ever */
    unsigned bad_calls;       /* made while an attempt was under way, or from a callback */
    unsigned owner_callbacks; /* made on the thread that called MQTTAsync_destroy */
};

struct fake_connack {
    unsigned receive_maximum;     /* 0: not given */
    unsigned maximum_packet_size; /* 0: not given */
    int maximum_qos;              /* -1: not given */
    int retain_available;         /* -1: not given */
};

void fake_start(void);
void fake_stop(void);
struct fake_counts fake_counts(void);
/* Blocks given out and not given back; part of the counts. */
unsigned fake_memory(void);

void fake_accept(const struct fake_connack *connack);
void fake_refuse(int code, const char *message);
void fake_tls_error(const char *line);
/* Acknowledges the oldest `count` publications; a code of 0x80 or more as the broker's refusal. */
void fake_acknowledge(unsigned count, int code);
/* Gives the oldest publication up (-11), though the connection stands. */
void fake_give_up(void);
/* What a lost connection does: -11 for all that is in flight, then connectionLost. */
void fake_lose(void);
/* connectionLost alone, once more. */
void fake_lose_again(void);
/* The broker's DISCONNECT. */
void fake_disconnected(int reason);
void fake_message(const char *topic, size_t payload_length, const char *response_topic);
/* Answers the oldest subscription. */
void fake_suback(int code, bool failure);
void fake_closed(void);

/* From now on the fake's thread acknowledges by itself, as fast as it can. */
void fake_acknowledge_alone(bool alone);
/* From now on sends are refused with this code; 0 for none. */
void fake_refuse_sends(int code);

#endif
