"""`KillLoop`: a process that is killed again and again while it works, and counted.

Theory of operation: a *zygote* process imports the worker's module once and forks one
worker per life, so that a life costs milliseconds. Work begins when the worker passes
its first crash point; the loop then sends SIGKILL after a time of its choosing, or the
worker kills itself at the n-th passing of a named crash point. A file mapped into all
workers counts the crash points and remembers the last one; it outlives the kill, so the
loop knows in which phase every worker died. POSIX only.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from moatbridge.resilience import crash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

STARTING: Final = "(starting)"
"""Phase of a worker that died before it passed any crash point."""

_STOPS_WITHIN: Final = 10.0
_SLOTS: Final = 64
_SLOT: Final = struct.Struct("40sQ")
_LAST: Final = struct.Struct("I")


class Life(NamedTuple):
    """How one worker ended.

    Args:
        killed: By SIGKILL.
        status: Exit status of one that was not; 0 when its work was done.
        phase: The last crash point it passed, or `STARTING`.
    """

    killed: bool
    status: int
    phase: str


class Board:
    """Counters of crash points in a mapped file, shared by the loop and its workers.

    Safe for the threads of one process; one worker writes at a time.

    Args:
        path: The file; made if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size = _LAST.size + _SLOTS * _SLOT.size
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        self._lock = threading.Lock()
        self._places = {name: place for place, name, _count in self._rows()}

    def start_life(self) -> None:
        """Forget which point was passed last."""
        _LAST.pack_into(self._map, 0, 0)

    def passing(self, name: str, *, die: bool = False) -> None:
        """Count one passing; die right there, before another thread passes a point."""
        with self._lock:
            place = self._places.setdefault(name, len(self._places) + 1)
            where = _LAST.size + (place - 1) * _SLOT.size
            count = int(_SLOT.unpack_from(self._map, where)[1]) + 1
            _SLOT.pack_into(self._map, where, name.encode(), count)
            _LAST.pack_into(self._map, 0, place)
            if die:
                os.kill(os.getpid(), signal.SIGKILL)

    def last(self) -> str:
        """The point passed last in this life."""
        (place,) = _LAST.unpack_from(self._map, 0)
        return next((name for at, name, _ in self._rows() if at == place), STARTING)

    def counts(self) -> dict[str, int]:
        """Crash point -> how often it was passed, over all lives."""
        return {name: count for _place, name, count in self._rows()}

    def _rows(self) -> list[tuple[int, str, int]]:
        rows = []
        for place in range(1, _SLOTS + 1):
            where = _LAST.size + (place - 1) * _SLOT.size
            name, count = _SLOT.unpack_from(self._map, where)
            if count:
                rows.append((place, name.rstrip(b"\0").decode(), int(count)))
        return rows


class KillLoop:
    """Runs ``work(argument)`` in workers that may be killed at any moment.

    One life at a time, from one thread. Use as a context manager.

    Args:
        work: ``package.module:function``; the module is imported once. The function
            takes one text, such as the path of a folder.
        folder: Where the counters are kept.
        path: More folders to import from.
        prepare: ``package.module:function``, called once before the first worker is
            forked, so that all of them find warm what is made on first use. It must
            leave neither threads nor connections.
    """

    def __init__(
        self,
        work: str,
        *,
        folder: Path,
        path: Sequence[str] = (),
        prepare: str = "",
    ) -> None:
        self._board = Board(folder / "crash-points")
        self._up, theirs = os.pipe()
        board = str(self._board.path)
        self._zygote = subprocess.Popen(  # noqa: S603 - this interpreter, our module
            [sys.executable, "-m", __name__, work, board, str(theirs), prepare],
            stdin=subprocess.PIPE,
            pass_fds=(theirs,),
            env={**os.environ, "PYTHONPATH": os.pathsep.join([*path, *sys.path])},
        )
        os.close(theirs)
        self._rest = b""
        self._pid = 0

    def life(
        self,
        argument: str,
        *,
        after: float | None = None,
        early: bool = False,
        at: tuple[str, int] | None = None,
        frozen: Callable[[], object] | None = None,
        limit: float = 120.0,
    ) -> Life:
        """Run one worker to its end.

        Args:
            argument: Handed to the worker's function.
            after: Kill it so many seconds after its work began; None: let it live.
            early: Count ``after`` from the fork instead.
            at: Kill it when it passes this crash point for the n-th time.
            frozen: Stop it instead of killing it (SIGSTOP), call this, and let it go on
                (SIGCONT); not called if the worker had come to its end before.
            limit: Seconds after which a worker that still lives counts as hung.

        Raises:
            TimeoutError: It hung; it was killed.
            RuntimeError: The zygote is gone; its own output says why.
        """
        deadline = time.monotonic() + limit
        self._board.start_life()
        self._tell({"argument": argument, "at": at})
        self._pid = int(self._next(deadline)[1:])
        said = "" if early else self._next(deadline)
        if after is not None and not said.startswith("E"):
            said = self._next(time.monotonic() + after, patient=False) or "late"
            if not said.startswith("E"):
                self._strike(frozen)
        while not said.startswith("E"):
            said = self._next(deadline)
        self._pid = 0
        status = int(said[1:])
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        return Life(killed, os.waitstatus_to_exitcode(status), self._board.last())

    def _strike(self, frozen: Callable[[], object] | None) -> None:
        if frozen is None:
            _signal(self._pid, signal.SIGKILL)
            return
        _signal(self._pid, signal.SIGSTOP)
        _await_stop(self._pid)
        try:
            frozen()
        finally:
            _signal(self._pid, signal.SIGCONT)

    def passed(self) -> dict[str, int]:
        """How often each crash point was passed, over all lives."""
        return self._board.counts()

    def close(self) -> None:
        """End the worker and the zygote. Idempotent."""
        if self._pid:
            _signal(self._pid, signal.SIGKILL)
            self._pid = 0
        pipe = self._zygote.stdin
        if pipe is None or pipe.closed:
            return
        pipe.close()
        try:
            self._zygote.wait(10)
        except subprocess.TimeoutExpired:
            self._zygote.kill()
            self._zygote.wait()
        os.close(self._up)

    def __enter__(self) -> Self:
        """The loop itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Close, whatever happened."""
        self.close()

    def _tell(self, order: dict[str, Any]) -> None:
        pipe = self._zygote.stdin
        if pipe is None:
            raise RuntimeError("the zygote has no input")
        pipe.write(json.dumps(order).encode() + b"\n")
        pipe.flush()

    def _next(self, deadline: float, *, patient: bool = True) -> str:
        """The next word of zygote or worker; empty if it comes too late."""
        while b"\n" not in self._rest:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._up], [], [], left)[0]:
                if not patient:
                    return ""
                _signal(self._pid, signal.SIGKILL)
                raise TimeoutError(f"the worker hung after {self._board.last()}")
            if not (more := os.read(self._up, 4096)):
                raise RuntimeError("the zygote died")
            self._rest += more
        word, _, self._rest = self._rest.partition(b"\n")
        return word.decode()


def _await_stop(pid: int) -> None:
    """Each thread of a stopped process stops when it next gets the processor."""
    until = time.monotonic() + _STOPS_WITHIN
    while time.monotonic() < until:
        try:
            states = [
                file.read_text().rpartition(")")[2].split()[0]
                for file in Path(f"/proc/{pid}/task").glob("*/stat")
            ]
        except OSError:
            continue  # a thread ended meanwhile
        if all(state in "TtZX" for state in states):
            return
        time.sleep(0.001)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _zygote(work: str, board: str, up: int, prepare: str) -> None:
    """Fork a worker for each line that comes; ends with the loop that feeds it."""
    target = _function(work)
    if prepare:
        _function(prepare)()
        if (left := threading.active_count() - 1) > 0:
            raise RuntimeError(f"{prepare} left {left} threads, which no fork survives")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _live(target, Board(Path(board)), up, **json.loads(line))
        _pid, status = os.waitpid(pid, 0)
        os.write(up, b"E%d\n" % status)


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _live(
    work: Callable[[str], Any],
    board: Board,
    up: int,
    *,
    argument: str,
    at: tuple[str, int] | None,
) -> None:
    """The worker: never returns into the zygote's code."""
    here: dict[str, int] = {}
    os.write(up, b"P%d\n" % os.getpid())  # by the worker: it must come before its R

    def hook(name: str) -> None:
        if not here:
            os.write(up, b"R\n")
        here[name] = here.get(name, 0) + 1
        die = at is not None and tuple(at) == (name, here[name])
        board.passing(name, die=die)

    crash.install(hook)
    try:
        work(argument)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it was, the loop must learn of it
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    _zygote(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
