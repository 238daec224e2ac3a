"""What the description of a stream says for its configuration: pure.

For adapters that describe their streams without being asked to discover any, such as
those made of functions: names, keys, fields and the entity are declared already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from moatbridge.adapter import Field, Stream, Suggestions
    from moatbridge.config import PartlyRead

PLACE: Final = "PATH"
"""Stands where a person must name an entity path."""

OTHER: Final = "OTHER"
"""Stands where a person must name the system at the other end of a flow."""

_WORDS: Final[dict[str, dict[str, str]]] = {
    "Person": {
        "userName": "username login loginname uid userid account benutzername kennung",
        "externalId": "externalid personid employeeid personalnummer persnr staffid",
        "name.givenName": "givenname given firstname first vorname rufname",
        "name.familyName": "familyname family lastname last surname sn nachname",
        "displayName": "displayname name fullname fn cn anzeigename",
        "emails[type=work].value": "email mail emailaddress workmail",
        "phoneNumbers[type=work].value": "phone telephone tel telefon phonenumber",
        "phoneNumbers[type=mobile].value": "mobile mobil handy cell mobilephone",
        "title": "title jobtitle position titel funktion",
        "active": "active enabled isactive aktiv",
        "enterprise.department": "department dept unit abteilung office",
        "enterprise.organization": "organization organisation org company firma",
        "enterprise.costCenter": "costcenter kostenstelle",
        "enterprise.employeeNumber": "employeenumber personnelnumber",
    },
    "Group": {
        "displayName": "displayname name title cn",
        "externalId": "externalid groupid gid",
        "description": "description beschreibung about",
    },
    "Post": {
        "content": "content text body message inhalt",
        "name": "name title subject headline titel betreff",
        "summary": "summary abstract teaser",
        "language": "language lang sprache",
        "url": "url link permalink",
    },
}
_REQUIRED: Final = {"Person": "userName", "Group": "displayName", "Post": "content"}
_PLAIN: Final = frozenset({"text", "int"})
_READS: Final = frozenset({"CanScan", "CanFollow"})
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_MOST: Final = 3


def from_streams(
    streams: Sequence[Stream], found: Suggestions, translated: Collection[str] = ()
) -> Iterator[Suggestion]:
    """Entity and translator of streams for which ``discover`` said neither.

    Args:
        streams: As the adapter describes them.
        found: What it suggests by itself.
        translated: Local names of streams that have a translator already.
    """
    said = {each.stream for each in found.items if each.setting in _SAID}
    for stream in streams:
        if stream.name in said:
            continue
        if stream.suggested:
            yield from _own(stream)
        elif not stream.native and stream.name not in translated:
            yield from _by_names(stream)


_SAID: Final = frozenset(
    {"entity", "translator.entity", "translator", "translator.fields"}
)


def _own(stream: Stream) -> Iterator[Suggestion]:
    reason, table = "well-known names", dict(stream.suggested)
    if stream.entity:
        yield Suggestion("entity", stream.entity, 1.0, reason, stream.name)
    yield Suggestion("translator", table, 1.0, reason, stream.name)


def _by_names(stream: Stream) -> Iterator[Suggestion]:
    entity, sure, why = _entity_of(stream)
    table = _matched(stream, entity)
    yield Suggestion("entity", entity, sure, why, stream.name)
    yield from _fields(stream, entity, table)
    for each in stream.fields:
        if each.name not in table.values() and each.name not in stream.key:
            reason = "no path is clear, and what is not named never leaves"
            if _needed(stream, each):
                reason = "no path is clear, and a create needs it"
            yield _line({PLACE: each.name}, 0.0, reason, stream)


def _fields(stream: Stream, entity: str, table: dict[str, str]) -> Iterator[Suggestion]:
    for path, name in table.items():
        yield _line({path: name}, 0.9, "its name", stream)
    key = next((f for f in stream.fields if (f.name,) == tuple(stream.key)), None)
    needed = _REQUIRED.get(entity)
    if key is None or key.name in table.values():
        return
    if needed is None or needed in table:
        yield _of_key(stream, key, entity, table)
    elif key.writable:
        yield _line({needed: key.name}, 0.8, "the key", stream)
    else:
        reason = "the key; the system chooses it, so only to read from there"
        yield _line({needed: key.name}, 0.5, reason, stream)


def _of_key(
    stream: Stream, key: Field, entity: str, table: dict[str, str]
) -> Suggestion:
    """A create must bring along a key that the target does not give out."""
    if not _needed(stream, key):
        return _line({PLACE: key.name}, 0.0, "the key needs no translation", stream)
    free = "externalId" in _WORDS.get(entity, {}) and "externalId" not in table
    if free:
        reason = "the key, which the writer chooses"
        return _line({"externalId": key.name}, 0.9, reason, stream)
    return _line({PLACE: key.name}, 0.0, "the key, and a create needs it", stream)


def _needed(stream: Stream, field: Field) -> bool:
    return "CanWrite" in stream.abilities and field.required and field.writable


def _line(
    row: dict[str, Any], confidence: float, reason: str, stream: Stream
) -> Suggestion:
    return Suggestion("translator", row, confidence, reason, stream.name)


def _entity_of(stream: Stream) -> tuple[str, float, str]:
    if stream.entity:
        return stream.entity, 1.0, "the adapter says so"
    paths = _matched(stream, "Person").keys()
    if paths >= {"name.givenName", "name.familyName"}:
        return "Person", 0.9, "names of its fields"
    return "Person", 0.3 if paths else 0.0, "what its records are: choose one"


def _matched(stream: Stream, entity: str) -> dict[str, str]:
    """Entity path -> field, where the field's name is a well-known one."""
    paths = {
        word: path
        for path, words in _WORDS.get(entity, {}).items()
        for word in words.split()
    }
    found: dict[str, str] = {}
    for each in stream.fields:
        path = paths.get(_plain(each.name))
        if path is not None and _fits(each, path):
            found.setdefault(path, each.name)
    return found


def _fits(field: Field, path: str) -> bool:
    if field.multi:
        return False
    return field.type == "bool" if path == "active" else field.type in _PLAIN


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold().translate(_UMLAUTS))


@dataclass(frozen=True, slots=True)
class FlowIdea:
    """A flow that could be configured.

    Args:
        name: For ``[flows.NAME]``.
        source: Address it would read.
        target: Address it would write; its system may be `OTHER`.
        either: It could as well be the other way round.
    """

    name: str
    source: str
    target: str
    either: bool = False


def flow_ideas(
    file: PartlyRead, system: str, abilities: dict[str, frozenset[str] | None]
) -> Iterator[FlowIdea]:
    """A flow for each stream of a system that no flow names yet; three at most.

    Args:
        file: What the configuration says so far.
        system: Name of the system.
        abilities: Local stream name -> what it can do; None where nobody knows yet.
    """
    free = [name for name in abilities if f"{system}/{name}" not in file.ends]
    for name in free[:_MOST]:
        own, able = f"{system}/{name}", abilities[name]
        other = _other_end(file, system, name)
        taken = name.lower() in file.config.flows
        flow = f"{system}-{name}".lower() if taken else name.lower()
        writes = able is not None and "CanWrite" in able
        if writes and able is not None and not _READS & able:
            yield FlowIdea(flow, other, own)
        else:
            yield FlowIdea(flow, own, other, either=writes)


def _other_end(file: PartlyRead, system: str, name: str) -> str:
    others = [a for a in file.streams if a.partition("/")[0] != system]
    alike = [a for a in others if a.partition("/")[2] == name]
    best = alike or (others if len(others) == 1 else [])
    if best:
        return best[0]
    systems = [each for each in file.systems if each != system]
    return f"{systems[0] if len(systems) == 1 else OTHER}/{name}"
