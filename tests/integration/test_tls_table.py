"""Which certificates and servers are accepted, and why the others are refused: by the broker's side and by AIVA's."""

import re
import ssl

import pytest
from conftest import preloading
from harness.certificates import TlsFront
from harness.pki import CA, FUTURE, PAST, Pki
from harness.rawserver import RawServer

NAME = "aiva.slow.test"  # the library of tests/fake finds it on this machine
ADDRESS = "127.0.0.1"
SAN = f"subjectAltName=DNS:{NAME}\n"
ADDRESS_SAN = f"subjectAltName=IP:{ADDRESS}\n"
TLS_1_0, TLS_1_1, TLS_1_2, TLS_1_3 = (ssl.TLSVersion[one] for one in ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3"))

ACCEPTED = None
OTHER_HOST = "the certificate is for another host"
NO_SAN = "the certificate names no host or address as subjectAltName"
UNKNOWN = "the authority that issued it is not among the trusted ones"
WEAK = "below security level 2"
OLD = "the server has no TLS 1.2 or later"
PURPOSE = r"unsupported certificate purpose|unsuitable certificate purpose"
NO_CA = r"invalid CA certificate"
NO_TLS = "does(?: this port)? (?:not )?speak TLS"
NO_CIPHER = "no cipher in common"


class Row:
    """One server, and what becomes of it: ACCEPTED, or the words of the refusal."""

    def __init__(self, expected, extensions=SAN, host=NAME, broker=None, server=None, client=None, trust=None,
                 issuer=None, **leaf):
        self.expected = expected
        self.broker = broker or expected  # where it is another on this side
        self.extensions, self.host, self.issuer, self.leaf = extensions, host, issuer, leaf
        self.server = {} if server is None else server
        self.client = client  # the certificate that the bridge shows to the broker
        self.trust = trust  # None: the root


def names(*entries):
    return "subjectAltName=" + ",".join(entries) + "\n"


def der_name(text):
    """A subjectAltName with a DNS name of any bytes."""
    inner = bytes([0x82, len(text)]) + text
    return "subjectAltName=DER:" + ":".join(f"{byte:02X}" for byte in bytes([0x30, len(inner)]) + inner) + "\n"


ROWS = {
    # The name.
    "name": Row(ACCEPTED),
    "name-in-capitals": Row(ACCEPTED, names(f"DNS:{NAME.upper()}")),
    "one-of-several-names": Row(ACCEPTED, names("DNS:a.example", f"DNS:{NAME}", "IP:192.0.2.7")),
    "critical-name": Row(ACCEPTED, names("critical", f"DNS:{NAME}")),
    "address": Row(ACCEPTED, ADDRESS_SAN, ADDRESS),
    "address-beside-names": Row(ACCEPTED, names("DNS:a.example", f"IP:{ADDRESS}"), ADDRESS),
    "wildcard": Row(ACCEPTED, names("DNS:*.slow.test")),
    "common-name-of-another": Row(ACCEPTED, cn="elsewhere.example"),
    "no-common-name": Row(ACCEPTED, cn=None),
    "common-name-alone": Row(NO_SAN, "", cn=NAME),
    "common-name-alone-address": Row(NO_SAN, "", ADDRESS, cn=ADDRESS),
    "common-name-beside-mail-address": Row(NO_SAN, names("email:a@b.example"), cn=NAME),
    "common-name-beside-uri": Row(NO_SAN, names(f"URI:https://{NAME}/"), cn=NAME),
    "common-name-beside-another-name": Row(OTHER_HOST, names("DNS:a.example"), cn=NAME),
    "common-name-beside-an-address": Row(OTHER_HOST, names("IP:192.0.2.7"), cn=NAME),
    "no-name-at-all": Row(NO_SAN, "", cn=None),
    "another-name": Row(OTHER_HOST, names("DNS:bridge.slow.test")),
    "another-address": Row(OTHER_HOST, names("IP:127.0.0.2"), ADDRESS),
    "name-for-an-address": Row(OTHER_HOST, host=ADDRESS),
    "address-for-a-name": Row(OTHER_HOST, ADDRESS_SAN),
    "address-as-name": Row(OTHER_HOST, names(f"DNS:{ADDRESS}"), ADDRESS),
    "address-as-name-and-common-name": Row(OTHER_HOST, names(f"DNS:{ADDRESS}"), ADDRESS, cn=ADDRESS),
    "address-as-uri": Row(NO_SAN, names(f"URI:{ADDRESS}"), ADDRESS),
    "wildcard-for-an-address": Row(OTHER_HOST, names("DNS:*.0.0.1"), ADDRESS),
    "partial-wildcard-behind": Row(OTHER_HOST, names("DNS:a*.slow.test")),
    "partial-wildcard-before": Row(OTHER_HOST, names("DNS:*a.slow.test")),
    "partial-wildcard-within": Row(OTHER_HOST, names("DNS:a*a.slow.test")),
    "partial-wildcard-of-all": Row(OTHER_HOST, names("DNS:aiva*.slow.test")),
    "wildcard-over-two-labels": Row(OTHER_HOST, names("DNS:*.slow.test"), f"x.{NAME}"),
    "wildcard-in-the-second-label": Row(OTHER_HOST, names("DNS:aiva.*.test")),
    "wildcard-twice": Row(OTHER_HOST, names("DNS:*.*.test")),
    "wildcard-for-everything": Row(OTHER_HOST, names("DNS:*")),
    "wildcard-for-no-label": Row(OTHER_HOST, names(f"DNS:*.{NAME}")),
    "longer-name": Row(OTHER_HOST, names(f"DNS:{NAME}.example")),
    "name-with-a-prefix": Row(OTHER_HOST, names(f"DNS:x{NAME}")),
    "leading-dot": Row(OTHER_HOST, names("DNS:.slow.test")),
    "name-with-nul": Row(OTHER_HOST, der_name(f"{NAME}\0.example".encode())),
    # The time.
    "expired": Row("certificate has expired", when=PAST),
    "not-yet-valid": Row("certificate is not yet valid", when=FUTURE),
    "expired-between": Row("certificate has expired", issuer="expired-between"),
    "not-yet-valid-between": Row("certificate is not yet valid", issuer="future-between"),
    "expired-root": Row("certificate has expired", issuer="expired-root", trust="expired-root"),
    # Who stands for it.
    "through-one": Row(ACCEPTED, issuer="between"),
    "through-two": Row(ACCEPTED, issuer="second-between"),
    "trusted-itself": Row(ACCEPTED, issuer="itself", trust="leaf"),
    "unknown-authority": Row(UNKNOWN, issuer="stranger"),
    "authority-of-the-same-name": Row(f"{UNKNOWN}|certificate signature failure", issuer="namesake"),
    "self-signed": Row("self-signed certificate", issuer="itself"),
    "stranger-shows-its-root": Row("self-signed certificate in certificate chain", issuer="shown-stranger"),
    "between-not-shown": Row(UNKNOWN, issuer="hidden-between"),
    "issuer-is-no-authority": Row(NO_CA, issuer="no-authority"),
    "issuer-without-constraints": Row(NO_CA, issuer="without-constraints"),
    "issuer-must-not-sign": Row(f"{NO_CA}|key usage", issuer="must-not-sign"),
    "path-too-long": Row("path length constraint exceeded", issuer="too-long"),
    "path-as-long-as-allowed": Row(ACCEPTED, issuer="short"),
    "name-not-permitted": Row("permitted subtree violation", issuer="narrow"),
    "name-excluded": Row("excluded subtree violation", issuer="excluding"),
    "issuer-for-clients-only": Row(PURPOSE, issuer="for-clients"),
    # What it is for.
    "for-servers": Row(ACCEPTED, SAN + "extendedKeyUsage=serverAuth\n"),
    "for-servers-and-clients": Row(ACCEPTED, SAN + "extendedKeyUsage=clientAuth,serverAuth\n"),
    "for-signatures": Row(ACCEPTED, SAN + "keyUsage=critical,digitalSignature\n"),
    "for-clients": Row(PURPOSE, SAN + "extendedKeyUsage=clientAuth\n"),
    "for-code": Row(PURPOSE, SAN + "extendedKeyUsage=codeSigning\n"),
    "for-lists-alone": Row(PURPOSE, SAN + "keyUsage=critical,cRLSign\n"),
    "unknown-critical-extension": Row("unhandled critical extension", SAN + "1.2.3.4=critical,DER:05:00\n"),
    # Keys and signatures.
    "rsa-2048": Row(ACCEPTED, key="rsa2048"),
    "rsa-3072": Row(ACCEPTED, key="rsa3072"),
    "p-384": Row(ACCEPTED, key="p384"),
    "ed25519": Row(ACCEPTED, key="ed25519"),
    "rsa-and-sha-256": Row(ACCEPTED, issuer="rsa-between"),
    "sha-384": Row(ACCEPTED, digest="sha384"),
    "sha-512": Row(ACCEPTED, digest="sha512"),
    "rsa-1024": Row(WEAK, key="rsa1024"),
    "rsa-1536": Row(WEAK, key="rsa1536"),
    "p-224": Row(NO_CIPHER, key="p224"),
    "p-192": Row(f"{WEAK}|{NO_CIPHER}|wrong curve", key="p192"),
    "sha-1": Row(WEAK, digest="sha1"),
    "sha-1-by-rsa": Row(WEAK, issuer="rsa-between", digest="sha1"),
    "md5": Row(WEAK, issuer="rsa-between", digest="md5"),
    "sha-1-between": Row(WEAK, issuer="sha1-between"),
    "rsa-1024-between": Row(WEAK, issuer="rsa1024-between"),
    "rsa-1024-root": Row(WEAK, issuer="rsa1024-root", trust="rsa1024-root"),
    # What is spoken.
    "tls-1.2": Row(ACCEPTED, server={"newest": TLS_1_2}),
    "tls-1.3": Row(ACCEPTED, server={"oldest": TLS_1_3}),
    "tls-1.0": Row(OLD, server={"newest": TLS_1_0}),
    "tls-1.1": Row(OLD, server={"newest": TLS_1_1}),
    "anonymous": Row(NO_CIPHER, server={"newest": TLS_1_2, "ciphers": "aNULL"}),
    "no-encryption": Row(NO_CIPHER, server={"newest": TLS_1_2, "ciphers": "eNULL"}),
    "pre-shared-key": Row(NO_CIPHER, server={"newest": TLS_1_2, "ciphers": "PSK"}),
    "no-tls-at-all": Row(NO_TLS, server=b"* OK ready\r\n"),
    "http-without-tls": Row(NO_TLS, server=b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "ends-the-handshake": Row(NO_TLS, server=b""),
}


class Authorities:
    """The root, and issuers of every kind, each made once."""

    def __init__(self, folder):
        self.pki = Pki(folder)
        self.root = self.pki.root()
        self._made = {}

    def get(self, name):
        if name is None:
            return self.root
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name):
        issue, root, ca = self.pki.issue, self.pki.root, CA
        limit = CA.replace("CA:TRUE", "CA:TRUE,pathlen:0")
        kinds = {
            "between": lambda: issue(self.root, ca, cn=name),
            "second-between": lambda: issue(self.get("between"), ca, cn=name),
            "hidden-between": lambda: issue(self.root, ca, cn=name),
            "expired-between": lambda: issue(self.root, ca, cn=name, when=PAST),
            "future-between": lambda: issue(self.root, ca, cn=name, when=FUTURE),
            "expired-root": lambda: root(name, when=PAST),
            "stranger": lambda: root(name),
            "shown-stranger": lambda: root(name),
            "namesake": lambda: root(key="p384"),
            "no-authority": lambda: issue(self.root, "basicConstraints=critical,CA:FALSE\n", cn=name),
            "without-constraints": lambda: issue(self.root, "", cn=name),
            "must-not-sign": lambda: issue(
                self.root, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,cRLSign\n", cn=name),
            "short": lambda: issue(self.root, limit, cn=name),
            "too-long": lambda: issue(self.get("short"), ca, cn=name),
            "narrow": lambda: issue(self.root, ca + "nameConstraints=permitted;DNS:example\n", cn=name),
            "excluding": lambda: issue(self.root, ca + "nameConstraints=excluded;DNS:slow.test\n", cn=name),
            "for-clients": lambda: issue(self.root, ca + "extendedKeyUsage=clientAuth\n", cn=name),
            "sha1-between": lambda: issue(self.root, ca, cn=name, digest="sha1"),
            "rsa-between": lambda: issue(self.root, ca, cn=name, key="rsa2048"),
            "rsa1024-between": lambda: issue(self.root, ca, cn=name, key="rsa1024"),
            "rsa1024-root": lambda: root(name, key="rsa1024"),
        }
        return kinds[name]()


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    return Authorities(tmp_path_factory.mktemp("authorities"))


@pytest.fixture(scope="module")
def servers(make_module_world):
    """A broker and an upstream for all rows; no bridge runs."""
    return make_module_world()


def make_server(row, authorities, folder):
    """The file that a server of the row shows, its key, and what the bridge is to trust."""
    issuer = None if row.issuer == "itself" else authorities.get(row.issuer)
    certificate = authorities.pki.issue(issuer, row.extensions, **row.leaf)
    shown = certificate.file.read_text() if row.issuer == "hidden-between" else certificate.chain()
    if row.issuer == "shown-stranger":
        shown += issuer.file.read_text()
    file = folder / "shown.pem"
    file.write_text(shown)
    trust = certificate if row.trust == "leaf" else authorities.get(row.trust)
    return file, certificate.key, trust.file


def open_front(row, target, file, key):
    if isinstance(row.server, bytes):
        return RawServer(row.server)
    return TlsFront(target, file, key, **row.server)


def said(output, side):
    """What --check has found out about one side."""
    return re.search(rf"^{side}: (.*)$", output, re.M)[1]


@pytest.mark.parametrize("name", ROWS)
def test_row(servers, authorities, tmp_path, name):
    row = ROWS[name]
    file, key, trust = make_server(row, authorities, tmp_path)
    fronts = [open_front(row, one.port, file, key) for one in (servers.broker, servers.simulator)]
    before = len(servers.simulator.stats()["log"])
    try:
        done = servers.bridge.run_config("--check", overrides={
            "mqtt.url": f"mqtts://{row.host}:{fronts[0].port}", "mqtt.ca_file": str(trust),
            "aiva.url": f"https://{row.host}:{fronts[1].port}", "aiva.ca_file": str(trust),
        }, env=preloading("slow_dns", SLOW_DNS_S="0"))
    finally:
        for front in fronts:
            front.close()
    broker, upstream = said(done.stdout, "broker"), said(done.stdout, "upstream")
    if row.expected is ACCEPTED:
        assert "accepts the connection" in broker and "accepts the key" in upstream, done.stdout
        assert done.returncode == 0, done.stdout + done.stderr
        return
    assert re.search(row.broker, broker), done.stdout
    assert re.search(row.expected, upstream), done.stdout
    assert done.returncode == 3
    assert len(servers.simulator.stats()["log"]) == before, "a request, and the key, have gone there"


def test_the_table_is_as_large_as_it_says():
    """Both outcomes, and each kind of refusal, in numbers."""
    refused = [row for row in ROWS.values() if row.expected is not ACCEPTED]
    assert len(ROWS) >= 80 and len(refused) >= 50
