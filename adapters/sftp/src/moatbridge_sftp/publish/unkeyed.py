"""Publishing without receipts, where no state folder can be made (sftp 66).

The file is written under a hidden name in the folder itself and renamed. A repeat of
the batch looks for a file with the batch's key in its name: one that lies there still
is known. One that the consumer has taken is not, so such a stream is not keyed, and
what is unknown waits for a person unless the flow says ``on_unknown = "resend"``. Only
hidden drafts are ever removed: whatever else has the key in its name may be the
consumer's. A done file alone says that the file was there. A checksum file alone is
used if it is just what we would write, since an attempt may have broken off after it.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from moatbridge.errors import NotApplied, OutcomeUnknown
from moatbridge_sftp.pickup.choosing import trigger_of
from moatbridge_sftp.places import join
from moatbridge_sftp.storage import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moatbridge.changes import Outcome
    from moatbridge_sftp.pickup.folder import Folder

_DRAFT: Final = ".moatbridge-"


class Unkeyed:
    """Publishes the files of one stream without receipts. One thread at a time.

    Args:
        folder: The stream's folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._config = folder.config
        self._storage = folder.storage
        done = re.split(r"\{(?:name|stem)\}", folder.config.done_file)
        self._trigger = re.compile(".+".join(map(re.escape, done)))

    def publish(
        self,
        key: str,
        name: str,
        content: Callable[[], Iterable[bytes]],
        checksum: bytes | None,
    ) -> tuple[Outcome, str]:
        """Publish one batch, unless its file lies there.

        Args:
            key: The batch's.
            name: Of the file, if it has to be written.
            content: Gives the file's content.
            checksum: What its checksum file holds; None without one.

        Raises:
            NotApplied: Nothing took effect.
            ConfigurationError: ``sftp.permission``: nothing took effect.
        """
        try:
            lying = self._lying(key)
            there = next(filter(self._is_data, lying), None)
            if there is None and any(map(self._is_trigger, lying)):
                return "unknown", "sftp.unknown"  # published once, and taken since
            if there is None:
                name = self._write_file(key, name, content, checksum, lying)
        except StorageFault as fault:
            if fault.kind == "exists":
                return "rejected", "sftp.name-taken.conflict"
            raise self._folder.fault(fault, "publish") from None
        except OutcomeUnknown:
            return "unknown", "sftp.unknown"
        try:
            self._announce(key, there or name)
        except (NotApplied, OutcomeUnknown, StorageFault):
            return "unknown", "sftp.unknown"  # the repeat finds the file, and goes on
        return "applied", ""

    def _lying(self, key: str) -> list[str]:
        """Files with the batch's key in their names; drafts of it go away."""
        limit = self._config.max_files
        entries, _ = self._storage.list(self._folder.base, limit=limit)
        found = [e.name for e in entries if e.kind == "file" and key in e.name]
        drafts = [name for name in found if name.startswith(_DRAFT)]
        for name in drafts:
            self._storage.remove(join(self._folder.base, name))
        return [name for name in found if name not in drafts]

    def _is_data(self, name: str) -> bool:
        return not (self._is_checksum(name) or self._is_trigger(name))

    def _is_checksum(self, name: str) -> bool:
        kind = self._config.publish_checksum
        return kind is not None and name.endswith(f".{kind}")

    def _is_trigger(self, name: str) -> bool:
        done = self._config.publish_done and not self._is_checksum(name)
        return done and self._trigger.fullmatch(name) is not None

    def _write_file(
        self,
        key: str,
        name: str,
        content: Callable[[], Iterable[bytes]],
        checksum: bytes | None,
        lying: Sequence[str],
    ) -> str:
        """The checksum file, if any, then the file; returns the file's name."""
        if checksum is not None:
            begun = self._begun(name, checksum, lying)
            if begun is None:
                kind = self._config.publish_checksum
                self._write(key, f"{name}.{kind}", [checksum])
            name = begun or name
        self._write(key, name, content())
        return name

    def _begun(self, name: str, checksum: bytes, lying: Sequence[str]) -> str | None:
        """Name of the file whose own checksum file lies there already."""
        for beside in filter(self._is_checksum, lying):
            told = beside.rpartition(".")[0]
            ours = checksum.removesuffix(f"{name}\n".encode()) + f"{told}\n".encode()
            path = join(self._folder.base, beside)
            found = self._storage.stat(path)
            if found is None or found.size != len(ours):
                continue
            if self._storage.read_text(path) == ours:
                return told
        return None

    def _write(self, key: str, name: str, content: Iterable[bytes]) -> None:
        draft = join(self._folder.base, f"{_DRAFT}{key}.{secrets.token_hex(4)}.part")
        self._storage.create(draft, content)
        try:
            self._storage.rename(draft, join(self._folder.base, name))
        except StorageFault:
            self._storage.remove(draft)
            raise
        except NotApplied as error:  # to be safe: who knows how far it came
            raise OutcomeUnknown(error.message, code="sftp.unknown") from None

    def _announce(self, key: str, name: str) -> None:
        """The done file, unless it is there already."""
        if not self._config.publish_done:
            return
        done = trigger_of(self._config.done_file, name)
        if self._storage.stat(join(self._folder.base, done)) is None:
            self._write(key, done, [b""])
