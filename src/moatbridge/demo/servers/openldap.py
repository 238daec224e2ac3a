"""A real OpenLDAP server on a free loopback port, driven by its own tools."""

from __future__ import annotations

import os
import secrets
import shutil
from typing import TYPE_CHECKING, Final

from moatbridge.demo.servers import ldif
from moatbridge.demo.servers.programs import Failed, Program, find, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from moatbridge.demo.servers.ldif import Entry

SUFFIX: Final = "dc=example,dc=org"
BRIDGE: Final = f"cn=moatbridge,{SUFFIX}"
_ADMIN: Final = f"cn=admin,{SUFFIX}"
_CONFIG: Final = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload refint
pidfile {home}/slapd.pid
database mdb
suffix "{suffix}"
directory {home}/db
maxsize 1073741824
dbnosync
rootdn "{admin}"
rootpw {password}
index objectClass,entryCSN,entryUUID,member eq
index uid,manager eq
limits dn.exact="{bridge}" size=unlimited time=unlimited
access to attrs=userPassword by anonymous auth by * none
access to attrs=mobile,preferredLanguage by dn.exact="{bridge}" write by users read
access to * by users read by anonymous auth
overlay syncprov
syncprov-sessionlog 20000
overlay refint
refint_attributes member manager
"""


class OpenLdap:
    """One slapd in a folder of its own.

    The account `BRIDGE` reads everything and writes ``mobile`` and
    ``preferredLanguage`` only, by the server's own access rules.

    Args:
        home: Folder of its own; made here.

    Raises:
        Missing: slapd or its tools are not installed.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._slapd = find("slapd", "slapd")
        self._slapadd = find("slapadd", "slapd")
        self._slapcat = find("slapcat", "slapd")
        self._tools = {
            name: find(name, "ldap-utils")
            for name in ("ldapmodify", "ldapdelete", "ldapsearch", "ldapwhoami")
        }
        self._password_file = home / "admin-password"
        self.password: str = secrets.token_hex(12)
        self.port: int = free_port()
        self._program: Program | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ldap://127.0.0.1:{self.port}"

    def start(self, entries: Iterable[Entry]) -> None:
        """Write its configuration, load the entries and start it."""
        admin = secrets.token_hex(12)
        self._home.mkdir(parents=True)
        (self._home / "db").mkdir()
        self._password_file.touch(0o600)
        self._password_file.write_text(admin)
        self._conf.touch(0o600)
        words = {"suffix": SUFFIX, "admin": _ADMIN, "bridge": BRIDGE}
        self._conf.write_text(_CONFIG.format(home=self._home, password=admin, **words))
        account = {
            "objectClass": ["organizationalRole", "simpleSecurityObject"],
            "cn": ["moatbridge"],
            "userPassword": [self.password],
        }
        root = {"objectClass": ["dcObject", "organization"], "o": ["Example"]}
        first: list[Entry] = [(SUFFIX, {**root, "dc": ["example"]}), (BRIDGE, account)]
        self._load(ldif.entries([*first, *entries]))
        self._listen()

    def stop(self) -> None:
        """Stop it; its data stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def backup(self) -> str:
        """Everything it holds, with the entries' own ids, as ``slapcat`` writes it."""
        return run([self._slapcat, "-f", self._conf, "-b", SUFFIX])

    def restore(self, text: str) -> None:
        """Throw everything away and load a backup, as an administrator would."""
        self.stop()
        shutil.rmtree(self._home / "db")
        (self._home / "db").mkdir()
        self._load(text)
        self._listen()

    def change(self, *records: str) -> None:
        """Apply LDIF: change records, or entries to add.

        Raises:
            Failed: The server refused one; those before it are done.
        """
        self._run("ldapmodify", "-a", text="\n".join(records))

    def delete(self, dns: Iterable[str]) -> None:
        """Delete entries."""
        self._run("ldapdelete", text="\n".join(dns) + "\n")

    def search(
        self, base: str, text: str, *attributes: str
    ) -> dict[str, dict[str, list[str]]]:
        """Entries as this server's own tool shows them: DN -> attribute -> values."""
        found = self._run(
            "ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-b", base, text, *attributes
        )
        return dict(ldif.parse(found))

    @property
    def _conf(self) -> Path:
        return self._home / "slapd.conf"

    def _load(self, text: str) -> None:
        run([self._slapadd, "-q", "-f", self._conf, "-b", SUFFIX], text=text)

    def _listen(self) -> None:
        self._program = Program(
            [self._slapd, "-f", self._conf, "-h", self.url, "-d", "0"],
            log=self._home / "slapd.log",
            answers=self._answers,
        )

    def _answers(self) -> bool:
        try:
            self._run("ldapwhoami")
        except Failed:
            return False
        return True

    def _run(self, tool: str, *arguments: str, text: str = "") -> str:
        who = ["-x", "-H", self.url, "-D", _ADMIN, "-y", str(self._password_file)]
        environment = {"PATH": os.environ.get("PATH", ""), "LDAPNOINIT": "1"}
        command = [self._tools[tool], *who, *arguments]
        return run(command, text=text, environment=environment)
