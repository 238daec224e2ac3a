"""A certificate authority made by ``openssl``, and a TLS echo server on loopback."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAY = "%Y%m%d%H%M%SZ"


@dataclass(frozen=True)
class Pair:
    """Paths of a PEM certificate and its key."""

    cert: str
    key: str


class Authority:
    """One certificate authority in a folder of its own.

    Args:
        folder: Where keys and certificates go.
        name: Common name of the authority.
        key_usage: False makes an old-style authority without key usage.
    """

    def __init__(self, folder: Path, name: str = "Test CA", *, key_usage: bool = True):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        (folder / "index.txt").touch()
        (folder / "ca.cnf").write_text(_CONFIG.format(folder=folder))
        extensions = "v3_ca" if key_usage else "old_ca"
        _openssl(
            "req", "-x509", *_new_key(folder / "ca.key"), "-out", folder / "ca.pem",
            "-subj", f"/CN={name}", "-days", "2",
            "-config", folder / "ca.cnf", "-extensions", extensions,
        )  # fmt: skip
        self.file = str(folder / "ca.pem")

    def issue(
        self,
        label: str,
        names: str,
        *,
        start: int = -1,
        end: int = 1,
        client: bool = False,
        digest: str = "sha256",
    ) -> Pair:
        """Sign a certificate.

        Args:
            label: File name.
            names: Subject alternative names (``DNS:a,IP:1.2.3.4``); empty for none.
            start: First day, counted from today.
            end: Last day, counted from today.
            client: Made for a client instead of a server.
            digest: Hash function of its signature.
        """
        key, request = self.folder / f"{label}.key", self.folder / f"{label}.csr"
        cert, extra = self.folder / f"{label}.pem", self.folder / f"{label}.ext"
        usage = "clientAuth" if client else "serverAuth"
        alternative = f"subjectAltName={names}\n" if names else ""
        extra.write_text(_LEAF.format(usage=usage) + alternative)
        _openssl("req", *_new_key(key), "-out", request, "-subj", "/CN=localhost",
                 "-config", self.folder / "ca.cnf")  # fmt: skip
        now = dt.datetime.now(dt.UTC)
        _openssl(
            "ca", "-batch", "-notext", "-md", digest,
            "-config", self.folder / "ca.cnf", "-extfile", extra,
            "-startdate", f"{now + dt.timedelta(days=start):{_DAY}}",
            "-enddate", f"{now + dt.timedelta(days=end):{_DAY}}",
            "-in", request, "-out", cert,
        )  # fmt: skip
        return Pair(str(cert), str(key))

    def self_signed(self, label: str, names: str) -> Pair:
        """A certificate that nobody signed but itself."""
        key, cert = self.folder / f"{label}.key", self.folder / f"{label}.pem"
        _openssl("req", "-x509", *_new_key(key), "-out", cert, "-subj", "/CN=localhost",
                 "-days", "2", "-addext", f"subjectAltName={names}")  # fmt: skip
        return Pair(str(cert), str(key))


@contextlib.contextmanager
def tls_server(
    pair: Pair, *, client_ca: str | None = None, highest: ssl.TLSVersion | None = None
) -> Iterator[int]:
    """Serve an echo over TLS; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    if highest is not None:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = highest
        context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, context), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError):
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=_echo, args=(conn, context), daemon=True).start()


def _echo(conn: socket.socket, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), conn:
        conn.settimeout(10)
        with context.wrap_socket(
            conn, server_side=True, do_handshake_on_connect=False
        ) as secure:
            try:
                secure.do_handshake()
            except ssl.SSLError:
                _hang_up(secure)
            while data := secure.recv(4096):
                secure.sendall(data)


def _hang_up(secure: ssl.SSLSocket) -> None:
    """End in an orderly way: unread bytes would turn the alert into a reset."""
    socket.socket.shutdown(secure, socket.SHUT_WR)
    while socket.socket.recv(secure, 4096):
        pass


def _new_key(path: Path) -> tuple[str | Path, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-keyout", path)  # fmt: skip


def _openssl(*arguments: str | Path) -> None:
    command = ["openssl", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


_LEAF = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage={usage}
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""

_CONFIG = """\
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = own
[own]
database = {folder}/index.txt
new_certs_dir = {folder}
certificate = {folder}/ca.pem
private_key = {folder}/ca.key
policy = any
unique_subject = no
rand_serial = yes
default_md = sha256
[any]
commonName = supplied
[v3_ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[old_ca]
basicConstraints = CA:TRUE
subjectKeyIdentifier = hash
"""
