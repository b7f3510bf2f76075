#include "server.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <utlist.h>

#include "api.h"
#include "clock.h"
#include "control.h"
#include "mem.h"

#define MOST_BODY         (256u * 1024 * 1024)
#define CONNECTION_MEMORY (size_t)(256 * 1024) /* also the largest piece of a stream */

struct server {
    struct sim *sim;
    struct MHD_Daemon *daemon;
    int epoll_fd;
    int64_t started_ms;
    bool resumed;             /* as stream_take_resumed, for parked requests */
    struct request *requests; /* those in progress */
    struct pollfd *polled;    /* kept from pass to pass */
    struct request **watched; /* whose socket each of `polled` is, from 2 on */
    size_t room;
};

struct request {
    struct server *server;
    struct MHD_Connection *connection;
    struct uri uri;
    char *method;
    struct buf body;
    bool begun;   /* the headers are there */
    bool arrived; /* all of it is there, it was logged and has met its fault */
    bool worked;  /* it was carried out; `answer` is what it led to */
    bool parked;  /* suspended by us until due_ms */
    bool dropped;
    int64_t due_ms;
    struct route route;
    uint64_t number; /* in the journal */
    struct fault *fault;
    struct answer answer;
    struct subscriber *subscriber; /* owned; NULL unless it is an open stream */
    struct request *prev;
    struct request *next;
};

static void *request_new(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct server *server = cls;
    struct request *request = xcalloc(1, sizeof *request);
    request->server = server;
    request->connection = connection;
    uri_parse(&request->uri, target);
    buf_init(&request->body, MOST_BODY);
    answer_init(&request->answer);
    DL_APPEND(server->requests, request);
    return request;
}

static void request_free(void *cls, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)connection;
    (void)why;
    struct request *request = *context;
    if (request == NULL)
        return;
    *context = NULL;
    DL_DELETE(request->server->requests, request);
    if (request->subscriber != NULL)
        subscriber_close(request->subscriber);
    fault_release(request->fault);
    answer_clear(&request->answer);
    buf_clear(&request->body);
    uri_clear(&request->uri);
    free(request->method);
    free(request);
}

static void park(struct request *request, int64_t due_ms)
{
    request->parked = true;
    request->due_ms = due_ms;
    MHD_suspend_connection(request->connection);
}

static void unpark(struct request *request)
{
    request->parked = false;
    request->server->resumed = true;
    MHD_resume_connection(request->connection);
}

static void drop(struct request *request)
{
    request->dropped = true;
    if (request->subscriber != NULL)
        subscriber_drop(request->subscriber);
    else if (request->parked)
        unpark(request);
}

static const char *header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static struct ask ask_of(const struct request *request)
{
    const struct buf *body = &request->body;
    return (struct ask){
        .method = request->method,
        .uri = &request->uri,
        .authorization = header(request, MHD_HTTP_HEADER_AUTHORIZATION),
        .last_event_id = header(request, "Last-Event-ID"),
        .body = {body->data == NULL ? "" : body->data, body->length},
        .now_ms = clock_monotonic_ms(),
        .unix_ms = clock_unix_ms(),
    };
}

static void note(struct request *request)
{
    struct buf keys;
    buf_init(&keys, SIZE_MAX / 2);
    uri_append_query_names(&keys, &request->uri);
    const struct journal_entry entry = {
        .at_ms = clock_monotonic_ms() - request->server->started_ms,
        .method = request->method,
        .path = request->uri.path,
        .keys = keys.data,
        .kind = request->route.kind,
    };
    request->number = journal_note(&request->server->sim->journal, &entry);
    buf_clear(&keys);
    if (request->route.kind == KIND_STREAM)
        journal_set_last_event_id(&request->server->sim->journal, header(request, "Last-Event-ID"));
}

static void work(struct request *request)
{
    struct ask ask = ask_of(request);
    api_answer(request->server->sim, &request->route, &ask, &request->answer);
    request->worked = true;
}

static void arrive(struct request *request)
{
    struct sim *sim = request->server->sim;
    request->arrived = true;
    request->route = api_route(request->method, &request->uri);
    note(request);
    request->fault = faults_take(&sim->faults, request->route.kind);
    if (request->fault == NULL)
        return;
    if (request->fault->after_work)
        work(request);
    if (request->fault->delay_ms > 0)
        request->due_ms = clock_monotonic_ms() + request->fault->delay_ms;
}

/* A stream stays one under a fault unless it is answered with something else. */
static bool stays_stream(const struct request *request)
{
    const struct fault *fault = request->fault;
    return request->route.kind == KIND_STREAM &&
           (fault == NULL || (fault->body == NULL && (fault->status == 0 || fault->status == 200)));
}

/* Without after_work, what would change a job is not done where its answer is spoilt. */
static bool is_to_work(const struct request *request)
{
    bool changes = request->route.kind == KIND_CANCEL || request->route.kind == KIND_DELETE;
    const struct fault *fault = request->fault;
    if (request->worked)
        return false;
    return fault == NULL || !(changes ? fault_spoils_answer(fault) : fault_replaces_answer(fault));
}

static void apply_fault(struct request *request)
{
    struct answer *answer = &request->answer;
    const struct fault *fault = request->fault;
    if (!request->worked || fault_replaces_answer(fault))
        answer_error(answer, 200, "Simulated fault");
    if (fault->status != 0 && answer->status < 300)
        answer->status = fault->status;
    if (fault->body != NULL) {
        buf_reset(&answer->body);
        buf_append_text(&answer->body, fault->body);
    }
    if (fault->content_type != NULL)
        answer->content_type = fault->content_type;
    answer->retry_after = fault->retry_after;
    answer->location = fault->location;
}

static ssize_t read_body(void *cls, uint64_t position, char *out, size_t most)
{
    struct request *request = cls;
    const struct fault *fault = request->fault;
    uint64_t end = request->answer.body.length;
    if (request->dropped)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (fault->cut_after != FAULT_NO_CUT && (uint64_t)fault->cut_after < end)
        end = (uint64_t)fault->cut_after;
    if (position >= end && fault->stall) {
        park(request, INT64_MAX);
        return 0;
    }
    if (position >= end)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t length = (size_t)(end - position);
    if (length > most)
        length = most;
    if (fault->chunk > 0 && length > fault->chunk)
        length = fault->chunk;
    memcpy(out, request->answer.body.data + position, length);
    return (ssize_t)length;
}

static struct MHD_Response *make_response(struct request *request)
{
    const struct fault *fault = request->fault;
    struct buf *body = &request->answer.body;
    if (fault != NULL && (fault->cut_after != FAULT_NO_CUT || fault->chunk > 0))
        return MHD_create_response_from_callback(
            body->length, CONNECTION_MEMORY, read_body, request, NULL);
    /* The bytes live as long as the request. */
    return MHD_create_response_from_buffer(body->length, body->data, MHD_RESPMEM_PERSISTENT);
}

static struct MHD_Response *make_stream_response(struct request *request)
{
    struct ask ask = ask_of(request);
    request->subscriber = subscriber_open(request->server->sim->stream, request->connection,
        request->fault, ask.last_event_id, ask.now_ms);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, CONNECTION_MEMORY, subscriber_read, request->subscriber, NULL);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    return response;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (value != NULL)
        MHD_add_response_header(response, name, value);
}

static enum MHD_Result respond(struct request *request, struct MHD_Response *response)
{
    const struct answer *answer = &request->answer;
    add_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    add_header(response, MHD_HTTP_HEADER_ALLOW, answer->allow);
    add_header(response, MHD_HTTP_HEADER_RETRY_AFTER, answer->retry_after);
    add_header(response, MHD_HTTP_HEADER_LOCATION, answer->location);
    if (answer->status == 401)
        add_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
    enum MHD_Result result = MHD_queue_response(request->connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result finish(struct request *request)
{
    const struct fault *fault = request->fault;
    if (fault != NULL && fault->cut_after == FAULT_NO_ANSWER)
        return MHD_NO;
    if (is_to_work(request))
        work(request);
    if (fault != NULL)
        apply_fault(request);
    journal_answered(&request->server->sim->journal, request->number, request->answer.status);
    if (stays_stream(request) && request->answer.status == 200)
        return respond(request, make_stream_response(request));
    return respond(request, make_response(request));
}

static bool never_answers(const struct request *request)
{
    const struct fault *fault = request->fault;
    return fault != NULL && fault->stall && fault->cut_after < 0 && !stays_stream(request);
}

static enum MHD_Result proceed(struct request *request)
{
    if (request->dropped)
        return MHD_NO;
    if (!request->arrived)
        arrive(request);
    if (never_answers(request))
        park(request, INT64_MAX);
    else if (clock_monotonic_ms() < request->due_ms)
        park(request, request->due_ms);
    else
        return finish(request);
    return MHD_YES;
}

static enum MHD_Result control(struct request *request)
{
    struct ask ask = ask_of(request);
    control_answer(request->server->sim, &ask, &request->answer);
    return respond(request, make_response(request));
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *upload, size_t *upload_length,
    void **context)
{
    (void)cls;
    (void)connection;
    (void)url;
    (void)version;
    struct request *request = *context;
    if (!request->begun) {
        request->begun = true;
        request->method = xstrdup(method);
        return MHD_YES;
    }
    if (*upload_length > 0) {
        bool fits = buf_append(&request->body, upload, *upload_length);
        *upload_length = 0;
        return fits ? MHD_YES : MHD_NO;
    }
    return control_owns(&request->uri) ? control(request) : proceed(request);
}

struct server *server_new(int listen_fd, struct sim *sim, struct error *error)
{
    struct server *server = xcalloc(1, sizeof *server);
    server->sim = sim;
    server->started_ms = clock_monotonic_ms();
    server->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
        on_request, server, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK,
        request_new, server, MHD_OPTION_NOTIFY_COMPLETED, request_free, server,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_END);
    if (server->daemon == NULL) {
        error_set(error, ERROR_RUN, "the HTTP server could not be started");
        free(server);
        return NULL;
    }
    server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    return server;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    for (struct request *each = server->requests; each != NULL; each = each->next)
        drop(each);
    MHD_run(server->daemon);
    MHD_stop_daemon(server->daemon);
    free(server->polled);
    free(server->watched);
    free(server);
}

int64_t server_tick(struct server *server, int64_t now_ms)
{
    int64_t next_ms = INT64_MAX;
    bool release = server->sim->release_stalled;
    server->sim->release_stalled = false;
    for (struct request *each = server->requests; each != NULL; each = each->next) {
        if (release && each->fault != NULL && each->fault->stall)
            drop(each);
        else if (each->parked && each->due_ms <= now_ms)
            unpark(each);
        if (each->parked && each->due_ms < next_ms)
            next_ms = each->due_ms;
    }
    return next_ms;
}

static int socket_of(const struct request *request)
{
    return MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
        ->connect_fd;
}

static void watch(struct server *server, size_t at, int fd, short events, struct request *request)
{
    if (at == server->room) {
        server->room = server->room * 2 + 16;
        server->polled = xreallocarray(server->polled, server->room, sizeof *server->polled);
        server->watched = xreallocarray(server->watched, server->room, sizeof(struct request *));
    }
    server->polled[at] = (struct pollfd){.fd = fd, .events = events};
    server->watched[at] = request;
}

/* libmicrohttpd does not look at suspended connections: that their client has gone shows here. */
static size_t watch_all(struct server *server, int extra_fd)
{
    size_t count = 0;
    watch(server, count++, server->epoll_fd, POLLIN, NULL);
    watch(server, count++, extra_fd, POLLIN, NULL);
    for (struct request *each = server->requests; each != NULL; each = each->next) {
        if (!each->dropped && (each->parked || each->subscriber != NULL))
            watch(server, count++, socket_of(each), POLLRDHUP, each);
    }
    return count;
}

static int timeout_of(struct server *server, int64_t until_ms, int64_t now_ms)
{
    MHD_UNSIGNED_LONG_LONG library_ms;
    bool resumed = stream_take_resumed(server->sim->stream) || server->resumed;
    server->resumed = false;
    if (resumed)
        return 0;
    int64_t wait_ms = until_ms <= now_ms ? 0 : until_ms - now_ms;
    if (MHD_get_timeout(server->daemon, &library_ms) == MHD_YES && (int64_t)library_ms < wait_ms)
        wait_ms = (int64_t)library_ms;
    return wait_ms > 60000 ? 60000 : (int)wait_ms;
}

bool server_wait_and_run(struct server *server, int extra_fd, int64_t until_ms, int64_t now_ms)
{
    size_t count = watch_all(server, extra_fd);
    int ready = poll(server->polled, count, timeout_of(server, until_ms, now_ms));
    for (size_t i = 2; i < count && ready > 0; i++) {
        if (server->polled[i].revents != 0)
            drop(server->watched[i]);
    }
    MHD_run(server->daemon);
    return ready > 0 && server->polled[1].revents != 0;
}
