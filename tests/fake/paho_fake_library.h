#ifndef PAHO_FAKE_LIBRARY_H
#define PAHO_FAKE_LIBRARY_H

/* What the two halves of the fake share: the library that the tested code calls, and the player
 * that the test calls. */
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "paho_fake.h"

enum { FAKE_WAITING = 2048, FAKE_HANDLES = 4096 };
enum fake_state { FAKE_IDLE, FAKE_CONNECTING, FAKE_UP, FAKE_OVER };

struct waiting {
    MQTTAsync_responseOptions response;
    bool publication;
};

struct handle {
    enum fake_state state;
    bool version5;
    void *context;
    MQTTAsync_connectionLost *lost;
    MQTTAsync_messageArrived *arrived;
    void *disconnected_context;
    MQTTAsync_disconnected *disconnected;
    MQTTAsync_connectOptions connect;
    int (*tls_error)(const char *text, size_t length, void *context);
    void *tls_context;
    MQTTAsync_disconnectOptions disconnect;
    struct waiting waiting[FAKE_WAITING];
    size_t count;
};

struct fake_library {
    pthread_mutex_t lock; /* paho's global one, error-checking; all below is under it */
    struct handle *handles[FAKE_HANDLES];
    size_t handle_count;
    struct fake_counts counts;
    int send_code;
};

extern struct fake_library fake_library;
extern _Thread_local bool fake_in_callback;

unsigned fake_publications(const struct handle *handle);
/* Ends everything that awaits an answer as paho does when a connection is gone. */
void fake_fail_all(struct handle *handle);

#endif
