#ifndef LIMIT_H
#define LIMIT_H

/* Every cap on what the outside can make the bridge hold, each with its reason; the tests that
 * reach them are in tests/style/limits.py. */

/* A limit that is a plain number, as a literal for messages. */
#define LIMIT_TEXT(limit)  LIMIT_TEXT_(limit)
#define LIMIT_TEXT_(limit) #limit

#define LIMIT_JOB_ID         128 /* bytes; the contract's */
#define LIMIT_STATUS         64 /* bytes; a state is a word, and each unknown one is counted by name */
#define LIMIT_UNKNOWN_STATES 32 /* states counted by name beyond the six that are documented */
#define LIMIT_EVENT          (1024 * 1024) /* bytes of one SSE event's data; the contract's */
#define LIMIT_SSE_LINE                                                                             \
    (LIMIT_EVENT + 64)            /* bytes of one SSE line: the longest event and its field name */
#define LIMIT_SSE_ID       1024   /* bytes of an event id; it goes back as a request header */
#define LIMIT_JSON_DEPTH   128    /* nesting; readers of the topics recurse */
#define LIMIT_JSON_MEMBERS 209715 /* members of one object: more do not fit into LIMIT_EVENT */
#define LIMIT_JOB_RECORD   (2 * LIMIT_EVENT) /* bytes of one job's merged members */
#define LIMIT_JOBS_BYTES                                                                           \
    (512u * 1024 * 1024) /* bytes of all jobs' records: a million jobs; then no new ones */
#define LIMIT_LIST_BODY (256u * 1024 * 1024) /* bytes of GET /jobs: a million jobs */
#define LIMIT_LIST_GAP                                                                             \
    (2 * LIMIT_JOB_RECORD)    /* bytes of GET /jobs without a further job: twice the largest */
#define LIMIT_JOB_LEAST   128 /* bytes of LIMIT_JOBS_BYTES that any job takes */
#define LIMIT_LIST_JOBS   (LIMIT_JOBS_BYTES / LIMIT_JOB_LEAST) /* jobs in GET /jobs */
#define LIMIT_STATUS_BODY (2 * LIMIT_EVENT) /* bytes of any other answer's body */
#define LIMIT_HEADERS     (64 * 1024)       /* bytes of an answer's header section */
#define LIMIT_COMMAND     LIMIT_EVENT       /* bytes of a command's payload that are looked into */
#define LIMIT_COMMAND_ID  65536             /* bytes of a command's id; the contract's */
#define LIMIT_COMMANDS_BYTES                                                                       \
    (16u * 1024 *                                                                                  \
        1024) /* bytes that the commands under way keep of their requests; the contract's */
#define LIMIT_REFUSED_BODY 4096 /* bytes of a refused stream's answer, for its reason */
#define LIMIT_MQTT_PACKET                                                                          \
    (8u * 1024 * 1024) /* bytes of one packet from the broker: the largest state and its topic */
#define LIMIT_MQTT_RECEIVE 1000  /* messages the broker may send ahead of acknowledgements */
#define LIMIT_TOMBSTONES   20000 /* ids of jobs that are gone, remembered against late events */
#define LIMIT_REFUSED                                                                              \
    20000 /* ids whose states the broker refused; beyond that all are said again */
#define LIMIT_QUARANTINE                                                                           \
    16 /* Response Topics for which the broker ended the connection; beyond that none is served */
#define LIMIT_DISCOVERY                                                                            \
    (256 * 1024)              /* bytes of a device's payload; the longest names need a fifth */
#define LIMIT_PREFIXES      8 /* discovery prefixes of earlier runs that are still to be cleared */
#define LIMIT_EARLIER_ROOTS 8 /* mqtt.topic of earlier runs whose devices are still to go */
#define LIMIT_OBJECT_ID     1024 /* bytes of a device's object id; the longest root needs 777 */
#define LIMIT_DEVICES       8192 /* devices found at the broker; earlier runs left 1000 at most */
#define LIMIT_DEVICES_BYTES                                                                        \
    (64u * 1024 * 1024) /* bytes of their topics and payloads, of a few KiB each */
#define LIMIT_SESSION_BYTES                                                                        \
    (512 * 1024) /* bytes on their way to and from paho: a CONNECT with all its texts */
#define LIMIT_LINK_BACKLOG                                                                         \
    (16u * 1024 * 1024) /* bytes that the broker has not taken; then nothing is read from it */
#define LIMIT_WEBSOCKET_FRAME                                                                      \
    (512u * 1024 *                                                                                 \
        1024) /* bytes of one frame: MQTT's largest packet, and room for others beside it */
#define LIMIT_OUTBOX_BYTES                                                                         \
    (256u * 1024 * 1024) /* bytes waiting for the broker; then the stream is paused */
#define LIMIT_REFUSAL_BYTES                                                                        \
    (16u * 1024 *                                                                                  \
        1024) /* bytes of refused commands' answers that wait; then commands are dropped */
#define LIMIT_RETRY_AFTER_S 600  /* longest Retry-After that is obeyed */
#define LIMIT_DETAIL        1024 /* bytes of an upstream's words shown in a log or an answer */
#define LIMIT_HTTPD_BODY    (256 * 1024) /* bytes of one answer of http.listen */
#define LIMIT_LOG_BYTES                                                                            \
    (128 * 1024) /* bytes of log lines that wait for a reader, twice: a thousand; then they are    \
                    lost */
#define LIMIT_CONFIG (1024 * 1024) /* bytes of the configuration file */
#define LIMIT_SECRET 65535         /* bytes of a secret's file; MQTT's for a password */
#define LIMIT_PEM    (1024 * 1024) /* bytes of a file of certificates: four times the system's */

#endif
