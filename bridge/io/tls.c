/* How strict TLS is, for libcurl (mqttconnect.c says the same to paho), and what its failures mean.
 */
#include "tls.h"

#include <stdio.h>
#include <string.h>

bool tls_apply(CURL *easy, const char *ca_file)
{
    bool own_ca = ca_file != NULL && ca_file[0] != '\0';
    bool done = curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
                /* The level that OpenSSL was built or configured with may be lower. */
                curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, TLS_CIPHERS) == CURLE_OK;

    /* A CA file of one's own replaces the system's authorities, its directory included. */
    if (done && own_ca)
        done = curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return done;
}

/* In the order of what is looked for; the last three are said of any handshake that broke off. */
static const struct {
    const char *words, *meaning;
} meanings[] = {
    {"subject name", "the certificate is for another host"},
    {"local issuer", "the authority that issued it is not among the trusted ones"},
    {"too weak", "below security level 2"},
    {"protocol version", "the server has no TLS 1.2 or later"},
    {"unsupported protocol", "the server has no TLS 1.2 or later"},
    {"legacy sigalg", "the server has no TLS 1.2 or later"},
    {"certificate required", "the server asks for a client certificate"},
    {"alert handshake failure", "no cipher in common, or the server asks for a client certificate"},
    {"alert unknown ca", "the server does not accept the client certificate"},
    {"alert bad certificate", "the server does not accept the client certificate"},
    {"alert certificate", "the server does not accept the client certificate"},
    {"alert unsupported certificate", "the server does not accept the client certificate"},
    {"wrong version number", "this port does not speak TLS"},
    {"SYSCALL", "the other side ended the handshake: does this port speak TLS?"},
    {"unexpected eof", "the other side ended the handshake: does this port speak TLS?"},
    {" failure: ", "the other side ended the handshake: does this port speak TLS?"},
};

/* With TLS 1.3 a client's certificate is refused after the handshake, where the server's alert is
 * what reading fails with. */
static bool is_of_tls(int curl_code, const char *words)
{
    switch (curl_code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
        return true;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return strstr(words, " alert ") != NULL;
    default:
        return false;
    }
}

void tls_explain(int curl_code, const char *words, char *out, size_t size)
{
    size_t i = 0;

    if (!is_of_tls(curl_code, words)) {
        snprintf(out, size, "%s", words);
        return;
    }
    while (i < sizeof meanings / sizeof meanings[0] && strstr(words, meanings[i].words) == NULL)
        i++;
    if (i < sizeof meanings / sizeof meanings[0])
        snprintf(out, size, "TLS: %s (%s)", meanings[i].meaning, words);
    else
        snprintf(out, size, "TLS: %s", words);
}

bool tls_is_refusal(int curl_code, const char *words)
{
    bool broke_off = curl_code == CURLE_SSL_CONNECT_ERROR &&
                     (strstr(words, "SYSCALL") != NULL || strstr(words, " failure: ") != NULL ||
                         strstr(words, "unexpected eof") != NULL);

    return is_of_tls(curl_code, words) && !broke_off;
}
