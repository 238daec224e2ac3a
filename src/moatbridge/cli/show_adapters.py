"""What `adapters` found, for people: pure."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from moatbridge.cli.installed import SYSTEMS
from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.cli.installed import Described, Extra, Installed

REPEATS: Final = (
    "repeats: what becomes of a write whose answer was lost. keyed: sending it again",
    "has no second effect; lookup: we look whether it arrived; none: it waits for a",
    "person. What holds for a flow of yours is printed by `check` and `plan`.",
)
_WIDTH: Final = 88
_LONGEST: Final = 1000


def adapter_lines(found: Iterable[Described]) -> Iterator[str]:
    """One or two lines for each adapter."""
    none = True
    for each in found:
        none = False
        yield _heading(each)
        if each.problem:
            yield from _problem(each.problem)
        else:
            can = (_short(name) for name in each.abilities or ())
            yield f"    can {', '.join(can) or 'nothing'}"
    if none:
        yield "No adapter is installed; try `pip install 'moatbridge[ldap,scim]'`."


def installed_lines(found: Installed) -> Iterator[str]:
    """Everything: what there is, what each can do, what is missing."""
    yield f"moatbridge {found.version}"
    yield from _extras(found.extras)
    for each in found.adapters:
        yield ""
        yield from _described(each)
    if found.absent:
        yield ""
        yield "Not installed"
        for name, pip in found.absent.items():
            yield f"  {name:12} {SYSTEMS[name]}"
            yield f"               {pip}"
    yield ""
    if not found.adapters:
        yield "No adapter is installed; try `pip install 'moatbridge[ldap,scim]'`."
    else:
        yield from REPEATS
        yield ""
        yield "Next: `moatbridge init` writes a configuration, `check` tries it."


def _described(found: Described) -> Iterator[str]:
    yield _heading(found)
    if found.problem:
        yield from _problem(found.problem)
        return
    yield from _said("speaks to", found.about)
    yield from _said("how", found.how)
    yield from _said("may be", found.direction)
    for name, words in (found.abilities or {}).items():
        yield f"  {_short(name):12} {words}"
    yield from _said("streams", found.streams)
    yield from _said("repeats", found.repeats)
    yield from _said("needs", ", ".join(found.needs))
    yield from _extras(found.extras)


def _extras(extras: Iterable[Extra]) -> Iterator[str]:
    for extra in extras:
        if extra.missing:
            yield f"  without      [{extra.name}]: {extra.pip}"
        else:
            yield f"  with         [{extra.name}]"


def _said(title: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(clean(text, _LONGEST), _WIDTH - 15)
    for number, line in enumerate(lines):
        yield f"  {'' if number else title:12} {line}"


def _heading(found: Described) -> str:
    origin = f"{found.distribution or '?'} {found.version or ''}"
    return f"{clean(found.name):12} {clean(origin.strip())}"


def _problem(problem: dict[str, str]) -> Iterator[str]:
    yield f"    PROBLEM {problem['code']}: {clean(problem['message'], _LONGEST)}"


def _short(ability: str) -> str:
    return ability.removeprefix("Can").lower()
