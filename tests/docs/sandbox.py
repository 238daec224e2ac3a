"""A folder where a page's blocks are carried out one after the other, for real.

Markers: ``run`` (python: in a process of its own; console and sh: command by command),
``file=NAME`` (written, or with ``append`` added at its end), ``config`` (a whole configuration, parsed with the installed
adapters), ``part`` or ``part=replace`` (laid over `BASE`, then parsed), ``output`` (what the block before
printed), ``make`` (the target exists), ``install`` (the requirements resolve to what
is installed).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docs import consoles
from docs.base import BASE
from moatbridge.config import parse
from moatbridge.registry import Registry

if TYPE_CHECKING:
    from docs.pages import Block, Page

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
READY = 120.0
LONGEST = 240


class Sandbox:
    """Where one page is tried; `close` stops what the page started."""

    def __init__(self, folder: Path, page: Page) -> None:
        self.folder = folder
        self.page = page
        self.printed = ""
        self._digest = ""
        self._running: list[subprocess.Popen[bytes]] = []
        ports = filter(None, page.options.get("ports", "").split(","))
        self._ported_to = {rf"\b{port}\b": str(free_port()) for port in ports}
        if stands_for := page.options.get("folder"):
            self._ported_to[re.escape(stands_for) + r"\b"] = str(folder)
        kept = ("LANG", "LC_ALL", "TMPDIR", "USER", "LOGNAME")
        self.environment = {
            name: os.environ[name] for name in kept if name in os.environ
        }
        path = f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        self.environment |= {"PATH": path, "HOME": str(folder), "COLUMNS": "100"}
        for name in filter(None, page.options.get("copy", "").split(",")):
            self._copy(ROOT / name)
        for name in filter(None, page.options.get("tree", "").split(",")):
            shutil.copytree(ROOT / name, folder / name)

    def _copy(self, source: Path) -> None:
        """One file, or the files of a folder; the page's ports hold in them too."""
        files = source.iterdir() if source.is_dir() else [source]
        for file in filter(Path.is_file, files):
            text = file.read_text(encoding="utf-8")
            (self.folder / file.name).write_text(self._ported(text), encoding="utf-8")

    def close(self) -> None:
        for process in self._running:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def try_block(self, block: Block) -> None:
        marker = block.options or {}
        text = self._ported(block.text)
        if "append" in marker:
            text = (self.folder / marker["file"]).read_text(encoding="utf-8") + text
        if "output" in marker:
            self._compare(block.text.splitlines(), "the block before")
        if "config" in marker:
            parse(tomllib.loads(text), Registry(), base=self.folder)
        if "part" in marker:
            # "replace": a system or stream of the block takes the place of the base's
            depth = 1 if marker["part"] == "replace" else -1
            whole = merged(BASE, tomllib.loads(text), depth)
            parse(whole, Registry(), base=self.folder)
        if "file" in marker:
            target = self.folder / marker["file"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        if "run" in marker:
            self._python(text) if block.language == "python" else self._shell(block)
        if "make" in marker:
            for command in lines_of(block):
                self._done([*command.split(), "-n"], cwd=ROOT)
        if "install" in marker:
            for command in lines_of(block):
                self._resolves(command)

    def _python(self, text: str) -> None:
        file = self.folder / "block.py"
        file.write_text(text)
        self._done([sys.executable, "-W", "error", "block.py"])

    def _shell(self, block: Block) -> None:
        if block.language == "sh":
            for line in lines_of(block):
                self._command(consoles.Command(line))
            return
        for command in consoles.commands(block.text):
            self._command(command)

    def _command(self, command: consoles.Command) -> None:
        text = self._ported(command.text)
        if found := re.fullmatch(r"export (\w+)=(\S+)", text):
            self.environment[found[1]] = found[2]
            return
        if found := re.fullmatch(r"cd (\S+)", text):
            self.folder /= found[1]
            return
        for digest in consoles.digests(text):
            text = text.replace(digest, self._digest)
        if command.background:
            self._start(text.removesuffix("&"), command)
            return
        self._done(["bash", "-euo", "pipefail", "-c", text], code=command.code)
        self._compare(command.shown, text)

    def _start(self, text: str, command: consoles.Command) -> None:
        log = self.folder / f"background-{len(self._running)}.log"
        with log.open("wb") as output:
            self._running.append(
                subprocess.Popen(
                    ["bash", "-c", f"exec {text}"],
                    cwd=self.folder,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )
        until = time.monotonic() + READY
        while consoles.missing(self._shown(command.shown), log.read_text()):
            assert self._running[-1].poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)  # the poll interval of a condition with a deadline

    def _done(
        self, command: list[str], *, code: int = 0, cwd: Path | None = None
    ) -> None:
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=LONGEST, check=False,
        )  # fmt: skip
        self.printed = done.stdout
        found = consoles.digests(done.stdout)
        self._digest = found[-1] if found else self._digest
        said = f"{' '.join(command)}\nended with {done.returncode}, not {code}:\n"
        assert done.returncode == code, said + done.stdout

    def _compare(self, shown: Any, what: str) -> None:
        lost = consoles.missing(self._shown(shown), self.printed)
        assert lost is None, f"not printed by {what}: {lost!r}\n{self.printed}"

    def _shown(self, lines: Any) -> list[str]:
        return [self._ported(line) for line in lines]

    def _ported(self, text: str) -> str:
        for written, real in self._ported_to.items():
            text = re.sub(written, real, text)
        return text

    def _resolves(self, command: str) -> None:
        """What the page tells people to install is what this environment holds."""
        wanted = [word.strip("'\"") for word in command.split()[2:]]
        assert command.split()[:2] == ["pip", "install"], command
        extras = extras_of("moatbridge")
        for requirement in wanted:
            named = re.fullmatch(r"([\w-]+)(?:\[([\w,-]+)\])?", requirement)
            assert named, requirement
            if named[1] == "moatbridge":
                assert set((named[2] or "").split(",")) - {""} <= extras, requirement
            else:
                distribution(named[1])


def lines_of(block: Block) -> list[str]:
    lines = (line.partition("  #")[0].strip() for line in block.text.splitlines())
    return [line.removeprefix("$ ") for line in lines if line]


def extras_of(name: str) -> set[str]:
    return set(distribution(name).metadata.get_all("Provides-Extra") or ())


def distribution(name: str) -> Any:
    from importlib.metadata import distribution as find

    return find(name)


def merged(
    base: dict[str, Any], over: dict[str, Any], depth: int = -1
) -> dict[str, Any]:
    """Tables laid over tables, down to that depth; everything else is replaced."""
    whole = dict(base)
    for name, value in over.items():
        below = whole.get(name)
        both = depth and isinstance(below, dict) and isinstance(value, dict)
        whole[name] = merged(below, value, depth - 1) if both else value
    return whole


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
