"""The text of a status, and whom it reaches. Pure (platforms 32, 33, 35)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from moatbridge.entities.text import neutralise, text_of_html

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge_mastodon.config import MastodonConfig
    from moatbridge_mastodon.instance import Instance

Visibility: TypeAlias = Literal["public", "private", "direct"]

_TYPES: Final = (None, "Note", "Article", "Page", "Event")
"""Of a post; each becomes a status (platforms 32)."""

_LINK: Final = re.compile(r"https?://[^\s<>\"]+")
_REMOTE: Final = re.compile(r"(?<![\w/])@([\w.-]+)@[\w.-]+")


class Refused(ValueError):
    """The post cannot be said here; ``code`` is the last word of the receipt's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Draft:
    """What one status will be.

    Args:
        text: The whole text, mentions of the readers first.
        visibility: Always sent: the platform's default is public.
        readers: Accounts that may read it because they are mentioned.
        fields: The request's other fields.
    """

    text: str
    visibility: Visibility
    readers: frozenset[str]
    fields: Mapping[str, Any]


def draft(
    record: Mapping[str, Any], config: MastodonConfig, instance: Instance
) -> Draft:
    """What is sent for a complete record.

    Raises:
        Refused: ``audience``, ``too-long``, ``empty``; ``data``: no type of a post.
    """
    if record.get("type") not in _TYPES:
        raise Refused("data")  # it would stand there as a note, whatever was meant
    visibility = visibility_of(record.get("audience"), config)
    mentioned = _mentioned(record)
    readers = _readers(record) if visibility == "direct" else []
    if visibility == "direct" and not set(mentioned) <= set(readers):
        raise Refused("audience")  # in a direct post every mention is a reader
    text = _text(record, mentioned, readers)
    if not text and not record.get("attachment"):
        raise Refused("empty")
    if length_of(text, instance) > instance.max_characters:
        raise Refused("too-long")
    return Draft(
        text, visibility, frozenset([*readers, *mentioned]), _fields(record, config)
    )


def visibility_of(audience: Any, config: MastodonConfig) -> Visibility:
    """The platform's word for an audience; never a wider one.

    Raises:
        Refused: ``audience``: there is no word for it here, or it is not allowed.
    """
    kind = audience.get("kind") if isinstance(audience, dict) else None
    if kind == "people" and audience.get("refs"):
        return "direct"
    if kind == "org" and config.followers_are_org:
        return "private"
    if kind == "public" and config.allow_public:
        return "public"
    raise Refused("audience")


def length_of(text: str, instance: Instance) -> int:
    """Characters as the platform counts: links at a fixed price, domains free."""
    counted = _LINK.sub("x" * instance.url_characters, text)
    return len(_REMOTE.sub(r"@\1", counted))


def same_text(sent: str, shown: str) -> bool:
    """Whether the platform shows what we sent.

    White space may be arranged anew, and names be spelt as their owners do.
    """
    return "".join(sent.split()).casefold() == "".join(shown.split()).casefold()


def _text(
    record: Mapping[str, Any], mentioned: Sequence[str], readers: Sequence[str]
) -> str:
    content = record.get("content") or ""
    if record.get("mediaType") == "text/html":
        content = text_of_html(content)
    parts = [record.get("name") or "", content, *_links(record)]
    body = "\n\n".join(part.strip() for part in parts if part and part.strip())
    names = {f"@{acct}" for acct in mentioned}
    body = neutralise(body, names)
    first = list(dict.fromkeys([*readers, *mentioned]))
    missing = [f"@{acct}" for acct in first if not _has(body, acct)]
    return " ".join([*missing, body]).strip() if missing else body


def _has(text: str, acct: str) -> bool:
    return re.search(rf"(?<![\w/@])@{re.escape(acct)}(?![\w@.-]*\w)", text) is not None


def _links(record: Mapping[str, Any]) -> list[str]:
    found = record.get("attachment") or ()
    return [
        each["url"] for each in found if each.get("type") == "Link" and each.get("url")
    ]


def _mentioned(record: Mapping[str, Any]) -> list[str]:
    tags = record.get("tag") or ()
    accts = [
        str(t["href"]) for t in tags if t.get("type") == "Mention" and t.get("href")
    ]
    return list(dict.fromkeys(accts))


def _readers(record: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(map(str, record["audience"]["refs"])))


def _fields(record: Mapping[str, Any], config: MastodonConfig) -> dict[str, Any]:
    sensitive = record.get("sensitive")
    fields = {
        "sensitive": config.default_sensitive if sensitive is None else sensitive,
        "spoiler_text": neutralise(record.get("summary") or "", set()),
        "language": record.get("language") or config.language,
    }
    return {name: value for name, value in fields.items() if value is not None}
