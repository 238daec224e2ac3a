"""`adapters.md`: what there is to install, what each adapter can do and promise."""

from __future__ import annotations

import inspect
from typing import Any

from moatbridge.adapter import Adapter, CanWrite
from moatbridge.cli.installed import ABILITIES, described, extras_of
from moatbridge.registry import KNOWN, Registry, pip_line
from reference_pages import abilities
from reference_pages.text import description, document, summary, table

_INTRODUCTION = """\
The adapters of this project. Each is a distribution of its own, and the core brings no
driver. `moatbridge adapters --verbose` says the same of what is installed on a machine,
adapters of others included, and which packages are missing."""
_REPEATS = """\
*Repeats* says what becomes of a write whose answer was lost. `keyed`: sending it again
has no second effect, so a flow to it is *effectively once*. `lookup`: we look whether
it arrived. `none`: nobody can know, so it waits for a person, unless the flow says
otherwise. The class of each flow is computed from it and printed by `check` and `plan`;
see [what is guaranteed](../explanation/guarantees.md)."""


def page() -> str:
    """The whole page."""
    registry = Registry()
    rows = [_row(registry, name) for name in KNOWN]
    heads = ("adapter", "speaks to", "may be", "install")
    parts = [_INTRODUCTION, "", *table(heads, rows), "", "## What each can do", ""]
    parts += [
        *abilities.table(origin=False),
        "",
        *_words(),
        "",
        "## What each promises",
        "",
    ]
    parts += [_REPEATS, ""]
    for name in KNOWN:
        parts += _section(registry, name)
    return document("Adapters", *parts)


def _row(registry: Registry, name: str) -> tuple[str, ...]:
    found = described(registry, name)
    return f"`{name}`", found.about, found.direction, f"`{pip_line(name)}`"


def _words() -> list[str]:
    rows = [
        (f"[{name.removeprefix('Can').lower()}](abilities.md#{name.lower()})", words)
        for name, words in ABILITIES.items()
    ]
    return table(("ability", "meaning"), rows)


def _section(registry: Registry, name: str) -> list[str]:
    adapter, found = registry.get(name), described(registry, name)
    distribution = str(found.distribution)
    rows = [
        ("streams", _own(adapter.streams, Adapter.streams)),
        ("repeats", _own(getattr(adapter, "traits", None), CanWrite.traits)),
        ("hosts", _REACH[found.reach]),
        ("needs", ", ".join(f"`{each}`" for each in found.needs)),
        ("extras", ", ".join(f"`{each.pip}`" for each in extras_of(distribution))),
        ("settings", f"[settings](settings.md#systemsname-of-{name})"),
        ("more", f"[its README](../../adapters/{name}/README.md)"),
    ]
    told = [(title, text) for title, text in rows if text]
    return [f"### `{name}`", "", description(adapter), "", *table(("", ""), told), ""]


_REACH = {
    "inside": "private networks too; this machine only if `allow_networks` lists it",
    "outside": "public addresses, unless `allow_networks` lists others",
}


def _own(thing: Any, base: Any) -> str:
    same = inspect.getdoc(thing) == inspect.getdoc(base)
    return "" if thing is None or same else summary(thing)
