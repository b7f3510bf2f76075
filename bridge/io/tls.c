/* How strict TLS is, and what its failures mean. */
#include "tls.h"

#include <assert.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* A certificate without one is compared by its common name, by libcurl. */
static bool has_alternative_name(X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool found = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
        int type = sk_GENERAL_NAME_value(names, i)->type;

        found = type == GEN_DNS || type == GEN_IPADD;
    }
    GENERAL_NAMES_free(names);
    return found;
}

/* The name that was asked for; NULL where that is an address, which is never sent. libcurl compares
 * an address with the certificate's addresses alone. */
static const char *wanted_name(X509_STORE_CTX *store)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

    return ssl != NULL ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

/* OpenSSL's verdict on one certificate of the chain, the server's own last, once all else about it
 * is found good. What libcurl would be too kind to is refused here. */
static int on_verified(int good, X509_STORE_CTX *store)
{
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    const char *name;

    if (!good || X509_STORE_CTX_get_error_depth(store) > 0)
        return good;
    if (!has_alternative_name(certificate)) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    name = wanted_name(store);
    if (name != NULL &&
        X509_check_host(certificate, name, 0,
            X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
            NULL) != 1) {
        X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
        return 0;
    }
    return 1;
}

/* For the connection to a proxy as well as for the one through it. */
static CURLcode on_context(CURL *easy, void *context, void *ctx)
{
    struct tls_alpn *alpn = ctx;
    (void)easy;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, on_verified);
    /* link.c's output may have grown, and moved, before it is tried again. */
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
    if (alpn != NULL && alpn->behind_proxy)
        alpn->behind_proxy = false;
    else if (alpn != NULL && SSL_CTX_set_alpn_protos(context, alpn->name, 1u + alpn->name[0]) != 0)
        return CURLE_OUT_OF_MEMORY;
    return CURLE_OK;
}

bool tls_set_alpn(CURL *easy, struct tls_alpn *alpn, const char *name)
{
    size_t length = strlen(name);

    assert(length > 0 && length < sizeof alpn->name);
    alpn->name[0] = (unsigned char)length;
    memcpy(alpn->name + 1, name, length);
    return curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, alpn) == CURLE_OK;
}

bool tls_set_text(CURL *easy, CURLoption option, const char *text)
{
    struct curl_blob blob = {.data = (char *)text, .len = strlen(text), .flags = CURL_BLOB_COPY};

    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

bool tls_apply(CURL *easy, const char *ca)
{
    bool own_ca = ca != NULL && ca[0] != '\0';
    bool done = curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
                /* The level that OpenSSL was built or configured with may be lower. */
                curl_easy_setopt(easy, CURLOPT_SSL_CIPHER_LIST, TLS_CIPHERS) == CURLE_OK &&
                curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_context) == CURLE_OK;

    /* Authorities of one's own replace the system's file, and its directory too. */
    if (done && own_ca)
        done = tls_set_text(easy, CURLOPT_CAINFO_BLOB, ca) &&
               curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
    return done;
}

/* In the order of what is looked for; the last three are said of any handshake that broke off. */
static const struct {
    const char *words, *meaning;
} meanings[] = {
    {"subject name", "the certificate is for another host"},
    {"ostname mismatch", "the certificate is for another host"},
    {"application verification", "the certificate names no host or address as subjectAltName"},
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
