/* Certificates and keys as OpenSSL sees them. */
#include "certcheck.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "tls.h"

#define BORDER "-----" /* at both ends of the first and the last line of everything in PEM */

static const char *openssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != NULL ? reason : "OpenSSL refuses it";
}

/* The bridge has no passwords for keys; without this OpenSSL would ask on the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int refuse_password(char *out, int size, int writing, void *ctx)
{
    bool *asked = ctx;
    (void)out, (void)size, (void)writing;
    *asked = true;
    return -1;
}

/* A text that is cut within a line that begins something looks to OpenSSL as if it ended before. */
static bool is_cut(const char *text)
{
    const char *rest = text;
    for (const char *end = text; (end = strstr(end, BORDER "END ")) != NULL;) {
        end += strlen(BORDER "END ");
        rest = end + strcspn(end, "\n");
    }
    return strstr(rest, BORDER) != NULL;
}

/* Certificates of the text, in order; NULL and the error where it is not whole, or has none. */
static STACK_OF(X509) * read_certificates(const char *text, struct error *error)
{
    STACK_OF(X509) *found = sk_X509_new_null();
    BIO *source = BIO_new_mem_buf(text, -1);
    bool asked = false;
    X509 *next;
    ERR_clear_error();
    while ((next = PEM_read_bio_X509_AUX(source, NULL, refuse_password, &asked)) != NULL)
        sk_X509_push(found, next);
    bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE && !is_cut(text);
    if (whole && sk_X509_num(found) > 0) {
        ERR_clear_error();
        BIO_free(source);
        return found;
    }
    if (whole)
        error_set(error, ERROR_USAGE, "expected certificates in PEM, found none");
    else
        error_set(error, ERROR_USAGE, "certificate %d in it is damaged, or the file is cut off: %s",
            sk_X509_num(found) + 1, is_cut(text) ? "no end" : openssl_reason());
    ERR_clear_error();
    BIO_free(source);
    sk_X509_pop_free(found, X509_free);
    return NULL;
}

/* ---- Dates */

static bool is_valid_now(X509 *certificate)
{
    return X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0 &&
           X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

static enum config_pem_state outdated(X509 *certificate, const char *what, struct error *error)
{
    bool early = X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0;
    struct tm tm = {0};
    char date[32] = "another time";
    if (ASN1_TIME_to_tm(
            early ? X509_get0_notBefore(certificate) : X509_get0_notAfter(certificate), &tm) == 1)
        strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm);
    error_set(error, ERROR_USAGE, early ? "%s is not valid before %s" : "%s has expired on %s",
        what, date);
    return CONFIG_PEM_OUTDATED;
}

/* ---- Authorities */

/* A connection needs one of them. */
static enum config_pem_state check_authorities(const char *text, struct error *error)
{
    STACK_OF(X509) *all = read_certificates(text, error);
    enum config_pem_state state = CONFIG_PEM_BAD;
    if (all == NULL)
        return CONFIG_PEM_BAD;
    for (int i = 0; i < sk_X509_num(all) && state != CONFIG_PEM_GOOD; i++)
        if (is_valid_now(sk_X509_value(all, i)))
            state = CONFIG_PEM_GOOD;
    if (state != CONFIG_PEM_GOOD)
        state = outdated(sk_X509_value(all, sk_X509_num(all) - 1),
            sk_X509_num(all) > 1 ? "none of the certificates in it is valid now; the last one"
                                 : "the certificate",
            error);
    sk_X509_pop_free(all, X509_free);
    return state;
}

/* ---- The client's certificate and key */

static EVP_PKEY *read_key(const char *text, struct error *error)
{
    BIO *source = BIO_new_mem_buf(text, -1);
    bool asked = false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(source, NULL, refuse_password, &asked);
    if (asked)
        error_set(error, ERROR_USAGE,
            "the key is encrypted, and the bridge has no password for it: store it without "
            "(openssl pkey -in FILE -out FILE2) in a file of mode 600");
    else if (key == NULL)
        error_set(error, ERROR_USAGE, "expected a private key in PEM: %s", openssl_reason());
    BIO_free(source);
    return key;
}

static bool use_chain(SSL_CTX *context, STACK_OF(X509) * chain, struct error *error)
{
    bool taken = SSL_CTX_use_certificate(context, sk_X509_value(chain, 0)) == 1;
    for (int i = 1; i < sk_X509_num(chain) && taken; i++)
        taken = SSL_CTX_add1_chain_cert(context, sk_X509_value(chain, i)) == 1;
    return taken || error_set(error, ERROR_USAGE, "%s", openssl_reason());
}

static bool use_key(SSL_CTX *context, EVP_PKEY *key, struct error *error)
{
    if (SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1)
        return true;
    return error_set(
        error, ERROR_USAGE, "it is not the key of the client certificate: %s", openssl_reason());
}

/* As the library will, so that nothing is left for it to refuse. */
static bool try_identity(STACK_OF(X509) * chain, const struct config_pem *pem,
    enum config_pem_file *which, struct error *error)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    EVP_PKEY *key = NULL;
    bool good = false;
    if (context == NULL || SSL_CTX_set_cipher_list(context, TLS_CIPHERS) != 1) {
        error_set(error, ERROR_USAGE, "%s", openssl_reason());
    } else if (use_chain(context, chain, error)) {
        *which = CONFIG_PEM_KEY;
        key = read_key(pem->key, error);
        good = key != NULL && use_key(context, key, error);
    }
    EVP_PKEY_free(key);
    SSL_CTX_free(context);
    ERR_clear_error();
    return good;
}

static enum config_pem_state check_identity(
    const struct config_pem *pem, enum config_pem_file *which, struct error *error)
{
    *which = CONFIG_PEM_CERT;
    STACK_OF(X509) *chain = read_certificates(pem->cert, error);
    if (chain == NULL)
        return CONFIG_PEM_BAD;
    enum config_pem_state state = CONFIG_PEM_BAD;
    if (try_identity(chain, pem, which, error)) {
        *which = CONFIG_PEM_CERT;
        state = is_valid_now(sk_X509_value(chain, 0))
                    ? CONFIG_PEM_GOOD
                    : outdated(sk_X509_value(chain, 0), "the certificate", error);
    }
    sk_X509_pop_free(chain, X509_free);
    return state;
}

enum config_pem_state certcheck(
    const struct config_pem *pem, enum config_pem_file *which, struct error *error)
{
    enum config_pem_state authorities = CONFIG_PEM_GOOD;
    *which = CONFIG_PEM_CA;
    if (pem->ca[0] != '\0')
        authorities = check_authorities(pem->ca, error);
    if (authorities == CONFIG_PEM_BAD || pem->cert[0] == '\0')
        return authorities;
    struct error first = *error;
    enum config_pem_state identity = check_identity(pem, which, error);
    if (identity != CONFIG_PEM_GOOD || authorities == CONFIG_PEM_GOOD)
        return identity;
    *which = CONFIG_PEM_CA;
    *error = first;
    return authorities;
}
