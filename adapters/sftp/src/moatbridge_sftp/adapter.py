"""The adapter: streams over the files of a drop folder."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

from moatbridge.adapter import (
    Adapter,
    CanDiscover,
    CanFollow,
    CanScan,
    CanSettle,
    CanWrite,
    Probe,
    WriteTraits,
)
from moatbridge.changes import Batch
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sftp.binding import (
    Bound,
    bind,
    describe,
    rivals,
    ssh_settings,
    warnings_of,
)
from moatbridge_sftp.config import SftpConfig, SftpStreamConfig
from moatbridge_sftp.pickup.cursor import Cursor as Position
from moatbridge_sftp.storage import endpoints, host_fingerprints, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Partition, Stream, Suggestions
    from moatbridge.changes import Cursor, Intent, Receipt
    from moatbridge_sftp.storage import Storage

REQUEST_LIFE = 90.0


class SftpAdapter(
    Adapter[SftpConfig], CanScan, CanFollow, CanSettle, CanWrite, CanDiscover
):
    """Files that legacy systems drop, over SSH or on a local disk; and files for them.

    One instance is one connection, used by one thread at a time; only `abort` may be
    called from another one. A stream with ``content = "snapshot"`` is scanned, one with
    ``delta`` or ``records`` is followed, and one with ``publish = true`` is written.
    """

    name: ClassVar[str] = "sftp"
    Config: ClassVar[type[SftpConfig]] = SftpConfig
    StreamConfig: ClassVar[type[SftpStreamConfig]] = SftpStreamConfig
    reach = "inside"

    def __init__(self, config: SftpConfig, streams: Mapping[str, Any]) -> None:
        """Keep the configuration; no I/O here."""
        super().__init__(config, streams)
        self._storage: Storage | None = None
        self._bound: dict[str, Bound] = {}

    @classmethod
    def endpoints(cls, config: Any) -> Sequence[tuple[str, int]]:
        """Host and port of ``url`` or of the jump host; nothing for ``file://``."""
        return endpoints(config.url, ssh_settings(config))

    # --- connection -----------------------------------------------------------------

    def open(self) -> None:
        """Connect, authenticate, and check what streams that publish need.

        Raises:
            ConfigurationError: ``sftp.url``, ``sftp.host-key``, ``sftp.algorithms``,
                ``sftp.auth``, ``sftp.no-subsystem``, ``sftp.folder``,
                ``sftp.permission``, ``sftp.format``, ``sftp.fields``.
            NotApplied: ``sftp.unreachable``, ``sftp.deadline``, ``sftp.protocol``.
        """
        self._storage = open_storage(
            self.config.url, net=self.net, ssh=ssh_settings(self.config)
        )
        try:
            for name, config in self.stream_configs.items():
                self._bound[name] = bind(
                    name, config, self.config, self._storage, self.net
                )
            self._check_publishing()
        except BaseException:
            self.close()
            raise

    def _check_publishing(self) -> None:
        if not self.config.state_folder.startswith("/"):
            return  # inside the folder itself: the same file system
        for bound in self._bound.values():
            if bound.config.publish:
                bound.publisher.check()

    def close(self) -> None:
        """Release the connection."""
        storage, self._storage = self._storage, None
        bound, self._bound = self._bound, {}
        for each in bound.values():
            each.close()
        if storage is not None:
            storage.close()

    def abort(self) -> None:
        """End a running call; the core shuts the socket down as well."""
        storage = self._storage
        if storage is not None:
            storage.abort()

    def _open(self) -> Storage:
        if self._storage is None:
            raise NotApplied("The adapter is not open.", code="sftp.unreachable")
        return self._storage

    def _stream(self, name: str, ability: str = "") -> Bound:
        self._open()
        if name not in self._bound:
            raise ConfigurationError(
                f"There is no stream {name!r} in this system; the configuration has "
                f"{', '.join(sorted(self._bound)) or 'none'}.",
                code="sftp.no-stream",
            )
        bound = self._bound[name]
        if ability and ability not in bound.abilities:
            raise ConfigurationError(
                f"The stream {name!r} (content = {bound.config.content!r}, publish = "
                f"{str(bound.config.publish).lower()}) has no {ability}.",
                code="sftp.ability",
                stream=name,
            )
        return bound

    def host_keys(self) -> Sequence[str]:
        """Each kind of host key that the server (or its jump host) shows.

        ``SHA256:...`` and the kind, as ``ssh-keygen -lf`` prints. Nothing is trusted.

        Raises:
            NotApplied: ``sftp.unreachable``, ``sftp.deadline``.
        """
        jump = self.config.jump
        return host_fingerprints(
            self.config.url if jump is None else jump.url,
            net=self.net,
            legacy_algorithms=self.config.legacy_algorithms,
        )

    # --- description ----------------------------------------------------------------

    def probe(self) -> Probe:
        """Who the server is, what it offers, and what a person should know."""
        facts = self._open().facts()
        said = [*facts.warnings, *rivals(self._bound.values())]
        for bound in self._bound.values():
            said += warnings_of(bound)
        limits: dict[str, Any] = {**facts.limits, **facts.algorithms}
        if facts.free is not None:
            limits["free"] = facts.free
        if facts.strict_kex is not None:
            limits["strict_kex"] = facts.strict_kex
        if facts.extensions:
            limits["extensions"] = sorted(facts.extensions)
        newest = max(self._newest(), default=None)
        if newest is not None:
            limits["newest_file"] = newest
        identity = hashlib.sha256(facts.identity.encode()).hexdigest()[:32]
        return Probe(
            server=identity,
            product=facts.product,
            abilities={name: b.abilities for name, b in self._bound.items()},
            limits=limits,
            warnings=tuple(said),
        )

    def notices(self, stream: str | None = None) -> Sequence[str]:
        """Files set aside, late, missing, sent again; columns that no field names."""
        asked = [one for name, one in self._bound.items() if stream in {None, name}]
        return [words for one in asked for words in one.notes.take()]

    def _newest(self) -> list[str]:
        """UTC times of the newest files, by the server's clock."""
        found = (bound.newest() for bound in self._bound.values())
        return [moment for moment in found if moment is not None]

    def streams(self) -> Sequence[Stream]:
        """One for each configured folder and format of files."""
        return [describe(name, config) for name, config in self.stream_configs.items()]

    # --- reading --------------------------------------------------------------------

    def scan(
        self, stream: str, partition: Partition, after: Cursor | None
    ) -> Iterator[Batch]:
        """Read the newest snapshot, checked as a whole before its first record.

        No new file: one batch without changes and with ``complete=False``. So it is for
        a stream that is followed or written: there is nothing to scan.

        Raises:
            Rejected: ``sftp.bad-file``: nothing of it was used.
            NotApplied: ``sftp.changed``, ``sftp.spool-full``, ``sftp.unreachable`` ...
            ConfigurationError: ``sftp.folder``, ``sftp.permission`` ...
            CursorTooOld: ``sftp.cursor``: the file in progress is gone.
        """
        del partition
        bound = self._stream(stream)
        if "CanScan" not in bound.abilities:
            yield Batch((), after)
            return
        yield from bound.passes.snapshot(Position.unpack(after))

    def changes(self, stream: str, after: Cursor | None) -> Iterator[Batch]:
        """Read every new file in order.

        ``after=None`` gives the position before all files that are there now, so that
        each of them is read.

        Raises:
            Rejected: ``sftp.bad-file``, ``sftp.gap``: nothing after it is read.
            NotApplied: As `scan`.
            ConfigurationError: As `scan`.
            CursorTooOld: ``sftp.cursor``: the position is none of ours.
        """
        bound = self._stream(stream, "CanFollow")
        if after is None:
            yield Batch((), Position().pack())
            return
        yield from bound.passes.follow(Position.unpack(after))

    def settle(self, stream: str, cursor: Cursor) -> None:
        """Answer and put away the files that the cursor holds as read to their end.

        Raises:
            ConfigurationError: ``sftp.permission``.
            NotApplied: ``sftp.refused``, ``sftp.server-full``, ``sftp.unreachable``.
        """
        self._stream(stream, "CanSettle").settler.settle(Position.unpack(cursor))

    # --- writing --------------------------------------------------------------------

    def traits(self, stream: str) -> WriteTraits:
        """``keyed``: a batch that is repeated is never published a second time.

        Where no state folder can be made there are no receipts: ``none``.
        """
        bound = self._stream(stream, "CanWrite")
        config = bound.config
        return WriteTraits(
            dedup="keyed" if bound.publisher.keyed else "none",
            key_scope="request",
            key_ttl=config.receipt_days * 86_400.0,
            max_request_life=REQUEST_LIFE,
            max_batch=config.rows_per_file,
            atomic_batch=True,
        )

    def write(self, stream: str, intents: Sequence[Intent]) -> Sequence[Receipt]:
        """Publish one batch as one file.

        Raises:
            ConfigurationError: ``sftp.permission``, ``sftp.folder``, ``sftp.receipt``.
            NotApplied: ``sftp.server-full``, ``sftp.refused``, ``sftp.unreachable``:
                nothing took effect.
        """
        bound = self._stream(stream, "CanWrite")
        return bound.publisher.write(intents) if intents else []

    # --- discover -------------------------------------------------------------------

    def discover(self) -> Suggestions:
        """Folders, patterns of names, and the format of a sample of each."""
        from moatbridge_sftp.discover import suggestions  # noqa: PLC0415 - rarely used

        return suggestions(self._open(), self.config)
