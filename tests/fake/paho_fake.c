/* The fake: one lock, one thread, a list of what awaits an answer for each handle. */
#include "paho_fake.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "paho_fake_library.h"

struct job {
    void (*run)(struct handle *handle, const void *argument);
    const void *argument;
    bool posted;
};

static pthread_mutex_t job_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t job_changed = PTHREAD_COND_INITIALIZER;
static struct job job;
static bool stopping, alone;
static pthread_t thread;

static struct handle *last_connected(void)
{
    assert(fake_library.handle_count > 0);
    return fake_library.handles[fake_library.handle_count - 1];
}

/* Removes and returns the oldest of its kind. */
static bool take(struct handle *handle, bool publication, MQTTAsync_responseOptions *response)
{
    for (size_t i = 0; i < handle->count; i++) {
        if (handle->waiting[i].publication == publication) {
            *response = handle->waiting[i].response;
            memmove(&handle->waiting[i], &handle->waiting[i + 1],
                (handle->count - i - 1) * sizeof handle->waiting[0]);
            handle->count--;
            return true;
        }
    }
    return false;
}

static void succeed(struct handle *handle, const MQTTAsync_responseOptions *response, int code)
{
    if (handle->version5) {
        MQTTAsync_successData5 data = MQTTAsync_successData5_initializer;

        data.reasonCode = (enum MQTTReasonCodes)code;
        response->onSuccess5(response->context, &data);
    } else {
        MQTTAsync_successData data = {.alt.qos = code};

        response->onSuccess(response->context, &data);
    }
}

/* As paho does it: a refusal has code 0 and a reason, what it gives up has a code and rubbish. */
static void fail(
    struct handle *handle, const MQTTAsync_responseOptions *response, int code, int reason)
{
    if (handle->version5) {
        MQTTAsync_failureData5 data = MQTTAsync_failureData5_initializer;

        data.code = code;
        data.reasonCode = (enum MQTTReasonCodes)(code != 0 ? 0xDD : reason);
        response->onFailure5(response->context, &data);
    } else {
        MQTTAsync_failureData data = {.code = code};

        response->onFailure(response->context, &data);
    }
}

void fake_fail_all(struct handle *handle)
{
    MQTTAsync_responseOptions response;

    while (take(handle, true, &response) || take(handle, false, &response))
        fail(handle, &response, MQTTASYNC_OPERATION_INCOMPLETE, 0);
}

/* Runs a job as paho runs its callbacks: under the lock. */
static void run_locked(
    void (*run)(struct handle *handle, const void *argument), const void *argument)
{
    pthread_mutex_lock(&fake_library.lock);
    fake_in_callback = true;
    if (fake_library.handle_count > 0)
        run(last_connected(), argument);
    fake_in_callback = false;
    pthread_mutex_unlock(&fake_library.lock);
}

static void acknowledge_one(struct handle *handle, const void *argument)
{
    MQTTAsync_responseOptions response;

    (void)argument;
    if (handle->state == FAKE_UP && take(handle, true, &response))
        succeed(handle, &response, 0);
}

static void *serve(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&job_lock);
    while (!stopping) {
        if (job.posted) {
            pthread_mutex_unlock(&job_lock);
            run_locked(job.run, job.argument);
            pthread_mutex_lock(&job_lock);
            job.posted = false;
            pthread_cond_broadcast(&job_changed);
        } else if (alone) {
            pthread_mutex_unlock(&job_lock);
            run_locked(acknowledge_one, NULL);
            pthread_mutex_lock(&job_lock);
        } else {
            pthread_cond_wait(&job_changed, &job_lock);
        }
    }
    pthread_mutex_unlock(&job_lock);
    return NULL;
}

static void on_thread(
    void (*run)(struct handle *handle, const void *argument), const void *argument)
{
    pthread_mutex_lock(&job_lock);
    job = (struct job){.run = run, .argument = argument, .posted = true};
    pthread_cond_broadcast(&job_changed);
    while (job.posted)
        pthread_cond_wait(&job_changed, &job_lock);
    pthread_mutex_unlock(&job_lock);
}

void fake_start(void)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&fake_library.lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    fake_library.counts = (struct fake_counts){0};
    fake_library.send_code = 0;
    stopping = alone = false;
    pthread_create(&thread, NULL, serve, NULL);
}

void fake_stop(void)
{
    pthread_mutex_lock(&job_lock);
    stopping = true;
    pthread_cond_broadcast(&job_changed);
    pthread_mutex_unlock(&job_lock);
    pthread_join(thread, NULL);
    while (fake_library.handle_count > 0)
        free(fake_library.handles[--fake_library.handle_count]);
    pthread_mutex_destroy(&fake_library.lock);
}

struct fake_counts fake_counts(void)
{
    struct fake_counts copy;

    pthread_mutex_lock(&fake_library.lock);
    copy = fake_library.counts;
    copy.memory = fake_memory();
    copy.handles = (unsigned)fake_library.handle_count;
    copy.in_flight = fake_library.handle_count > 0 ? fake_publications(last_connected()) : 0;
    pthread_mutex_unlock(&fake_library.lock);
    return copy;
}

/* What the test plays. */

static void add_property(MQTTProperties *properties, enum MQTTPropertyCodes code, unsigned value)
{
    MQTTProperty property = {.identifier = code};

    if (code == MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
        property.value.integer2 = (unsigned short)value;
    else if (code == MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE)
        property.value.integer4 = value;
    else
        property.value.byte = (unsigned char)value;
    MQTTProperties_add(properties, &property);
}

static void accept5(struct handle *handle, const struct fake_connack *connack)
{
    MQTTAsync_successData5 data = MQTTAsync_successData5_initializer;

    if (connack->receive_maximum > 0)
        add_property(&data.properties, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, connack->receive_maximum);
    if (connack->maximum_packet_size > 0)
        add_property(
            &data.properties, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, connack->maximum_packet_size);
    if (connack->maximum_qos >= 0)
        add_property(
            &data.properties, MQTTPROPERTY_CODE_MAXIMUM_QOS, (unsigned)connack->maximum_qos);
    if (connack->retain_available >= 0)
        add_property(&data.properties, MQTTPROPERTY_CODE_RETAIN_AVAILABLE,
            (unsigned)connack->retain_available);
    handle->connect.onSuccess5(handle->connect.context, &data);
    MQTTProperties_free(&data.properties);
}

static void accept_job(struct handle *handle, const void *argument)
{
    MQTTAsync_successData data = {0};

    handle->state = FAKE_UP;
    if (handle->version5)
        accept5(handle, argument);
    else
        handle->connect.onSuccess(handle->connect.context, &data);
}

void fake_accept(const struct fake_connack *connack)
{
    static const struct fake_connack plain = {.maximum_qos = -1, .retain_available = -1};

    on_thread(accept_job, connack != NULL ? connack : &plain);
}

struct refusal {
    int code;
    const char *message;
};

static void refuse_job(struct handle *handle, const void *argument)
{
    const struct refusal *refusal = argument;

    handle->state = FAKE_OVER;
    if (handle->version5) {
        MQTTAsync_failureData5 data = MQTTAsync_failureData5_initializer;

        data.code = refusal->code;
        data.message = refusal->message;
        handle->connect.onFailure5(handle->connect.context, &data);
    } else {
        MQTTAsync_failureData data = {.code = refusal->code, .message = refusal->message};

        handle->connect.onFailure(handle->connect.context, &data);
    }
}

void fake_refuse(int code, const char *message)
{
    on_thread(refuse_job, &(struct refusal){.code = code, .message = message});
}

static void tls_error_job(struct handle *handle, const void *argument)
{
    handle->tls_error(argument, strlen(argument), handle->tls_context);
}

void fake_tls_error(const char *line)
{
    on_thread(tls_error_job, line);
}

struct answer {
    unsigned count;
    int code;
    bool failure;
};

static void acknowledge_job(struct handle *handle, const void *argument)
{
    const struct answer *answer = argument;

    for (unsigned i = 0; i < answer->count; i++) {
        MQTTAsync_responseOptions response;
        bool there = take(handle, true, &response);

        assert(there);
        if (there && answer->code >= 0x80)
            fail(handle, &response, 0, answer->code);
        else if (there)
            succeed(handle, &response, answer->code);
    }
}

void fake_acknowledge(unsigned count, int code)
{
    on_thread(acknowledge_job, &(struct answer){.count = count, .code = code});
}

static void give_up_job(struct handle *handle, const void *argument)
{
    MQTTAsync_responseOptions response;

    (void)argument;
    if (take(handle, true, &response))
        fail(handle, &response, MQTTASYNC_OPERATION_INCOMPLETE, 0);
}

void fake_give_up(void)
{
    on_thread(give_up_job, NULL);
}

static void lose_job(struct handle *handle, const void *argument)
{
    (void)argument;
    handle->state = FAKE_OVER;
    fake_fail_all(handle);
    handle->lost(handle->context, NULL);
}

void fake_lose(void)
{
    on_thread(lose_job, NULL);
}

static void lose_again_job(struct handle *handle, const void *argument)
{
    (void)argument;
    handle->lost(handle->context, NULL);
}

void fake_lose_again(void)
{
    on_thread(lose_again_job, NULL);
}

static void disconnected_job(struct handle *handle, const void *argument)
{
    MQTTProperties none = MQTTProperties_initializer;

    handle->state = FAKE_OVER;
    handle->disconnected(
        handle->disconnected_context, &none, (enum MQTTReasonCodes) * (const int *)argument);
    fake_fail_all(handle);
}

void fake_disconnected(int reason)
{
    on_thread(disconnected_job, &reason);
}

struct incoming {
    const char *topic, *response_topic;
    size_t payload_length;
};

static void message_job(struct handle *handle, const void *argument)
{
    const struct incoming *incoming = argument;
    const MQTTAsync_message blank = MQTTAsync_message_initializer;
    MQTTAsync_message *message = MQTTAsync_malloc(sizeof *message);
    char *topic = MQTTAsync_malloc(strlen(incoming->topic) + 1);
    int taken;

    *message = blank;
    message->payloadlen = (int)incoming->payload_length;
    message->payload = MQTTAsync_malloc(incoming->payload_length + 1);
    memset(message->payload, 'x', incoming->payload_length);
    strcpy(topic, incoming->topic);
    if (incoming->response_topic != NULL) {
        MQTTProperty property = {.identifier = MQTTPROPERTY_CODE_RESPONSE_TOPIC};

        property.value.data.data = (char *)incoming->response_topic;
        property.value.data.len = (int)strlen(incoming->response_topic);
        MQTTProperties_add(&message->properties, &property);
    }
    taken = handle->arrived(handle->context, topic, 0, message);
    assert(taken == 1);
    (void)taken;
}

void fake_message(const char *topic, size_t payload_length, const char *response_topic)
{
    on_thread(message_job,
        &(struct incoming){
            .topic = topic, .response_topic = response_topic, .payload_length = payload_length});
}

static void suback_job(struct handle *handle, const void *argument)
{
    const struct answer *answer = argument;
    MQTTAsync_responseOptions response;

    if (!take(handle, false, &response))
        return;
    if (answer->failure)
        fail(handle, &response, 0, answer->code);
    else
        succeed(handle, &response, answer->code);
}

void fake_suback(int code, bool failure)
{
    on_thread(suback_job, &(struct answer){.code = code, .failure = failure});
}

static void closed_job(struct handle *handle, const void *argument)
{
    (void)argument;
    handle->state = FAKE_OVER;
    if (handle->version5)
        handle->disconnect.onSuccess5(handle->disconnect.context, NULL);
    else
        handle->disconnect.onSuccess(handle->disconnect.context, NULL);
}

void fake_closed(void)
{
    on_thread(closed_job, NULL);
}

void fake_acknowledge_alone(bool itself)
{
    pthread_mutex_lock(&job_lock);
    alone = itself;
    pthread_cond_broadcast(&job_changed);
    pthread_mutex_unlock(&job_lock);
}

void fake_refuse_sends(int code)
{
    pthread_mutex_lock(&fake_library.lock);
    fake_library.send_code = code;
    pthread_mutex_unlock(&fake_library.lock);
}
