"""What a record becomes when an intent's owned paths are set: for peers without PATCH.

The same meaning as `moatbridge.entities.scim.patch`, computed on the entity instead of
as operations; the tests hold one against the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.entities.scim import slots
from moatbridge.entities.scim.names import LISTS, READ_ONLY, Kind
from moatbridge.entities.scim.owned import OwnedPath, parse_owned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def merged(
    before: Mapping[str, Any],
    record: Mapping[str, Any],
    owned: Sequence[str],
    kind: Kind,
) -> dict[str, Any]:
    """The entity after the update; arguments as in `patch_operations`."""
    after = dict(before)
    seen: dict[tuple[str, str, str], set[str]] = {}
    for path in map(parse_owned, owned):
        if path.field in READ_ONLY or path.field not in record:
            continue
        if path.key:
            members = seen.setdefault((path.field, path.key, path.value), set())
            members.update(path.below[:1] or {""})
        elif path.below and path.field not in LISTS[kind]:
            _set_below(after, record, path)
        else:
            _set(after, path.field, record[path.field])
    for (field, key, value), members in seen.items():
        entries = _with_slot(after, record, (field, key, value), members - {""})
        _set(after, field, entries)
    return after


def _set(after: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        after.pop(name, None)
    else:
        after[name] = value


def _set_below(
    after: dict[str, Any], record: Mapping[str, Any], path: OwnedPath
) -> None:
    target, source = after, record
    names = (path.field, *path.below)
    for name in names[:-1]:
        inner = source.get(name)
        if not isinstance(inner, dict):
            return
        source = inner
        target[name] = dict(target.get(name) or {})
        target = target[name]
    if names[-1] in source:
        _set(target, names[-1], source[names[-1]])


def _with_slot(
    after: Mapping[str, Any],
    record: Mapping[str, Any],
    slot: tuple[str, str, str],
    members: set[str],
) -> list[Any]:
    field, key, value = slot
    entries = list(after.get(field) or ())
    want = slots.find(record[field], key, value)
    if want is None:
        return entries
    have = slots.find(entries, key, value)
    entry = slots.changed(have, want, key, members)
    if have is not None and not entry:
        return [item for item in entries if not slots.matches(item, key, value)]
    if entry:
        entry = {key: slots.selected(key, value)} | entry
    if have is None:
        return [*entries, entry] if entry else entries
    at = next(index for index, item in enumerate(entries) if item is have)
    entries[at] = entry
    return entries
