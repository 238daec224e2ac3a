"""Publishing a batch as one file, once (sftp 63-66).

Theory of operation. (a) the content goes to ``{state}/out/KEY.TOKEN.part``; (b) the
receipt ``{state}/sent/KEY`` names that part and the final name, and appears whole, by a
rename that never replaces one; (c) the part is renamed to the final name. The part is a
token that can be renamed once: whoever repeats the batch finds the receipt and uses the
part it names, and if that is gone the file was published, even if the consumer has
taken it since. (d) the done file is a second token of the same kind, after the first.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.changes import Receipt
from moatbridge.errors import ConfigurationError, NotApplied, OutcomeUnknown
from moatbridge_sftp.pickup.choosing import trigger_of
from moatbridge_sftp.places import dated, filled, join
from moatbridge_sftp.publish.rendering import render
from moatbridge_sftp.storage import StorageFault

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


class Token(NamedTuple):
    """What a receipt says: the parts, and where they go.

    Args:
        part: Path of the data part.
        final: Path of the file.
        done_part: Path of the done file's part; empty without one.
        done: Path of the done file.
    """

    part: str
    final: str
    done_part: str = ""
    done: str = ""


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
                outcome, code = self._publish(made.key, file, moment)
        receipts = dict(made.refused)
        for place, ref in made.refs.items():
            receipts[place] = Receipt(outcome, ref, code=code)
        return [receipts[place] for place in range(len(intents))]

    def _publish(
        self, key: str, file: IO[bytes], moment: dict[str, str]
    ) -> tuple[Outcome, str]:
        try:
            token = self._receipt(key) or self._prepare(key, file, moment)
        except StorageFault as fault:
            raise self._folder.fault(fault, "publish") from None
        except NotApplied as error:
            if error.code == "sftp.deadline":
                return "unknown", error.code  # as every write that its deadline ended
            raise
        try:
            outcome = self._release(token.part, token.final)
            if outcome[0] == "applied" and token.done_part:
                outcome = self._announce(token)
        except (NotApplied, OutcomeUnknown, StorageFault):
            # Whether the rename took place shows when the batch is repeated.
            return "unknown", "sftp.unknown"
        self._sweep(token)
        return outcome

    def _prepare(self, key: str, file: IO[bytes], moment: dict[str, str]) -> Token:
        """Steps (a) and (b); returns the token that counts."""
        config = self._config
        values = {**moment, "stream": self._folder.stream, "key": key}
        name = filled(config.file_name, ext=self._parser.extension, **values)
        part = self._path(OUT, f"{key}.{secrets.token_hex(4)}.part")
        token = Token(part, join(self._folder.base, name))
        for inner in (OUT, SENT):
            self._folder.make(f"{self._folder.state}/{inner}")
        sha256 = hashlib.sha256()
        self._storage.create(part, _blocks(file, sha256))
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
            for ours in (draft, part, token.done_part):
                if ours:
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
                f"The receipt {SENT}/{key} in the state folder cannot be read. See "
                "whether its file was published, then remove the receipt.",
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
        return (
            rest != token.part
            and "/" not in rest
            and token.final == join(self._folder.base, name)
            and token.done_part in ("", f"{token.part}.done")
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
        return Token(*(str(told[name]) for name in Token._fields))
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def _blocks(file: IO[bytes], digest: Any) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        digest.update(block)
        yield block
