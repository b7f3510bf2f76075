"""A certificate authority for one test, and a server that speaks TLS for another."""

import contextlib
import socket
import ssl
import subprocess
import threading
import warnings


STRONG = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
WEAK = ("rsa:1024",)
# Of a certificate that has expired. `openssl x509` cannot make one in all versions; `openssl ca` can.
PAST = ("-startdate", "20200101000000Z", "-enddate", "20200102000000Z")

CA_CONFIG = """[ca]
default_ca = this
[this]
database = {database}
new_certs_dir = {folder}
rand_serial = yes
unique_subject = no
policy = any
[any]
commonName = supplied
"""


class Authority:
    """Issues certificates with the openssl program."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        self._config = folder / f"{name}.cnf"
        database = folder / f"{name}.index"
        database.touch()
        self._config.write_text(CA_CONFIG.format(database=database, folder=folder))
        _openssl("req", "-x509", *_new_key(self._key), "-out", self.file, "-days", "30",
                 "-subj", f"/CN={name}")

    def issue(self, name, address="127.0.0.1", key_kind=STRONG, digest="sha256", expired=False):
        """A certificate and its key for a server at the address, or for a client."""
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        kind = "IP" if ":" in address or address[0].isdigit() else "DNS"
        extensions.write_text(f"subjectAltName={kind}:{address}\n")
        _openssl("req", *_new_key(key, key_kind), "-out", request, "-subj", f"/CN={name}")
        _openssl("ca", "-batch", "-notext", "-config", self._config, "-md", digest,
                 "-cert", self.file, "-keyfile", self._key, "-in", request, "-out", certificate,
                 *(PAST if expired else ("-days", "30")), "-extfile", extensions)
        return certificate, key


def self_signed(folder, name, address="127.0.0.1"):
    """A certificate that nobody but itself stands for, and its key."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    _openssl("req", "-x509", *_new_key(key), "-out", certificate, "-days", "30",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{address}")
    return certificate, key


def _new_key(path, kind=STRONG):
    return ("-newkey", *kind, "-nodes", "-keyout", path)


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class TlsFront:
    """Takes TLS connections and passes what is in them to a port that speaks plain text.

    It is as lax as can be, so that it is the client that refuses: `oldest` and `newest` are the
    versions of TLS that it speaks, `clients` the authority that clients need a certificate of,
    `ciphers` those of TLS 1.2 and before, `alpn` the protocols that it knows; `spoken` is what was
    agreed on at each connection, and `names` the server names that were indicated.
    """

    def __init__(self, target, certificate, key, newest=None, clients=None, oldest=None, ciphers="ALL",
                 alpn=()):
        self._target = target
        self.spoken, self.names = [], []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.set_ciphers(f"{ciphers}@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._context.minimum_version = oldest or ssl.TLSVersion.TLSv1
            self._context.maximum_version = newest or ssl.TLSVersion.TLSv1_3
        self._context.load_cert_chain(certificate, key)
        if alpn:
            self._context.set_alpn_protocols(alpn)
        self._context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        if clients is not None:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(clients)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with contextlib.suppress(OSError):
            with near.dup() as kept:
                try:
                    near = self._context.wrap_socket(near, server_side=True)
                except OSError:
                    _linger(kept)
                    raise
            self.spoken.append(near.selected_alpn_protocol())
            far = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=_pump, args=(far, near), daemon=True).start()
            _pump(near, far)


def _linger(one):
    """Lets the other side read the alert: closing with bytes unread would reset the connection."""
    one.shutdown(socket.SHUT_WR)
    one.settimeout(10)
    while one.recv(65536):
        pass


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
