"""OpenPGP through the ``gpg`` program (GnuPG 2.2 or later).

gpg writes plaintext before it knows whether the message is whole: megabytes come out of
a truncated or tampered file. So its output goes to a spool that nobody reads until the
program has ended well and its status lines say so. gpg has until the core's deadline
for the call, like everything else, and dies with all its children when the call is
aborted: one end of a pair of sockets is given to the core to be shut down.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sftp.formats.base import BadFile
from moatbridge_sftp.unpack.limits import PIECE, Limits, Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Net

_STALL: Final = 20.0  # below the usual deadline of a call, or it would never be seen
_STATUS_LIMIT: Final = 1 << 20
_REFUSED: Final = frozenset(
    {"BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "DECRYPTION_FAILED"}
)


@dataclass(frozen=True)
class OpenPgp:
    """Keys of one stream. Texts are resolved secrets and never shown.

    Args:
        decrypt_key: Our private key, armored or binary text.
        passphrase: Of the private key.
        verify_keys: Public keys of those who sign.
        verify_by: Fingerprints (40 hex digits) of keys allowed to sign. With any, an
            unsigned message is refused.
        net: Knows the call's deadline, and ends it; None without either.
        program: Name or path of gpg.
    """

    decrypt_key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    verify_keys: str | None = field(default=None, repr=False)
    verify_by: tuple[str, ...] = ()
    net: Net | None = field(default=None, repr=False, compare=False)
    program: str = "gpg"

    def open_message(self, source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
        """Decrypt and verify a message.

        Only when this returns may ``target`` be read.

        Raises:
            BadFile: ``decrypt`` (also where gpg falls silent over the file),
                ``signature`` or a limit.
            ConfigurationError: ``sftp.openpgp``: no gpg, or keys it does not take.
            NotApplied: ``sftp.deadline``: the call's time is over, or we were aborted.
        """
        with self._home() as home:
            status, code = self._decrypt(home, source, target, limits)
        judge_status(
            status,
            code,
            encrypted=self.decrypt_key is not None,
            signers=self.verify_by,
        )

    @contextlib.contextmanager
    def _home(self) -> Iterator[Path]:
        if shutil.which(self.program) is None:
            raise ConfigurationError(
                "OpenPGP needs the program gpg; install gnupg 2.2 or later",
                code="sftp.openpgp",
            )
        home = Path(tempfile.mkdtemp(prefix="moat-pgp-"))  # mode 0700
        try:
            for keys in filter(None, (self.decrypt_key, self.verify_keys)):
                self._import(home, keys)
            yield home
        finally:
            self._end_agent(home)
            shutil.rmtree(home, ignore_errors=True)

    def _left(self) -> float:
        """Seconds that gpg may stay silent."""
        return _STALL if self.net is None else min(_STALL, self.net.remaining())

    def _import(self, home: Path, keys: str) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - a list of arguments, no shell
                [*self._command(home), "--import"],
                input=keys.encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                timeout=self._left(),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _stalled() from None
        if done.returncode:
            raise ConfigurationError(
                "gpg does not take a configured OpenPGP key; export it again",
                code="sftp.openpgp",
            )

    def _end_agent(self, home: Path) -> None:
        """The agent gpg started for this home only; it would outlive us."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(  # noqa: S603 - a list of arguments, no shell
                ["gpgconf", "--homedir", str(home), "--kill", "all"],  # noqa: S607 - beside gpg
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                timeout=10,
                check=False,
            )

    def _command(self, home: Path) -> list[str]:
        return [
            self.program, "--homedir", str(home), "--batch", "--no-tty", "--quiet",
            "--no-options", "--trust-model", "always", "--pinentry-mode", "loopback",
            "--no-auto-key-retrieve",
        ]  # fmt: skip

    def _decrypt(
        self, home: Path, source: BinaryIO, target: BinaryIO, limits: Limits
    ) -> tuple[str, int]:
        with (
            tempfile.TemporaryFile() as status,
            _passphrase(self.passphrase) as secret,
            _real_file(source) as packed,
            _ended_by(self.net) as ended,
        ):
            size = os.fstat(packed.fileno()).st_size
            process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                [
                    *self._command(home), "--status-fd", str(status.fileno()),
                    "--passphrase-fd", str(secret), "--decrypt",
                ],
                stdin=packed,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(status.fileno(), secret),
                start_new_session=True,
            )  # fmt: skip
            try:
                self._copy(process, target, Meter(limits), size, ended)
                code = self._exit(process)
            finally:
                _end(process)
            status.seek(0)
            return status.read(_STATUS_LIMIT).decode("utf-8", "replace"), code

    def _exit(self, process: subprocess.Popen[bytes]) -> int:
        """The exit status, once all output was read."""
        left = self._left()
        try:
            return process.wait(left)
        except subprocess.TimeoutExpired:
            raise _silent(left) from None

    def _copy(
        self,
        process: subprocess.Popen[bytes],
        target: BinaryIO,
        meter: Meter,
        size: int,
        ended: int,
    ) -> None:
        out: Any = process.stdout
        while True:
            left = self._left()
            ready, _, _ = select.select([out, ended], [], [], left)
            if ended in ready:
                raise _stalled()
            if not ready:
                raise _silent(left)
            data = os.read(out.fileno(), PIECE)
            if not data:
                return
            target.write(data)
            meter.count(len(data), size)
            if self.net is not None:
                self.net.progress(len(data))


def judge_status(
    status: str, code: int, *, encrypted: bool, signers: Sequence[str]
) -> None:
    """Decide by gpg's exit status and status lines (GnuPG ``doc/DETAILS``).

    Raises:
        BadFile: ``decrypt`` or ``signature``.
    """
    lines = [
        each.split()[1:] for each in status.splitlines() if each[:9] == "[GNUPG:] "
    ]
    words = [line[0] for line in lines if line]
    refused = _REFUSED.intersection(words)
    if signers and (refused - {"DECRYPTION_FAILED"} or "GOODSIG" not in words):
        raise _unsigned()
    whole = not code and words.count("PLAINTEXT") <= 1 and not refused
    if not whole or (encrypted and "DECRYPTION_OKAY" not in words):
        raise BadFile(
            "decrypt",
            "gpg could not decrypt the file: it is cut off, changed, or meant for "
            "another key",
        )
    if not signers:
        return
    allowed = {each.replace(" ", "").upper() for each in signers}
    valid = [line for line in lines if line and line[0] == "VALIDSIG"]
    # the first word is the signing (sub)key, the last one its primary key
    if not valid or not all({line[1], line[-1]} & allowed for line in valid):
        raise _unsigned()


def _unsigned() -> BadFile:
    return BadFile("signature", "the file is not signed by a key named in `verify_by`")


def _silent(seconds: float) -> BadFile | NotApplied:
    """After so long without a word: about this file, unless the call was short of time.

    Else a file that stalls gpg would be read again for ever, and none behind it.
    """
    if seconds < _STALL:
        return _stalled()
    return BadFile("decrypt", f"gpg said nothing for {_STALL:.0f} s over the file")


def _stalled() -> NotApplied:
    return NotApplied(
        "gpg did not end in time; nothing of the file is used, and it is read again.",
        code="sftp.deadline",
    )


@contextlib.contextmanager
def _ended_by(net: Net | None) -> Iterator[int]:
    """A descriptor that becomes readable as soon as the core ends the call."""
    ours, watched = socket.socketpair()
    with ours, watched:
        if net is not None:
            net.watch(watched)
        yield ours.fileno()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own session: children too
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def _passphrase(text: str | None) -> Iterator[int]:
    """A pipe that holds the passphrase: never an argument, never a file."""
    reading, writing = os.pipe()
    try:
        os.write(writing, (text or "").encode() + b"\n")
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


@contextlib.contextmanager
def _real_file(source: BinaryIO) -> Iterator[IO[bytes]]:
    """The message as a file that a process can read; it is still encrypted."""
    with tempfile.TemporaryFile() as copy:
        source.seek(0)
        shutil.copyfileobj(source, copy, PIECE)
        copy.flush()
        copy.seek(0)
        yield copy


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
