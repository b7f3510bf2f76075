"""Certificates of every kind, good and bad, made with `openssl ca`.

That command alone takes any time of validity and any extension in all versions of OpenSSL 3; one request serves for
all certificates of a key, since subject and extensions are given where it is signed.
"""

import subprocess

CONFIG = """
[ca]
default_ca = it
[it]
dir = {folder}
database = {folder}/index.txt
new_certs_dir = {folder}/new
rand_serial = yes
unique_subject = no
email_in_dn = no
policy = any
[any]
commonName = optional
organizationName = optional
"""
KEYS = {
    "p256": ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    "p224": ("ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"),
    "p192": ("ec", "-pkeyopt", "ec_paramgen_curve:prime192v1"),
    "p384": ("ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"),
    "ed25519": ("ed25519",),
    "rsa512": ("rsa:512",),
    "rsa1024": ("rsa:1024",),
    "rsa1536": ("rsa:1536",),
    "rsa2048": ("rsa:2048",),
    "rsa3072": ("rsa:3072",),
}
PAST, PRESENT, FUTURE = ("20200101000000Z", "20210101000000Z"), ("20240101000000Z", "20491231235959Z"), (
    "20480101000000Z", "20491231235959Z")
CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"


class Certificate:
    """A certificate, its key, and who has issued it; None: itself."""

    def __init__(self, file, key, issuer):
        self.file, self.key, self.issuer = file, key, issuer

    def chain(self):
        """What a server shows: itself and all issuers but the root, as one text."""
        text, one = self.file.read_text(), self.issuer
        while one is not None and one.issuer is not None:
            text, one = text + one.file.read_text(), one.issuer
        return text


class Pki:
    """Issues what it is asked for; the same key serves all certificates of its kind."""

    def __init__(self, folder):
        self._folder = folder
        self._count = 0
        self._requests = {}
        (folder / "new").mkdir()
        (folder / "index.txt").touch()
        self._config = folder / "ca.cnf"
        self._config.write_text(CONFIG.format(folder=folder))

    def _request(self, kind):
        if kind not in self._requests:
            key, request = self._folder / f"{kind}.key", self._folder / f"{kind}.csr"
            digest = () if kind == "ed25519" else ("-sha256",)
            _openssl("req", "-new", "-newkey", *KEYS[kind], *digest, "-nodes", "-keyout", key, "-out", request,
                     "-subj", "/CN=any")
            self._requests[kind] = key, request
        return self._requests[kind]

    def root(self, name="root", **options):
        """An authority that stands for itself."""
        return self.issue(None, CA, cn=name, **options)

    def issue(self, issuer, extensions, cn="server", when=PRESENT, digest="sha256", key="p256"):
        """A certificate with these extensions, one a line; of its own making where there is no issuer."""
        self._count += 1
        name = self._folder / f"{self._count}"
        own_key, request = self._request(key)
        name.with_suffix(".ext").write_text(f"[x]\n{extensions}")
        signing = ("-selfsign", "-keyfile", own_key) if issuer is None else (
            "-cert", issuer.file, "-keyfile", issuer.key)
        signer = own_key if issuer is None else issuer.key
        digest = "default" if signer.stem == "ed25519" else digest
        _openssl("ca", "-batch", "-notext", "-config", self._config, *signing, "-md", digest,
                 "-startdate", when[0], "-enddate", when[1], "-subj", f"/CN={cn}" if cn else "/O=nobody",
                 "-extfile", name.with_suffix(".ext"), "-extensions", "x",
                 "-in", request, "-out", name.with_suffix(".crt"))
        return Certificate(name.with_suffix(".crt"), own_key, issuer)


def _openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(map(str, arguments))}\n{done.stderr}"
