"""What the names of fields say about their meaning: pure.

The one list of words behind every suggestion: of `discover`, of adapters that find
tables or files, and of those that describe their own streams. A name is compared
without case, umlauts and separators. The words are the usual ones of German and English
personnel systems, directories and exports.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter.streams import Suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from moatbridge.adapter.streams import Field, Stream

PLACE: Final = "PATH"
"""Stands where a person must name an entity path."""

_WORDS: Final[dict[str, dict[str, str]]] = {
    "Person": {
        "userName": "username login loginname uid userid account konto benutzer "
        "benutzername kennung",
        "externalId": "externalid personid employeeid empid empno pernr persnr "
        "personalnr personalnummer mitarbeiternr mitarbeiternummer staffid",
        "name.givenName": "givenname given firstname first fname vorname rufname",
        "name.familyName": "familyname family lastname last lname surname sn nachname "
        "familienname zuname",
        "displayName": "displayname name fullname fn cn anzeigename vollername",
        "emails[type=work].value": "email mail emailaddress emailadresse workmail",
        "phoneNumbers[type=work].value": "phone phonenumber telephone tel telefon "
        "telefonnummer telnr durchwahl",
        "phoneNumbers[type=mobile].value": "mobile mobil handy cell mobilephone",
        "title": "title jobtitle position titel funktion stelle",
        "active": "active enabled isactive aktiv istaktiv",
        "enterprise.department": "department dept deptno unit abteilung abteilungsnr "
        "abtnr office",
        "enterprise.organization": "organization organisation org company firma",
        "enterprise.costCenter": "costcenter kostenstelle kst",
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
_PATHS: Final = {
    entity: {word: path for path, words in rows.items() for word in words.split()}
    for entity, rows in _WORDS.items()
}
_REQUIRED: Final = {"Person": "userName", "Group": "displayName", "Post": "content"}
_PLAIN: Final = frozenset({"text", "int"})
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_GIVEN, _FAMILY = "name.givenName", "name.familyName"
_LOGIN, _MAIL, _SHOWN = "userName", "emails[type=work].value", "displayName"
_SURE: Final = 0.9
_LIKELY: Final = 0.85
_DOUBTFUL: Final = 0.6
_GUESSED: Final = 0.5
_MOST: Final = 0.95


def plain_name(name: str) -> str:
    """A name without case, umlauts and separators."""
    return re.sub(r"[^a-z0-9]", "", name.casefold().translate(_UMLAUTS))


def named_paths(fields: Iterable[Field], entity: str = "Person") -> dict[str, str]:
    """A translator's ``fields`` table, where a field's name is a well-known one.

    Args:
        fields: Of one stream; lists and values of other types than text and whole
            numbers are left out (but for ``active``, which is a truth value).
        entity: What its records are.

    Returns:
        Entity path -> name of the field; the first of several counts. What is only
        called ``name`` is a family name beside a given name that has no other.
    """
    paths = _PATHS.get(entity, {})
    found: dict[str, str] = {}
    for each in fields:
        path = paths.get(plain_name(each.name))
        if path is not None and _fits(each, path):
            found.setdefault(path, each.name)
    alone = entity == "Person" and _GIVEN in found and _FAMILY not in found
    if alone and plain_name(found.get(_SHOWN, "")) == "name":
        found[_FAMILY] = found.pop(_SHOWN)
    return found


def likely_entity(found: Collection[str]) -> tuple[str | None, float]:
    """What records are whose fields have names for these paths of a person.

    Args:
        found: Entity paths, as of `named_paths`.

    Returns:
        ``Person`` and how sure that is, from 0 to 1; None where nothing says so: an
        address alone does not make an order a person.
    """
    paths = set(found)
    if {_GIVEN, _FAMILY} <= paths:
        return "Person", min(_MOST, 0.7 + 0.05 * len(paths))
    if {_LOGIN, _MAIL} <= paths or (_LOGIN in paths and {_GIVEN, _FAMILY} & paths):
        return "Person", _LIKELY
    if {_GIVEN, _FAMILY} & paths:
        return "Person", _DOUBTFUL
    if len({_LOGIN, _MAIL, _SHOWN} & paths) > 1:
        return "Person", _GUESSED
    return None, 0.0


def suggested_for(fields: Collection[Field]) -> tuple[str | None, dict[str, str]]:
    """What a stream of its own columns says: `Stream.entity` and `Stream.suggested`.

    Nothing where it would be a guess (a name and an address, as companies have them).
    """
    found = named_paths(fields)
    entity, sure = likely_entity(found)
    return (entity, found) if sure >= _DOUBTFUL else (None, {})


def suggested_by_names(stream: Stream) -> Iterator[Suggestion]:
    """Entity and translator of a stream, from what it is called and what it holds.

    The fields whose meaning is clear make one suggestion; each of the others is told
    as a line that a person completes, since what is not named never leaves.
    """
    entity, sure, why = _entity_of(stream)
    table = named_paths(stream.fields, entity)
    lines = min(sure, _SURE)
    yield Suggestion("entity", entity, sure, why, stream.name)
    if table:
        yield _line(dict(table), lines, "its name", stream)
    yield from _of_key(stream, entity, table, lines)
    for each in stream.fields:
        if each.name not in table.values() and each.name not in stream.key:
            reason = "no path is clear, and what is not named never leaves"
            if _needed(stream, each):
                reason = "no path is clear, and a create needs it"
            yield _line({PLACE: each.name}, 0.0, reason, stream)


def _entity_of(stream: Stream) -> tuple[str, float, str]:
    if stream.entity:
        return stream.entity, 1.0, "the adapter says so"
    paths = named_paths(stream.fields)
    entity, sure = likely_entity(paths)
    if entity is not None and sure >= _LIKELY:
        return entity, sure, "names of its fields"
    return "Person", sure or (0.3 if paths else 0.0), "what its records are: choose one"


def _of_key(
    stream: Stream, entity: str, table: Mapping[str, str], sure: float
) -> Iterator[Suggestion]:
    key = next((f for f in stream.fields if (f.name,) == tuple(stream.key)), None)
    needed = _REQUIRED.get(entity)
    if key is None or key.name in table.values():
        return
    if needed is None or needed in table:
        yield _key_line(stream, key, entity, table, sure)
    elif key.writable:
        yield _line({needed: key.name}, min(sure, 0.8), "the key", stream)
    else:
        reason = "the key; the system chooses it, so only to read from there"
        yield _line({needed: key.name}, min(sure, 0.5), reason, stream)


def _key_line(
    stream: Stream, key: Field, entity: str, table: Mapping[str, str], sure: float
) -> Suggestion:
    """A create must bring along a key that the target does not give out."""
    if not _needed(stream, key):
        return _line({PLACE: key.name}, 0.0, "the key needs no translation", stream)
    free = "externalId" in _WORDS.get(entity, {}) and "externalId" not in table
    if free:
        reason = "the key, which the writer chooses"
        return _line({"externalId": key.name}, sure, reason, stream)
    return _line({PLACE: key.name}, 0.0, "the key, and a create needs it", stream)


def _needed(stream: Stream, field: Field) -> bool:
    return "CanWrite" in stream.abilities and field.required and field.writable


def _line(
    row: dict[str, Any], confidence: float, reason: str, stream: Stream
) -> Suggestion:
    return Suggestion("translator", row, confidence, reason, stream.name)


def _fits(field: Field, path: str) -> bool:
    if field.multi:
        return False
    return field.type == "bool" if path == "active" else field.type in _PLAIN
