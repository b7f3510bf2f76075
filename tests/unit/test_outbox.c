#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "outbox.h"
#include "packet.h"

static const struct outbox_format five = {.version5 = true, .qos = 1, .retain = true};

static void push(struct outbox *outbox, const char *topic, const char *payload, unsigned slot)
{
    struct outbox_message message = {
        .topic = topic, .payload = payload, .payload_length = strlen(payload), .slot = slot};
    outbox_push(outbox, &message);
}

static struct packet_message read_entry(const struct outbox_entry *entry, bool version5)
{
    struct packet_message read;
    packet_read_message(entry->packet, version5, &read);
    assert_int_equal(packet_size(entry->packet, entry->length), entry->length);
    assert_int_equal(read.topic_length, strlen(entry->topic));
    assert_memory_equal(read.topic, entry->topic, read.topic_length);
    return read;
}

static void assert_payload(const struct outbox_entry *entry, const char *payload)
{
    struct packet_message read = read_entry(entry, true);
    assert_int_equal(read.payload_length, strlen(payload));
    assert_memory_equal(read.payload, payload, read.payload_length);
}

static struct outbox_entry *send(struct outbox *outbox, const char *payload)
{
    struct outbox_entry *entry = outbox_send_next(outbox, 0);
    assert_non_null(entry);
    assert_payload(entry, payload);
    return entry;
}

static void test_outbox_keeps_a_message_until_it_is_acknowledged(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    struct outbox_entry *entry = send(outbox, "1");
    assert_int_equal(outbox_count(outbox), 1);
    assert_int_equal(outbox_in_flight(outbox), 1);
    assert_string_equal(entry->topic, "t");
    outbox_acknowledge(outbox, entry);
    assert_int_equal(outbox_count(outbox), 0);
    assert_int_equal(outbox_bytes(outbox), 0);
    outbox_free(outbox);
}

static void test_outbox_rewinds_to_oldest_unacked_after_loss(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    for (int i = 1; i <= 4; i++)
        push(outbox, "t", (char[]){(char)('0' + i), '\0'}, 0);
    send(outbox, "1");
    struct outbox_entry *second = send(outbox, "2");
    send(outbox, "3");
    outbox_acknowledge(outbox, second);
    outbox_rewind(outbox, 0);
    assert_int_equal(outbox_in_flight(outbox), 0);
    send(outbox, "1");
    send(outbox, "3");
    send(outbox, "4");
    assert_null(outbox_send_next(outbox, 0));
    outbox_free(outbox);
}

static void test_outbox_puts_urgent_messages_ahead_of_what_waits(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 0);
    send(outbox, "1");
    struct outbox_message urgent = {.topic = "u", .payload = "!", .payload_length = 1};
    outbox_push_first(outbox, &urgent);
    send(outbox, "!");
    send(outbox, "2");
    outbox_push_first(outbox, &urgent);
    send(outbox, "!");
    outbox_free(outbox);
}

static void test_outbox_sends_only_the_last_value_of_a_slot(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "s", "old", 1);
    push(outbox, "t", "1", 0);
    push(outbox, "s", "new", 1);
    push(outbox, "s", "other slot", 2);
    assert_int_equal(outbox_count(outbox), 3);
    send(outbox, "1");
    send(outbox, "new");
    push(outbox, "s", "newer", 1);
    assert_int_equal(outbox_count(outbox), 4);
    outbox_rewind(outbox, 0);
    send(outbox, "1");
    send(outbox, "other slot");
    send(outbox, "newer");
    assert_null(outbox_peek(outbox));
    outbox_free(outbox);
}

static void test_outbox_blames_the_oldest_for_a_quick_loss_only(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    outbox_send_next(outbox, 1000);
    outbox_rewind(outbox, 1000 + OUTBOX_BLAME_MS);
    assert_int_equal(outbox_peek(outbox)->losses, 0);
    outbox_send_next(outbox, 5000);
    outbox_rewind(outbox, 5000 + OUTBOX_BLAME_MS - 1);
    assert_int_equal(outbox_peek(outbox)->losses, 1);
    outbox_rewind(outbox, 5000);
    assert_int_equal(outbox_peek(outbox)->losses, 1);
    outbox_free(outbox);
}

static void test_outbox_blames_only_what_was_sent_alone(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 0);
    outbox_send_next(outbox, 1000);
    outbox_send_next(outbox, 1000);
    assert_true(outbox_rewind(outbox, 1001));
    assert_int_equal(outbox_peek(outbox)->losses, 0);
    assert_false(outbox_rewind(outbox, 1001));
    outbox_free(outbox);
}

static void test_outbox_blames_what_was_overtaken(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 0);
    push(outbox, "t", "3", 0);
    outbox_acknowledge(outbox, outbox_send_next(outbox, 1000));
    for (int i = 0; i < 2; i++)
        outbox_send_next(outbox, 1000);
    assert_false(outbox_rewind(outbox, 9000));
    assert_int_equal(outbox_peek(outbox)->losses, 0);
    outbox_send_next(outbox, 9000);
    outbox_acknowledge(outbox, outbox_send_next(outbox, 9000));
    assert_false(outbox_rewind(outbox, 19000));
    assert_int_equal(outbox_peek(outbox)->losses, 1);
    outbox_send_next(outbox, 19000);
    assert_false(outbox_rewind(outbox, 29000));
    assert_int_equal(outbox_peek(outbox)->losses, 1);
    outbox_free(outbox);
}

static void test_outbox_blames_nothing_for_what_was_dropped(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 0);
    outbox_send_next(outbox, 1000);
    outbox_drop(outbox, outbox_send_next(outbox, 1000));
    assert_false(outbox_rewind(outbox, 9000));
    assert_int_equal(outbox_count(outbox), 1);
    assert_int_equal(outbox_peek(outbox)->losses, 0);
    outbox_free(outbox);
}

static void test_outbox_knows_how_long_the_oldest_is_in_flight(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 0);
    assert_int_equal(outbox_oldest_ms(outbox), -1);
    struct outbox_entry *oldest = outbox_send_next(outbox, 1000);
    outbox_send_next(outbox, 2000);
    assert_int_equal(outbox_oldest_ms(outbox), 1000);
    outbox_acknowledge(outbox, oldest);
    assert_int_equal(outbox_oldest_ms(outbox), 2000);
    outbox_rewind(outbox, 2000);
    assert_int_equal(outbox_oldest_ms(outbox), -1);
    outbox_free(outbox);
}

static void test_outbox_keeps_the_blame_with_a_slot(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 3);
    outbox_send_next(outbox, 1000);
    push(outbox, "t", "2", 3);
    outbox_rewind(outbox, 1001);
    push(outbox, "t", "3", 3);
    assert_int_equal(outbox_count(outbox), 1);
    assert_payload(outbox_peek(outbox), "3");
    assert_int_equal(outbox_peek(outbox)->losses, 1);
    outbox_free(outbox);
}

static void test_outbox_drops_what_waits_and_nothing_else(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push(outbox, "t", "1", 0);
    push(outbox, "t", "2", 3);
    push(outbox, "t", "3", 0);
    send(outbox, "1");
    outbox_drop_waiting(outbox);
    assert_int_equal(outbox_count(outbox), 1);
    assert_int_equal(outbox_in_flight(outbox), 1);
    push(outbox, "t", "4", 3);
    send(outbox, "4");
    outbox_free(outbox);
}

static void test_outbox_keeps_bytes_that_are_no_text(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    struct outbox_message message = {.topic = "t",
        .payload = "a\0b",
        .payload_length = 3,
        .correlation = "\0\1",
        .correlation_length = 2,
        .retain = true,
        .json = true};
    outbox_push(outbox, &message);
    struct packet_message read = read_entry(outbox_send_next(outbox, 0), true);
    assert_int_equal(read.payload_length, 3);
    assert_memory_equal(read.payload, "a\0b", 3);
    assert_int_equal(read.correlation_length, 2);
    assert_memory_equal(read.correlation_data, "\0\1", 2);
    assert_true(read.retain && read.qos == 1);
    outbox_free(outbox);
}

/* What a broker takes is known with its CONNACK only, and the next one may take more. */
static void test_outbox_makes_packets_anew_for_another_connection(void **state)
{
    (void)state;
    static const struct outbox_format formats[] = {{.version5 = true, .qos = 2, .retain = true},
        {.version5 = false, .qos = 0}, {.version5 = false, .qos = 1, .retain = true},
        {.version5 = true, .qos = 1}};
    struct outbox *outbox = outbox_new(&five, NULL);
    struct outbox_message message = {
        .topic = "t", .payload = "p", .payload_length = 1, .retain = true, .json = true};
    outbox_push(outbox, &message);
    message.can_wait = true;
    outbox_push(outbox, &message);
    size_t before = outbox_peek(outbox)->length;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        outbox_set_format(outbox, &formats[i]);
        for (int entry = 0; entry < 2; entry++) {
            struct packet_message read =
                read_entry(outbox_send_next(outbox, 0), formats[i].version5);
            assert_int_equal(read.payload_length, 1);
            assert_int_equal(*read.payload, 'p');
            assert_int_equal(read.qos, formats[i].qos);
            assert_int_equal(read.retain, formats[i].retain);
        }
        outbox_rewind(outbox, 0);
    }
    outbox_set_format(outbox, &five);
    assert_int_equal(outbox_peek(outbox)->length, before); /* with the content type again */
    outbox_free(outbox);
}

/* ---- A random walk against a model: an array of numbers, of which a prefix is in flight. */

#define MODEL_SIZE 4096

struct model {
    unsigned numbers[MODEL_SIZE];
    struct outbox_entry *entries[MODEL_SIZE];
    size_t count, in_flight;
};

static void model_remove(struct model *model, size_t at)
{
    for (size_t i = at; i + 1 < model->count; i++) {
        model->numbers[i] = model->numbers[i + 1];
        model->entries[i] = model->entries[i + 1];
    }
    model->count--;
    model->in_flight--;
}

static void walk_send(struct outbox *outbox, struct model *model)
{
    char expected[16];
    if (model->in_flight == model->count) {
        assert_null(outbox_send_next(outbox, 0));
        return;
    }
    snprintf(expected, sizeof expected, "%u", model->numbers[model->in_flight]);
    model->entries[model->in_flight++] = send(outbox, expected);
}

static void test_outbox_loses_nothing_and_keeps_order_in_a_random_walk(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    unsigned number = 0, seed = 12345;
    for (int step = 0; step < 200000; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned dice = (seed >> 16) % 100;
        if (dice < 35 && model->count < MODEL_SIZE) {
            char text[16];
            model->numbers[model->count++] = ++number;
            snprintf(text, sizeof text, "%u", number);
            push(outbox, "t", text, 0);
        } else if (dice < 70) {
            walk_send(outbox, model);
        } else if (dice < 98 && model->in_flight > 0) {
            size_t at = (seed >> 8) % model->in_flight;
            outbox_acknowledge(outbox, model->entries[at]);
            model_remove(model, at);
        } else if (dice >= 98) {
            outbox_rewind(outbox, 0);
            model->in_flight = 0;
        }
        assert_int_equal(outbox_count(outbox), model->count);
        assert_int_equal(outbox_in_flight(outbox), model->in_flight);
    }
    free(model);
    outbox_free(outbox);
}

static void push_patient(struct outbox *outbox, const char *payload)
{
    struct outbox_message message = {
        .topic = "t", .payload = payload, .payload_length = strlen(payload), .can_wait = true};
    outbox_push(outbox, &message);
}

static void test_outbox_lets_others_overtake_what_can_wait(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push_patient(outbox, "p1");
    push_patient(outbox, "p2");
    for (int i = 0; i < 8; i++)
        push(outbox, "t", (char[]){(char)('a' + i), '\0'}, 0);
    assert_int_equal(outbox_count(outbox), 10);
    assert_int_equal(outbox_patient_count(outbox), 2);
    assert_true(outbox_patient_bytes(outbox) > 0);
    for (int i = 0; i < 7; i++)
        send(outbox, (char[]){(char)('a' + i), '\0'});
    send(outbox, "p1"); /* the eighth place */
    send(outbox, "h");
    send(outbox, "p2");
    assert_null(outbox_peek(outbox));
    assert_int_equal(outbox_patient_count(outbox), 0);
    assert_int_equal(outbox_patient_bytes(outbox), 0);
    outbox_free(outbox);
}

static void test_outbox_sends_what_can_wait_again_in_its_place(void **state)
{
    (void)state;
    struct outbox *outbox = outbox_new(&five, NULL);
    push_patient(outbox, "p1");
    push_patient(outbox, "p2");
    send(outbox, "p1");
    push(outbox, "t", "a", 0);
    outbox_rewind(outbox, 0);
    send(outbox, "p1");
    send(outbox, "a");
    outbox_drop_waiting(outbox);
    assert_int_equal(outbox_count(outbox), 2);
    assert_int_equal(outbox_patient_bytes(outbox), 0);
    push_patient(outbox, "p3");
    outbox_free(outbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbox_lets_others_overtake_what_can_wait),
        cmocka_unit_test(test_outbox_sends_what_can_wait_again_in_its_place),
        cmocka_unit_test(test_outbox_keeps_a_message_until_it_is_acknowledged),
        cmocka_unit_test(test_outbox_rewinds_to_oldest_unacked_after_loss),
        cmocka_unit_test(test_outbox_puts_urgent_messages_ahead_of_what_waits),
        cmocka_unit_test(test_outbox_sends_only_the_last_value_of_a_slot),
        cmocka_unit_test(test_outbox_makes_packets_anew_for_another_connection),
        cmocka_unit_test(test_outbox_blames_the_oldest_for_a_quick_loss_only),
        cmocka_unit_test(test_outbox_blames_only_what_was_sent_alone),
        cmocka_unit_test(test_outbox_blames_what_was_overtaken),
        cmocka_unit_test(test_outbox_blames_nothing_for_what_was_dropped),
        cmocka_unit_test(test_outbox_knows_how_long_the_oldest_is_in_flight),
        cmocka_unit_test(test_outbox_keeps_the_blame_with_a_slot),
        cmocka_unit_test(test_outbox_drops_what_waits_and_nothing_else),
        cmocka_unit_test(test_outbox_keeps_bytes_that_are_no_text),
        cmocka_unit_test(test_outbox_loses_nothing_and_keeps_order_in_a_random_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
