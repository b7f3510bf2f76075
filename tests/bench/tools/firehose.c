/*
 * A stand-in for AIVA that is never the slow one: the list, status and cancel calls, and an event
 * stream as fast as it is read or at a fixed rate. It is told when to begin, so that nobody's
 * start is measured. Unlike tests/simulator it has no faults, and it believes everything.
 *
 *   GET  /_bench/state                    counts of what was asked so far, JSON
 *   POST /_bench/start?events=N&rate=R    sends N events, R a second (0: as fast as they are read)
 *   POST /_bench/stop                     stops sending
 *   GET  /_bench/commands                 [job, arrival in ns] of each cancel so far, JSON
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "buf.h"
#include "mem.h"
#include "rig.h"
#include "work.h"

enum {
    REQUEST_MOST = 65536,
    /* Of a stream at a time: a client that is slower than the firehose finds full buffers. */
    BATCH_BYTES = 32768,
    KEEP_ALIVE_MS = 15000, /* between two comments on a stream that has nothing else, as AIVA's */
};
#define ANSWER_MOST ((size_t)1 << 31)

struct client {
    int fd;
    bool streaming;
    bool blocked; /* waits for the socket to take more */
    struct buf in;
    struct buf out;
    size_t sent;
    struct client *next;
};

struct command {
    int64_t job;
    uint64_t ns;
};

static struct {
    long port;
    struct work_options work;
    long chunked;
} options = {.work.jobs = 1000, .chunked = 1};

static struct {
    int epoll;
    struct buf list;
    struct client *clients;
    struct client *stream; /* the last that was opened gets the events */
    uint64_t lists, statuses, cancels, streams;
    struct command *commands;
    size_t room;
    struct work work; /* its events are those on order */
    uint64_t rate;
    uint64_t sent;
    uint64_t started_ns;
    uint64_t alive_ns;
} server;

/* ---- Connections */

static void watch(struct client *client, bool blocked)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    if (client->blocked == blocked)
        return;
    client->blocked = blocked;
    if (blocked)
        event.events |= EPOLLOUT;
    epoll_ctl(server.epoll, EPOLL_CTL_MOD, client->fd, &event);
}

static void open_client(int fd)
{
    struct client *client = xcalloc(1, sizeof *client);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

    client->fd = fd;
    buf_init(&client->in, REQUEST_MOST);
    buf_init(&client->out, ANSWER_MOST);
    client->next = server.clients;
    server.clients = client;
    epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event);
}

static void close_client(struct client *client)
{
    struct client **link = &server.clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    if (server.stream == client)
        server.stream = NULL;
    close(client->fd);
    buf_clear(&client->in);
    buf_clear(&client->out);
    free(client);
}

/* Sends what waits; false: the connection is gone. */
static bool flush(struct client *client)
{
    while (client->sent < client->out.length) {
        ssize_t count = send(client->fd, client->out.data + client->sent,
            client->out.length - client->sent, MSG_NOSIGNAL);

        if (count < 0 && errno == EAGAIN) {
            watch(client, true);
            return true;
        }
        if (count <= 0)
            return false;
        client->sent += (size_t)count;
    }
    client->sent = 0;
    buf_reset(&client->out);
    watch(client, false);
    return true;
}

/* ---- The stream */

/* One piece of the body: with chunks, each event is one, as Python's servers send them. */
static void put_piece(struct buf *out, const char *before, const char *text, size_t length)
{
    static const char digits[] = "0123456789abcdef";
    size_t before_length = strlen(before), size = before_length + length + 4;
    char head[8] = {digits[size >> 8 & 15], digits[size >> 4 & 15], digits[size & 15], '\r', '\n'};

    if (options.chunked)
        buf_append(out, head, 5);
    buf_append(out, before, before_length);
    buf_append(out, text, length);
    buf_append(out, "\r\n\r\n\r\n", options.chunked ? 6 : 4);
}

static void put_event(struct buf *out, uint64_t number, uint64_t now_ns)
{
    char text[WORK_TEXT_SIZE];

    put_piece(out, "data: ", text, work_event(&server.work, number, now_ns, text));
}

/* How many events should have been sent by now. */
static uint64_t due(uint64_t now_ns)
{
    uint64_t count;

    if (server.rate == 0)
        return server.work.events;
    count = (uint64_t)((double)(now_ns - server.started_ns) * (double)server.rate / 1e9);
    return count < server.work.events ? count : server.work.events;
}

/* False: the connection is gone. */
static bool pour(void)
{
    struct client *client = server.stream;

    while (client->out.length == 0 && server.sent < due(rig_now_ns())) {
        uint64_t now = rig_now_ns(), until = due(now);

        while (server.sent < until && client->out.length < BATCH_BYTES)
            put_event(&client->out, server.sent++, now);
        server.alive_ns = now;
        if (!flush(client))
            return false;
    }
    if (client->out.length == 0 && rig_now_ns() - server.alive_ns > KEEP_ALIVE_MS * 1000000ull) {
        server.alive_ns = rig_now_ns();
        put_piece(&client->out, "", ": ping", strlen(": ping"));
        return flush(client);
    }
    return true;
}

/* Until something has to be done without anybody asking. */
static int64_t wait_ns(void)
{
    uint64_t now = rig_now_ns(), next;

    if (server.stream == NULL || server.stream->blocked)
        return -1;
    next = server.alive_ns + KEEP_ALIVE_MS * 1000000ull + 1000000;
    if (server.sent < server.work.events && server.rate == 0)
        next = now;
    else if (server.sent < server.work.events)
        next = server.started_ns +
               (uint64_t)((double)(server.sent + 1) * 1e9 / (double)server.rate) + 1000;
    return next > now ? (int64_t)(next - now) : 0;
}

/* ---- Requests */

static void answer(struct client *client, const char *body, size_t length)
{
    buf_printf(&client->out,
        "HTTP/1.1 200 OK\r\nserver: firehose\r\ncontent-type: application/json\r\n"
        "content-length: %zu\r\n\r\n",
        length);
    buf_append(&client->out, body, length);
}

static void refuse(struct client *client)
{
    buf_append_text(&client->out, "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\n"
                                  "content-length: 22\r\n\r\n{\"detail\":\"Not Found\"}");
}

static void open_stream(struct client *client)
{
    server.streams++;
    server.stream = client;
    server.alive_ns = rig_now_ns();
    client->streaming = true;
    buf_append_text(&client->out,
        "HTTP/1.1 200 OK\r\nserver: firehose\r\ncache-control: no-store\r\n"
        "content-type: text/event-stream; charset=utf-8\r\n");
    buf_append_text(&client->out, options.chunked ? "transfer-encoding: chunked\r\n\r\n" : "\r\n");
}

static void answer_status(struct client *client, int64_t job)
{
    char text[WORK_TEXT_SIZE];

    server.statuses++;
    answer(client, text, work_status(&server.work, (uint64_t)job, text));
}

static void answer_cancel(struct client *client, int64_t job, uint64_t now_ns)
{
    char text[WORK_TEXT_SIZE];
    int length = snprintf(text, sizeof text,
        "{\"job_id\": \"job_%07lld\", \"status\": \"cancelled\", \"message\": \"Job cancelled.\"}",
        (long long)job);

    if (server.cancels == server.room) {
        server.room = server.room > 0 ? 2 * server.room : 1024;
        server.commands = xreallocarray(server.commands, server.room, sizeof *server.commands);
    }
    server.commands[server.cancels++] = (struct command){job, now_ns};
    answer(client, text, (size_t)length);
}

static void answer_commands(struct client *client)
{
    struct buf body;

    buf_init(&body, ANSWER_MOST);
    buf_append_char(&body, '[');
    for (uint64_t i = 0; i < server.cancels; i++)
        buf_printf(&body, "%s[%lld, %llu]", i > 0 ? ", " : "", (long long)server.commands[i].job,
            (unsigned long long)server.commands[i].ns);
    buf_append_char(&body, ']');
    answer(client, body.data, body.length);
    buf_clear(&body);
}

static void answer_state(struct client *client)
{
    char text[WORK_TEXT_SIZE];
    int length = snprintf(text, sizeof text,
        "{\"streams\": %llu, \"open\": %s, \"lists\": %llu, \"statuses\": %llu, \"cancels\": %llu, "
        "\"sent\": %llu}",
        (unsigned long long)server.streams, server.stream ? "true" : "false",
        (unsigned long long)server.lists, (unsigned long long)server.statuses,
        (unsigned long long)server.cancels, (unsigned long long)server.sent);

    answer(client, text, (size_t)length);
}

static uint64_t parameter(const char *target, const char *name)
{
    const char *at = strstr(target, name);

    return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static void start(const char *target)
{
    server.work.events = parameter(target, "events=");
    server.rate = parameter(target, "rate=");
    server.sent = 0;
    server.started_ns = rig_now_ns();
}

static void handle_own(struct client *client, const char *target)
{
    if (strncmp(target, "start?", 6) == 0)
        start(target);
    else if (strcmp(target, "stop") == 0)
        server.work.events = server.sent;
    else if (strcmp(target, "commands") == 0) {
        answer_commands(client);
        return;
    }
    answer_state(client);
}

static void handle_job(struct client *client, const char *target, uint64_t now_ns)
{
    int64_t job = work_job_at(target, strlen(target));
    const char *rest = job >= 0 ? target + WORK_ID_SIZE - 1 : "";

    if (job >= (int64_t)server.work.jobs)
        refuse(client);
    else if (strcmp(rest, "/status") == 0)
        answer_status(client, job);
    else if (strcmp(rest, "/cancel") == 0)
        answer_cancel(client, job, now_ns);
    else
        refuse(client);
}

static void handle(struct client *client, const char *target, uint64_t now_ns)
{
    if (strncmp(target, "/_bench/", 8) == 0)
        handle_own(client, target + 8);
    else if (strncmp(target, "/jobs/events", 12) == 0)
        open_stream(client);
    else if (strncmp(target, "/jobs/", 6) == 0)
        handle_job(client, target + 6, now_ns);
    else if (strcmp(target, "/jobs") == 0) {
        server.lists++;
        answer(client, server.list.data, server.list.length);
    } else if (strcmp(target, "/health") == 0)
        answer(client, "{\"status\":\"ok\"}", strlen("{\"status\":\"ok\"}"));
    else
        refuse(client);
}

/* Takes the requests out of what has come in. None of those that are answered has a body. */
static void handle_requests(struct client *client, uint64_t now_ns)
{
    char *at = client->in.data, *end;

    while ((end = strstr(at, "\r\n\r\n")) != NULL) {
        char *target = strchr(at, ' ');
        size_t length = target != NULL ? strcspn(target + 1, " \r\n") : 0;

        if (target != NULL) {
            target[1 + length] = '\0';
            handle(client, target + 1, now_ns);
        }
        at = end + 4;
    }
    if (at != client->in.data) {
        char *rest = xstrdup(at);

        buf_reset(&client->in);
        buf_append_text(&client->in, rest);
        free(rest);
    }
}

/* False: the connection is gone. */
static bool receive(struct client *client)
{
    char bytes[16384];
    ssize_t count = recv(client->fd, bytes, sizeof bytes, 0);

    if (count < 0 && errno == EAGAIN)
        return true;
    if (count <= 0 || !buf_append(&client->in, bytes, (size_t)count))
        return false;
    handle_requests(client, rig_now_ns());
    return flush(client);
}

/* ---- The loop */

static void make_list(void)
{
    char text[WORK_TEXT_SIZE];

    buf_init(&server.list, ANSWER_MOST);
    buf_append_char(&server.list, '[');
    for (uint64_t job = 0; job < server.work.jobs; job++) {
        if (job > 0)
            buf_append_text(&server.list, ", ");
        buf_append(&server.list, text, work_listed(&server.work, job, text));
    }
    buf_append_char(&server.list, ']');
}

static void handle_client(struct client *client, uint32_t what)
{
    bool alive = (what & (EPOLLERR | EPOLLHUP)) == 0;

    if (alive && (what & EPOLLOUT) != 0)
        alive = flush(client);
    if (alive && (what & EPOLLIN) != 0)
        alive = receive(client);
    if (!alive)
        close_client(client);
}

static void run(int listening)
{
    struct epoll_event events[32], accepting = {.events = EPOLLIN, .data.ptr = NULL};

    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(server.epoll, EPOLL_CTL_ADD, listening, &accepting);
    while (!rig_stopped()) {
        int64_t wait = wait_ns();
        struct timespec time = {wait / 1000000000, wait % 1000000000};
        int count = epoll_pwait2(server.epoll, events, 32, wait < 0 ? NULL : &time, NULL);

        for (int i = 0; i < count; i++) {
            int fd;

            if (events[i].data.ptr != NULL)
                handle_client(events[i].data.ptr, events[i].events);
            else if ((fd = rig_accept(listening)) >= 0)
                open_client(fd);
        }
        if (server.stream != NULL && !server.stream->blocked && !pour())
            close_client(server.stream);
    }
}

int main(int argc, char **argv)
{
    const struct rig_option table[] = {
        {"--port", &options.port, NULL, "port to listen on; 0: a free one, which is printed"},
        {WORK_JOBS(options.work)},
        {WORK_ACTIVE(options.work)},
        {"--chunked", &options.chunked, NULL, "1: each event is a chunk; 0: no chunks"},
        {0},
    };
    int listening;

    rig_options(argc, argv, "An AIVA that only sends events, as fast as they are read.", table);
    server.work = work_make(&options.work);
    rig_catch_signals();
    make_list();
    listening = rig_listen((int)options.port);
    run(listening);
    while (server.clients != NULL)
        close_client(server.clients);
    buf_clear(&server.list);
    free(server.commands);
    close(server.epoll);
    close(listening);
    return 0;
}
