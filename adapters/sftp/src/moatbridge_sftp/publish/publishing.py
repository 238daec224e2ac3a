"""Publishing a batch as one file, once (sftp 63-66).

Theory of operation. (a) the content goes to ``{state}/out/KEY.TOKEN.part``; (b) the
receipt ``{state}/sent/KEY`` names that part and the final name, and appears whole, by a
rename that never replaces one; (c) the part is renamed to the final name. The part is a
token that can be renamed once: whoever repeats the batch finds the receipt and uses the
part it names, and if that is gone the file was published, even if the consumer has
taken it since. (d) the done file is a second token of the same kind, after the first;
a checksum file is a third one, before it: who sees the file can check it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import contextmanager
from functools import cached_property, partial
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

from moatbridge.changes import Receipt
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown
from moatbridge_sftp.pickup.choosing import trigger_of
from moatbridge_sftp.pickup.spool import digest
from moatbridge_sftp.places import dated, filled, join
from moatbridge_sftp.publish.rendering import render
from moatbridge_sftp.publish.unkeyed import Unkeyed
from moatbridge_sftp.storage import StorageFault
from moatbridge_sftp.unpack.packing import gzip_spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.changes import Intent, Outcome
    from moatbridge_sftp.parsing import Parser
    from moatbridge_sftp.pickup.folder import Folder
    from moatbridge_sftp.pickup.spool import Spool

OUT: Final = "out"
SENT: Final = "sent"
_BLOCK: Final = 256 << 10
_DAY: Final = 86_400
_SUMS: Final = ("sha256", "sha1", "md5")  # the setting may have changed since
_NOTHING: Final = ("", "")


class Token(NamedTuple):
    """What a receipt says: the parts, and where they go.

    Args:
        part: Path of the data part.
        final: Path of the file.
        done_part: Path of the done file's part; empty without one.
        done: Path of the done file.
        sum_part: Path of the checksum file's part; empty without one.
        sum: Path of the checksum file.
    """

    part: str
    final: str
    done_part: str = ""
    done: str = ""
    sum_part: str = ""
    sum: str = ""

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part."""
        return tuple(filter(None, (self.part, self.done_part, self.sum_part)))


class Publisher:
    """Publishes the batches of one stream. Used by one thread at a time.

    Args:
        folder: The stream's folder.
        spool: Where a file is rendered before it leaves.
        parser: The stream's format.
    """

    def __init__(self, folder: Folder, spool: Spool, parser: Parser) -> None:
        self._folder = folder
        self._config = folder.config
        self._storage = folder.storage
        self._spool = spool
        self._parser = parser
        self._swept = False

    @cached_property
    def keyed(self) -> bool:
        """Whether receipts can be kept: the state folder is there, or can be made.

        Raises:
            ConfigurationError: ``sftp.folder``, ``sftp.permission``.
            NotApplied: As `write`.
        """
        folder = self._folder
        try:
            if self._storage.stat(folder.base) is None:
                return True  # a folder that is missing is told by the first write
            folder.make(folder.state)
        except StorageFault as fault:
            if fault.kind in ("denied", "unsupported"):
                return False
            raise folder.fault(fault, "publish") from None
        return True

    def check(self) -> None:
        """See that a part can be renamed into the folder.

        Raises:
            ConfigurationError: ``sftp.other-file-system``, ``sftp.permission``.
        """
        name = f".moatbridge-{secrets.token_hex(4)}.part"
        out, goal = self._path(OUT, name), join(self._folder.base, name)
        try:
            self._folder.make(f"{self._folder.state}/{OUT}")
            self._storage.create(out, [b"test of a rename\n"])
            try:
                self._storage.rename(out, goal)
            finally:
                self._storage.remove(out)
            self._storage.remove(goal)
        except StorageFault as fault:
            if fault.kind == "failure":
                raise ConfigurationError(
                    "A file cannot be moved from the state folder into `folder`: they "
                    "lie on different file systems. Set `state_folder` to one beside "
                    "it.",
                    code="sftp.other-file-system",
                    stream=self._folder.stream,
                ) from None
            raise self._folder.fault(fault, "publish") from None

    # --- one batch ------------------------------------------------------------------

    def write(self, intents: Sequence[Intent]) -> list[Receipt]:
        """Publish one batch.

        Raises:
            NotApplied: Nothing took effect.
            ConfigurationError: ``sftp.permission``: nothing took effect.
        """
        moment = dated(time.time())
        with self._spool.new() as file:
            made = render(
                intents, file, config=self._config, parser=self._parser, moment=moment
            )
            outcome: Outcome = "applied"
            code = ""
            if made.refs:
                with self._packed(file) as packed:
                    outcome, code = self._publish(made.key, packed, moment)
        receipts = dict(made.refused)
        for place, ref in made.refs.items():
            receipts[place] = Receipt(outcome, ref, code=code)
        return [receipts[place] for place in range(len(intents))]

    @contextmanager
    def _packed(self, file: IO[bytes]) -> Iterator[IO[bytes]]:
        """What is published: the file, or the same content with gzip."""
        if not self._config.publish_gzip:
            yield file
            return
        with self._spool.new() as packed:
            gzip_spool(cast("BinaryIO", file), cast("BinaryIO", packed))
            yield packed

    def _publish(
        self, key: str, file: IO[bytes], moment: dict[str, str]
    ) -> tuple[Outcome, str]:
        if not self.keyed:
            return self._publish_unkeyed(key, file, moment)
        try:
            token = self._receipt(key) or self._prepare(key, file, moment)
        except StorageFault as fault:
            raise self._folder.fault(fault, "publish") from None
        except NotApplied as error:
            if error.code == "sftp.deadline":
                return "unknown", error.code  # as every write that its deadline ended
            raise
        try:
            outcome = self._release_sum(token)
            if outcome[0] == "applied":
                outcome = self._release(token.part, token.final)
            if outcome[0] == "applied" and token.done_part:
                outcome = self._announce(token)
        except (NotApplied, OutcomeUnknown, StorageFault):
            # Whether the rename took place shows when the batch is repeated.
            return "unknown", "sftp.unknown"
        self._sweep(token)
        return outcome

    def _publish_unkeyed(
        self, key: str, file: IO[bytes], moment: dict[str, str]
    ) -> tuple[Outcome, str]:
        name, checksum = self._name(key, moment), None
        if kind := self._config.publish_checksum:
            found = digest(kind)
            for _block in _blocks(file, [found]):
                pass
            checksum = _checksum_line(found, name)
        content = partial(_blocks, file, [])
        return Unkeyed(self._folder).publish(key, name, content, checksum)

    def _name(self, key: str, moment: dict[str, str]) -> str:
        """The file's final name."""
        config = self._config
        ext = self._parser.extension + (".gz" if config.publish_gzip else "")
        values = {**moment, "stream": self._folder.stream, "key": key, "ext": ext}
        return filled(config.file_name, **values)

    def _prepare(self, key: str, file: IO[bytes], moment: dict[str, str]) -> Token:
        """Steps (a) and (b); returns the token that counts."""
        config = self._config
        name = self._name(key, moment)
        part = self._path(OUT, f"{key}.{secrets.token_hex(4)}.part")
        token = Token(part, join(self._folder.base, name))
        for inner in (OUT, SENT):
            self._folder.make(f"{self._folder.state}/{inner}")
        sha256, kind = hashlib.sha256(), config.publish_checksum
        sums = [sha256, *([digest(kind)] if kind else [])]
        self._storage.create(part, _blocks(file, sums))
        if kind is not None:
            token = token._replace(sum_part=f"{part}.sum", sum=f"{token.final}.{kind}")
            self._storage.create(token.sum_part, [_checksum_line(sums[-1], name)])
        if config.publish_done:
            done = join(self._folder.base, trigger_of(config.done_file, name))
            token = token._replace(done_part=f"{part}.done", done=done)
            self._storage.create(token.done_part, [b""])
        receipt = {**token._asdict(), "sha256": sha256.hexdigest()}
        draft = f"{part}.receipt"
        self._storage.create(draft, [json.dumps(receipt).encode()])
        try:
            self._storage.rename(draft, self._path(SENT, key))
        except StorageFault as fault:
            if fault.kind != "exists":
                raise
            # Another worker was faster: its part is the one that counts.
            for ours in (draft, *token.parts):
                self._storage.remove(ours)
            return self._receipt(key) or token
        return token

    def _receipt(self, key: str) -> Token | None:
        text = self._storage.read_text(self._path(SENT, key))
        if text is None:
            return None
        token = _token(text)
        if token is None or not self._is_ours(token, key):
            raise ConfigurationError(
                f"The receipt {SENT}/{key} in the state folder cannot be read, or it "
                "names other files than the settings do. See whether its file was "
                "published, then remove the receipt.",
                code="sftp.receipt",
                stream=self._folder.stream,
            )
        return token

    def _release(self, part: str, final: str) -> tuple[Outcome, str]:
        """Step (c): at most one rename of a part ever succeeds."""
        try:
            self._storage.rename(part, final)
        except StorageFault as fault:
            if fault.kind in ("absent", "exists") and self._storage.stat(part) is None:
                return "applied", ""
            if fault.kind == "exists":
                return "rejected", "sftp.name-taken.conflict"
            if fault.kind in ("absent", "denied"):
                raise self._folder.fault(fault, "publish") from None
            return "not_applied", "sftp.refused"
        return "applied", ""

    def _release_sum(self, token: Token) -> tuple[Outcome, str]:
        """The checksum file goes first, but never beside somebody else's file."""
        if not token.sum_part:
            return "applied", ""
        waits = self._storage.stat(token.part) is not None
        if waits and self._storage.stat(token.final) is not None:
            return "rejected", "sftp.name-taken.conflict"
        return self._release(token.sum_part, token.sum)

    def _announce(self, token: Token) -> tuple[Outcome, str]:
        """Step (d): nobody takes the file without it, so a refusal is doubt.

        The file is out: a repeat finds the receipt and goes on here.
        """
        try:
            outcome, code = self._release(token.done_part, token.done)
        except ConfigurationError as error:
            return "unknown", error.code
        there = outcome in ("applied", "rejected")  # or somebody's, but it is there
        return ("applied", "") if there else ("unknown", code)

    def _is_ours(self, token: Token, key: str) -> bool:
        """Whether a receipt moves nothing but our part of this batch, into the folder.

        Whoever may write into the state folder could name any file of the base.
        """
        rest = token.part.removeprefix(self._path(OUT, f"{key}."))
        name = token.final.rpartition("/")[2]
        done = join(self._folder.base, trigger_of(self._config.done_file, name))
        sums = [(f"{token.part}.sum", f"{token.final}.{kind}") for kind in _SUMS]
        return (
            rest != token.part
            and "/" not in rest
            and token.final == join(self._folder.base, name)
            and (token.done_part, token.done)
            in (_NOTHING, (f"{token.part}.done", done))
            and (token.sum_part, token.sum) in (_NOTHING, *sums)
        )

    def _path(self, inner: str, name: str) -> str:
        return f"{self._folder.state}/{inner}/{name}"

    # --- old receipts ---------------------------------------------------------------

    def _sweep(self, token: Token) -> None:
        """Once a connection: drop receipts that are old, and parts nobody will use.

        Age is measured by the server's clock: the receipt just written is its "now".
        """
        if self._swept:
            return
        self._swept = True
        try:
            self._drop(token)
        except StorageFault:
            return  # tidiness; the next connection tries again

    def _drop(self, token: Token) -> None:
        limit = self._config.max_files
        sent, _ = self._storage.list(f"{self._folder.state}/{SENT}", limit=limit)
        parts, _ = self._storage.list(f"{self._folder.state}/{OUT}", limit=limit)
        now = max((entry.mtime for entry in sent), default=0)
        keys = {entry.name for entry in sent}
        ours = token.part.rpartition("/")[2]
        for entry in parts:
            known = entry.name.partition(".")[0] in keys or entry.name.startswith(ours)
            if not known and now - entry.mtime > _DAY:
                self._storage.remove(self._path(OUT, entry.name))
        for entry in sent:
            if now - entry.mtime > self._config.receipt_days * _DAY:
                self._storage.remove(self._path(SENT, entry.name))


def _token(text: bytes) -> Token | None:
    """What a receipt says; None if it cannot be read."""
    try:
        told: dict[str, Any] = json.loads(text)
        known = {**Token._field_defaults, **told}  # an older one lacks some
        return Token(*(str(known[name]) for name in Token._fields))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _checksum_line(found: Any, name: str) -> bytes:
    """As ``sha256sum`` writes it."""
    return f"{found.hexdigest()}  {name}\n".encode()


def _blocks(file: IO[bytes], sums: Sequence[Any]) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        for each in sums:
            each.update(block)
        yield block
