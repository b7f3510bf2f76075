/* The fake's data: memory that is counted, messages, MQTT 5 properties, names of codes. */
#include "paho_fake.h"

/* Whether its parameter is const depends on the library's version: the header's declaration stands
 * aside for the one below, which fits all of them. */
#define MQTTProperties_getProperty MQTTProperties_getProperty_of_the_header
#include <MQTTAsync.h>
#undef MQTTProperties_getProperty
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint blocks;

unsigned fake_memory(void)
{
    return atomic_load(&blocks);
}

void *MQTTAsync_malloc(size_t size)
{
    atomic_fetch_add(&blocks, 1);
    return malloc(size);
}

void MQTTAsync_free(void *memory)
{
    if (memory != NULL)
        atomic_fetch_sub(&blocks, 1);
    free(memory);
}

void MQTTAsync_freeMessage(MQTTAsync_message **message)
{
    MQTTProperties_free(&(*message)->properties);
    MQTTAsync_free((*message)->payload);
    MQTTAsync_free(*message);
    *message = NULL;
}

const char *MQTTAsync_strerror(int code)
{
    return code == MQTTASYNC_FAILURE ? "Failure" : NULL;
}

const char *MQTTReasonCode_toString(enum MQTTReasonCodes code)
{
    return code == MQTTREASONCODE_SESSION_TAKEN_OVER ? "Session taken over" : "Some reason";
}

static bool is_text(const MQTTProperty *property)
{
    return property->identifier == MQTTPROPERTY_CODE_RESPONSE_TOPIC ||
           property->identifier == MQTTPROPERTY_CODE_CONTENT_TYPE ||
           property->identifier == MQTTPROPERTY_CODE_CORRELATION_DATA;
}

int MQTTProperties_add(MQTTProperties *properties, const MQTTProperty *property)
{
    MQTTProperty copy = *property;

    if (is_text(property)) {
        copy.value.data.data = MQTTAsync_malloc((size_t)property->value.data.len + 1);
        memcpy(copy.value.data.data, property->value.data.data, (size_t)property->value.data.len);
    }
    properties->array =
        realloc(properties->array, (size_t)(properties->count + 1) * sizeof *properties->array);
    properties->array[properties->count++] = copy;
    return 0;
}

MQTTProperties MQTTProperties_copy(const MQTTProperties *properties)
{
    MQTTProperties copy = MQTTProperties_initializer;

    for (int i = 0; i < properties->count; i++)
        MQTTProperties_add(&copy, &properties->array[i]);
    return copy;
}

void MQTTProperties_free(MQTTProperties *properties)
{
    for (int i = 0; i < properties->count; i++) {
        if (is_text(&properties->array[i]))
            MQTTAsync_free(properties->array[i].value.data.data);
    }
    free(properties->array);
    *properties = (MQTTProperties)MQTTProperties_initializer;
}

MQTTProperty *MQTTProperties_getProperty(
    const MQTTProperties *properties, enum MQTTPropertyCodes code);
MQTTProperty *MQTTProperties_getProperty(
    const MQTTProperties *properties, enum MQTTPropertyCodes code)
{
    for (int i = 0; i < properties->count; i++) {
        if (properties->array[i].identifier == code)
            return &properties->array[i];
    }
    return NULL;
}
