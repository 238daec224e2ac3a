"""Slots of multi-valued attributes: which entry a selector means (entities 15)."""

from __future__ import annotations

import json
from typing import Any

from moatbridge.entities.scim.names import DESCRIPTIVE

Entry = dict[str, Any]


def matches(entry: Any, key: str, value: str) -> bool:
    """Whether a selector means this entry; text is compared without case."""
    if not isinstance(entry, dict):
        return False
    have = entry.get(key)
    if isinstance(have, bool):
        return have == (value.lower() == "true")
    return isinstance(have, str) and have.casefold() == value.casefold()


def find(entries: Any, key: str, value: str) -> Entry | None:
    """The first entry that the selector means."""
    for entry in entries or ():
        if matches(entry, key, value):
            found: Entry = entry
            return found
    return None


def selected(key: str, value: str) -> Any:
    """What a new entry holds under the selector's key."""
    return value.lower() == "true" if key == "primary" else value


def changed(have: Entry | None, want: Entry, key: str, members: set[str]) -> Entry:
    """The entry after the slot's members were set; empty if the slot was cleared.

    Args:
        have: The entry at the target, if there is one.
        want: The entry in the intent's record.
        key: The selector's key.
        members: Names the intent owns inside the entry; empty for all of it.
    """
    if not members:
        after = {k: v for k, v in want.items() if v is not None}
    else:
        after = dict(have or {})
        for name in members & want.keys():
            after[name] = want[name]
        after = {k: v for k, v in after.items() if v is not None}
    value_cleared = "value" in want and want["value"] is None
    owns_value = not members or "value" in members
    if (value_cleared and owns_value) or set(after) <= DESCRIPTIVE | {key}:
        return {}
    return after


def filter_of(key: str, value: str) -> str:
    """The value filter that means every entry of the selector (RFC 7644 3.5.2)."""
    literal = "true" if selected(key, value) is True else quoted(value)
    return f"{key} eq {literal}"


def path_filter(entries: Any, entry: Entry, key: str, value: str) -> str:
    """The value filter that means exactly this entry.

    Two entries of one type are told apart by their value, so that the other one,
    which nobody gave us, is left alone.
    """
    text = filter_of(key, value)
    twins = [e for e in entries or () if matches(e, key, value)]
    if len(twins) > 1 and isinstance(entry.get("value"), str) and key != "value":
        text += f" and value eq {quoted(entry['value'])}"
    return text


def quoted(text: str) -> str:
    """A SCIM filter's string literal, which is a JSON string (RFC 7644 3.4.2.2)."""
    if text.isascii() and text.isalnum():
        return f'"{text}"'
    return json.dumps(text, ensure_ascii=False)
