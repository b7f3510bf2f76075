#ifndef RAW_SERVER_H
#define RAW_SERVER_H

/*
 * A TCP server on 127.0.0.1 that plays a script from a thread of its own: for each step it reads
 * one request head and sends raw bytes. Include after cmocka.h; asserts only on the test's thread.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAW_STEPS = 16, RAW_REQUEST = 4096 };

struct raw_step {
    const char *bytes;
    size_t length; /* 0: the string's */
    bool close;    /* the connection, after the bytes */
    bool wait;     /* for raw_server_go before `rest` is sent */
    const char *rest;
};

struct raw_server {
    int listener, stop[2];
    unsigned short port;
    char url[64];
    pthread_t thread;
    struct raw_step steps[RAW_STEPS];
    sem_t go;
    /* To be read after raw_server_close, or under the semaphore's order. */
    char requests[RAW_STEPS][RAW_REQUEST];
    unsigned answered, connections;
};

static inline void raw_send(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

        if (sent <= 0)
            return; /* the client has gone: its side of the test says whether that is right */
        bytes += sent;
        length -= (size_t)sent;
    }
}

/* Waits until the connection or the listener can be read. -1: asked to stop. */
static inline int raw_wait(struct raw_server *server, int connection)
{
    struct pollfd fds[] = {{.fd = server->stop[0], .events = POLLIN},
        {.fd = connection, .events = POLLIN}, {.fd = server->listener, .events = POLLIN}};

    if (poll(fds, 3, -1) < 0 || fds[0].revents != 0)
        return -1;
    return fds[1].revents != 0 ? connection : server->listener;
}

/* Reads a request head, accepting a new connection where the old one is closed. */
static inline bool raw_read_request(struct raw_server *server, int *connection, char *request)
{
    size_t length = 0;

    request[0] = '\0';
    while (strstr(request, "\r\n\r\n") == NULL) {
        int ready = raw_wait(server, *connection);
        ssize_t got;

        if (ready < 0)
            return false;
        if (ready == server->listener) {
            if (*connection >= 0)
                close(*connection);
            *connection = accept(server->listener, NULL, NULL);
            server->connections++;
            length = 0;
            continue;
        }
        got = recv(*connection, request + length, RAW_REQUEST - 1 - length, 0);
        if (got <= 0) {
            close(*connection);
            *connection = -1;
            got = 0;
            length = 0;
        }
        length += (size_t)got;
        request[length] = '\0';
    }
    return true;
}

static inline void *raw_serve(void *ctx)
{
    struct raw_server *server = ctx;
    int connection = -1;

    for (unsigned i = 0; i < RAW_STEPS && server->steps[i].bytes != NULL; i++) {
        const struct raw_step *step = &server->steps[i];

        if (!raw_read_request(server, &connection, server->requests[i]))
            break;
        raw_send(connection, step->bytes, step->length > 0 ? step->length : strlen(step->bytes));
        if (step->wait) {
            sem_wait(&server->go);
            if (step->rest != NULL)
                raw_send(connection, step->rest, strlen(step->rest));
        }
        server->answered++;
        if (step->close) {
            shutdown(connection, SHUT_RDWR);
            close(connection);
            connection = -1;
        }
    }
    while (connection >= 0 && raw_wait(server, connection) == connection) {
        char rest[512];

        if (recv(connection, rest, sizeof rest, 0) <= 0)
            break;
    }
    if (connection >= 0)
        close(connection);
    return NULL;
}

static inline void raw_server_open(struct raw_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;

    memset(server, 0, sizeof *server);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(server->listener, 16), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &length), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u", server->port);
    assert_int_equal(pipe(server->stop), 0);
    assert_int_equal(sem_init(&server->go, 0, 0), 0);
}

/* After the steps have been filled in. */
static inline void raw_server_start(struct raw_server *server)
{
    assert_int_equal(pthread_create(&server->thread, NULL, raw_serve, server), 0);
}

static inline void raw_server_go(struct raw_server *server)
{
    sem_post(&server->go);
}

static inline void raw_server_close(struct raw_server *server)
{
    raw_server_go(server);
    assert_int_equal(write(server->stop[1], "", 1), 1);
    pthread_join(server->thread, NULL);
    close(server->stop[0]);
    close(server->stop[1]);
    close(server->listener);
    sem_destroy(&server->go);
}

#endif
