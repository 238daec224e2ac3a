"""Suggestions from the WSDL alone: which operations are streams, and how (soap 2).

Operations are judged by shape first (what goes in, what comes out), then by verb. Every
suggestion carries a confidence and a reason; nothing on the server is called.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Suggestion, Suggestions
from moatbridge.errors import MoatbridgeError
from moatbridge_soap.decode import field_types
from moatbridge_soap.request import slots_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from moatbridge.adapter import Field
    from moatbridge_soap.connection import Connection
    from moatbridge_soap.request import Slot
    from moatbridge_soap.wsdl import Port

_WORDS: Final = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_VERBS: Final = {
    "create": "create add insert new register hire",
    "update": "update modify change edit set save",
    "delete": "delete remove terminate cancel deactivate",
    "get": "get read fetch find retrieve lookup show",
    "list": "list search query find get read all",
}
_SINCE: Final = frozenset({"since", "from", "after", "modified", "changed", "updated"})
_CURSORS: Final = frozenset({"cursor", "token", "next", "continuation"})
_SIZES: Final = frozenset({"max", "limit", "size", "count", "top"})
_KEYS: Final = ("id", "nr", "number", "no", "code", "key", "uuid", "guid")
_VERSIONS: Final = ("version", "revision", "etag", "rowversion", "lock")
_MODIFIED: Final = ("changed", "modified", "updated", "lastmodified", "timestamp")
_SURE, _LIKELY, _GUESS, _UNSURE = 0.9, 0.8, 0.6, 0.3
_DEEP: Final = 4


@dataclass(frozen=True, slots=True)
class Guess:
    """What an operation seems to be.

    Args:
        table: ``list``, ``get``, ``changes``, ``create``, ``update`` or ``delete``.
        operation: Its name.
        noun: What it is about, as a stream's name.
        path: Of the records in the answer, if any.
        fields: Of such a record.
        inputs: Its input elements.
        outputs: Paths of plain values beside the records.
        faults: Names of its declared faults.
        confidence: 0 to 1.
        reason: Why.
    """

    table: str
    operation: str
    noun: str
    path: str | None
    fields: tuple[Field, ...]
    inputs: Mapping[str, Slot]
    outputs: tuple[str, ...]
    faults: tuple[str, ...]
    confidence: float
    reason: str


def suggest(connection: Connection) -> Suggestions:
    """Streams, tables and settings that the WSDL suggests."""
    guesses = [
        g for g in map(_Shape(connection.port).guess, _names(connection.port)) if g
    ]
    streams: dict[str, list[Guess]] = {}
    for guess in guesses:
        streams.setdefault(guess.noun, []).append(guess)
    items: list[Suggestion] = []
    for noun, found in sorted(streams.items()):
        if any(guess.table in {"list", "get", "changes"} for guess in found):
            items += _stream(noun, found)
    warnings = [] if items else ["no operation looks like a list or a get"]
    return Suggestions(items, tuple(warnings))


class _Shape:
    """Looks at operations of one port."""

    def __init__(self, port: Port) -> None:
        self._port = port

    def guess(self, name: str) -> Guess | None:
        """What one operation seems to be; None if it is hard to say."""
        bound = self._port.operations[name]
        words = [word.lower() for word in _WORDS.findall(name)]
        try:
            inputs = _inputs(bound)
            many, one = _records(bound)
        except MoatbridgeError:
            return None
        verb = words[0] if words else ""
        noun = _noun(words[1:] or words)
        table, confidence, reason = _classified(verb, inputs, many, one)
        if table is None:
            return None
        path = many if table in {"list", "changes"} else one
        if table in {"create", "update", "delete"}:
            path = None
        fields = field_types(bound, path) if path else ()
        return Guess(
            table,
            name,
            noun,
            path,
            fields,
            inputs,
            _plain_outputs(bound, path),
            tuple(sorted(bound.faults)),
            confidence,
            reason,
        )


def _classified(
    verb: str, inputs: Mapping[str, Slot], many: str | None, one: str | None
) -> tuple[str | None, float, str]:
    for table in ("create", "update", "delete"):
        if verb in _VERBS[table].split():
            return table, _LIKELY, f"the name begins with {verb}"
    leaves = [name for name, slot in inputs.items() if not slot.compound]
    required = [n for n in leaves if not inputs[n].optional]
    key_like = len(required) == 1 and not _has(required[0], _SIZES)
    if one is not None and key_like and (many is None or verb in _VERBS["get"].split()):
        sure = _SURE if verb in _VERBS["get"].split() else _GUESS
        return "get", sure, f"one key-like input ({required[0]}) and one record"
    if many is None or (one is not None and verb not in _VERBS["list"].split()):
        return None, 0.0, ""
    since = [name for name in leaves if _has(name, _SINCE)]
    if since:
        return "changes", _LIKELY, f"a repeated record, and an input {since[0]}"
    sure = _SURE if verb in _VERBS["list"].split() else _GUESS
    return "list", sure, "the answer holds a repeated record"


def _stream(noun: str, guesses: Sequence[Guess]) -> Iterator[Suggestion]:
    best = next((g for g in guesses if g.fields), None)
    if best is not None:
        yield from _identity(noun, best)
    for guess in guesses:
        yield from _table(noun, guess)
        if guess.table == "changes" and not any(g.table == "list" for g in guesses):
            whole = replace(
                guess,
                table="list",
                confidence=_GUESS,
                reason="from the beginning of time it lists everything",
            )
            yield from _table(noun, whole)


def _identity(noun: str, best: Guess) -> Iterator[Suggestion]:
    names = [f.name for f in best.fields]
    unique = [f.name for f in best.fields if f.unique]
    if unique:
        yield _said(noun, "key", unique[:1], _SURE, "an xsd:ID")
    elif (key := _named(names, _KEYS, noun)) is not None:
        yield _said(noun, "key", [key], _LIKELY, "its name says so")
    for setting, wanted in (("version", _VERSIONS), ("modified", _MODIFIED)):
        if (found := _named(names, wanted, noun)) is not None:
            yield _said(noun, setting, found, _LIKELY, "its name says so")


def _table(noun: str, guess: Guess) -> Iterator[Suggestion]:
    table, sure, why = guess.table, guess.confidence, guess.reason
    yield _said(noun, f"{table}.operation", guess.operation, sure, why)
    if guess.path is not None:
        name = "item" if table == "get" else "items"
        yield _said(noun, f"{table}.{name}", guess.path, sure, why)
    request = _request(guess)
    if request:
        words = "inputs known by their names"
        yield _said(noun, f"{table}.request", request, min(sure, _LIKELY), words)
    if table in {"list", "changes"}:
        yield from _paging(noun, guess)
    for fault in guess.faults[:1]:
        rules = [{"fault": fault, "path": "code", "equals": "?", "then": "absent"}]
        words = "the operation declares that fault; fill in what it says"
        yield _said(noun, f"{table}.rules", rules, _UNSURE, words)


def _paging(noun: str, guess: Guess) -> Iterator[Suggestion]:
    told = guess.outputs
    likely = min(guess.confidence, _LIKELY)  # a table without its operation is none
    cursor = next((p for p in told if _has(p.rpartition("/")[2], _CURSORS)), None)
    if cursor is not None:
        page = {"kind": "cursor", "next": cursor}
        yield _said(noun, f"{guess.table}.page", page, likely, "its name says so")
    as_of = next((p for p in told if p.lower().endswith(("asof", "servertime"))), None)
    if as_of is not None and guess.table == "changes":
        yield _said(noun, "changes.since", {"as_of": as_of}, likely, "its name says so")


def _request(guess: Guess) -> dict[str, Any]:
    found: dict[str, Any] = {}
    leaves = [n for n, slot in guess.inputs.items() if not slot.compound]
    for name in leaves:
        if guess.table == "changes" and _has(name, _SINCE):
            found[name] = "{since}"
        elif guess.table in {"list", "changes"} and _has(name, _CURSORS):
            found[name] = "{page.cursor}"
        elif guess.table in {"list", "changes"} and _has(name, _SIZES):
            found[name] = "{page.size}"
    if guess.table == "get":
        required = [n for n in leaves if not guess.inputs[n].optional]
        found = {required[0]: f"{{ref.{required[0]}}}"} if required else {}
    if guess.table in {"create", "update"}:
        compound = [n for n, slot in guess.inputs.items() if slot.compound]
        found = {compound[0]: "{record}"} if len(compound) == 1 else {}
    return found


def _said(
    noun: str, setting: str, value: Any, confidence: float, reason: str
) -> Suggestion:
    return Suggestion(setting, value, confidence, reason, stream=noun)


def _names(port: Port) -> list[str]:
    return sorted(port.operations)


def _inputs(bound: Any) -> Mapping[str, Slot]:
    body = bound.input.body
    if body is None:
        return {}
    slots = slots_of(body.type, bound.name)
    if len(slots) == 1 and bound.style == "rpc":
        only = next(iter(slots.values()))
        return slots_of(only.type, bound.name) if only.compound else slots
    return slots


def _records(bound: Any) -> tuple[str | None, str | None]:
    """Paths of the first repeated record, and of the first single one."""
    body = bound.output.body if bound.output is not None else None
    if body is None:
        return None, None
    many: str | None = None
    one: str | None = None
    for path, field in _walk(bound, body.name):
        if not field.fields:
            continue
        if field.multi:
            many = many or path
        elif one is None and many is None:
            one = path
    return many, one


def _plain_outputs(bound: Any, records: str | None) -> tuple[str, ...]:
    body = bound.output.body if bound.output is not None else None
    if body is None or records is None:
        return ()
    found = (p for p, field in _walk(bound, body.name) if not field.fields)
    return tuple(path for path in found if not path.startswith(f"{records}/"))


def _walk(bound: Any, root: str) -> Iterator[tuple[str, Field]]:
    level = [(f"{root}/{f.name}", f) for f in field_types(bound, root)]
    for _ in range(_DEEP):
        yield from level
        level = [(f"{path}/{f.name}", f) for path, field in level for f in field.fields]


def _noun(words: Sequence[str]) -> str:
    kept = [w for w in words if w not in {"by", "list", "all", "changes", "changed"}]
    noun = "".join(kept) or "records"
    if noun.endswith(("s", "x", "ch")) or not noun[-1].isalpha():
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def _has(name: str, wanted: frozenset[str]) -> bool:
    return not wanted.isdisjoint(word.lower() for word in _WORDS.findall(name))


def _named(names: Sequence[str], wanted: Sequence[str], noun: str) -> str | None:
    """The name that is, or ends with, the first of the wanted words."""
    for word in wanted:
        for name in names:
            if name.lower() in {word, f"{noun.rstrip('s')}{word}"}:
                return name
        for name in names:
            parts = [part.lower() for part in _WORDS.findall(name)]
            if parts and parts[-1] == word:
                return name
    return None
