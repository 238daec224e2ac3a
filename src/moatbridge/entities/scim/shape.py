"""Whole resources: entity -> SCIM JSON for a create or PUT, and back for a read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.scim.names import (
    DESCRIPTIVE,
    ENTERPRISE,
    ENTERPRISE_TEXTS,
    FROM_MEMBER_TYPE,
    LISTS,
    NAME,
    SCHEMA_OF,
    TEXTS,
    TO_MEMBER_TYPE,
    Kind,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUTH: Final = {"true": True, "false": False}


def to_scim(entity: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The SCIM resource of an entity, as a create or a PUT sends it.

    None, empty lists and cleared slots are left out (entities 17); so are read-only
    members, and extensions whose name is not a URN, which SCIM cannot carry.

    Raises:
        ValueError: A member has the wrong shape; names the member, never the value.
    """
    found: dict[str, Any] = {"schemas": [SCHEMA_OF[kind]]}
    for name in TEXTS[kind]:
        if entity.get(name) is not None:
            found[name] = entity[name]
    for name in LISTS[kind]:
        if entries := list_to_scim(name, entity.get(name)):
            found[name] = entries
    if kind == "Person":
        _person_to_scim(entity, found)
    for urn, members in _object("extensions", entity.get("extensions")).items():
        if urn.startswith("urn:"):
            _add_extension(found, urn, _without_none(_object(urn, members)))
    return found


def list_to_scim(name: str, entries: Any) -> list[dict[str, Any]]:
    """The entries of a multi-valued attribute, without cleared slots."""
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise _wrong(name, "a list")
    made = [entry_to_scim(name, entry) for entry in entries]
    return [entry for entry in made if not set(entry) <= DESCRIPTIVE]


def entry_to_scim(name: str, entry: Any) -> dict[str, Any]:
    """One entry, without members that are None."""
    made = _without_none(_object(name, entry))
    if name == "members" and "type" in made:
        made["type"] = TO_MEMBER_TYPE.get(made["type"], made["type"])
    return made


def manager_to_scim(manager: str) -> dict[str, Any]:
    """The enterprise extension's manager, an object on the wire."""
    return {"value": manager}


def from_scim(resource: Any, kind: Kind) -> dict[str, Any]:
    """The entity of a SCIM resource that a peer sent.

    Attribute names are compared without case and come out in RFC 7643's spelling.
    What an entity does not hold is dropped: ``groups``, passwords, certificates,
    ``$ref``. Null is unassigned (RFC 7643 2.5) and left out. Extensions other than the
    enterprise one stand under ``extensions`` by their URN.

    Raises:
        ValueError: Not a resource of that kind; names the member, never the value.
    """
    given = _folded("resource", resource)
    found: dict[str, Any] = {}
    for name in TEXTS[kind]:
        _put(found, name, _text(name, given.get(name.lower())))
    for name, members in LISTS[kind].items():
        if (entries := given.get(name.lower())) is not None:
            found[name] = _list(name, members, entries)
    if kind == "Person":
        _person_from_scim(given, found)
    _extensions_from_scim(given, found)
    meta = _folded("meta", given.get("meta"))
    _put(found, "created", utc_text(meta.get("created")))
    _put(found, "updated", utc_text(meta.get("lastmodified")))
    return found


def _person_to_scim(entity: Mapping[str, Any], found: dict[str, Any]) -> None:
    if entity.get("active") is not None:
        found["active"] = entity["active"]
    if name := _without_none(_object("name", entity.get("name"))):
        found["name"] = name
    enterprise = _without_none(_object("enterprise", entity.get("enterprise")))
    if "manager" in enterprise:
        enterprise["manager"] = manager_to_scim(enterprise["manager"])
    _add_extension(found, ENTERPRISE, enterprise)


def _add_extension(found: dict[str, Any], urn: str, members: dict[str, Any]) -> None:
    if members:
        found[urn] = members
        found["schemas"].append(urn)


def _person_from_scim(given: Mapping[str, Any], found: dict[str, Any]) -> None:
    _put(found, "active", _truth("active", given.get("active")))
    name = _folded("name", given.get("name"))
    parts = {part: _text(f"name.{part}", name.get(part.lower())) for part in NAME}
    _put(found, "name", _without_none(parts) or None)
    enterprise = _folded("enterprise", given.get(ENTERPRISE.lower()))
    texts = {
        text: _text(f"enterprise.{text}", enterprise.get(text.lower()))
        for text in ENTERPRISE_TEXTS
    }
    texts["manager"] = _manager(enterprise.get("manager"))
    _put(found, "enterprise", _without_none(texts) or None)


def _extensions_from_scim(given: Mapping[str, Any], found: dict[str, Any]) -> None:
    # Keys below an unknown URN keep the peer's spelling: there is no other.
    extensions = {
        urn: _without_none(members)
        for urn, members in given.items()
        if urn.startswith("urn:")
        and urn != ENTERPRISE.lower()
        and isinstance(members, dict)
    }
    _put(found, "extensions", {u: m for u, m in extensions.items() if m} or None)


def _manager(value: Any) -> str | None:
    # Some peers send the bare id, as Microsoft Entra does in a PATCH.
    if isinstance(value, dict):
        value = _folded("enterprise.manager", value).get("value")
    return _text("enterprise.manager", value) or None


def _list(name: str, members: tuple[str, ...], entries: Any) -> list[dict[str, Any]]:
    if isinstance(entries, dict):
        entries = [entries]
    if not isinstance(entries, list):
        raise _wrong(name, "a list")
    return [_entry(name, members, _folded(name, entry)) for entry in entries]


def _entry(
    name: str, members: tuple[str, ...], given: Mapping[str, Any]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in members:
        value = given.get(member.lower())
        where = f"{name}.{member}"
        read = _truth(where, value) if member == "primary" else _text(where, value)
        _put(found, member, read)
    if name == "members":
        _put(found, "type", _member_type(given))
    return found


def _member_type(given: Mapping[str, Any]) -> str | None:
    told = given.get("type")
    if isinstance(told, str):
        return FROM_MEMBER_TYPE.get(told.lower(), told)
    link = given.get("$ref")
    if isinstance(link, str) and "/" in link:
        return FROM_MEMBER_TYPE.get(link.rsplit("/", 2)[-2].lower().removesuffix("s"))
    return None


def _folded(name: str, value: Any) -> dict[str, Any]:
    return {key.lower(): item for key, item in _object(name, value).items()}


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, "an object")
    return value


def _without_none(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise _wrong(name, "text")


def _truth(name: str, value: Any) -> bool | None:
    # "True" and "False" as text come from several well-known peers.
    if isinstance(value, str) and value.lower() in _TRUTH:
        return _TRUTH[value.lower()]
    if value is None or isinstance(value, bool):
        return value
    raise _wrong(name, "true or false")


def utc_text(value: Any) -> str | None:
    """A moment as entities write it; None for what is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if _is_written_so(value):
        return value
    if moment.tzinfo is None:
        return None
    if moment.tzinfo is not UTC:
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:  # before the first or after the last year
            return None
    text = moment.isoformat()[: -len("+00:00")]
    return (text.rstrip("0") if "." in text else text) + "Z"


def _is_written_so(moment: str) -> bool:
    """Whether a readable moment is written as entities write it, without a fraction."""
    return (
        len(moment) == len("2026-01-31T12:00:00Z")
        and moment[19] == "Z"
        and moment[10] == "T"
        and moment[4] == moment[7] == "-"
        and moment[13] == moment[16] == ":"
        and moment[11:13] != "24"
    )


def _put(found: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        found[name] = value


def _wrong(name: str, expected: str) -> ValueError:
    return ValueError(f"{name} is not {expected}")
