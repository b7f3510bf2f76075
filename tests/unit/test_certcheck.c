/* Certificates that were made with the openssl program, damaged in every way that files are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certcheck.h"
#include "certificates.h"
#include "mem.h"

static struct {
    char directory[32];
    char *ca, *cert, *key, *other_key;
} made;

static int make(void **state)
{
    (void)state;
    strcpy(made.directory, "/tmp/test_certcheck.XXXXXX");
    if (!mkdtemp(made.directory))
        return -1;
    certificates_make(made.directory);
    certificates_shell(made.directory,
        "openssl pkey -in 127.0.0.1.key -aes128 -passout pass:wrong -out locked.key && "
        "openssl ec -in 127.0.0.1.key -aes128 -passout pass:wrong -out locked-old.key && "
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout weak.key -out weak.crt -subj /CN=w && "
        "openssl x509 -in 127.0.0.1.crt -outform der -out cert.der && "
        "mkdir -p db && : >db/index.txt && echo 01 >db/serial && "
        "printf '[ca]\ndefault_ca=d\n[d]\ndatabase=db/index.txt\nserial=db/serial\n"
        "new_certs_dir=db\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n' >ca.cnf && "
        "openssl ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in 127.0.0.1.csr -notext "
        "-startdate 20200101000000Z -enddate 20200201000000Z -out old.crt && : >db/index.txt && "
        "openssl ca -batch -config ca.cnf -cert ca.crt -keyfile ca.key -in 127.0.0.1.csr -notext "
        "-startdate 20900101000000Z -enddate 20900201000000Z -out early.crt");
    made.ca = certificates_text(made.directory, "ca.crt");
    made.cert = certificates_text(made.directory, "127.0.0.1.crt");
    made.key = certificates_text(made.directory, "127.0.0.1.key");
    made.other_key = certificates_text(made.directory, "192.0.2.1.key");
    return 0;
}

static int remove_all(void **state)
{
    (void)state;
    free(made.ca);
    free(made.cert);
    free(made.key);
    free(made.other_key);
    certificates_shell(made.directory, "rm -rf *");
    return rmdir(made.directory);
}

static char *join(const char *first, const char *second)
{
    char *text = xmalloc(strlen(first) + strlen(second) + 1);
    strcpy(stpcpy(text, first), second);
    return text;
}

static void assert_state(const char *ca, const char *cert, const char *key,
    enum config_pem_state expected, enum config_pem_file expected_file, const char *words)
{
    struct error error = {0};
    enum config_pem_file which = CONFIG_PEM_CA;
    enum config_pem_state found = certcheck(&(struct config_pem){ca, cert, key}, &which, &error);
    if (found != expected)
        fail_msg("found %d, expected %d: %s", (int)found, (int)expected, error.text);
    if (found == CONFIG_PEM_GOOD)
        return;
    assert_int_equal(which, expected_file);
    assert_int_equal(error.class, ERROR_USAGE);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, error.text);
}

static void assert_file(const char *name, enum config_pem_state state, const char *words)
{
    char *text = certificates_text(made.directory, name);
    assert_state("", text, made.key, state, CONFIG_PEM_CERT, words);
    free(text);
}

static void test_certcheck_takes_what_is_good(void **state)
{
    char *both = join("Some words of explanation\n", made.ca), *chain = join(made.cert, made.ca);
    (void)state;
    assert_state("", "", "", CONFIG_PEM_GOOD, CONFIG_PEM_CA, "");
    assert_state(made.ca, "", "", CONFIG_PEM_GOOD, CONFIG_PEM_CA, "");
    assert_state(both, made.cert, made.key, CONFIG_PEM_GOOD, CONFIG_PEM_CA, "");
    assert_state("", chain, made.key, CONFIG_PEM_GOOD, CONFIG_PEM_CA, "");
    free(both);
    free(chain);
}

/* A file that is being written, or was on a disk that is full, may end anywhere. */
static void test_certcheck_notices_a_cut_anywhere(void **state)
{
    size_t length = strlen(made.ca);
    char *two = join(made.ca, made.ca);
    (void)state;
    /* From where a line that begins a certificate can be told from dashes, to its last letter. */
    for (size_t cut = length + strlen("-----"); cut < 2 * length - 1; cut++) {
        char *text = xmemdup0(two, cut);
        assert_state(text, "", "", CONFIG_PEM_BAD, CONFIG_PEM_CA, "certificate 2 in it is damaged");
        assert_state("", text, made.key, CONFIG_PEM_BAD, CONFIG_PEM_CERT, "damaged");
        free(text);
    }
    free(two);
}

static void test_certcheck_notices_damage(void **state)
{
    char *damaged = xstrdup(made.ca);
    (void)state;
    memset(strchr(damaged, '\n') + 20, 'A', 30);
    assert_state(damaged, "", "", CONFIG_PEM_BAD, CONFIG_PEM_CA, "certificate 1 in it is damaged");
    free(damaged);
    assert_state("words\n", "", "", CONFIG_PEM_BAD, CONFIG_PEM_CA, "found none");
    assert_state(made.key, "", "", CONFIG_PEM_BAD, CONFIG_PEM_CA, "found none");
    assert_state("", made.key, made.cert, CONFIG_PEM_BAD, CONFIG_PEM_CERT, "found none");
    assert_state(
        "", made.cert, "words\n", CONFIG_PEM_BAD, CONFIG_PEM_KEY, "expected a private key");
    assert_file("weak.crt", CONFIG_PEM_BAD, "too small");
}

static void test_certcheck_notices_a_key_of_another_certificate(void **state)
{
    (void)state;
    assert_state(made.ca, made.cert, made.other_key, CONFIG_PEM_BAD, CONFIG_PEM_KEY,
        "it is not the key of the client certificate");
}

static void test_certcheck_asks_nobody_for_a_password(void **state)
{
    static const char *const names[] = {"locked.key", "locked-old.key"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *locked = certificates_text(made.directory, names[i]);
        assert_state("", made.cert, locked, CONFIG_PEM_BAD, CONFIG_PEM_KEY, "the key is encrypted");
        free(locked);
    }
}

static void test_certcheck_looks_at_dates(void **state)
{
    char *old = certificates_text(made.directory, "old.crt"), *some = join(old, made.ca);
    (void)state;
    assert_file(
        "old.crt", CONFIG_PEM_OUTDATED, "the certificate has expired on 2020-02-01T00:00:00Z");
    assert_file("early.crt", CONFIG_PEM_OUTDATED, "is not valid before 2090-01-01T00:00:00Z");
    assert_state(
        old, made.cert, made.key, CONFIG_PEM_OUTDATED, CONFIG_PEM_CA, "has expired on 2020");
    /* One authority that is valid is enough; and worse than an old one is a bad key. */
    assert_state(some, "", "", CONFIG_PEM_GOOD, CONFIG_PEM_CA, "");
    assert_state(old, made.cert, made.other_key, CONFIG_PEM_BAD, CONFIG_PEM_KEY, "not the key");
    free(old);
    free(some);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certcheck_takes_what_is_good),
        cmocka_unit_test(test_certcheck_notices_a_cut_anywhere),
        cmocka_unit_test(test_certcheck_notices_damage),
        cmocka_unit_test(test_certcheck_notices_a_key_of_another_certificate),
        cmocka_unit_test(test_certcheck_asks_nobody_for_a_password),
        cmocka_unit_test(test_certcheck_looks_at_dates),
    };
    return cmocka_run_group_tests(tests, make, remove_all);
}
