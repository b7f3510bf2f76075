#ifndef WIRECALLS_H
#define WIRECALLS_H

#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/*
 * System calls of paho-mqtt-c 1.3.12, and SSL_read, under the names that cmake/paho.cmake gives to
 * them in the library's object files. Results and errno are those of the calls they stand in for.
 * Called by the library alone (and by tests), on any thread.
 */
int wire_connect(int fd, const struct sockaddr *address, socklen_t length);
ssize_t wire_recv(int fd, void *data, size_t size, int flags);
int wire_SSL_read(SSL *ssl, void *data, int size);
int wire_shutdown(int fd, int how);
int wire_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int wire_usleep(useconds_t us);
int wire_pthread_cond_timedwait(
    pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int wire_pthread_cond_signal(pthread_cond_t *condition);
int wire_pthread_create(
    pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *), void *argument);

#endif
