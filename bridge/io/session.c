/*
 * paho's side of the connection. paho believes that it reaches the broker through an HTTP proxy on
 * 127.0.0.1: a listener that is opened for one handshake and lets in only who shows credentials
 * made for it. Behind the handshake plain MQTT flows, whatever the broker's transport is.
 *
 * paho's callbacks come on its threads, with its global lock held, so that they only push an event:
 * their context is a number, the session's generation and a token, and never a pointer. While paho
 * waits for the handshake it holds that lock too, and this thread, which answers it, must not call
 * paho: a session that is given up in that time lingers until its handshake is over.
 */
#include "session.h"

#include <MQTTAsync.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "entropy.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "packet.h"

enum {
    CALLERS = 32, /* connections to the listener at a time, strangers' among them */
    REQUEST_LIMIT = 1024,
    READ_SIZE = 16384,
    SECRET_TEXT = 33, /* 128 bits in hexadecimal, with the NUL */
    BASIC_TEXT = 96,
    QUEUE = 64, /* commands that paho may hold: subscriptions */
};

/* Somebody who has connected to the listener and not shown the credentials yet. */
struct caller {
    struct session *session;
    int fd; /* -1: free */
    struct buf request;
};

enum state {
    STATE_HANDSHAKE, /* paho holds its lock, or is about to */
    STATE_CONNECTING,
    STATE_UP,
    STATE_LINGERING, /* given up in the handshake */
};

struct session {
    struct loop *loop;
    struct session_handler handler;
    enum state state;
    uint16_t generation;
    bool version5;
    MQTTAsync handle;
    int listener; /* -1 once paho is there */
    struct caller callers[CALLERS];
    unsigned next_caller;   /* whose turn it is to go where all places are taken */
    char basic[BASIC_TEXT]; /* the credentials as paho sends them */
    int fd;                 /* paho's connection; -1 before, and once it has ended */
    short events;
    struct buf in;  /* from paho: the beginning of a packet */
    struct buf out; /* to paho */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* a leaf, for the next */
static struct inbox *inbox;                              /* NULL once the loop is about to end */
static MQTTAsync keeper;
static struct session *current, *lingering;
static uint16_t next_generation;

/* ---- paho's callbacks, on its threads */

static void *context_of(const struct session *session, uint64_t token)
{
    return (
        void *)(uintptr_t)((uint32_t)session->generation << 16 | (uint32_t)(token & UINT16_MAX));
}

static void post(const void *context, enum inbox_kind kind, int code)
{
    uintptr_t number = (uintptr_t)context;
    const struct inbox_event event = {.kind = kind,
        .generation = (uint32_t)(number >> 16),
        .code = code,
        .number = number & UINT16_MAX};
    pthread_mutex_lock(&lock);
    if (inbox)
        inbox_push(inbox, &event);
    pthread_mutex_unlock(&lock);
}

static void set_inbox(struct inbox *next)
{
    pthread_mutex_lock(&lock);
    inbox = next;
    pthread_mutex_unlock(&lock);
}

static void on_connected(void *context, MQTTAsync_successData *data)
{
    (void)data;
    post(context, INBOX_SESSION_UP, 0);
}

static void on_connected5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    post(context, INBOX_SESSION_UP, 0);
}

static void on_ended(void *context, MQTTAsync_failureData *data)
{
    (void)data;
    post(context, INBOX_SESSION_DOWN, 0);
}

static void on_ended5(void *context, MQTTAsync_failureData5 *data)
{
    (void)data;
    post(context, INBOX_SESSION_DOWN, 0);
}

static void on_closed(void *context, MQTTAsync_successData *data)
{
    (void)data;
    post(context, INBOX_SESSION_DOWN, 0);
}

static void on_closed5(void *context, MQTTAsync_successData5 *data)
{
    (void)data;
    post(context, INBOX_SESSION_DOWN, 0);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the type is paho's */
static void on_lost(void *context, char *cause)
{
    (void)cause;
    post(context, INBOX_SESSION_DOWN, 0);
}

static void on_disconnected(void *context, MQTTProperties *properties, enum MQTTReasonCodes reason)
{
    (void)properties, (void)reason;
    post(context, INBOX_SESSION_DOWN, 0);
}

/* No message ever comes this way. */
static int on_message(void *context, char *topic, int length, MQTTAsync_message *message)
{
    (void)context, (void)length;
    MQTTAsync_freeMessage(&message);
    MQTTAsync_free(topic);
    return 1;
}

static void on_subscribed(void *context, MQTTAsync_successData *data)
{
    post(context, INBOX_SESSION_SUBSCRIBED, data ? data->alt.qos : 0);
}

static void on_subscribed5(void *context, MQTTAsync_successData5 *data)
{
    post(context, INBOX_SESSION_SUBSCRIBED, data ? (int)data->reasonCode : 0);
}

/* A code below 0: no answer will come, since the connection ends. */
static void on_refused(void *context, MQTTAsync_failureData *data)
{
    if (!data || data->code >= 0)
        post(context, INBOX_SESSION_SUBSCRIBED, MQTTREASONCODE_UNSPECIFIED_ERROR);
}

static void on_refused5(void *context, MQTTAsync_failureData5 *data)
{
    if (data && data->code < 0)
        return;
    bool reasoned = data && data->reasonCode > MQTTREASONCODE_UNSPECIFIED_ERROR;
    post(context, INBOX_SESSION_SUBSCRIBED,
        reasoned ? (int)data->reasonCode : (int)MQTTREASONCODE_UNSPECIFIED_ERROR);
}

/* ---- paho's connection */

static void close_fd(struct session *session)
{
    if (session->fd < 0)
        return;
    if (session->events != 0)
        loop_remove_fd(session->loop, session->fd);
    session->events = 0;
    close(session->fd);
    session->fd = -1;
}

static void hang_up(struct caller *caller)
{
    if (caller->fd < 0)
        return;
    loop_remove_fd(caller->session->loop, caller->fd);
    close(caller->fd);
    caller->fd = -1;
    buf_clear(&caller->request);
}

static void close_listener(struct session *session)
{
    if (session->listener < 0)
        return;
    loop_remove_fd(session->loop, session->listener);
    close(session->listener);
    session->listener = -1;
    for (int i = 0; i < CALLERS; i++)
        hang_up(&session->callers[i]);
}

static void on_ready(void *ctx, short revents);

static void watch(struct session *session)
{
    short events = (short)(POLLIN | (session->out.length > 0 ? POLLOUT : 0));
    if (session->fd < 0 || session->events == events)
        return;
    if (session->events != 0)
        loop_watch_fd(session->loop, session->fd, events);
    else if (!loop_add_fd(session->loop, session->fd, events, on_ready, session)) {
        /* paho finds its connection ended, and says so. */
        close_fd(session);
        return;
    }
    session->events = events;
}

static void send_out(struct session *session)
{
    ssize_t sent;
    if (session->fd < 0)
        return;
    sent = send(session->fd, session->out.data, session->out.length, MSG_NOSIGNAL);
    if (sent > 0) {
        session->out.length -= (size_t)sent;
        memmove(session->out.data, session->out.data + sent, session->out.length);
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        close_fd(session);
    }
}

/* The handshake is over, and paho waits for the broker. One that was given up ends here: paho
 * reports the loss of the connection, which is what take_event waits for. */
static void note_packet(struct session *session)
{
    if (session->state == STATE_HANDSHAKE)
        session->state = STATE_CONNECTING;
    else if (session->state == STATE_LINGERING)
        close_fd(session);
}

static void take_packets(struct session *session)
{
    struct buf *in = &session->in;
    size_t done = 0, size;
    while (session->fd >= 0 &&
           (size = packet_size(in->data + done, in->length - done)) <= in->length - done) {
        bool given_up = session->state == STATE_LINGERING;
        note_packet(session);
        if (!given_up)
            session->handler.on_packet(session->handler.ctx, in->data + done, size);
        done += size;
    }
    if (done > 0) {
        in->length -= done;
        memmove(in->data, in->data + done, in->length);
    }
}

/* False once there is nothing more for now. */
static bool read_packets(struct session *session)
{
    char *room = buf_extend(&session->in, READ_SIZE);
    if (!room) {
        close_fd(session);
        return false;
    }
    ssize_t got = recv(session->fd, room, READ_SIZE, 0);
    session->in.length -= READ_SIZE - (got > 0 ? (size_t)got : 0);
    if (got > 0)
        take_packets(session);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_fd(session);
    return got > 0 && session->fd >= 0;
}

static void on_ready(void *ctx, short revents)
{
    struct session *session = ctx;
    if ((revents & POLLOUT) != 0)
        send_out(session);
    if ((revents & ~POLLOUT) != 0 && session->fd >= 0)
        (void)read_packets(session);
    watch(session);
}

bool session_give(struct session *session, const char *packets, size_t length)
{
    if (session->fd < 0)
        return true; /* the end is on its way */
    if (!buf_append(&session->out, packets, length))
        return false;
    send_out(session);
    watch(session);
    return true;
}

/* ---- The proxy's handshake */

/* In constant time. */
static bool is_same(const char *text, const char *secret, size_t length)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(text[i] ^ secret[i]);
    return difference == 0;
}

static bool shows_credentials(const struct session *session, const char *request)
{
    static const char name[] = "\r\nProxy-authorization: Basic ";
    const char *header = strcasestr(request, name);
    size_t length = strlen(session->basic);
    if (strncmp(request, "CONNECT ", 8) != 0 || !header)
        return false;
    header += strlen(name);
    return strcspn(header, "\r\n") == length && is_same(header, session->basic, length);
}

static void admit(struct session *session, struct caller *caller)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\n\r\n";
    loop_remove_fd(session->loop, caller->fd);
    session->fd = caller->fd;
    caller->fd = -1;
    buf_clear(&caller->request);
    close_listener(session);
    if (!session_give(session, answer, strlen(answer)))
        close_fd(session);
    watch(session);
}

static void on_caller(void *ctx, short revents)
{
    struct caller *caller = ctx;
    char *room = buf_extend(&caller->request, REQUEST_LIMIT / 4);
    (void)revents;
    if (!room) {
        hang_up(caller);
        return;
    }
    ssize_t got = recv(caller->fd, room, REQUEST_LIMIT / 4, 0);
    caller->request.length -= REQUEST_LIMIT / 4 - (got > 0 ? (size_t)got : 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    caller->request.data[caller->request.length] = '\0';
    if (got <= 0)
        hang_up(caller);
    else if (!strstr(caller->request.data, "\r\n\r\n"))
        return;
    else if (shows_credentials(caller->session, caller->request.data))
        admit(caller->session, caller);
    else
        hang_up(caller);
}

/* Where all places are taken the oldest has to go: whoever is silent must not keep paho out. */
static struct caller *place_for_caller(struct session *session)
{
    for (int i = 0; i < CALLERS; i++)
        if (session->callers[i].fd < 0)
            return &session->callers[i];
    struct caller *caller = &session->callers[session->next_caller++ % CALLERS];
    hang_up(caller);
    return caller;
}

static void on_call(void *ctx, short revents)
{
    struct session *session = ctx;
    (void)revents;
    int fd = accept4(session->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct caller *caller = place_for_caller(session);
    buf_init(&caller->request, REQUEST_LIMIT);
    if (loop_add_fd(session->loop, fd, POLLIN, on_caller, caller))
        caller->fd = fd;
    else
        close(fd);
    /* paho asks as soon as it is connected: before anybody else can come in between. */
    if (caller->fd >= 0)
        on_caller(caller, POLLIN);
}

static bool listen_for_paho(struct session *session, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    session->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (session->listener < 0 ||
        bind(session->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(session->listener, CALLERS) != 0 ||
        getsockname(session->listener, (struct sockaddr *)&address, &size) != 0 ||
        !loop_add_fd(session->loop, session->listener, POLLIN, on_call, session))
        return false;
    *port = ntohs(address.sin_port);
    return true;
}

/* ---- The end, and the events of paho's threads */

/* Nothing of paho's is in the way: it reports what it gives up, which nobody hears any more. */
static void dispose(void *object)
{
    struct session *session = object;
    if (session->handle)
        MQTTAsync_destroy(&session->handle);
    buf_clear(&session->in);
    buf_clear(&session->out);
    free(session);
}

static void end_lingering(void)
{
    struct session *session = lingering;
    lingering = NULL;
    close_listener(session);
    close_fd(session);
    dispose(session); /* at once: the next session may begin in this very pass */
}

static void take_event(void *none, const struct inbox_event *event)
{
    (void)none;
    if (lingering && event->generation == lingering->generation) {
        end_lingering();
        return;
    }
    if (!current || event->generation != current->generation)
        return;
    const struct session_handler *handler = &current->handler;
    switch (event->kind) {
    case INBOX_SESSION_UP:
        current->state = STATE_UP;
        handler->on_up(handler->ctx);
        break;
    case INBOX_SESSION_DOWN:
        current->state = STATE_UP; /* whatever it was: no handshake any more */
        /* Its last packet, a DISCONNECT, may be newer than what was read. */
        while (current->fd >= 0 && read_packets(current))
            continue;
        handler->on_down(handler->ctx);
        break;
    case INBOX_SESSION_SUBSCRIBED:
        handler->on_subscribed(handler->ctx, event->number, event->code);
        break;
    }
}

/* ---- Making */

void session_global_init(void)
{
    static const char *const unwanted[] = {"http_proxy", "https_proxy", "no_proxy",
        "MQTT_C_CLIENT_TRACE", "MQTT_C_CLIENT_TRACE_LEVEL", "MQTT_C_CLIENT_TRACE_MAX_LINES"};
    MQTTAsync_init_options init = MQTTAsync_init_options_initializer;
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
        unsetenv(unwanted[i]);
    MQTTAsync_global_init(&init);
    /* Nobody reads paho's trace, and writing it takes a quarter of its time. */
    MQTTAsync_setTraceLevel(MQTTASYNC_TRACE_ERROR);
}

static MQTTAsync create_handle(const char *client_id, bool version5)
{
    MQTTAsync handle = NULL;
    MQTTAsync_createOptions create = MQTTAsync_createOptions_initializer;
    create.MQTTVersion = version5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    create.sendWhileDisconnected = 0;
    create.maxBufferedMessages = QUEUE;
    int code = MQTTAsync_createWithOptions(
        &handle, "tcp://broker:1883", client_id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create);
    return code == MQTTASYNC_SUCCESS ? handle : NULL;
}

/* The handle that is never connected: the last one that is destroyed takes paho's threads with it,
 * and waits for them. */
void session_start(struct loop *loop)
{
    set_inbox(loop_inbox(loop));
    loop_on_inbox(loop, take_event, NULL);
    keeper = create_handle("keeper", true);
}

void session_stop(void)
{
    /* In the middle of its handshake paho holds its lock, and the process is about to end. */
    if (!lingering && keeper)
        MQTTAsync_destroy(&keeper);
    keeper = NULL;
    set_inbox(NULL);
}

bool session_is_busy(void)
{
    return lingering != NULL;
}

/* "Basic" wants user:password in Base64 (RFC 7617). */
static void make_credentials(struct session *session, char secret[static SECRET_TEXT])
{
    char pair[SECRET_TEXT + 8];
    snprintf(secret, SECRET_TEXT, "%016" PRIx64 "%016" PRIx64, entropy_u64(), entropy_u64());
    int length = snprintf(pair, sizeof pair, "bridge:%s", secret);
    EVP_EncodeBlock((unsigned char *)session->basic, (const unsigned char *)pair, length);
}

static const char *given(const char *text)
{
    return text && text[0] != '\0' ? text : NULL;
}

static void add_number(MQTTProperties *properties, enum MQTTPropertyCodes code, unsigned number)
{
    MQTTProperty property = {.identifier = code};
    if (code == MQTTPROPERTY_CODE_RECEIVE_MAXIMUM)
        property.value.integer2 = (unsigned short)number;
    else
        property.value.integer4 = number;
    MQTTProperties_add(properties, &property);
}

/* What differs between the two versions of the protocol. */
static MQTTAsync_connectOptions version_options(bool version5, MQTTProperties *own)
{
    if (version5) {
        MQTTAsync_connectOptions five = MQTTAsync_connectOptions_initializer5;
        /* A clean start and no session expiry: the outbox sends again what was not acknowledged, in
         * order, which a session kept by broker and library could only disturb. */
        five.cleanstart = 1;
        add_number(own, MQTTPROPERTY_CODE_RECEIVE_MAXIMUM, LIMIT_MQTT_RECEIVE);
        add_number(own, MQTTPROPERTY_CODE_MAXIMUM_PACKET_SIZE, LIMIT_MQTT_PACKET);
        five.connectProperties = own;
        five.onSuccess5 = on_connected5;
        five.onFailure5 = on_ended5;
        return five;
    }
    MQTTAsync_connectOptions four = MQTTAsync_connectOptions_initializer;
    four.MQTTVersion = MQTTVERSION_3_1_1; /* the default would fall back to 3.1 after a loss */
    four.cleansession = 1;
    four.onSuccess = on_connected;
    four.onFailure = on_ended;
    return four;
}

static int connect_paho(
    struct session *session, const struct mqtt_options *options, const char *secret, int port)
{
    MQTTProperties own = MQTTProperties_initializer;
    MQTTAsync_connectOptions connect = version_options(session->version5, &own);
    MQTTAsync_willOptions will = MQTTAsync_willOptions_initializer;
    char proxy[SECRET_TEXT + 64];
    snprintf(proxy, sizeof proxy, "http://bridge:%s@127.0.0.1:%d", secret, port);
    will.topicName = given(options->will_topic);
    will.message = options->will_payload ? options->will_payload : "";
    will.retained = !options->will_unretained;
    will.qos = options->will_qos;
    connect.will = will.topicName ? &will : NULL;
    connect.username = given(options->username);
    connect.password = given(options->password);
    connect.keepAliveInterval = options->keep_alive_s;
    connect.connectTimeout = 2 * options->connect_timeout_s; /* mqtt.c gives up before */
    connect.automaticReconnect = 0;
    connect.httpProxy = proxy;
    connect.context = context_of(session, 0);
    int code = MQTTAsync_connect(session->handle, &connect);
    explicit_bzero(proxy, sizeof proxy);
    MQTTProperties_free(&own);
    return code;
}

static bool start(struct session *session, const struct mqtt_options *options, struct error *error)
{
    char secret[SECRET_TEXT];
    int port, code;
    if (!listen_for_paho(session, &port))
        return error_set(error, ERROR_BROKER, "cannot listen on 127.0.0.1 for the MQTT library: %s",
            strerror(errno));
    session->handle = create_handle(options->client_id, session->version5);
    if (!session->handle)
        return error_set(error, ERROR_BROKER, "the MQTT library refuses the client id");
    void *context = context_of(session, 0);
    code = MQTTAsync_setCallbacks(session->handle, context, on_lost, on_message, NULL);
    if (code == MQTTASYNC_SUCCESS && session->version5)
        code = MQTTAsync_setDisconnected(session->handle, context, on_disconnected);
    make_credentials(session, secret);
    if (code == MQTTASYNC_SUCCESS)
        code = connect_paho(session, options, secret, port);
    explicit_bzero(secret, sizeof secret);
    return code == MQTTASYNC_SUCCESS ||
           error_set(error, ERROR_BROKER, "the MQTT library cannot begin to connect: %s (code %d)",
               MQTTAsync_strerror(code), code);
}

struct session *session_open(struct loop *loop, const struct mqtt_options *options,
    const struct session_handler *handler, struct error *error)
{
    struct session *session = xcalloc(1, sizeof *session);
    assert(!current && !lingering);
    session->loop = loop;
    session->handler = *handler;
    session->generation = ++next_generation;
    session->version5 = options->version5;
    session->listener = session->fd = -1;
    for (int i = 0; i < CALLERS; i++)
        session->callers[i] = (struct caller){.session = session, .fd = -1};
    buf_init(&session->in, LIMIT_SESSION_BYTES);
    buf_init(&session->out, LIMIT_SESSION_BYTES);
    current = session;
    if (start(session, options, error))
        return session;
    session->state = STATE_UP; /* no handshake has begun */
    session_free(session);
    return NULL;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    assert(session == current);
    current = NULL;
    if (session->state == STATE_HANDSHAKE) {
        session->state = STATE_LINGERING;
        lingering = session;
        return;
    }
    close_listener(session);
    close_fd(session);
    loop_free_later(session->loop, dispose, session);
}

/* ---- Once it is up */

bool session_subscribe(struct session *session, const char *filter, int qos,
    bool retain_as_published, uint64_t token, struct error *error)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    response.context = context_of(session, token);
    response.subscribeOptions.retainAsPublished = retain_as_published;
    if (session->version5) {
        response.onSuccess5 = on_subscribed5;
        response.onFailure5 = on_refused5;
    } else {
        response.onSuccess = on_subscribed;
        response.onFailure = on_refused;
    }
    int code = MQTTAsync_subscribe(session->handle, filter, qos, &response);
    return code == MQTTASYNC_SUCCESS ||
           error_set(error, ERROR_BROKER, "the MQTT library: %s (code %d)",
               MQTTAsync_strerror(code), code);
}

bool session_unsubscribe(struct session *session, const char *filter, struct error *error)
{
    MQTTAsync_responseOptions response = MQTTAsync_responseOptions_initializer;
    int code = MQTTAsync_unsubscribe(session->handle, filter, &response);
    return code == MQTTASYNC_SUCCESS ||
           error_set(error, ERROR_BROKER, "the MQTT library: %s (code %d)",
               MQTTAsync_strerror(code), code);
}

bool session_disconnect(struct session *session)
{
    MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
    if (session->version5) {
        options = (MQTTAsync_disconnectOptions)MQTTAsync_disconnectOptions_initializer5;
        options.onSuccess5 = on_closed5;
        options.onFailure5 = on_ended5;
    } else {
        options.onSuccess = on_closed;
        options.onFailure = on_ended;
    }
    options.context = context_of(session, 0);
    return MQTTAsync_disconnect(session->handle, &options) == MQTTASYNC_SUCCESS;
}
