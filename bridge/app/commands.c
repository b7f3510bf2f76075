/*
 * MQTT request -> REST call -> exactly one answer. The upstream is the judge of what may be done:
 * nothing here looks at the job's state.
 */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "answer.h"
#include "backoff.h"
#include "bucket.h"
#include "catchup.h"
#include "clock.h"
#include "config.h"
#include "counters.h"
#include "entropy.h"
#include "http.h"
#include "limit.h"
#include "loop.h"
#include "mem.h"
#include "payload.h"
#include "poller.h"
#include "publisher.h"
#include "refusals.h"
#include "request.h"
#include "tracker.h"

#define LOG_TAG "commands"
#include "log.h"

#define CONCURRENT_CALLS 16
#define CALL_TIMEOUT_MS  15000
#define BACKOFF_BASE_MS  500
#define BACKOFF_CAP_MS   5000

static const struct verb {
    const char *name;
    enum config_command allow;
    enum http_method method;
    const char *tail; /* of the path, behind the job */
    enum counters_command counted;
    enum counters_endpoint endpoint;
} verbs[] = {
    {"cancel", CONFIG_COMMAND_CANCEL, HTTP_POST, "/cancel", COUNTERS_CANCEL, COUNTERS_POST_CANCEL},
    {"delete", CONFIG_COMMAND_DELETE, HTTP_DELETE, "", COUNTERS_DELETE, COUNTERS_DELETE_JOB},
    {"refresh", CONFIG_COMMAND_REFRESH, HTTP_GET, "/status", COUNTERS_REFRESH, COUNTERS_GET_STATUS},
};

struct command {
    TAILQ_ENTRY(command) link;
    struct commands *owner;
    const struct verb *verb; /* NULL where there is no such command */
    struct request request;
    int64_t started_ms;
    int64_t deadline_ms;
    unsigned tries;
    int last_status; /* of the last try; 0 where it got no answer */
    char last_detail[LIMIT_DETAIL];
    struct backoff backoff;
    int64_t retry_at_ms; /* not to be tried again before */
    struct timer timer;  /* that, or the deadline; stopped while a call is under way */
    struct http_request *call;
    uint64_t mark;
    bool may_ask;             /* the stream was waited for before this try */
    struct http_answer *kept; /* what was done, until it has been applied */
    struct catchup_wait wait; /* for the stream: before a try, or with `kept` after it */
    struct tracker_list list; /* with `kept`: a refresh of the bridge has one */
};

TAILQ_HEAD(command_queue, command);

struct commands {
    struct loop *loop;
    struct http_client *client;
    struct tracker *tracker;
    struct publisher *publisher;
    struct poller *poller;
    struct catchup *catchup;
    const struct config *config;
    struct counters *counters;
    struct bucket bucket;
    struct command_queue queue;
    size_t under_way; /* how many stand in the queue */
    size_t bytes;     /* the memory that they hold */
    size_t calls;     /* HTTP requests under way, and answers kept */
    bool stopped;     /* what comes now would outlive the connection: it is refused */
    struct log_limit response_limit, dropped_limit, late_limit;
    struct refusals refusals;
};

static void fire(void *ctx);
static void pump(struct commands *commands);

struct commands *commands_new(struct loop *loop, struct http_client *client,
    struct tracker *tracker, struct publisher *publisher, struct poller *poller,
    struct catchup *catchup, const struct config *config, struct counters *counters)
{
    struct commands *commands = xcalloc(1, sizeof *commands);
    commands->loop = loop;
    commands->client = client;
    commands->tracker = tracker;
    commands->publisher = publisher;
    commands->poller = poller;
    commands->catchup = catchup;
    commands->config = config;
    commands->counters = counters;
    bucket_init(
        &commands->bucket, config->commands.rate_per_s, config->commands.burst, loop_now(loop));
    refusals_init(&commands->refusals, loop);
    TAILQ_INIT(&commands->queue);
    return commands;
}

static void free_command(struct command *command)
{
    timer_stop(&command->timer);
    catchup_cancel(&command->wait);
    tracker_drop_list(&command->list);
    http_answer_free(command->kept);
    request_clear(&command->request);
    free(command);
}

void commands_free(struct commands *commands)
{
    if (!commands)
        return;
    struct command *command;
    while ((command = TAILQ_FIRST(&commands->queue))) {
        TAILQ_REMOVE(&commands->queue, command, link);
        http_cancel(command->call);
        free_command(command);
    }
    refusals_stop(&commands->refusals);
    free(commands);
}

static void count(const struct command *command, const char *error)
{
    enum counters_command kind = COUNTERS_UNKNOWN_COMMAND;
    if (command->verb)
        kind = command->request.level ? command->verb->counted : COUNTERS_BRIDGE_REFRESH;
    command->owner->counters->commands[kind][counters_outcome(error)]++;
}

static void answer(struct command *command, const struct verdict *verdict)
{
    struct commands *commands = command->owner;
    bool quiet = verdict->error && !refusals_pass(&commands->refusals, verdict->error);
    count(command, verdict->error);
    request_answer(&command->request, commands->config, commands->publisher, verdict, quiet,
        loop_now(commands->loop) - command->started_ms);
    free_command(command);
}

/* The memory that it holds while it is under way. */
static size_t command_bytes(const struct command *command)
{
    return sizeof *command + request_bytes(&command->request);
}

/* Answers a command that was taken on, and forgets it. */
static void finish(struct command *command, const struct verdict *verdict)
{
    struct commands *commands = command->owner;
    TAILQ_REMOVE(&commands->queue, command, link);
    commands->under_way--;
    commands->bytes -= command_bytes(command);
    answer(command, verdict);
}

/* ---- What the upstream's answer means */

static bool is_worth_another_try(int status)
{
    return status == 0 || status == 429 || status >= 500;
}

/* A cancel or a refresh answers with the job. */
static bool take_in(struct command *command, const struct http_answer *http, struct error *error)
{
    struct commands *commands = command->owner;
    if (command->verb->method == HTTP_DELETE) {
        tracker_gone(commands->tracker, command->request.job_id, PAYLOAD_COMMAND);
        return true;
    }
    /* A status is as old as its request. That the job was cancelled is news whenever it comes. */
    uint64_t mark = command->verb->method == HTTP_GET ? command->mark : JOBS_NOW;
    return tracker_answer(commands->tracker, command->request.job_id, http->body, http->length,
        mark, PAYLOAD_COMMAND, error);
}

/* It was done, but cannot be applied in time: AIVA said something before it that is still to be
 * read, or a list is long. The list is read once that is over. */
static void leave_to_list(struct command *command)
{
    struct commands *commands = command->owner;
    log_info_limited(&commands->late_limit, loop_now(commands->loop),
        "%s: done, but %s: the topics follow with the next list", command->request.command,
        command->list.tracker ? "the list is too long for its time (commands.timeout_s)"
                              : "too much waits for the broker");
    poller_want_list(commands->poller);
}

static void succeed(struct command *command, const struct http_answer *http)
{
    struct verdict verdict = {.http_status = http->status};
    struct answer_said said = {0};
    if (command->request.level)
        answer_read_said(http, command->owner->config, &said);
    verdict.status = said.status.data;
    verdict.message = said.message.data;
    finish(command, &verdict);
    answer_clear_said(&said);
}

/* It may have been carried out all the same: the list will tell. */
static void fail_to_apply(
    struct command *command, const struct http_answer *http, const struct error *error)
{
    poller_want_list(command->owner->poller);
    finish(command, &(struct verdict){
                        .error = "upstream_error",
                        .http_status = http->status,
                        .detail = error->text,
                    });
}

/* Nothing that was said before it is still to come. */
static void apply(struct command *command, const struct http_answer *http)
{
    struct error error;
    if (take_in(command, http, &error))
        succeed(command, http);
    else
        fail_to_apply(command, http, &error);
}

/* The last try decides: it got an answer, or it did not. */
static void run_out(struct command *command, const char *why)
{
    char detail[LIMIT_DETAIL + 128];
    snprintf(detail, sizeof detail, "%s%s%s (%u tries)", command->last_detail,
        command->last_detail[0] != '\0' ? "; " : "", why, command->tries);
    finish(command, &(struct verdict){
                        .error = command->last_status != 0 ? "upstream_error" : "timeout",
                        .http_status = command->last_status,
                        .detail = detail,
                    });
}

static void try_again(struct command *command, const struct http_answer *http)
{
    int64_t now = loop_now(command->owner->loop);
    int64_t asked = backoff_retry_after(http->retry_after, clock_unix_ms(), INT32_MAX);
    command->backoff.floor_ms = asked > 0 ? asked : 0;
    command->retry_at_ms = now + backoff_next(&command->backoff, entropy_u64());
    if (asked > 0 && now + asked >= command->deadline_ms)
        run_out(command, "AIVA asks to wait for longer than commands.timeout_s allows");
    else if (command->retry_at_ms < command->deadline_ms)
        timer_set(&command->timer, command->retry_at_ms);
    else
        timer_set(&command->timer, command->deadline_ms);
}

static void fail_for_good(struct command *command, const struct http_answer *http)
{
    char detail[LIMIT_DETAIL];
    struct answer_said said;
    answer_detail(http, detail, sizeof detail);
    answer_read_said(http, command->owner->config, &said);
    if (http->status == 404 && command->request.level)
        poller_want_list(command->owner->poller);
    finish(command, &(struct verdict){
                        .error = answer_error(http->status),
                        .http_status = http->status,
                        .status = said.status.data,
                        .message = said.message.data,
                        .detail = detail[0] != '\0' ? detail : command->last_detail,
                    });
    answer_clear_said(&said);
}

/* A delete that finds nothing after an earlier try of it has done its work. */
static bool is_done(const struct command *command, const struct http_answer *http)
{
    bool deletes = command->verb->method == HTTP_DELETE;
    return http->complete && ((http->status >= 200 && http->status < 300) ||
                                 (deletes && http->status == 404 && command->tries > 1));
}

/* The caller frees it. */
static struct http_answer *release_kept(struct command *command)
{
    struct http_answer *kept = command->kept;
    command->kept = NULL;
    command->owner->calls--;
    return kept;
}

static void list_taken(void *ctx, const struct error *error)
{
    struct command *command = ctx;
    struct commands *commands = command->owner;
    struct http_answer *kept = release_kept(command);
    if (error) {
        fail_to_apply(command, kept, error);
    } else {
        poller_follow_list(commands->poller);
        succeed(command, kept);
    }
    http_answer_free(kept);
    pump(commands);
}

static void take_list(struct command *command)
{
    command->list = (struct tracker_list){
        .body = command->kept->body,
        .length = command->kept->length,
        .mark = command->mark,
        .removes = true,
        .source = PAYLOAD_COMMAND,
        .done = list_taken,
        .ctx = command,
    };
    timer_set(&command->timer, command->deadline_ms);
    tracker_take_list(command->owner->tracker, &command->list);
}

static void apply_kept(struct command *command)
{
    if (!command->request.level) {
        take_list(command);
        return;
    }
    struct http_answer *kept = release_kept(command);
    apply(command, kept);
    http_answer_free(kept);
}

static void leave_kept_to_list(struct command *command)
{
    struct http_answer *kept = release_kept(command);
    leave_to_list(command);
    tracker_drop_list(&command->list);
    succeed(command, kept);
    http_answer_free(kept);
}

/* It can wait for the stream, and be answered in time all the same. */
static void on_caught_up(void *ctx, enum catchup_result result)
{
    struct command *command = ctx;
    struct commands *commands = command->owner;
    if (!command->kept)
        command->may_ask = true;
    else if (result == CATCHUP_READ)
        apply_kept(command);
    else
        leave_kept_to_list(command);
    pump(commands);
}

static void apply_in_turn(struct command *command, const struct http_answer *http)
{
    struct commands *commands = command->owner;
    bool is_read = catchup_is_read(commands->catchup);
    if (is_read && command->request.level) {
        apply(command, http);
        return;
    }
    commands->calls++;
    command->kept = http_answer_keep(http);
    if (is_read)
        take_list(command);
    else
        catchup_await(
            commands->catchup, &command->wait, command->deadline_ms, on_caught_up, command);
}

static void end_call(struct command *command)
{
    command->call = NULL;
    command->owner->calls--;
    catchup_end_call(command->owner->catchup);
}

static void on_answer(void *ctx, const struct http_answer *http)
{
    struct command *command = ctx;
    struct commands *commands = command->owner;
    end_call(command);
    log_debug("%s: try %u: %d in %lld ms", command->request.command, command->tries, http->status,
        (long long)http->duration_ms);
    command->last_status = http->complete ? http->status : 0;
    counters_note_call(commands->counters,
        command->request.level ? command->verb->endpoint : COUNTERS_GET_JOBS, command->last_status,
        http->duration_ms);
    answer_describe(http, command->last_detail, sizeof command->last_detail);
    if (is_done(command, http))
        apply_in_turn(command, http);
    else if (is_worth_another_try(command->last_status))
        try_again(command, http);
    else
        fail_for_good(command, http);
    pump(commands);
}

/* ---- Calling */

static void call_now(struct command *command)
{
    struct commands *commands = command->owner;
    char path[LIMIT_JOB_ID + 32];
    int64_t left = command->deadline_ms - loop_now(commands->loop);
    if (command->request.level)
        snprintf(path, sizeof path, "/jobs/%s%s", command->request.job_id, command->verb->tail);
    else
        snprintf(path, sizeof path, "/jobs");
    struct http_call call = {
        .method = command->verb->method,
        .path = path,
        .body_limit = command->request.level ? LIMIT_STATUS_BODY : LIMIT_LIST_BODY,
        .timeout_ms = left < CALL_TIMEOUT_MS || !command->request.level ? left : CALL_TIMEOUT_MS,
        .is_list = !command->request.level,
        .fresh_connection = command->verb->method != HTTP_GET,
        .done = on_answer,
        .ctx = command,
    };
    struct error error;
    command->tries++;
    command->may_ask = false;
    command->mark = tracker_mark(commands->tracker);
    command->call = http_start(commands->client, &call, &error);
    if (command->call) {
        commands->calls++;
        catchup_begin_call(commands->catchup);
        timer_stop(&command->timer);
        return;
    }
    finish(command, &(struct verdict){.error = "upstream_error", .detail = error.text});
}

/* Its time for another try has come, or its time is over. */
static void fire(void *ctx)
{
    struct command *command = ctx;
    struct commands *commands = command->owner;
    if (command->kept) {
        leave_kept_to_list(command);
        pump(commands);
        return;
    }
    if (loop_now(commands->loop) >= command->deadline_ms) {
        run_out(command, "its time is over (commands.timeout_s, or the message's own expiry)");
        return;
    }
    timer_set(&command->timer, command->deadline_ms);
    pump(commands);
}

/* What AIVA said before the question is not to be taken for newer than the answer. */
static bool may_ask(const struct command *command)
{
    return command->may_ask || command->verb->method != HTTP_GET ||
           catchup_is_read(command->owner->catchup);
}

static void try_now(struct command *command)
{
    struct commands *commands = command->owner;
    int64_t until = loop_now(commands->loop) + CATCHUP_BEFORE_MS;
    if (may_ask(command))
        call_now(command);
    else
        catchup_await(commands->catchup, &command->wait, until, on_caught_up, command);
}

/* Starts what waits for a place, in the order of arrival. */
static void pump(struct commands *commands)
{
    int64_t now = loop_now(commands->loop);
    struct command *command = TAILQ_FIRST(&commands->queue);
    while (command && commands->calls < CONCURRENT_CALLS) {
        struct command *next = TAILQ_NEXT(command, link);
        bool is_busy = command->call || command->kept || catchup_is_awaited(&command->wait);
        if (!is_busy && command->retry_at_ms <= now && now < command->deadline_ms)
            try_now(command);
        command = next;
    }
}

/* ---- Taking a request on */

static const struct verb *find_verb(const struct topic_parts *topic)
{
    bool for_job = topic->kind == TOPIC_JOB_COMMAND;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strlen(verbs[i].name) == topic->command_length &&
            memcmp(verbs[i].name, topic->command, topic->command_length) == 0 &&
            (for_job || verbs[i].allow == CONFIG_COMMAND_REFRESH))
            return &verbs[i];
    return NULL;
}

/* A message that says when it expires is not to be acted on later (MQTT 5, 3.3.2.3.3). */
static int64_t time_for(const struct commands *commands, const struct mqtt_message *message)
{
    uint32_t timeout_s = (uint32_t)commands->config->commands.timeout_s;
    return 1000 * (int64_t)(message->expiry_s < timeout_s ? message->expiry_s : timeout_s);
}

static struct command *new_command(
    struct commands *commands, const struct topic_parts *topic, const struct mqtt_message *message)
{
    struct command *command = xcalloc(1, sizeof *command);
    command->owner = commands;
    request_init(&command->request, commands->config, topic, message);
    command->verb = find_verb(topic);
    command->started_ms = loop_now(commands->loop);
    command->deadline_ms = command->started_ms + time_for(commands, message);
    backoff_init(&command->backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    timer_init(&command->timer, commands->loop, fire, command);
    if (command->request.response_topic &&
        publisher_refuses_answers(commands->publisher, command->request.response_topic))
        request_refuse_response(&command->request);
    if (command->request.refused_response)
        log_warn_limited(&commands->response_limit, loop_now(commands->loop),
            "the Response Topic %.*s is refused: the answer goes to the result topic alone",
            (int)message->response_topic_length, message->response_topic);
    return command;
}

static bool is_under_way(const struct command *wanted)
{
    const struct command *other;
    TAILQ_FOREACH(other, &wanted->owner->queue, link)
    {
        if (other->verb == wanted->verb && !other->request.level == !wanted->request.level &&
            (!wanted->request.level || strcmp(other->request.job_id, wanted->request.job_id) == 0))
            return true;
    }
    return false;
}

/* Why the command is not carried out; NULL if it is. */
static const char *find_objection(struct command *command, bool retained, const char **detail)
{
    struct commands *commands = command->owner;
    const struct request *request = &command->request;
    if (retained) {
        *detail = "commands must not be retained: publish without the retain flag";
        return "retained";
    }
    if (!command->verb || request->bad_level) {
        *detail = request->bad_level ? request->bad_level : "there is no such command";
        return "bad_topic";
    }
    if (request->id_class != TOPIC_ID_URL_SAFE) {
        *detail = "commands are for jobs whose id is made of A-Z a-z 0-9 . _ ~ : @ - alone";
        return "bad_job_id";
    }
    if (commands->stopped) {
        *detail = "the bridge is being stopped";
        return "timeout";
    }
    if (!(commands->config->commands.allow & (unsigned)command->verb->allow)) {
        *detail = "commands.allow does not list it";
        return "not_allowed";
    }
    if (is_under_way(command)) {
        *detail = "the same command is under way";
        return "in_progress";
    }
    if (request->id_too_long) {
        *detail = "its id is longer than " LIMIT_TEXT(LIMIT_COMMAND_ID) " bytes";
        return "rate_limited";
    }
    if (commands->bytes + command_bytes(command) > LIMIT_COMMANDS_BYTES) {
        *detail = "the commands under way have longer ids, Response Topics and Correlation Data "
                  "than all of them together may";
        return "rate_limited";
    }
    if (!bucket_take(&commands->bucket, loop_now(commands->loop))) {
        *detail = "more commands than commands.rate_per_s and commands.burst allow";
        return "rate_limited";
    }
    return NULL;
}

/* Commands that are refused faster than the broker takes the answers would fill the memory. */
static bool is_flooded(struct commands *commands)
{
    if (publisher_refusal_bytes(commands->publisher) < LIMIT_REFUSAL_BYTES)
        return false;
    commands->counters->commands_dropped++;
    log_warn_limited(&commands->dropped_limit, loop_now(commands->loop),
        "a command is dropped without an answer: %u MiB of answers wait for the broker",
        LIMIT_REFUSAL_BYTES >> 20);
    return true;
}

void commands_receive(
    struct commands *commands, const struct topic_parts *topic, const struct mqtt_message *message)
{
    if (message->payload_length == 0)
        return;
    const char *detail = NULL;
    if (is_flooded(commands))
        return;
    struct command *command = new_command(commands, topic, message);
    const char *objection = find_objection(command, message->retained, &detail);
    if (objection) {
        answer(command, &(struct verdict){.error = objection, .detail = detail, .refused = true});
        return;
    }
    TAILQ_INSERT_TAIL(&commands->queue, command, link);
    commands->under_way++;
    commands->bytes += command_bytes(command);
    timer_set(&command->timer, command->deadline_ms);
    pump(commands);
}

size_t commands_under_way(const struct commands *commands)
{
    return commands->under_way;
}

/* Nothing more will be read, and no list be worked off. */
static void stop_kept(struct command *command)
{
    struct http_answer *kept = release_kept(command);
    if (command->request.level)
        apply(command, kept);
    else
        finish(command, &(struct verdict){
                            .error = "timeout",
                            .http_status = kept->status,
                            .detail = "the bridge was stopped before AIVA's list was applied",
                        });
    http_answer_free(kept);
}

void commands_stop(struct commands *commands)
{
    commands->stopped = true;
    struct command *command;
    while ((command = TAILQ_FIRST(&commands->queue))) {
        catchup_cancel(&command->wait);
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see TAILQ_REMOVE in run_out. */
        if (command->kept) {
            stop_kept(command);
            continue;
        }
        http_cancel(command->call);
        if (command->call)
            end_call(command);
        run_out(command, "the bridge was stopped before AIVA's answer came");
    }
}
