"""A real OpenLDAP server on free loopback ports, for tests.

`OpenLdap` starts, seeds, changes and stops it without pytest; `openldap` is the fixture.
Needs Debian's ``slapd``, ``ldap-utils`` and ``openssl``.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
CODES = f"ou=codes,{BASE}"
PASSWORDS = {
    f"cn=admin,{BASE}": "admin-secret",
    f"cn=sync,ou=system,{BASE}": "sync-secret",
    f"cn=app,ou=system,{BASE}": "app-secret",
    f"cn=plain,ou=system,{BASE}": "plain-secret",
    f"cn=writer,ou=system,{BASE}": "writer-secret",
}
ADMIN, SYNC, APP, PLAIN, WRITER = PASSWORDS
SLAPD = shutil.which("slapd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib")
SLAPADD = shutil.which("slapadd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

Entry = tuple[str, "Mapping[str, Sequence[str | bytes]]"]

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload memberof
moduleload refint
moduleload retcode
pidfile {home}/slapd.pid
threads 4
TLSCACertificateFile {home}/ca.crt
TLSCertificateFile {home}/server.crt
TLSCertificateKeyFile {home}/server.key
TLSVerifyClient try
authz-regexp "cn=robot,o=Legacy" "{sync}"
database mdb
suffix "{base}"
directory {home}/db
maxsize 268435456
dbnosync
rootdn "{admin}"
rootpw {adminpw}
index objectClass,entryCSN,entryUUID,member eq
index uid,cn,mail,employeeNumber eq
sizelimit 500
limits dn.exact="{sync}" size=unlimited time=unlimited
limits dn.exact="{writer}" size=unlimited time=unlimited
limits dn.exact="{app}" size.soft=500 size.hard=500 size.pr=200 size.prtotal=unlimited
access to attrs=userPassword by self write by anonymous auth by * none
access to * by dn.exact="{writer}" write by users read by anonymous auth
overlay retcode
retcode-parent "{codes}"
{items}
overlay syncprov
syncprov-checkpoint 100 10
syncprov-sessionlog 20000
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
memberof-refint FALSE
"""
RESULT_CODES = (
    1, 3, 4, 7, 8, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 32, 34, 50, 51, 52, 53, 54,
    64, 65, 66, 67, 68, 69, 71, 79, 80, 118, 122,
)  # fmt: skip
"""Codes that ``cn=code-N`` below `CODES` answers with, to anything."""


class OpenLdap:
    """One slapd with its own folder, certificates and accounts.

    Args:
        home: Empty folder of its own.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self.tls_port = _free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """``ldap://``, where StartTLS works."""
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        """``ldaps://``, with a certificate for localhost and 127.0.0.1."""
        return f"ldaps://localhost:{self.tls_port}"

    @property
    def socket_url(self) -> str:
        """``ldapi://``."""
        return f"ldapi://{self.home}/ldapi"

    @property
    def ca_file(self) -> str:
        """The authority that signed the server's certificate."""
        return str(self.home / "ca.crt")

    def create(self) -> None:
        """Write configuration, certificates and the first entries. Call once."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "db").mkdir()
        make_certificates(self.home)
        items = "\n".join(f'retcode-item "cn=code-{c}" {c}' for c in RESULT_CODES)
        (self.home / "slapd.conf").write_text(
            CONFIG.format(
                home=self.home,
                base=BASE,
                admin=ADMIN,
                adminpw=PASSWORDS[ADMIN],
                sync=SYNC,
                app=APP,
                writer=WRITER,
                codes=CODES,
                items=items,
            )
        )
        self.load(first_entries())

    def load(self, entries: Iterable[Entry]) -> None:
        """Add entries while the server is stopped: fast."""
        subprocess.run(
            [str(SLAPADD), "-q", "-f", self.home / "slapd.conf", "-b", BASE],
            input=ldif(entries), check=True, capture_output=True,
        )  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        listen = f"{self.url} ldaps://127.0.0.1:{self.tls_port} " + (
            "ldapi://" + str(self.home / "ldapi").replace("/", "%2F")
        )
        with (self.home / "slapd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(SLAPD), "-f", self.home / "slapd.conf", "-h", listen, "-d", "0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = (self.home / "slapd.log").read_text(errors="replace")
                raise RuntimeError(f"slapd did not start: {words[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it by its process; its session log is lost, its data stays."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries over the wire."""
        self._run("ldapadd", [], ldif(entries))

    def modify(self, text: str) -> None:
        """Apply LDIF change records, without the final blank line."""
        self._run("ldapmodify", [], (text.strip("\n") + "\n").encode())

    def set(self, dn: str, attribute: str, *values: str) -> None:
        """Replace one attribute's values."""
        lines = [f"dn: {dn}", "changetype: modify", f"replace: {attribute}"]
        lines += [_line(attribute, value) for value in values]
        self.modify("\n".join(lines))

    def delete(self, *dns: str) -> None:
        """Delete entries."""
        if dns:
            self._run("ldapdelete", ["-c"], "\n".join(dns).encode() + b"\n")

    def read(
        self, base: str, *attributes: str, scope: str = "sub", text: str = "(cn=*)"
    ) -> dict[str, dict[str, list[str]]]:
        """Entries as this server's own tool sees them: DN -> attribute -> values."""
        out = self._run(
            "ldapsearch",
            ["-LLL", "-o", "ldif-wrap=no", "-b", base, "-s", scope, text, *attributes],
            None,
        )
        return dict(_parsed(out.decode()))

    def _answers(self) -> bool:
        try:
            self._run("ldapwhoami", [], None)
        except subprocess.CalledProcessError:
            return False
        return True

    def _run(self, tool: str, arguments: list[str], data: bytes | None) -> bytes:
        command = [
            tool, "-x", "-H", self.url, "-D", ADMIN, "-w", PASSWORDS[ADMIN], *arguments,
        ]  # fmt: skip
        environment = {"PATH": os.environ.get("PATH", ""), "LDAPNOINIT": "1"}
        done = subprocess.run(
            command, input=data, capture_output=True, check=True, env=environment
        )
        return done.stdout


def first_entries() -> Iterator[Entry]:
    """Suffix, containers and accounts."""
    yield (
        BASE,
        {
            "objectClass": ["dcObject", "organization"],
            "o": ["Legacy"],
            "dc": ["example"],
        },
    )
    for unit in ("system", "people", "groups", "left", "elsewhere"):
        yield f"ou={unit},{BASE}", {"objectClass": ["organizationalUnit"], "ou": [unit]}
    for dn, password in PASSWORDS.items():
        if dn != ADMIN:
            yield (
                dn,
                {
                    "objectClass": ["organizationalRole", "simpleSecurityObject"],
                    "cn": [dn[3:].partition(",")[0]],
                    "userPassword": [password],
                },
            )


def person(name: str, base: str = PEOPLE, **more: Sequence[str | bytes]) -> Entry:
    """An inetOrgPerson."""
    attributes: dict[str, Sequence[str | bytes]] = {
        "objectClass": ["inetOrgPerson"],
        "uid": [name],
        "cn": [f"Person {name}"],
        "sn": [name.capitalize()],
        "givenName": ["Ölga"],
        "mail": [f"{name}@legacy.example"],
        "employeeNumber": [f"E-{name}"],
    }
    return f"uid={name},{base}", attributes | more


def group(cn: str, members: Iterable[str], base: str = GROUPS) -> Entry:
    """A groupOfNames."""
    return f"cn={cn},{base}", {
        "objectClass": ["groupOfNames"],
        "cn": [cn],
        "member": list(members),
    }


def ldif(entries: Iterable[Entry]) -> bytes:
    """Entries as LDIF."""
    blocks = []
    for dn, attributes in entries:
        lines = [_line("dn", dn)]
        lines += [
            _line(name, value)
            for name, values in attributes.items()
            for value in values
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks).encode()


def make_certificates(home: Path) -> None:
    """An authority, and a server and a client certificate signed by it."""
    run = _openssl(home)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *key, "-days", "30", "-subj", "/CN=Test CA",
        "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    for name, subject, extra in (
        ("server", "/CN=localhost", names),
        ("client", "/O=Legacy/CN=robot", "extendedKeyUsage=clientAuth"),
    ):
        (home / f"{name}.ext").write_text(f"basicConstraints=CA:FALSE\n{extra}\n")
        run(
            "req",
            *key,
            "-subj",
            subject,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        )
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", f"{name}.ext",
            "-out", f"{name}.crt")  # fmt: skip


def _openssl(home: Path):
    def run(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=home, check=True, capture_output=True
        )

    return run


@contextlib.contextmanager
def running() -> Iterator[OpenLdap]:
    """A started server in a folder of its own, removed afterwards."""
    # Not pytest's folder: a local socket's path may have 107 bytes only.
    with tempfile.TemporaryDirectory(prefix="slapd-") as folder:
        server = OpenLdap(Path(folder) / "s")
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def openldap() -> Iterator[OpenLdap]:
    """One server for the whole run; tests use containers or names of their own."""
    with running() as server:
        yield server


def _line(name: str, value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    plain = (raw.isascii() and raw.isalnum()) or _is_safe(raw)
    return (
        f"{name}: {raw.decode()}"
        if plain
        else f"{name}:: {base64.b64encode(raw).decode()}"
    )


def _is_safe(raw: bytes) -> bool:
    return (
        all(0x20 <= byte < 0x7F for byte in raw)
        and raw[:1] not in {b" ", b":", b"<", b""}
        and raw[-1:] != b" "
    )


def _parsed(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for block in text.strip().split("\n\n"):
        found: dict[str, list[str]] = {}
        for line in block.splitlines():
            name, _, rest = line.partition(":")
            if rest.startswith(":"):
                value = base64.b64decode(rest[1:]).decode("utf-8", "replace")
            else:
                value = rest[1:]
            found.setdefault(name, []).append(value)
        if "dn" in found:
            yield found.pop("dn")[0], found


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]
