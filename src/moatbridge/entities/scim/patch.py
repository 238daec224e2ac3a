"""An update as PATCH operations: only the owned paths, only where they differ.

A cleared value becomes ``remove`` (peers differ on ``replace`` with null). A slot
becomes ``emails[type eq "work"].value``, or ``add`` of the whole entry where the target
has none, because a filter without match is refused with ``noTarget``. A membership
becomes its difference. Source: RFC 7644 3.5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities.scim import slots
from moatbridge.entities.scim.names import (
    ENTERPRISE,
    LISTS,
    PATCH_OP,
    READ_ONLY,
    Kind,
)
from moatbridge.entities.scim.owned import OwnedPath, parse_owned
from moatbridge.entities.scim.shape import (
    entry_to_scim,
    list_to_scim,
    manager_to_scim,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Operation = dict[str, Any]


def patch_operations(
    before: Mapping[str, Any],
    record: Mapping[str, Any],
    owned: Sequence[str],
    kind: Kind,
) -> list[Operation]:
    """The operations that turn ``before`` into what the intent wants.

    Args:
        before: The target's entity as it is now; what it lacks is added.
        record: The intent's record: absent says nothing, None clears.
        owned: ``Intent.owned``; anything else is left alone. Owning a whole list or
            object also owns what is missing from it.
        kind: ``Person`` or ``Group``.

    Returns:
        Operations in an order that any server may apply; empty if nothing differs.

    Raises:
        ValueError: An owned path or a member of the record has the wrong shape.
    """
    found: list[Operation] = []
    grouped: dict[tuple[str, str, str], set[str]] = {}
    for path in map(parse_owned, owned):
        if path.field in READ_ONLY or path.field not in record:
            continue
        if path.key:
            slot = grouped.setdefault((path.field, path.key, path.value), set())
            slot.update(path.below[:1] or {""})
        else:
            found += _plain(before, record, path, kind)
    for (field, key, value), members in grouped.items():
        found += _slot(before, record, (field, key, value), members - {""})
    return found


def patch_bodies(
    operations: Sequence[Operation], members_per_patch: int
) -> list[dict[str, Any]]:
    """Bodies of the PATCH requests, in order.

    Args:
        operations: From `patch_operations`.
        members_per_patch: Membership operations that one request may hold; an ``add``
            counts each of its entries.
    """
    rest = [op for op in operations if not op["path"].startswith("members")]
    chunks = [rest] if rest else []
    chunks += _member_chunks(operations, members_per_patch)
    return [{"schemas": [PATCH_OP], "Operations": chunk} for chunk in chunks]


def _member_chunks(
    operations: Sequence[Operation], size: int
) -> Iterator[list[Operation]]:
    removed = [op for op in operations if op["path"].startswith("members[")]
    for start in range(0, len(removed), size):
        yield removed[start : start + size]
    for op in operations:
        if op["path"] != "members":
            continue
        if op["op"] != "add":
            yield [op]
            continue
        for start in range(0, len(op["value"]), size):
            yield [op | {"value": op["value"][start : start + size]}]


def _plain(
    before: Mapping[str, Any], record: Mapping[str, Any], path: OwnedPath, kind: Kind
) -> list[Operation]:
    field, have, want = path.field, before.get(path.field), record[path.field]
    if field == "members" and kind == "Group":
        return _members(have, want)
    if field in LISTS[kind]:
        return _whole_list(field, have, want)
    if field == "extensions":
        return _extensions(have, want, path.below)
    if field == "enterprise":
        return _object(f"{ENTERPRISE}:", have, want, path.below)
    if field == "name":
        return _object("name.", have, want, path.below)
    return _single(field, have, want)


def _single(path: str, have: Any, want: Any) -> list[Operation]:
    if want is None:
        return [] if have is None else [{"op": "remove", "path": path}]
    if have == want:
        return []
    op = "add" if have is None else "replace"
    return [{"op": op, "path": path, "value": want}]


def _object(
    prefix: str, have: Any, want: Any, below: tuple[str, ...]
) -> list[Operation]:
    if have.__class__ is dict and have == want:
        return []
    have, want = _mapping(prefix, have), _mapping(prefix, want)
    names = [below[0]] if below else sorted({**have, **want})
    found: list[Operation] = []
    for name in names:
        if below and name not in want:
            continue
        old, new = have.get(name), want.get(name)
        if prefix.startswith(ENTERPRISE) and name == "manager":
            old = old and manager_to_scim(old)
            new = new and manager_to_scim(new)
        found += _single(prefix + name, old, new)
    return found


def _extensions(have: Any, want: Any, below: tuple[str, ...]) -> list[Operation]:
    have, want = _mapping("extensions", have), _mapping("extensions", want)
    names = [below[0]] if below else sorted({**have, **want})
    found: list[Operation] = []
    for urn in names:
        if urn.startswith("urn:") and (urn in want or not below):
            found += _object(f"{urn}:", have.get(urn), want.get(urn), below[1:])
    return found


def _whole_list(field: str, have: Any, want: Any) -> list[Operation]:
    old, new = list_to_scim(field, have), list_to_scim(field, want)
    if sorted(map(_canonical, old)) == sorted(map(_canonical, new)):
        return []
    if not new:
        return [{"op": "remove", "path": field}]
    return [{"op": "replace" if old else "add", "path": field, "value": new}]


def _members(have: Any, want: Any) -> list[Operation]:
    old = {entry["value"] for entry in list_to_scim("members", have)}
    new = {entry["value"]: entry for entry in list_to_scim("members", want)}
    if old and not new:
        return [{"op": "remove", "path": "members"}]
    gone = sorted(old - new.keys())
    found: list[Operation] = [
        {"op": "remove", "path": f"members[value eq {slots.quoted(value)}]"}
        for value in gone
    ]
    if added := [entry for value, entry in new.items() if value not in old]:
        found.append({"op": "add", "path": "members", "value": added})
    return found


def _slot(
    before: Mapping[str, Any],
    record: Mapping[str, Any],
    slot: tuple[str, str, str],
    members: set[str],
) -> list[Operation]:
    field, key, value = slot
    want = slots.find(record[field], key, value)
    if want is None:
        return []
    have = slots.find(before.get(field), key, value)
    after = slots.changed(have, want, key, members)
    if have is None:
        entry = entry_to_scim(field, {key: slots.selected(key, value), **after})
        return [{"op": "add", "path": field, "value": [entry]}] if after else []
    if not after:
        # Clearing takes every entry of that kind, else a repeat would eat the next.
        where = f"{field}[{slots.filter_of(key, value)}]"
        return [{"op": "remove", "path": where}]
    where = f"{field}[{slots.path_filter(before.get(field), have, key, value)}]"
    names = sorted((have.keys() | after.keys()) - {key})
    found: list[Operation] = []
    for name in names:
        found += _single(f"{where}.{name}", have.get(name), after.get(name))
    return found


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{where.rstrip('.:')} is not an object")  # noqa: TRY004 - data, not code, is wrong
    return value


def _canonical(entry: Mapping[str, Any]) -> str:
    return repr(sorted(entry.items()))
