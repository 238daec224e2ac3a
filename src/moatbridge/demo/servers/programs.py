"""Child processes: found, started, waited for, stopped by their own pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SYSTEM: Final = ":/usr/local/sbin:/usr/sbin:/usr/lib/openldap:/sbin"
_START: Final = 60.0
_STOP: Final = 10.0
_POLL: Final = 0.03


class Missing(Exception):
    """A program is not installed.

    Args:
        program: Its name.
        package: What to install.
    """

    def __init__(self, program: str, package: str) -> None:
        super().__init__(program, package)
        self.program = program
        self.package = package

    def __str__(self) -> str:
        return f"{self.program} is not installed (package {self.package})"


class Failed(Exception):
    """A program ended with an error; the text is its own last words."""


def find(program: str, package: str) -> str:
    """Full path of a program.

    Raises:
        Missing: There is none.
    """
    found = shutil.which(program, path=os.environ.get("PATH", "") + _SYSTEM)
    if found is None:
        raise Missing(program, package)
    return found


def run(
    command: Sequence[str | Path],
    *,
    text: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return what it printed.

    Raises:
        Failed: It ended with an error.
    """
    done = subprocess.run(  # noqa: S603 - our own command line, no shell
        [str(word) for word in command],
        input=text.encode(),
        capture_output=True,
        cwd=folder,
        env=None if environment is None else dict(environment),
        check=False,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise Failed(f"{Path(str(command[0])).name} failed: {words}")
    return done.stdout.decode()


class Program:
    """One server as a child process.

    Args:
        command: Program and arguments.
        log: File that its output goes to.
        answers: Whether it is ready.
        folder: Its working directory.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        answers: Callable[[], bool],
        folder: Path | None = None,
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own command line
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,  # Ctrl-C is ours; we stop it in our order
            )
        try:
            self._wait(answers)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, gently: int | None = None) -> None:
        """End it: ask, wait, then kill. Idempotent.

        Args:
            gently: Signal to ask with; None for SIGTERM.
        """
        if self._process.poll() is not None:
            return
        if gently is None:
            self._process.terminate()
        else:
            self._process.send_signal(gently)
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP)

    def _wait(self, answers: Callable[[], bool]) -> None:
        ends = time.monotonic() + _START
        while not answers():
            if self._process.poll() is not None or time.monotonic() > ends:
                words = self._log.read_text(errors="replace")[-500:]
                raise Failed(f"A server did not start; {self._log.name}: {words}")
            time.sleep(_POLL)


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
