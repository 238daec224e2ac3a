"""Proposals for `discover` and for a stream's translator, from names alone. Pure.

The synonyms are the usual column names of German and English personnel systems; a
name is compared without case, umlauts and separators.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.adapter import Suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge_sql._database import Overview
    from moatbridge_sql._schema import Column, Table

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "externalId": (
        "persnr", "personalnr", "personalnummer", "pernr", "employeeid", "empid",
        "empno", "personid", "mitarbeiternr", "mitarbeiternummer", "staffid",
    ),
    "userName": (
        "login", "loginname", "username", "benutzer", "benutzername", "userid",
        "account", "konto", "kennung", "uid",
    ),
    "name.givenName": ("vorname", "givenname", "firstname", "rufname", "fname"),
    "name.familyName": (
        "nachname", "familienname", "familyname", "lastname", "surname", "zuname",
        "lname",
    ),
    "displayName": ("displayname", "anzeigename", "fullname", "vollername"),
    "emails[type=work].value": ("email", "mail", "emailadresse", "emailaddress"),
    "phoneNumbers[type=work].value": (
        "telefon", "telefonnummer", "phone", "phonenumber", "telnr", "tel", "durchwahl",
    ),
    "phoneNumbers[type=mobile].value": ("mobil", "handy", "mobile", "mobilephone"),
    "title": ("titel", "jobtitle", "position", "funktion", "stelle", "title"),
    "active": ("aktiv", "active", "isactive", "enabled", "istaktiv"),
    "enterprise.department": (
        "abteilung", "department", "dept", "abtnr", "deptno", "abteilungsnr",
    ),
    "enterprise.costCenter": ("kostenstelle", "costcenter", "kst"),
    "enterprise.employeeNumber": ("personalnummer", "employeenumber"),
}  # fmt: skip
_BY_NAME: Final = {
    word: path for path, words in reversed(SYNONYMS.items()) for word in words
}
_CURSORS: Final = frozenset({
    "geaendert", "geandert", "aenderung", "aenderungsdatum", "modified", "modifiedat",
    "updated", "updatedat", "lastmodified", "changed", "changedat", "stand", "aedat",
    "modifiedon", "lastupdate", "mtime", "timestamp",
})  # fmt: skip
_DELETED: Final = frozenset({
    "geloescht", "geloscht", "deleted", "isdeleted", "loeschkz", "loeschkennzeichen",
})  # fmt: skip
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_PERSON: Final = frozenset({"name.givenName", "name.familyName"})


def plain(name: str) -> str:
    """A name without case, umlauts and separators."""
    return re.sub(r"[^a-z0-9]", "", name.casefold().translate(_UMLAUTS))


def suggested_fields(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A translator's ``fields`` table for (name, type) pairs: path -> column."""
    found: dict[str, Any] = {}
    for name, kind in fields:
        path = _BY_NAME.get(plain(name))
        fits = kind == "bool" if path == "active" else kind in ("text", "int")
        if path and fits:
            found.setdefault(path, name)
    return found if _PERSON & found.keys() else {}


def entity_of(names: Sequence[str]) -> tuple[str | None, float]:
    """Canonical type that the column names point to, and how sure that is."""
    paths = {_BY_NAME.get(plain(name)) for name in names} - {None}
    if paths >= _PERSON:
        return "Person", min(0.95, 0.7 + 0.05 * len(paths))
    return ("Person", 0.6) if paths & _PERSON else (None, 0.0)


def suggestions(found: Overview, stream: str) -> Iterator[Suggestion]:
    """Settings for one table or view."""
    table = found.table
    names = [column.name for column in table.columns]
    full = f"{table.schema}.{table.name}" if table.schema else table.name
    kind, sure = entity_of(names)
    size = "" if found.estimate is None else f", about {found.estimate} rows"
    what = "view" if table.view else "table"
    yield Suggestion("table", full, 0.9, f"a {what}{size}", stream)
    safe = [c.name for c in table.columns if c.kind not in ("bytes", "any")]
    yield Suggestion("fields", safe, max(sure, 0.5), "every plain column", stream)
    yield from _key(table, stream)
    yield from _cursor(table, stream)
    for column in table.columns:
        if plain(column.name) in _DELETED:
            value: Any = True if column.kind == "bool" else 1
            yield Suggestion(
                "deleted", {"column": column.name, "value": value}, 0.5, "name", stream
            )
    if kind:
        yield Suggestion("entity", kind, sure, "column names", stream)
        pairs = [
            (c.name, "text" if c.kind == "char" else c.kind) for c in table.columns
        ]
        yield Suggestion("translator", suggested_fields(pairs), sure, "names", stream)
    for column_name, (other, theirs) in found.references.items():
        yield Suggestion(
            f"lookups.{column_name}",
            {"table": other, "on": {column_name: theirs}},
            0.4,
            "foreign key (look-ups are read by a view today)",
            stream,
        )


def _key(table: Table, stream: str) -> Iterator[Suggestion]:
    if table.primary_key:
        key = list(table.primary_key)
        yield Suggestion("key", key, 1.0, "primary key", stream)
    elif table.uniques:
        yield Suggestion("key", list(table.uniques[0]), 0.7, "unique index", stream)
    else:
        yield Suggestion("key", [], 0.0, "no unique key: name the columns", stream)


def _cursor(table: Table, stream: str) -> Iterator[Suggestion]:
    best = max(table.columns, key=lambda c: _cursor_score(table, c), default=None)
    sure = _cursor_score(table, best) if best else 0.0
    if best and sure:
        reasons = ["type and name"]
        reasons += [] if table.indexed(best.name) else ["no index: slow polls"]
        reasons += ["may be NULL: such rows are unseen"] if best.nullable else []
        reason = "; ".join(reasons)
        yield Suggestion("cursor_column", best.name, sure, reason, stream)


def _cursor_score(table: Table, column: Column) -> float:
    if column.kind not in ("datetime", "zoned"):
        return 0.0
    named = plain(column.name) in _CURSORS
    score = (0.5 if named else 0.0) + (0.2 if column.default else 0.0)
    score += 0.2 if table.indexed(column.name) else 0.0
    return score - (0.1 if column.nullable else 0.0) if score >= 0.5 else 0.0  # noqa: PLR2004 - a name, or default and index
