#ifndef CERTIFICATES_H
#define CERTIFICATES_H

/* What tests with real servers need: a free port, a shell command, an authority of their own with
 * certificates for 127.0.0.1 and for another address. Include after cmocka.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline unsigned short certificates_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static inline void certificates_shell(const char *directory, const char *command)
{
    char line[1024];

    snprintf(line, sizeof line, "cd %s && (%s) >/dev/null 2>&1", directory, command);
    assert_int_equal(system(line), 0);
}

/* ca.crt, and <address>.crt and .key for both addresses. */
static inline void certificates_make(const char *directory)
{
    certificates_shell(directory,
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key "
        "-out ca.crt -subj /CN=test-ca -days 2 && "
        "for n in 127.0.0.1 192.0.2.1; do "
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $n.key -out $n.csr "
        "-subj /CN=server && echo subjectAltName=IP:$n >$n.ext && "
        "openssl x509 -req -in $n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out $n.crt -days 2 "
        "-extfile $n.ext || exit 1; done");
}

/* The text of directory/name, at most 64 KiB; the caller's. */
static inline char *certificates_text(const char *directory, const char *name)
{
    char path[256], *text = calloc(1, 65536);
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(text);
    assert_true(fread(text, 1, 65535, file) > 0);
    fclose(file);
    return text;
}

#endif
