"""What a drop folder must offer, whether it lies behind SSH or on a local disk.

Paths are ``/``-separated text relative to the ``base`` of the system's url; ``"."`` is
the base itself. One thread at a time uses a storage; only `Storage.abort` may be called
from another. Nothing here loops on errors or waits on purpose: the core does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    from moatbridge.adapter import Secret

Kind = Literal["file", "folder", "link", "other"]
FaultKind = Literal["absent", "denied", "exists", "failure", "full", "unsupported"]

SMALL: Final = 256 * 1024
"""Largest file, in bytes, that `Storage.read_small` takes."""

IN_FLIGHT: Final = 4 * 1024 * 1024
"""Bytes asked for ahead, unless ``in_flight`` says otherwise."""


class Entry(NamedTuple):
    """One entry of a folder, as the server shows it (links are not followed).

    Attributes:
        name: Decoded name: UTF-8, else cp1252; safe by `storage.names`.
        raw: The name's bytes as they came; what other calls send for this name.
        kind: ``file``, ``folder``, ``link`` or ``other``.
        size: Bytes; 0 where it is not a file.
        mtime: Seconds of the server's clock; to be compared with itself only.
        mode: Permission bits (``0o7777``).
    """

    name: str
    raw: bytes
    kind: Kind
    size: int
    mtime: int
    mode: int


class StorageFault(Exception):
    """One call was refused in a way whose meaning only the caller knows.

    Everything else a storage raises is typed already: `NotApplied`
    (``sftp.unreachable``, ``sftp.deadline``, ``sftp.protocol``, ``sftp.changed``) or
    `ConfigurationError`. The text names no path.

    Args:
        kind: ``absent``, ``denied``, ``exists``, ``failure`` (whatever the server does
            not tell apart), ``full`` or ``unsupported``.
    """

    def __init__(self, kind: FaultKind) -> None:
        super().__init__(kind)
        self.kind: FaultKind = kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a connection found out, for `probe`.

    Attributes:
        product: The server's version text, or what kind of local file system.
        algorithms: Agreed ones by role (``kex``, ``host_key``, ``cipher``, ``mac``).
        strict_kex: Both sides keep the strict key exchange; None without SSH.
        extensions: SFTP extensions the server named, with their versions.
        limits: ``packet``, ``read``, ``write`` in bytes and ``handles``, in force.
        free: Bytes free below the base for this account; None if nobody says.
        warnings: Sentences a person should read.
        identity: Text that stays the same for one server and account.
    """

    product: str
    algorithms: Mapping[str, str] = field(default_factory=dict)
    strict_kex: bool | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    free: int | None = None
    warnings: tuple[str, ...] = ()
    identity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAuth:
    """How we show who we are; each is read at the moment it is needed.

    Args:
        key: Private key (OpenSSH or PEM text).
        passphrase: Opens the key.
        certificate: User certificate for the key (the line of ``*-cert.pub``).
        password: For ``password``, and for ``keyboard-interactive`` prompts that hide
            what is typed, unless ``answers`` fits.
        answers: Regular expression of a prompt -> what to answer.
    """

    key: Secret | None = None
    passphrase: Secret | None = None
    certificate: Secret | None = None
    password: Secret | None = None
    answers: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """An SSH host on the way: the server itself is reached through it.

    Args:
        url: ``sftp://user@host[:22]`` (or ``ssh://``) of the jump host.
        host_keys: Its fingerprints, as for the server.
        known_hosts: Or a file that holds them.
        auth: None: the server's key, but never its password or answers.
    """

    url: str
    host_keys: tuple[str, ...] = ()
    known_hosts: str | None = None
    auth: SshAuth | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """The settings of an ``sftp://`` system.

    Args:
        host_keys: ``SHA256:...`` fingerprints as ``ssh-keygen -lf`` prints them; two
            during a rotation.
        known_hosts: Path of an OpenSSH ``known_hosts`` file, instead or as well.
        auth: How we log in.
        legacy_algorithms: Names allowed again, each a warning.
        in_flight: Bytes asked for ahead; the channel's window is four times that.
        max_rate: Bytes a second at most, None for no cap.
        jump: A host on the way.
    """

    host_keys: tuple[str, ...] = ()
    known_hosts: str | None = None
    auth: SshAuth = field(default_factory=SshAuth)
    legacy_algorithms: tuple[str, ...] = ()
    in_flight: int = IN_FLIGHT
    max_rate: int | None = None
    jump: Jump | None = None


class Storage(ABC):
    """Files below one base folder. Made by `moatbridge_sftp.storage.open_storage`."""

    @abstractmethod
    def list(self, folder: str, *, limit: int) -> tuple[list[Entry], list[str]]:
        """Everything in a folder, in the server's order, without ``.`` and ``..``.

        Args:
            folder: Path below the base.
            limit: Entries that the folder may hold, skipped ones included.

        Returns:
            The entries, and ``reason:name`` (the name escaped and shortened) of each
            one skipped: ``bad-name``, ``no-attributes`` or ``twice``.

        Raises:
            ConfigurationError: ``sftp.too-many-files``: more than ``limit``; there is
                no partial listing.
            StorageFault: ``absent`` or ``denied``.
        """

    @abstractmethod
    def stat(self, path: str) -> Entry | None:
        """One entry without following a link; None if it is absent."""

    @abstractmethod
    def read(self, path: str, *, size: int) -> Iterator[bytes]:
        """A whole file in order, in pieces of at most 256 KiB.

        Close the iterator if it is left early. Other methods may be called between two
        pieces; what was asked ahead waits meanwhile, at most ``in_flight`` bytes.

        Args:
            path: Path below the base; a link is refused where links can be seen.
            size: The size that the listing showed.

        Raises:
            NotApplied: ``sftp.changed``: the file is longer or shorter, or its size or
                mtime differ afterwards from those at the start.
            StorageFault: ``absent``, ``denied`` or ``failure``, before the first piece.
        """

    @abstractmethod
    def read_small(
        self, files: Sequence[tuple[str, int]]
    ) -> Iterator[tuple[str, bytes]]:
        """Many small files in the order given, up to 32 of them on the way at once.

        Args:
            files: Path and listed size (at most `SMALL`) of each.

        Raises:
            NotApplied: As `read`.
            StorageFault: As `read`, when that file's turn comes.
        """

    @abstractmethod
    def rename(self, old: str, new: str) -> None:
        """Give a file another name in one step; never replaces another file.

        Raises:
            StorageFault: ``exists``, ``absent``, ``denied`` or ``failure`` (other file
                system, quota, no such folder).
            OutcomeUnknown: The connection ended after the request left and before its
                answer came: look which of the two names is there.
        """

    @abstractmethod
    def create(self, path: str, chunks: Iterable[bytes]) -> int:
        """Write a new file, flush it to the disk where offered, and check its size.

        A part that could not be finished is removed as far as the connection allows.

        Returns:
            Bytes written.

        Raises:
            StorageFault: ``exists``, ``absent`` (its folder), ``denied``, ``full`` or
                ``failure``.
        """

    @abstractmethod
    def read_text(self, path: str, *, limit: int = 65536) -> bytes | None:
        """A small file as a whole: receipts, side files, triggers; None if absent.

        Raises:
            StorageFault: ``failure`` if it is larger than ``limit``.
        """

    @abstractmethod
    def make_folder(self, path: str) -> None:
        """Make a folder and its parents; existing ones are fine.

        Raises:
            StorageFault: ``denied``, ``exists`` (something else has the name) or
                ``failure``.
        """

    @abstractmethod
    def remove(self, path: str) -> None:
        """Delete a file; an absent one is fine.

        Raises:
            StorageFault: ``denied`` or ``failure``.
        """

    @abstractmethod
    def free(self, folder: str = ".") -> int | None:
        """Bytes this account may still write there; None if the server does not say."""

    @abstractmethod
    def may_write(self, folder: str) -> bool | None:
        """Whether this account may change a folder; None if only a try would tell.

        Nothing is tried.
        """

    @abstractmethod
    def facts(self) -> Facts:
        """What is known about the server and this connection."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent, never raises."""

    @abstractmethod
    def abort(self) -> None:
        """End a running call from another thread: never blocks, never raises."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()
