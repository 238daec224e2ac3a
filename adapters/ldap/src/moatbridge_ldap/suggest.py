"""Suggestions: which streams a directory could have, and how they translate. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moatbridge.adapter import Suggestion
from moatbridge_ldap import dn as names

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator

    from moatbridge_ldap.schema import Schema
    from moatbridge_ldap.shape import Column, Shape

PERSON: Final = {
    "userName": ("sAMAccountName", "uid"),
    "name.givenName": ("givenName",),
    "name.familyName": ("sn",),
    "displayName": ("displayName", "cn"),
    "emails": ("mail",),
    "phoneNumbers[type=work].value": ("telephoneNumber",),
    "phoneNumbers[type=mobile].value": ("mobile",),
    "title": ("title",),
    "preferredLanguage": ("preferredLanguage",),
    "enterprise.employeeNumber": ("employeeNumber", "employeeID"),
    "enterprise.department": ("department", "departmentNumber"),
    "enterprise.manager": ("manager",),
}
REFERENCES: Final = frozenset({"enterprise.manager", "members"})
GROUP: Final = {"displayName": ("cn",), "members": ("member", "uniqueMember")}
PEOPLE_CLASSES: Final = ("user", "inetorgperson", "person")
GROUP_CLASSES: Final = ("group", "groupofnames", "groupofuniquenames")
SAMPLE: Final = 50


class Kind(NamedTuple):
    """A kind of stream: its name, entity, object classes and translation."""

    stream: str
    entity: str
    classes: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]


KINDS: Final = (
    Kind("people", "Person", PEOPLE_CLASSES, PERSON),
    Kind("groups", "Group", GROUP_CLASSES, GROUP),
)


def kind_of(shape: Shape) -> Kind | None:
    """What a configured stream looks like, judged by its fields."""
    if shape.column("member") or shape.column("uniqueMember"):
        return KINDS[1]
    if shape.column("sn") or shape.column("givenName") or shape.column("mail"):
        return KINDS[0]
    return None


def translator(shape: Shape) -> dict[str, Any]:
    """A translator's ``fields`` table for the stream, of the fields it has."""
    kind = kind_of(shape)
    if kind is None:
        return {}
    table = {}
    for path, candidates in kind.fields.items():
        column = next(filter(None, map(shape.column, candidates)), None)
        source = None if column is None else _source(path, column)
        if source is not None:
            table[path] = source
    return table


def _source(path: str, column: Column) -> Any:
    """A translator's source; None where the settings do not name the other stream."""
    if path in REFERENCES:
        if column.to is None:
            return None
        kind = "each" if path == "members" else "from"
        return {kind: column.name, "ref": column.to, "by": "name"}
    if path == "emails":
        return {"each": column.name, "type": "work"}
    return {"from": column.name, "pick": "min"} if column.multi else column.name


class Sample(NamedTuple):
    """Entries of one kind found under one naming context.

    Args:
        kind: Which.
        dns: Their names; at most 50.
        classes: Object class -> how many have it.
        filled: Attribute in lower case -> how many have it.
        more: Whether there are more than 50.
    """

    kind: Kind
    dns: tuple[str, ...]
    classes: Counter[str]
    filled: Counter[str]
    more: bool


def streams(samples: Iterable[Sample], schema: Schema) -> Iterator[Suggestion]:
    """Bases, filter and fields for each kind of entry that was found."""
    for sample in samples:
        if not sample.dns:
            continue
        stream = sample.kind.stream
        count = f"more than {SAMPLE}" if sample.more else str(len(sample.dns))
        base = container(sample.dns)
        yield Suggestion(
            "bases", [{"dn": base}], 0.9, f"{count} entries lie there", stream
        )
        chosen = _class(sample)
        yield Suggestion(
            "filter", f"(objectClass={chosen})", 0.9, "all of them have it", stream
        )
        yield Suggestion(
            "fields", _fields(sample, schema), 0.8, "filled in the sample", stream
        )


def container(dns: Iterable[str]) -> str:
    """The deepest DN that lies above all of these."""
    parsed = [names.parse(dn)[1:] for dn in dns]
    shortest = min(parsed, key=len)
    for cut in range(len(shortest) + 1):
        candidate = shortest[cut:]
        mine = names.normal(candidate)
        if all(names.is_under(names.normal(dn), mine) for dn in parsed):
            return names.build(candidate)
    return ""


def _class(sample: Sample) -> str:
    lowered = {name.lower(): name for name in sample.classes}
    for name in sample.kind.classes:
        if sample.classes[lowered.get(name, "")] == len(sample.dns):
            return lowered[name]
    return sample.kind.classes[-1]


def _fields(sample: Sample, schema: Schema) -> list[Any]:
    found: list[Any] = []
    for path, candidates in sample.kind.fields.items():
        name = next((n for n in candidates if sample.filled[n.lower()]), None)
        if name is None or not schema.has(name):
            continue
        if path in REFERENCES:
            found.append({"attribute": name, "type": "reference", "to": "people"})
        elif name not in found:
            found.append(name)
    return found
