"""Where the ledgers of tests lie: a SQLite file, or a schema on a server of ours."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr

from moatbridge.adapter import Secret

if TYPE_CHECKING:
    from pathlib import Path

    from servers.ledgers import LedgerServer

PASSWORD = "ledger-secret-word"
EVERYWHERE: list[LedgerServer] = []
"""The server on which all worlds keep their ledgers: `tests/conftest.py`."""

_SAID = "ledger.url"


class Place(NamedTuple):
    """Where a ledger lies: ``Ledger(place.url, password=place.password)``."""

    url: str
    password: Secret | None = None

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self.url.partition(":")[0].partition("+")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """The table ``[ledger]``."""
        return {"url": self.url} | (
            {} if self.password is None else {"password": self.password}
        )


def place_for(folder: Path) -> Place:
    """Where the ledger of a world in this folder lies: SQLite, unless it is said there.

    `put_on` says it; processes that find their world by its folder alone see it too.
    """
    said = folder / _SAID
    if said.exists():
        return Place(said.read_text(), secret())
    if EVERYWHERE:
        return put_on(EVERYWHERE[0], folder)
    return Place(f"sqlite:///{folder}/ledger.db")


def put_on(server: LedgerServer, folder: Path, *, endpoint: Any = None) -> Place:
    """From now on the ledger of a world in this folder lies on that server.

    Args:
        server: It.
        folder: Of the world.
        endpoint: Of a proxy before the server.
    """
    place = server.place(endpoint=endpoint)
    (folder / _SAID).write_text(place.url)
    return place


def copied(world: Path, to: Path, server: LedgerServer | None = None) -> None:
    """Copy the folder of a world, and its ledger where it lies on the server."""
    shutil.copytree(world, to)
    said = to / _SAID
    if said.exists():
        place = (server or EVERYWHERE[0]).copy(Place(said.read_text(), secret()))
        said.write_text(place.url)


def secret() -> Secret:
    """The password of every account."""
    return Secret("(of the tests)", SecretStr(PASSWORD))
