"""A certificate for this machine and the authority that has signed it, for one run."""

import subprocess

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(folder, *words):
    subprocess.run(["openssl", *words], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make(folder):
    """Writes authority.pem, broker.pem and broker.key, good for two days, into the folder."""
    openssl(folder, "req", "-x509", *CURVE, "-days", "2", "-subj", "/CN=bench authority",
            "-keyout", "authority.key", "-out", "authority.pem",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    openssl(folder, "req", *CURVE, "-subj", "/CN=localhost", "-keyout", "broker.key",
            "-out", "broker.request")
    (folder / "extensions").write_text(
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")
    openssl(folder, "x509", "-req", "-in", "broker.request", "-CA", "authority.pem",
            "-CAkey", "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "extensions",
            "-out", "broker.pem")
