"""Peels layers by what the bytes say, at most four, each from spool to spool."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Final, Literal, NamedTuple

from moatbridge.errors import ConfigurationError
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.unpack.archive import Archive
from moatbridge_sftp.unpack.compressed import bunzip, gunzip, unzstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge_sftp.unpack.limits import Limits
    from moatbridge_sftp.unpack.openpgp import OpenPgp

Layer = Literal["pgp", "gz", "bz2", "zst", "zip"]
_SUFFIXES: Final = (".gz", ".bz2", ".zst", ".zip", ".pgp", ".gpg", ".asc")
_PGP_TAGS: Final = frozenset({1, 3, 4, 8, 9, 18})
"""Packets an OpenPGP message may begin with (RFC 9580, 5): encrypted session keys, a
one-pass signature, compressed or encrypted data."""


class Unpacked(NamedTuple):
    """One logical file: ``name`` or ``name!member``, and its content at the start."""

    name: str
    file: BinaryIO


def layer_of(head: bytes, name: str, *, openpgp: bool) -> Layer | None:
    """Which wrapping the first bytes show.

    A binary OpenPGP message has no magic number: it is taken for one only if a key is
    configured or the name says so.
    """
    if head.startswith(b"\x1f\x8b\x08"):
        return "gz"
    if head.startswith(b"BZh") and head[4:10] in {b"1AY&SY", b"\x17rE8P\x90"}:
        return "bz2"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zst"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.lstrip().startswith(b"-----BEGIN PGP MESSAGE-----"):
        return "pgp"
    named = name.lower().endswith((".pgp", ".gpg"))
    return "pgp" if (openpgp or named) and _binary_pgp(head) else None


def _binary_pgp(head: bytes) -> bool:
    if not head or not head[0] & 0x80:
        return False
    tag = head[0] & 0x3F if head[0] & 0x40 else (head[0] >> 2) & 0x0F
    return tag in _PGP_TAGS


def unpack(
    spool: BinaryIO,
    name: str,
    *,
    limits: Limits,
    new_spool: Callable[[], BinaryIO],
    openpgp: OpenPgp | None = None,
    zip_password: str | None = None,
) -> Iterator[Unpacked]:
    """Take a file out of its wrappings.

    Each spool that is made here is closed when the next file is asked for, or when the
    iterator is closed; ``spool`` itself stays the caller's.

    Args:
        spool: The file as it came.
        name: Its name; it is data only and never becomes a path.
        limits: What it may become.
        new_spool: Makes an empty seekable binary file.
        openpgp: Keys, if files are encrypted or signed. Then a file without an OpenPGP
            layer is bad: whoever can write to the folder could leave it out.
        zip_password: Of encrypted zip members.

    Raises:
        BadFile: Damaged, cut off, over a limit, not decrypted, not signed.
        ConfigurationError: ``sftp.extra`` or ``sftp.openpgp``.
    """
    peeler = _Peeler(limits, new_spool, openpgp, zip_password)
    yield from peeler.peel(Unpacked(name, spool), 0, proven=openpgp is None)


class _Peeler:
    def __init__(
        self,
        limits: Limits,
        new_spool: Callable[[], BinaryIO],
        openpgp: OpenPgp | None,
        zip_password: str | None,
    ) -> None:
        self._limits = limits
        self._new_spool = new_spool
        self._openpgp = openpgp
        self._zip_password = zip_password
        self._members = 0

    def peel(self, one: Unpacked, depth: int, *, proven: bool) -> Iterator[Unpacked]:
        one.file.seek(0)
        head = one.file.read(64)
        one.file.seek(0)
        layer = layer_of(head, one.name, openpgp=self._openpgp is not None)
        archive = self._archive(one.file) if layer == "zip" else None
        if layer is None or (archive is not None and archive.is_document):
            one.file.seek(0)
            yield self._last(one, proven=proven)
            return
        if depth >= self._limits.layers:
            raise BadFile(
                "layers",
                f"the file is packed more than {self._limits.layers} times over",
                expected=self._limits.layers,
            )
        inner = self._inside(one, layer, archive)
        try:
            for each in inner:
                with each.file:
                    checked = proven or layer == "pgp"
                    yield from self.peel(each, depth + 1, proven=checked)
        finally:
            inner.close()  # type: ignore[attr-defined]

    def _last(self, one: Unpacked, *, proven: bool) -> Unpacked:
        if not proven:
            raise BadFile(
                "not-encrypted",
                "the file is not an OpenPGP message, but this stream takes no other",
            )
        return one

    def _archive(self, file: BinaryIO) -> Archive:
        return Archive(file, self._limits, self._zip_password)

    def _inside(
        self, one: Unpacked, layer: Layer, archive: Archive | None
    ) -> Iterator[Unpacked]:
        if archive is not None:
            self._members += len(archive)
            if self._members > self._limits.members:
                raise BadFile("zip-members", "the archives have too many members")
            for member, file in archive.unpack(self._new_spool):
                yield Unpacked(f"{one.name}!{member}", file)
            return
        target = self._new_spool()
        try:
            self._into(one.file, target, layer)
        except BaseException:
            target.close()
            raise
        yield Unpacked(_bare(one.name), target)

    def _into(self, source: BinaryIO, target: BinaryIO, layer: Layer) -> None:
        source.seek(0)
        if layer == "pgp":
            if self._openpgp is None:
                raise ConfigurationError(
                    "a file is encrypted with OpenPGP, but the stream names no key; "
                    "set `decrypt`",
                    code="sftp.openpgp",
                )
            self._openpgp.open_message(source, target, self._limits)
            return
        {"gz": gunzip, "bz2": bunzip, "zst": unzstd}[layer](
            source, target, self._limits
        )


def _bare(name: str) -> str:
    lower = name.lower()
    end = next((each for each in _SUFFIXES if lower.endswith(each)), "")
    return name[: len(name) - len(end)] if end and len(name) > len(end) else name
