"""What a configuration file still lacks, as lines to paste: pure."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.terminal import clean
from moatbridge.cli.toml_text import key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from moatbridge.config.problems import Problem

_MISSING: Final = "config.missing"
_DEPTH: Final = 2


def lacking_lines(
    problems: Sequence[Problem],
    path: str,
    system: str,
    options: str = "",
    systems: Collection[str] = (),
) -> Iterator[str]:
    """What is wrong with a file, and the lines that it lacks.

    Args:
        problems: All of them.
        path: What the file is called.
        system: The system that was just looked at.
        options: What a suggested command must repeat.
        systems: Names of those that the file has.
    """
    if not problems:
        return
    yield ""
    yield f"# {path} still lacks something, so nothing can be planned yet:"
    yield from (f"#   {clean(each, 1000)}" for each in problems)
    sections: dict[tuple[str, ...], list[str]] = {}
    for each in problems:
        names = _names(each.key)
        known = names[:_DEPTH] and names[_DEPTH - 1].partition("/")[0] == system
        if each.code == _MISSING and len(names) > _DEPTH and not known:
            sections.setdefault(names[:_DEPTH], []).append(key(*names[_DEPTH:]))
    for section, settings in sections.items():
        yield f"# [{key(*section)}]"
        yield from (f'# {name} = "..."' for name in settings)
    for other in _others(problems, system):
        if other not in systems:
            yield f"# [{key('systems', other)}]"
            yield '# adapter = "..."  # moatbridge adapters: lists what is installed'
        yield f"# moatbridge discover {other}{options}  # suggests its streams"


def lacking_json(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The same as plain JSON."""
    return [
        {"key": each.key, "code": each.code, "message": each.words} for each in problems
    ]


def _others(problems: Sequence[Problem], system: str) -> list[str]:
    """Other systems of which streams are named that are not there."""
    named = (each.missing.partition("/")[0] for each in problems if each.missing)
    return [name for name in dict.fromkeys(named) if name != system]


def _names(dotted: str) -> tuple[str, ...]:
    """The parts of a dotted key, as TOML reads it."""
    found: list[str] = []
    table: Any = tomllib.loads(f"{dotted} = 0") if dotted else 0
    while isinstance(table, dict):
        name, table = next(iter(table.items()))
        found.append(name)
    return tuple(found)
