"""Filters we send and, because no answer is believed, the same test in code. Pure."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIELDS: Final = {
    "id": "id",
    "externalid": "externalId",
    "username": "userName",
    "displayname": "displayName",
}
"""What may be looked for."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
"""Values that stand in a filter, and in its URL, as they are."""
_EXACT: Final = frozenset({"id", "externalId"})
MAX_TERMS: Final = 50
MAX_LENGTH: Final = 4_000
"""Characters of one filter as it stands in the URL; servers cap the request line."""


def any_of(field: str, values: Sequence[str]) -> str:
    """``field eq "a" or field eq "b"`` (RFC 7644 3.4.2.2)."""
    return " or ".join(term(field, value) for value in values)


def term(field: str, value: str) -> str:
    """One comparison; the value is a JSON string, so nothing in it can end it."""
    if _PLAIN(value):
        return f'{field} eq "{value}"'
    return f"{field} eq {json.dumps(value, ensure_ascii=False)}"


def chunked(field: str, values: Sequence[str]) -> Iterator[list[str]]:
    """Cut the values so that each filter stays within terms and length."""
    chunk: list[str] = []
    length, around = 0, _size(field, "")
    for value in values:
        size = len(value) + around if _PLAIN(value) else _size(field, value)
        if chunk and (len(chunk) == MAX_TERMS or length + size > MAX_LENGTH):
            yield chunk
            chunk, length = [], 0
        chunk.append(value)
        length += size
    if chunk:
        yield chunk


def _size(field: str, value: str) -> int:
    """Characters of a term and the next "or" as they stand in the URL."""
    return len(quote(term(field, value) + " or "))


def really(resource: Any, field: str, value: str) -> bool:
    """Whether the resource has that value, as SCIM compares the field.

    ``id`` and ``externalId`` are case-exact, names are not (RFC 7643 3.1, 4.1.1).
    """
    have = resource.get(field) if isinstance(resource, dict) else None
    if not isinstance(have, str):
        return False
    return have == value if field in _EXACT else folded(have) == folded(value)


def folded(text: str) -> str:
    """Text as names are compared: NFC, without case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
