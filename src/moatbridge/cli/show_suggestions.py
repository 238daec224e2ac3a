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
    from collections.abc import Iterator, Sequence

    from moatbridge.adapter import Stream, Suggestions

CERTAIN: Final = 0.8
"""Suggestions below this confidence are comments."""


def suggestion_lines(
    system: str, found: Suggestions, streams: Sequence[Stream] = ()
) -> Iterator[str]:
    """TOML sections for the system and each stream, warnings on top.

    Args:
        system: Its name.
        found: What the adapter proposes.
        streams: Streams that are configured already; their suggested translators are
            proposed too.
    """
    for warning in found.warnings:
        yield f"# warning: {clean(warning, 1000)}"
    items = [*found.items, *_translators(found, streams)]
    yield from _section(f"[systems.{key(system)}]", [i for i in items if not i.stream])
    for name in dict.fromkeys(i.stream for i in items if i.stream):
        mine = [item for item in items if item.stream == name]
        address = key("streams", f"{system}/{name}")
        yield from _section(f"[{address}]", [i for i in mine if _place(i) == ""])
        for table in ("translator", "translator.fields"):
            part = [_inside(i) for i in mine if _place(i) == table]
            yield from _section(f"[{address}.{table}]", part)
    if not items:
        yield f"# The system {system} suggests nothing more."


def suggestion_json(
    system: str, found: Suggestions, streams: Sequence[Stream] = ()
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
            for item in (*found.items, *_translators(found, streams))
        ],
    }


def _translators(found: Suggestions, streams: Sequence[Stream]) -> Iterator[Suggestion]:
    """What configured streams themselves propose, where ``discover`` said nothing."""
    said = {item.stream for item in found.items if _place(item)}
    for stream in streams:
        if stream.suggested and stream.name not in said:
            table = dict(stream.suggested)
            reason = "well-known names"
            if stream.entity:
                yield Suggestion("entity", stream.entity, 1.0, reason, stream.name)
            yield Suggestion("translator", table, 1.0, reason, stream.name)


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


def _section(header: str, items: Sequence[Suggestion]) -> Iterator[str]:
    if not items:
        return
    yield from ("", header)
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
