"""The servers, the bridge's configuration, and direct looks at both sides."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, Final, Self

from moatbridge.demo import configuration, configuration_content, seed, seed_content
from moatbridge.demo.servers import (
    Erp,
    MastodonServer,
    OpenLdap,
    Receiver,
    ScimServer,
    SshServer,
    new_database,
)
from moatbridge.demo.servers.programs import free_port
from moatbridge.run import Bridge

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from moatbridge.demo.seed import Size
    from moatbridge.demo.servers import Database

OPERATOR: Final = "operator@example.org"
REVIEWER: Final = "reviewer@example.org"
_CLI: Final = "from moatbridge.cli import main; main()"
_ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

_ORDER: Final = re.compile(r"Order (PO-\d+):")

Accounts = dict[str, dict[str, Any]]


class World:
    """Everything the story happens in. Use as a context manager.

    Args:
        folder: Empty folder for all files.
        size: Of the company.

    Raises:
        Missing: A server is not installed.
    """

    def __init__(self, folder: Path, size: Size) -> None:
        self.folder = folder
        self.size = size
        self.directory: OpenLdap = OpenLdap(folder / "directory")
        self.hr: Database = new_database(folder / "hr")
        self.social: ScimServer = ScimServer(folder / "social")
        self.erp: Erp = Erp(folder / "erp")
        people = (seed_content.BUYER, seed_content.JUNIOR, seed_content.CLERK)
        names = {each.uid: f"{each.given} {each.family}" for each in people}
        names[seed_content.VISITOR] = "A visitor"
        self.town: MastodonServer = MastodonServer(folder / "town", names)
        self.files: SshServer = SshServer(folder / "files")
        self.events: Receiver = Receiver()
        self.gateway: int = free_port()
        self.lease: float = configuration.LEASE
        self.product_key: str = "whsec_" + b64encode(token_bytes(32)).decode()
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Start the servers, all at once, and write the configuration."""
        for server in (
            self.directory, self.hr, self.social,
            self.erp, self.town, self.files, self.events,
        ):  # fmt: skip
            self._running.callback(server.stop)
        try:
            self._start()
        except BaseException:
            self._running.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Stop the servers."""
        self._running.close()

    def bridge(self) -> Bridge:
        """The bridge, opened afresh as every command does."""
        return Bridge.open(self._config)

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Start ``moatbridge WORDS`` as a process of its own."""
        arguments = [sys.executable, "-c", _CLI, *words, "--config", str(self._config)]
        with (self.folder / "command.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own interpreter and words
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            )

    def accounts(self) -> Accounts:
        """Every account on the platform by its externalId, read over HTTP."""
        return {
            user.get("externalId", user["id"]): user for user in self.social.users()
        }

    def versions(self) -> dict[str, str]:
        """Account or group id -> version, read over HTTP: what changes when touched."""
        both = [*self.social.users(), *self.social.groups()]
        return {each["id"]: each["meta"]["version"] for each in both}

    def people(self) -> dict[str, dict[str, list[str]]]:
        """Every person of the directory by DN, read by ``ldapsearch``."""
        return self.directory.search(
            seed.PEOPLE, "(objectClass=inetOrgPerson)", "*", "entryUUID"
        )

    def teams(self) -> dict[str, dict[str, list[str]]]:
        """Every group of the directory by DN, read by ``ldapsearch``."""
        return self.directory.search(
            seed.GROUPS, "(objectClass=groupOfNames)", "*", "entryUUID"
        )

    def posts(self) -> dict[str, dict[str, Any]]:
        """Order number -> our post about it, read over HTTP."""
        found = ((_ORDER.search(s["content"]), s) for s in self.town.statuses())
        return {match[1]: status for match, status in found if match}

    def orders_shown(self) -> list[tuple[str, ...]]:
        """The ERP's orders as a table: number, state, total, who decided, comment."""
        said = {each["order_nr"]: each for each in self.erp.decisions()}
        return [
            (
                number,
                row["status"],
                f"{row['total_cents'] / 100:,.2f} {row['currency']}",
                row["decided_by"] or "",
                said.get(number, {}).get("comment") or "",
            )
            for number, row in sorted(self.erp.orders().items())
        ]

    def _start(self) -> None:
        self.events.start()
        with ThreadPoolExecutor(6) as pool:
            started = [
                pool.submit(
                    self.erp.start, seed_content.orders(), seed_content.approvers()
                ),
                pool.submit(self.town.start),
                pool.submit(self.files.start, ("absences", "payroll")),
                pool.submit(self.directory.start, list(seed.directory(self.size))),
                pool.submit(self.hr.start, list(seed.contractors(self.size))),
                pool.submit(self.social.start),
            ]
        for each in started:
            each.result()
        more = configuration_content.content(
            self.folder,
            self.erp,
            self.town,
            self.files,
            self.events,
            gateway=self.gateway,
            product_key=self.product_key,
        )
        self._config = configuration.write(
            self.folder, self.directory, self.hr, self.social, self.size, more
        )


def id_of(world: World, dn: str) -> str:
    """The immutable id of a directory entry: what its account carries as externalId."""
    (found,) = world.directory.search(dn, "(objectClass=*)", "entryUUID").values()
    return found["entryUUID"][0].lower()


def flat(account: dict[str, Any]) -> dict[str, Any]:
    """An account's fields under the directory's attribute names; absent is None."""
    enterprise = account.get(_ENTERPRISE, {})
    name = account.get("name", {})
    return {
        "uid": account.get("userName"),
        "givenName": name.get("givenName"),
        "sn": name.get("familyName"),
        "mail": _typed(account, "emails", "work"),
        "telephoneNumber": _typed(account, "phoneNumbers", "work"),
        "mobile": _typed(account, "phoneNumbers", "mobile"),
        "title": account.get("title"),
        "preferredLanguage": account.get("preferredLanguage"),
        "employeeNumber": enterprise.get("employeeNumber"),
        "departmentNumber": enterprise.get("department"),
        "manager": (enterprise.get("manager") or {}).get("value"),
    }


def _typed(account: dict[str, Any], attribute: str, kind: str) -> str | None:
    entries = account.get(attribute) or []
    return next((e["value"] for e in entries if e.get("type") == kind), None)
