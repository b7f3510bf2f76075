/*
 * The MQTT library makes a connection; from then on it holds one end of a pair of sockets, and the
 * relay the other end and the connection itself. What it saves is most of what a message costs:
 * the library copies each publication three times, keeps it in four lists, and wakes two threads
 * for it and its acknowledgement.
 *
 *     library  <->  pair  <->  relay  <->  broker
 *                                ^
 *                        messages, PUBACKs
 *
 * Each side's packets stay in order and whole. Who does not take what is for him holds the other
 * back. Messages are read as fast as they come, for as long as the owner has room: mosquitto drops
 * what a subscriber does not take at once, also of the retained ones.
 */
#include "mqttrelay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"

enum {
    READ_SIZE = 16384,
    READS = 8, /* in a row, so that everything else has its turn */
    /* Beyond that the other side waits until some has been taken; and a buffer that was larger is
     * given back once it is empty. */
    ENOUGH = 64 * 1024,
    /* Acknowledgements that nobody waits for: the loop wakes up for so many bytes, which every
     * command has (a PUBLISH to `aiva/bridge/command/refresh` has 31), or after so long. */
    LAZY_BYTES = 16,
    LAZY_MS = 20,
    LAST_TRIES = 4,
    LAST_TRY_MS = 50,
};

struct end {
    int fd;
    short events; /* what the loop watches for */
    bool ended;   /* nothing more comes from it */
    bool shut;    /* nothing more goes to it */
};

/* Bytes on their way out. */
struct queue {
    struct buf bytes;
    size_t sent; /* of them */
};

struct mqttrelay {
    struct loop *loop; /* NULL while nothing is to pass */
    bool version5;
    struct mqttrelay_handler handler;
    struct end broker, library;
    struct packet_reader reader;
    unsigned awaited;   /* acknowledgements */
    struct buf unacked; /* with QoS 0: what on_ack is still to be told, as uint16_t */
    bool lazy;          /* SO_RCVLOWAT is LAZY_BYTES */
    bool in_vain;       /* nothing has come in LAZY_MS: waiting for it costs less than looking */
    struct timer timer; /* acknowledgements have lain long enough */
    struct queue to_library;
    struct buf from_library; /* the beginning of a packet */
    struct queue to_broker;  /* whole packets, but for what has been sent of the first */
    unsigned subscriptions;  /* of the library's that are still to come */
    bool disconnecting;      /* the library has said DISCONNECT: nothing may follow */
    unsigned acks;           /* PUBACKs in to_broker, at most */
    struct buf behind;       /* publications that wait for these */
    struct buf in;           /* what is too short to say whose it is */
};

/* ---- Making and ending */

struct mqttrelay *mqttrelay_new(int fd, bool version5)
{
    int pair[2];
    int broker = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (broker < 0)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        close(broker);
        return NULL;
    }
    if (dup3(pair[1], fd, O_CLOEXEC) < 0) {
        close(broker);
        close(pair[0]);
        close(pair[1]);
        return NULL;
    }
    close(pair[1]);
    struct mqttrelay *relay = xcalloc(1, sizeof *relay);
    relay->version5 = version5;
    relay->broker.fd = broker;
    relay->library.fd = pair[0];
    buf_init(&relay->unacked, SIZE_MAX);
    buf_init(&relay->from_library, LIMIT_OUTBOX_BYTES);
    buf_init(&relay->to_broker.bytes, SIZE_MAX);
    buf_init(&relay->to_library.bytes, SIZE_MAX);
    buf_init(&relay->behind, SIZE_MAX);
    buf_init(&relay->in, LIMIT_MQTT_PACKET + READ_SIZE);
    return relay;
}

/* ---- Watching */

static void on_broker(void *ctx, short revents);
static void on_library(void *ctx, short revents);

static void watch(
    struct mqttrelay *relay, struct end *end, short events, void (*ready)(void *ctx, short revents))
{
    if (end->events == events)
        return;
    /* What nothing is expected of would report its end again and again. */
    if (events == 0)
        loop_remove_fd(relay->loop, end->fd);
    else if (end->events != 0)
        loop_watch_fd(relay->loop, end->fd, events);
    else if (!loop_add_fd(relay->loop, end->fd, events, ready, relay))
        return;
    end->events = events;
}

static size_t left(const struct queue *queue)
{
    return queue->bytes.length - queue->sent;
}

static bool has_output(const struct mqttrelay *relay)
{
    return left(&relay->to_broker) > 0;
}

static void set_lazy(struct mqttrelay *relay, bool lazy)
{
    const int bytes = lazy ? LAZY_BYTES : 1;
    if (relay->lazy == lazy)
        return;
    (void)setsockopt(relay->broker.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
    relay->lazy = lazy;
}

static void watch_all(struct mqttrelay *relay)
{
    short broker = 0, library = 0;
    if (!relay->loop)
        return;
    if (!relay->broker.ended && left(&relay->to_library) < ENOUGH)
        broker |= POLLIN;
    if (has_output(relay))
        broker |= POLLOUT;
    if (!relay->library.ended && left(&relay->to_broker) < ENOUGH)
        library |= POLLIN;
    if (left(&relay->to_library) > 0)
        library |= POLLOUT;
    watch(relay, &relay->broker, broker, on_broker);
    watch(relay, &relay->library, library, on_library);
}

/* ---- Sending */

static void forget(struct queue *queue)
{
    buf_clear(&queue->bytes);
    queue->sent = 0;
}

/* What has been sent need not be kept. */
static void compact(struct queue *queue)
{
    struct buf *bytes = &queue->bytes;
    /* So that each byte is moved about once at most. */
    if (left(queue) > 0 && queue->sent < bytes->length / 2)
        return;
    if (left(queue) == 0 && bytes->capacity > ENOUGH) {
        forget(queue);
        return;
    }
    memmove(bytes->data, bytes->data + queue->sent, left(queue));
    bytes->length -= queue->sent;
    queue->sent = 0;
}

/* Sends what the other side takes. False where it has gone. */
static bool drain(struct queue *queue, int fd)
{
    while (left(queue) > 0) {
        ssize_t sent = send(fd, queue->bytes.data + queue->sent, left(queue), MSG_NOSIGNAL);
        if (sent >= 0)
            queue->sent += (size_t)sent;
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return false;
    }
    if (queue->sent > 0)
        compact(queue);
    return true;
}

/* ---- To the broker */

/* What the broker has said last is still read, and the library learns the rest from the end of
 * that.
 */
static void give_up(struct mqttrelay *relay)
{
    relay->broker.shut = true;
    (void)shutdown(relay->broker.fd, SHUT_RDWR);
    forget(&relay->to_broker);
    buf_clear(&relay->unacked);
}

static void send_out(struct mqttrelay *relay)
{
    if (!drain(&relay->to_broker, relay->broker.fd)) {
        give_up(relay);
    } else if (!has_output(relay) && relay->library.ended && !relay->broker.shut) {
        relay->broker.shut = true;
        (void)shutdown(relay->broker.fd, SHUT_WR);
    }
}

static void release_behind(struct mqttrelay *relay)
{
    if (!buf_append(&relay->to_broker.bytes, relay->behind.data, relay->behind.length))
        give_up(relay);
    buf_clear(&relay->behind);
}

/* Only whole packets, so that a publication never comes into the middle of one. */
static void take_from_library(struct mqttrelay *relay)
{
    struct buf *from = &relay->from_library;
    struct packet_counts counts = {0};
    size_t whole = packet_complete(from->data, from->length, &counts);
    if (whole == 0 || relay->broker.shut)
        return;
    /* Nothing may follow DISCONNECT, and nobody waits for what those subscriptions would bring. */
    if (counts.disconnects > 0)
        release_behind(relay);
    if (!buf_append(&relay->to_broker.bytes, from->data, whole)) {
        give_up(relay);
        return;
    }
    memmove(from->data, from->data + whole, from->length - whole);
    from->length -= whole;
    relay->disconnecting = relay->disconnecting || counts.disconnects > 0;
    if (counts.subscriptions == 0)
        return;
    relay->subscriptions -=
        counts.subscriptions < relay->subscriptions ? counts.subscriptions : relay->subscriptions;
    if (relay->subscriptions == 0)
        release_behind(relay);
}

/* False once there is nothing more for now. */
static bool read_library(struct mqttrelay *relay)
{
    unsigned char bytes[READ_SIZE];
    ssize_t got = relay->library.ended ? 0 : recv(relay->library.fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return errno == EINTR;
    if (got <= 0)
        relay->library.ended = true;
    else if (!buf_append(&relay->from_library, bytes, (size_t)got))
        give_up(relay);
    take_from_library(relay);
    send_out(relay);
    return got > 0;
}

/* ---- From the broker */

static void pass_on(struct mqttrelay *relay)
{
    if (relay->library.shut || !drain(&relay->to_library, relay->library.fd)) {
        relay->library.shut = true;
        forget(&relay->to_library);
    } else if (relay->broker.ended && left(&relay->to_library) == 0) {
        relay->library.shut = true;
        (void)shutdown(relay->library.fd, SHUT_WR);
    }
}

/* Nothing may follow what is missing. */
static void end_reading(struct mqttrelay *relay)
{
    relay->broker.ended = true;
    give_up(relay);
}

static void give_to_library(struct mqttrelay *relay, const char *bytes, size_t size)
{
    if (!buf_append(&relay->to_library.bytes, bytes, size))
        end_reading(relay);
}

/* There are no more Packet Identifiers than that: a broker that does not take acknowledgements and
 * sends more messages all the same is broken. */
static void acknowledge(struct mqttrelay *relay, uint16_t identifier)
{
    if (!has_output(relay))
        relay->acks = 0;
    if (++relay->acks > UINT16_MAX)
        end_reading(relay);
    else if (!packet_append_puback(&relay->to_broker.bytes, identifier))
        give_up(relay);
}

/* What the handler drops because too much waits is acknowledged all the same: it would come again
 * and again. */
static void take_message(struct mqttrelay *relay, const char *bytes, size_t size)
{
    struct packet_message message;
    if (relay->disconnecting || relay->broker.shut)
        return;
    if (!packet_read_message(bytes, size, relay->version5, &message)) {
        give_to_library(relay, bytes, size);
        return;
    }
    relay->handler.on_message(relay->handler.ctx, &message);
    if (message.qos > 0)
        acknowledge(relay, message.identifier);
}

/* Takes out of what has come what is the relay's. */
static void sort(struct mqttrelay *relay)
{
    struct buf *in = &relay->in;
    int64_t now_ms = clock_monotonic_ms();
    size_t done = 0;
    for (;;) {
        const char *bytes = in->data + done;
        struct packet_part part = packet_read(&relay->reader, bytes, in->length - done);
        if (part.kind == PACKET_MORE)
            break;
        done += part.size;
        if (part.kind == PACKET_LIBRARY) {
            give_to_library(relay, bytes, part.size);
        } else if (part.kind == PACKET_PUBLISH) {
            take_message(relay, bytes, part.size);
        } else if (part.kind == PACKET_PUBACK) {
            relay->awaited -= relay->awaited > 0;
            relay->handler.on_ack(relay->handler.ctx, part.identifier, part.reason_code, now_ms);
        }
    }
    in->length -= done;
    if (in->length == 0 && in->capacity > ENOUGH)
        buf_clear(in);
    else if (done > 0)
        memmove(in->data, in->data + done, in->length);
}

/* False once there is nothing more for now. */
static bool read_some(struct mqttrelay *relay)
{
    char *room = buf_extend(&relay->in, READ_SIZE);
    ssize_t got;
    if (!room) {
        end_reading(relay);
        return false;
    }
    got = recv(relay->broker.fd, room, READ_SIZE, 0);
    relay->in.length -= READ_SIZE - (got > 0 ? (size_t)got : 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0)
        relay->broker.ended = true;
    sort(relay);
    return got == READ_SIZE;
}

static void read_broker(struct mqttrelay *relay)
{
    unsigned reads = READS;
    while (!relay->broker.ended && left(&relay->to_library) < ENOUGH &&
           relay->handler.has_room(relay->handler.ctx) && read_some(relay) && --reads > 0)
        continue;
    if (left(&relay->to_library) > 0 || relay->broker.ended)
        pass_on(relay);
    if (has_output(relay))
        send_out(relay);
}

/* ---- What has no acknowledgement */

/* It is done with once the connection has taken it, unless that is known to have ended. */
static bool can_settle(const struct mqttrelay *relay)
{
    return relay->unacked.length > 0 && !has_output(relay) && relay->subscriptions == 0 &&
           !relay->broker.ended;
}

static void settle(struct mqttrelay *relay)
{
    struct buf done = relay->unacked;
    int64_t now_ms;
    if (!can_settle(relay) || !relay->loop)
        return;
    /* Whoever is told may publish more. */
    buf_init(&relay->unacked, SIZE_MAX);
    now_ms = clock_monotonic_ms();
    for (size_t at = 0; at < done.length; at += sizeof(uint16_t)) {
        uint16_t identifier;
        memcpy(&identifier, done.data + at, sizeof identifier);
        relay->handler.on_ack(relay->handler.ctx, identifier, 0, now_ms);
    }
    buf_clear(&done);
}

/* ---- On the loop */

static void on_broker(void *ctx, short revents)
{
    struct mqttrelay *relay = ctx;
    if ((revents & ~POLLOUT) != 0)
        read_broker(relay);
    if ((revents & POLLOUT) != 0)
        send_out(relay);
    settle(relay);
    watch_all(relay);
}

static void on_library(void *ctx, short revents)
{
    struct mqttrelay *relay = ctx;
    if ((revents & POLLOUT) != 0)
        pass_on(relay);
    if ((revents & ~POLLOUT) != 0)
        read_library(relay);
    settle(relay);
    watch_all(relay);
}

static void on_timer(void *ctx)
{
    struct mqttrelay *relay = ctx;
    unsigned before = relay->awaited;
    mqttrelay_look(relay);
    relay->in_vain = relay->awaited == before;
}

bool mqttrelay_start(
    struct mqttrelay *relay, struct loop *loop, const struct mqttrelay_handler *handler)
{
    relay->loop = loop;
    relay->handler = *handler;
    timer_init(&relay->timer, loop, on_timer, relay);
    watch_all(relay);
    if (relay->broker.events != 0 && relay->library.events != 0)
        return true;
    mqttrelay_stop(relay);
    return false;
}

void mqttrelay_stop(struct mqttrelay *relay)
{
    if (!relay->loop)
        return;
    watch(relay, &relay->broker, 0, on_broker);
    watch(relay, &relay->library, 0, on_library);
    timer_stop(&relay->timer);
    relay->loop = NULL;
}

void mqttrelay_free(struct mqttrelay *relay)
{
    struct pollfd writable;
    if (!relay)
        return;
    mqttrelay_stop(relay);
    while (read_library(relay))
        continue;
    writable = (struct pollfd){.fd = relay->broker.fd, .events = POLLOUT};
    for (int tries = 0; tries < LAST_TRIES && has_output(relay); tries++) {
        (void)poll(&writable, 1, LAST_TRY_MS);
        send_out(relay);
    }
    close(relay->broker.fd);
    close(relay->library.fd);
    buf_clear(&relay->unacked);
    buf_clear(&relay->from_library);
    forget(&relay->to_broker);
    forget(&relay->to_library);
    buf_clear(&relay->behind);
    buf_clear(&relay->in);
    free(relay);
}

/* ---- Publishing */

void mqttrelay_expect_subscription(struct mqttrelay *relay)
{
    relay->subscriptions++;
}

bool mqttrelay_publish(struct mqttrelay *relay, const struct packet_publish *publish)
{
    if (relay->broker.shut || relay->broker.ended)
        return true; /* like what was on its way when the connection ended */
    struct buf *out = relay->subscriptions > 0 ? &relay->behind : &relay->to_broker.bytes;
    if (!packet_append_publish(out, publish)) {
        out->failed = false;
        return false;
    }
    relay->in_vain = false;
    if (publish->qos > 0)
        relay->awaited++;
    else if (!buf_append(&relay->unacked, &publish->identifier, sizeof publish->identifier))
        give_up(relay);
    return true;
}

void mqttrelay_flush(struct mqttrelay *relay)
{
    if (has_output(relay))
        send_out(relay);
    if (can_settle(relay))
        timer_set(&relay->timer, loop_now(relay->loop));
    watch_all(relay);
}

void mqttrelay_hurry(struct mqttrelay *relay, bool hurry)
{
    bool lazy = !hurry && relay->awaited > 0 && !relay->in_vain;
    bool settles = can_settle(relay);
    set_lazy(relay, lazy);
    if (lazy || (settles && !hurry))
        timer_set(&relay->timer, loop_now(relay->loop) + LAZY_MS);
    else if (settles)
        timer_set(&relay->timer, loop_now(relay->loop));
    else
        timer_stop(&relay->timer);
}

void mqttrelay_look(struct mqttrelay *relay)
{
    settle(relay);
    if (relay->awaited == 0)
        return;
    read_broker(relay);
    watch_all(relay);
}

bool mqttrelay_awaits(const struct mqttrelay *relay)
{
    return relay->awaited > 0 || relay->unacked.length > 0;
}
