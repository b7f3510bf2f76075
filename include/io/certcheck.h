#ifndef CERTCHECK_H
#define CERTCHECK_H

#include "config.h"
#include "error.h"

/*
 * Whether TLS can do with certificates and a key before a connection depends on them: they can be
 * read to their end, the key fits the certificate and needs no password, OpenSSL takes both at the
 * security level of tls.h, and the certificate, or one of the authorities, is valid now. On
 * anything else *which is the file to blame, and the error (ERROR_USAGE) has the reason alone.
 */
enum config_pem_state certcheck(
    const struct config_pem *pem, enum config_pem_file *which, struct error *error) NODISCARD;

#endif
