/* The library's half of the fake: what the tested code calls instead of paho. */
#include "paho_fake_library.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct fake_library fake_library;
_Thread_local bool fake_in_callback;

/* Every call passes here. */
static void enter(void)
{
    bool bad = fake_in_callback;

    if (!fake_in_callback)
        pthread_mutex_lock(&fake_library.lock);
    for (size_t i = 0; i < fake_library.handle_count; i++)
        bad = bad || fake_library.handles[i]->state == FAKE_CONNECTING;
    fake_library.counts.bad_calls += bad;
}

static void leave(void)
{
    if (!fake_in_callback)
        pthread_mutex_unlock(&fake_library.lock);
}

unsigned fake_publications(const struct handle *handle)
{
    unsigned number = 0;

    for (size_t i = 0; i < handle->count; i++)
        number += handle->waiting[i].publication;
    return number;
}

void MQTTAsync_global_init(MQTTAsync_init_options *options)
{
    (void)options;
}

void MQTTAsync_setTraceLevel(enum MQTTASYNC_TRACE_LEVELS level)
{
    (void)level;
}

int MQTTAsync_createWithOptions(MQTTAsync *handle, const char *uri, const char *client_id,
    int persistence, void *persistence_context, MQTTAsync_createOptions *options)
{
    struct handle *made = calloc(1, sizeof *made);

    (void)persistence_context;
    assert(made != NULL && uri != NULL && client_id != NULL);
    assert(persistence == MQTTCLIENT_PERSISTENCE_NONE && options->sendWhileDisconnected == 0);
    enter();
    assert(fake_library.handle_count < FAKE_HANDLES);
    made->version5 = options->MQTTVersion == MQTTVERSION_5;
    fake_library.handles[fake_library.handle_count++] = made;
    *handle = made;
    leave();
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_setCallbacks(MQTTAsync handle, void *context, MQTTAsync_connectionLost *lost,
    MQTTAsync_messageArrived *arrived, MQTTAsync_deliveryComplete *delivered)
{
    struct handle *own = handle;

    (void)delivered;
    enter();
    own->context = context;
    own->lost = lost;
    own->arrived = arrived;
    leave();
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_setDisconnected(MQTTAsync handle, void *context, MQTTAsync_disconnected *callback)
{
    struct handle *own = handle;

    enter();
    own->disconnected_context = context;
    own->disconnected = callback;
    leave();
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_connect(MQTTAsync handle, const MQTTAsync_connectOptions *options)
{
    struct handle *own = handle;

    enter();
    own->connect = *options;
    if (options->ssl != NULL) {
        own->tls_error = options->ssl->ssl_error_cb;
        own->tls_context = options->ssl->ssl_error_context;
    }
    own->state = FAKE_CONNECTING;
    fake_library.counts.connects++;
    leave();
    return MQTTASYNC_SUCCESS;
}

int MQTTAsync_disconnect(MQTTAsync handle, const MQTTAsync_disconnectOptions *options)
{
    struct handle *own = handle;
    int code = MQTTASYNC_DISCONNECTED;

    enter();
    fake_library.counts.disconnects++;
    if (own->state == FAKE_UP) {
        own->disconnect = *options;
        code = MQTTASYNC_SUCCESS;
    }
    leave();
    return code;
}

static int wait_for_answer(
    struct handle *own, const MQTTAsync_responseOptions *response, bool publication)
{
    int code = publication ? fake_library.send_code : 0;

    if (code == 0 && own->state != FAKE_UP)
        code = MQTTASYNC_DISCONNECTED;
    if (code == 0) {
        assert(own->count < FAKE_WAITING);
        own->waiting[own->count++] =
            (struct waiting){.response = *response, .publication = publication};
        if (fake_publications(own) > fake_library.counts.most_in_flight)
            fake_library.counts.most_in_flight = fake_publications(own);
    }
    return code;
}

int MQTTAsync_sendMessage(MQTTAsync handle, const char *topic, const MQTTAsync_message *message,
    MQTTAsync_responseOptions *response)
{
    int code;

    assert(topic != NULL && message != NULL);
    enter();
    code = wait_for_answer(handle, response, true);
    leave();
    return code;
}

int MQTTAsync_subscribe(
    MQTTAsync handle, const char *filter, int qos, MQTTAsync_responseOptions *response)
{
    int code;

    assert(filter != NULL && qos >= 0);
    enter();
    code = wait_for_answer(handle, response, false);
    leave();
    return code;
}

int MQTTAsync_unsubscribe(MQTTAsync handle, const char *filter, MQTTAsync_responseOptions *response)
{
    (void)handle;
    (void)filter;
    (void)response;
    enter();
    leave();
    return MQTTASYNC_SUCCESS;
}

void MQTTAsync_destroy(MQTTAsync *handle)
{
    struct handle *own = *handle;
    size_t place = 0;

    enter();
    fake_library.counts.destroys++;
    fake_library.counts.owner_callbacks += (unsigned)own->count;
    /* On this thread and under the lock, as the real one does it. */
    fake_in_callback = true;
    fake_fail_all(own);
    fake_in_callback = false;
    while (fake_library.handles[place] != own)
        place++;
    memmove(&fake_library.handles[place], &fake_library.handles[place + 1],
        (fake_library.handle_count - place - 1) * sizeof(struct handle *));
    fake_library.handle_count--;
    leave();
    free(own);
    *handle = NULL;
}
