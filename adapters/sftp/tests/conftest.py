"""Drop folders: on the local disk, and behind a real sshd."""

from __future__ import annotations

import itertools
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from servers.drop_folder import Drop
from servers.openssh import USER_ID, OpenSsh, openssh

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["openssh"]

_NUMBERS = itertools.count(1)


class RemoteDrop(Drop):
    """The same folder behind sshd; what is dropped belongs to the account."""

    kind = "sftp"

    def __init__(self, server: OpenSsh, name: str) -> None:
        self.server = server
        self.name = name
        base = server.drop / name
        settings = {
            "url": server.url("key", name),
            "host_keys": [server.fingerprint()],
            "auth": server.auth("key"),
        }
        super().__init__(base, settings)
        for path in (base, self.folder):
            shutil.chown(path, USER_ID, USER_ID)

    def put(self, name: str, text: str | bytes, *, mtime: int | None = None) -> Path:
        path = super().put(name, text, mtime=mtime)
        os.chown(path, USER_ID, USER_ID)
        return path

    def as_account(self, account: str, **settings: Any) -> dict[str, Any]:
        """The system's settings for another account."""
        return {
            "url": self.server.url(account, self.name),
            "auth": self.server.auth(account),
            **settings,
        }


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Drop]:
    """A folder on the local disk."""
    drop = Drop(tmp_path / "drop", {"url": f"file://{tmp_path / 'drop'}"})
    yield drop
    drop.close()


@pytest.fixture
def remote(openssh: OpenSsh) -> Iterator[RemoteDrop]:
    """A folder behind sshd."""
    drop = RemoteDrop(openssh, f"t{next(_NUMBERS)}")
    yield drop
    drop.close()
    shutil.rmtree(drop.base, ignore_errors=True)


@pytest.fixture(params=["local", "remote"])
def drop(request: pytest.FixtureRequest) -> Drop:
    """Both, one after the other."""
    found: Drop = request.getfixturevalue(request.param)
    return found
