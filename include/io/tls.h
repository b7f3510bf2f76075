#ifndef TLS_H
#define TLS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/*
 * How strict TLS is, in one place for both sides: chain and host name are verified, the name by the
 * certificate's subjectAltName alone and without partial wildcards, TLS 1.2 is the oldest version,
 * and nothing weaker than security level 2 (112 bits: no RSA key below 2048 bits, no SHA-1 in a
 * certificate's signature) is taken. There is no setting that loosens it.
 */

/* In OpenSSL's words; it also sets the level for keys and signatures of certificates. */
#define TLS_CIPHERS "DEFAULT@SECLEVEL=2"

/* For one transfer of libcurl's. ca: the authorities to trust, as PEM, in place of the system's; ""
 * or NULL for those. Copied. False where libcurl takes an option not. */
bool tls_apply(CURL *easy, const char *ca) NODISCARD;
/* The protocol that the server is told with the handshake (ALPN, RFC 7301). The transfer borrows
 * it. */
struct tls_alpn {
    unsigned char name[256]; /* its length comes first, as on the wire */
    bool behind_proxy; /* the first connection is to a proxy that speaks TLS, and is told nothing */
};
/* name: 1 to 255 bytes. False where libcurl takes the option not. */
bool tls_set_alpn(CURL *easy, struct tls_alpn *alpn, const char *name) NODISCARD;

/* Gives libcurl a text in place of a file: option is a CURLOPT_*_BLOB. Copied. */
bool tls_set_text(CURL *easy, CURLoption option, const char *text) NODISCARD;

/* Why a transfer failed, from libcurl's code and its words. Where TLS was the cause, what it means
 * for people is added; other words are copied. */
void tls_explain(int curl_code, const char *words, char *out, size_t size);
/* True where TLS failed for a reason that waiting alone will hardly mend. */
bool tls_is_refusal(int curl_code, const char *words);

#endif
