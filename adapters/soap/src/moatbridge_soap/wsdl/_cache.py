"""Copies of downloaded documents on disk: files by content, mode 0600 (soap 9)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FRESH: Final = 86400.0
"""Seconds before a copy is validated again."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A document kept from an earlier download."""

    content: bytes
    etag: str | None
    fresh: bool


class DocumentCache:
    """One folder; every failure of the disk means "no copy"."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def read(self, url: str) -> Copy | None:
        """The copy of a URL, if it is whole: its content has the noted digest."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(self._note(url).read_text("utf-8"))
            if note["url"] != url:
                return None
            content = (self._folder / f"{_name(note['sha256'])}.xml").read_bytes()
            if hashlib.sha256(content).hexdigest() != note["sha256"]:
                return None
            age = time.time() - float(note["at"])
            return Copy(content, note.get("etag"), 0 <= age < FRESH)
        return None

    def write(self, url: str, content: bytes, etag: str | None) -> None:
        """Keep a copy; a full or read-only disk is no error."""
        digest = hashlib.sha256(content).hexdigest()
        note = {"url": url, "sha256": digest, "etag": etag, "at": time.time()}
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._folder / f"{digest}.xml", content)
            _replace(self._note(url), json.dumps(note).encode())

    def _note(self, url: str) -> Path:
        return self._folder / f"{hashlib.sha256(url.encode()).hexdigest()}.json"


def _name(digest: str) -> str:
    if len(digest) != hashlib.sha256().digest_size * 2 or not digest.isalnum():
        raise ValueError
    return digest


def _replace(path: Path, content: bytes) -> None:
    ours = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_suffix(f".{ours}.tmp")
    opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
    temporary.replace(path)
