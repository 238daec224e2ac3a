"""What `discover` found, as TOML to paste: pure.

What is less certain than 0.8, and a second proposal for the same setting, is printed as
a comment: nothing doubtful is ever switched on by pasting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Suggestion
from moatbridge.cli.terminal import clean
from moatbridge.cli.toml_text import key, value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from moatbridge.adapter import Stream, Suggestions
    from moatbridge.run.suggesting import FlowIdea

CERTAIN: Final = 0.8
"""Suggestions below this confidence are comments."""


def suggestion_lines(
    system: str,
    found: Suggestions,
    streams: Sequence[Stream] = (),
    written: Collection[str] = (),
) -> Iterator[str]:
    """TOML sections for the system and each stream, warnings on top.

    Args:
        system: Its name.
        found: What is proposed.
        streams: Streams that the adapter describes by itself.
        written: Local names of streams whose section stands in the file already.
    """
    for warning in found.warnings:
        yield f"# warning: {clean(warning, 1000)}"
    yield from _section(
        f"[systems.{key(system)}]", [i for i in found.items if not i.stream]
    )
    for name in _names(found, streams, written):
        mine = [item for item in found.items if item.stream == name]
        address = key("streams", f"{system}/{name}")
        direct = [i for i in mine if _place(i) == ""]
        yield from _section(f"[{address}]", direct, there=name in written)
        if not mine:
            yield from ("", f"[{address}]  # needs no setting")
        for table in ("translator", "translator.fields"):
            part = [_inside(i) for i in mine if _place(i) == table]
            yield from _section(f"[{address}.{table}]", part)
    if not found.items and not streams:
        yield f"# The system {system} suggests nothing more."


def flow_lines(ideas: Iterable[FlowIdea]) -> Iterator[str]:
    """Flows that could be configured, as comments: a person decides what flows."""
    for number, idea in enumerate(ideas):
        if not number:
            yield ""
            yield "# What carries it, once both ends stand in the file:"
        yield f"# [flows.{key(idea.name)}]"
        yield f"# from = {value(idea.source)}"
        more = "  # or the other way round" if idea.either else ""
        yield f"# to = {value(idea.target)}{more}"


def suggestion_json(
    system: str, found: Suggestions, ideas: Iterable[FlowIdea] = ()
) -> dict[str, Any]:
    """The same as plain JSON."""
    return {
        "system": system,
        "warnings": list(found.warnings),
        "suggestions": [
            {
                "stream": item.stream,
                "setting": ".".join(
                    filter(None, (_place(item), _inside(item).setting))
                ),
                "value": item.value,
                "confidence": item.confidence,
                "reason": item.reason,
            }
            for item in found.items
        ],
        "flows": [
            {"name": each.name, "from": each.source, "to": each.target}
            for each in ideas
        ],
    }


def _names(
    found: Suggestions, streams: Sequence[Stream], written: Collection[str]
) -> list[str]:
    """Streams in the order of what was said, then those that need no setting."""
    said = dict.fromkeys(item.stream for item in found.items if item.stream)
    bare = {each.name: None for each in streams if each.name not in written}
    return list(said | bare)


def _place(item: Suggestion) -> str:
    """The table below the stream's own that a suggestion belongs to."""
    if item.setting in {"entity", "translator.entity"}:
        return "translator" if item.stream else ""
    whole = item.setting in {"translator", "translator.fields"}
    return "translator.fields" if whole and item.stream else ""


def _inside(item: Suggestion) -> Suggestion:
    """The suggestion as it is called within its table."""
    if not _place(item):
        return item
    name = "entity" if _place(item) == "translator" else ""
    return Suggestion(name, item.value, item.confidence, item.reason, item.stream)


def _section(
    header: str, items: Sequence[Suggestion], *, there: bool = False
) -> Iterator[str]:
    if not items:
        return
    yield from ("", header)
    if there:
        yield "# The file has this section already: put what it lacks there."
    said: set[str] = set()
    for item in items:
        rows = {item.setting: item.value} if item.setting else item.value
        for name, plain in rows.items():
            sure = item.confidence >= CERTAIN and name not in said and plain is not None
            if sure:
                said.add(name)
            setting = key(name) if not item.setting else key(*name.split("."))
            yield _row(setting, plain, item, sure=sure)


def _row(setting: str, plain: Any, item: Suggestion, *, sure: bool) -> str:
    why = clean(item.reason) if sure else f"{item.confidence:.0%}: {clean(item.reason)}"
    text = f"{setting} = {value(plain) if plain is not None else '?'}"
    return f"{text}  # {why}" if sure else f"# {text}  # {why}"
