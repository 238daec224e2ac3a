"""A translator's proposal from field names alone. Pure.

The words are the usual column headings of German and English personnel exports; a name
is compared without case, umlauts and separators.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "externalId": (
        "persnr", "personalnr", "personalnummer", "pernr", "employeeid", "empid",
        "empno", "employeenumber", "personid", "mitarbeiternr", "staffid", "id",
    ),
    "userName": (
        "login", "loginname", "username", "benutzer", "benutzername", "userid",
        "account", "kennung", "uid",
    ),
    "name.givenName": ("vorname", "givenname", "firstname", "rufname"),
    "name.familyName": (
        "nachname", "familienname", "familyname", "lastname", "surname", "name",
    ),
    "displayName": ("displayname", "anzeigename", "fullname", "vollername"),
    "emails[type=work].value": ("email", "mail", "emailadresse", "emailaddress"),
    "phoneNumbers[type=work].value": (
        "telefon", "telefonnummer", "phone", "phonenumber", "telnr", "tel", "durchwahl",
    ),
    "phoneNumbers[type=mobile].value": ("mobil", "handy", "mobile", "mobilephone"),
    "title": ("titel", "jobtitle", "position", "funktion", "stelle", "title"),
    "active": ("aktiv", "active", "isactive", "enabled"),
    "enterprise.department": ("abteilung", "department", "dept", "abtnr", "deptno"),
    "enterprise.costCenter": ("kostenstelle", "costcenter", "kst"),
}  # fmt: skip
_BY_NAME: Final = {
    word: path for path, words in reversed(SYNONYMS.items()) for word in words
}
_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})
_PERSON: Final = frozenset({"name.givenName", "name.familyName"})
_KEYS: Final = frozenset({"externalId", "userName"})
_ACTIONS: Final = frozenset({
    "action", "aktion", "operation", "op", "aenderungsart", "satzart", "changetype",
    "kz",
})  # fmt: skip


def plain(name: str) -> str:
    """A name without case, umlauts and separators."""
    return re.sub(r"[^a-z0-9]", "", name.casefold().translate(_UMLAUTS))


def path_of(name: str) -> str | None:
    """The entity path that a field's name points to."""
    return _BY_NAME.get(plain(name))


def suggested_fields(fields: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A translator's ``fields`` table for (name, type) pairs: path -> field."""
    found: dict[str, Any] = {}
    for name, kind in fields:
        path = path_of(name)
        fits = kind == "bool" if path == "active" else kind in ("text", "int")
        if path and fits:
            found.setdefault(path, name)
    return found if _PERSON & found.keys() else {}


def entity_of(names: Sequence[str]) -> tuple[str | None, float]:
    """Canonical type that the field names point to, and how sure that is."""
    paths = {path_of(name) for name in names} - {None}
    if len(paths & _PERSON) and paths & (_KEYS | {"emails[type=work].value"}):
        return "Person", min(0.95, 0.6 + 0.05 * len(paths))
    return None, 0.0


def is_action(name: str) -> bool:
    """Whether a column's name says that it holds what happened to a record."""
    return plain(name) in _ACTIONS


def is_key(name: str) -> bool:
    """Whether a column's name is usual for an identity."""
    return path_of(name) in _KEYS
