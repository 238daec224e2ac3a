"""Console blocks: the commands in them, and what they say that is printed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_EXIT = re.compile(r"\s+# exit code (\d+)$")
_HEREDOC = re.compile(r"<<'?(\w+)'?$")
_DIGEST = re.compile(r"\b[0-9a-f]{16}\b")


@dataclass(frozen=True, slots=True)
class Command:
    """One command, the lines shown below it, and the exit code it is said to have."""

    text: str
    shown: tuple[str, ...] = ()
    code: int = 0

    @property
    def background(self) -> bool:
        return self.text.endswith("&")


def commands(text: str) -> list[Command]:
    """Console blocks: after each ``$`` a command, then what it prints."""
    found: list[Command] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            if line.strip() and found:
                last = found[-1]
                found[-1] = Command(last.text, (*last.shown, line), last.code)
            continue
        whole = line[2:]
        while whole.endswith("\\"):
            whole = whole[:-1] + next(lines).removeprefix("> ").strip()
        if heredoc := _HEREDOC.search(whole):
            for inner in lines:
                whole += "\n" + inner
                if inner == heredoc[1]:
                    break
        code = _EXIT.search(whole)
        plain = _EXIT.sub("", whole)
        found.append(Command(plain, (), int(code[1]) if code else 0))
    return found


def missing(shown: tuple[str, ...] | list[str], printed: str) -> str | None:
    """The first shown line that was not printed after those above it; None if all were.

    White space does not count, ``...`` stands for anything, one digest is any digest.
    """
    lines = [_plain(line) for line in printed.splitlines()]
    at = 0
    for line in shown:
        wanted = _plain(line)
        if wanted in {"", "..."}:
            continue
        pattern = re.compile(".*".join(map(re.escape, wanted.split("..."))))
        hit = next(
            (n for n in range(at, len(lines)) if pattern.fullmatch(lines[n])), -1
        )
        if hit < 0:
            return line
        at = hit + 1
    return None


def digests(text: str) -> list[str]:
    """The digests of plans in a text."""
    return _DIGEST.findall(text)


def _plain(line: str) -> str:
    return " ".join(_DIGEST.sub("<digest>", line).split())
