"""The free text of an entity: which texts there are, what is in them, masking.

Pure functions; nothing here decides. Masking makes a new entity.
"""

from __future__ import annotations

import hmac
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from moatbridge.guard.detectors import DETECTORS, normalise
from moatbridge.guard.verdict import Found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge.guard.detectors import Detector, Lists, Normalised, Span
    from moatbridge.guard.verdict import Steps

MAX_TEXT: Final = 100_000
"""Characters of all free text of one item; beyond, it is held unread."""

MAX_FINDINGS: Final = 1_000

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Person": (),
    "Group": ("description",),
    "Post": ("content", "name", "summary", "attachment", "business"),
    "Reaction": ("content",),
    "Decision": ("content",),
}
"""Members that people write freely in; all texts of a type that is not known."""
_DIGEST: Final = 16
_ROUNDS: Final = 5


class TooMuch(Exception):
    """More text or findings than are looked at: never judged by a part of it."""


def texts(
    entity: Mapping[str, Any], entity_type: str
) -> Iterator[tuple[Steps, str, bool]]:
    """Every free text: where it is, the text, and whether it is HTML."""
    markup = entity.get("mediaType") == "text/html"
    for name in _fields(entity, entity_type):
        value = entity.get(name)
        if name == "attachment" and entity_type == "Post":
            yield from _names(value)
        elif isinstance(value, str):
            yield (name,), value, markup and name == "content"
        elif value:
            yield from _below(value, (name,))


def find_all(
    entity: Mapping[str, Any],
    entity_type: str,
    lists: Lists,
    *,
    salt: bytes = b"",
    detectors: Mapping[str, Detector] = DETECTORS,
) -> dict[str, list[Found] | Exception]:
    """What each detector finds in all free text.

    Returns:
        Detector -> findings; those that found nothing are left out. A detector that
        raised stands there with its exception.

    Raises:
        TooMuch: Too much text, or too many findings.
    """
    found: dict[str, list[Found] | Exception] = {}
    length = 0
    for steps, text, markup in texts(entity, entity_type):
        length += len(text)
        if length > MAX_TEXT:
            raise TooMuch
        for seen in _readings(text, markup=markup):
            for name, detector in detectors.items():
                new = _run(detector, seen, lists)
                if new:
                    _add(found, name, _located(name, new, seen, steps, salt))
    if sum(len(each) for each in found.values() if isinstance(each, list)) > (
        MAX_FINDINGS
    ):
        raise TooMuch
    return found


def mask_all(
    entity: Mapping[str, Any], entity_type: str, lists: Lists, names: Iterable[str]
) -> dict[str, Any]:
    """A copy of the entity in which these detectors find nothing any more.

    A mask changes what stands beside it, which may bring out another value: so it is
    looked through again until nothing is found.

    Raises:
        TooMuch: It does not come to an end.
    """
    chosen = {name: DETECTORS[name] for name in names}
    fresh = dict(entity)
    for _ in range(_ROUNDS):
        every = find_all(fresh, entity_type, lists, detectors=chosen)
        findings = [each for found in every.values() for each in _sure(found)]
        if not findings:
            return fresh
        fresh = masked(fresh, findings)
    raise TooMuch


def masked(entity: Mapping[str, Any], findings: Iterable[Found]) -> dict[str, Any]:
    """A copy of the entity in which each finding is written over."""
    by_text: dict[Steps, list[Found]] = {}
    for each in findings:
        by_text.setdefault(each.steps, []).append(each)
    fresh: Any = dict(entity)
    for steps, found in by_text.items():
        fresh = _with(fresh, steps, found)
    return dict(fresh)


def _fields(entity: Mapping[str, Any], entity_type: str) -> Iterable[str]:
    known = _FIELDS.get(entity_type)
    return entity if known is None else known


def _names(attachments: Any) -> Iterator[tuple[Steps, str, bool]]:
    for index, each in enumerate(attachments or ()):
        if isinstance(each, dict) and isinstance(each.get("name"), str):
            yield ("attachment", index, "name"), each["name"], False
        if isinstance(each, dict) and each.get("type") == "Link":
            # Where it leads is read like any text: platforms show it there.
            yield ("attachment", index, "url"), str(each.get("url") or ""), False


def _below(value: Any, steps: Steps) -> Iterator[tuple[Steps, str, bool]]:
    if isinstance(value, str):
        yield steps, value, False
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _below(each, (*steps, name))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _below(each, (*steps, index))


def _readings(text: str, *, markup: bool) -> Iterator[Normalised]:
    """HTML is read twice: without its tags, and with what stands inside them."""
    yield normalise(text)
    if markup:
        yield normalise(text, markup=True)


def _run(detector: Detector, seen: Normalised, lists: Lists) -> list[Span] | Exception:
    try:
        return list(islice(detector(seen.text, lists), MAX_FINDINGS + 1))
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller holds the item
        return error


def _located(
    name: str,
    new: list[Span] | Exception,
    seen: Normalised,
    steps: Steps,
    salt: bytes,
) -> list[Found] | Exception:
    if isinstance(new, Exception):
        return new
    return [
        Found(
            name,
            steps,
            *seen.original(span.start, span.end),
            span.shown,
            _digest(seen.text[span.start : span.end], salt),
        )
        for span in new
    ]


def _digest(value: str, salt: bytes) -> bytes:
    if not salt:
        return b""
    return hmac.digest(salt, value.encode(errors="replace"), "sha256")[:_DIGEST]


def _sure(found: list[Found] | Exception) -> list[Found]:
    if isinstance(found, Exception):
        raise found
    return found


def _add(
    found: dict[str, list[Found] | Exception], name: str, new: list[Found] | Exception
) -> None:
    old = found.get(name, [])
    if isinstance(new, Exception) or isinstance(old, Exception):
        found[name] = new if isinstance(new, Exception) else old
        return
    there = {(each.steps, each.start, each.end) for each in old}
    fresh = [each for each in new if (each.steps, each.start, each.end) not in there]
    found[name] = [*old, *fresh]


def _with(value: Any, steps: Steps, findings: list[Found]) -> Any:
    if not steps:
        return _written_over(value, findings)
    first, rest = steps[0], steps[1:]
    if isinstance(value, dict) and first in value:
        return {**value, first: _with(value[first], rest, findings)}
    if isinstance(value, list) and isinstance(first, int) and first < len(value):
        fresh = list(value)
        fresh[first] = _with(value[first], rest, findings)
        return fresh
    return value  # a mask of another rule has taken it out


def _written_over(text: str, findings: list[Found]) -> str:
    parts: list[str] = []
    last = 0
    for each in sorted(findings, key=lambda found: (found.start, -found.end)):
        if each.start >= last:
            parts += [text[last : each.start], each.shown]
        last = max(last, each.end)
    return "".join([*parts, text[last:]])
