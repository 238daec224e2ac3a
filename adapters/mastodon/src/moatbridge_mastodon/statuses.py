"""From the platform's JSON to records. Pure.

A status has the shape of the entity `moatbridge.entities.Post`, with references as
plain ids: ``inReplyTo`` of the stream of posts, ``attributedTo`` and the audience's
``refs`` by account name (``acct``), which the platform never changes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moatbridge.adapter import Field
from moatbridge.changes import Record, Ref
from moatbridge.entities.text import text_of_html

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEDIA: Final = {
    "image": "Image",
    "gifv": "Image",
    "video": "Video",
    "audio": "Audio",
}
_IDENT: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_HASHTAG: Final = re.compile(r"#([^\s()#]+) \(https?://[^\s()#]+/tags?/([^\s()#/]+)\)")
_ACCT: Final = re.compile(r"[^\s\x00-\x1f\x7f@/]+(@[^\s\x00-\x1f\x7f@/]+)?")


def post_fields(posts: str, accounts: str) -> tuple[Field, ...]:
    """Fields of a stream of statuses.

    Args:
        posts: Name of the stream that replies refer to.
        accounts: Name of the stream of accounts.
    """
    person = {"type": "reference", "to": accounts, "by": "name"}
    return (
        Field("type"),
        Field("content"),
        Field("summary"),
        Field("sensitive", "bool"),
        Field("language"),
        Field("name"),
        Field("attributedTo", writable=False, **person),  # type: ignore[arg-type]  # literals, spread
        Field("inReplyTo", "reference", to=posts),
        Field(
            "audience",
            "object",
            fields=(Field("kind"), Field("refs", multi=True, **person)),  # type: ignore[arg-type]
        ),
        Field("published", writable=False),
        Field("updated", writable=False),
        Field("url", writable=False),
        Field(
            "attachment",
            "object",
            multi=True,
            ordered=True,
            fields=(
                Field("type"),
                Field("mediaType"),
                Field("name"),
                Field("url"),
                Field(
                    "blob",
                    "object",
                    fields=(Field("sha256"), Field("size", "int"), Field("ref")),
                ),
            ),
        ),
        Field(
            "tag",
            "object",
            multi=True,
            fields=(Field("type"), Field("name"), Field("href", **person)),  # type: ignore[arg-type]
        ),
    )


ACCOUNT_FIELDS: Final = (
    Field("userName", required=True, unique=True, writable=False),
    Field("displayName", writable=False),
    Field("profileUrl", writable=False),
    Field("active", "bool", writable=False),
)


def reaction_fields(posts: str, accounts: str) -> tuple[Field, ...]:
    """Fields of the stream of reactions."""
    return (
        Field("type", required=True),
        Field("actor", "reference", required=True, to=accounts, by="name"),
        Field("object", "reference", required=True, to=posts),
        Field("published", writable=False),
    )


def identifier(value: Any) -> str:
    """An id of the platform, or "" if it is none (ids are opaque short text)."""
    return value if isinstance(value, str) and _IDENT.fullmatch(value) else ""


def acct_of(account: Any) -> str:
    """``name`` or ``name@domain`` of an account; "" if there is none."""
    acct = account.get("acct") if isinstance(account, dict) else None
    return acct if isinstance(acct, str) and _ACCT.fullmatch(acct) else ""


def later(ident: str) -> tuple[int, str]:
    """Sort key of ids: longer is later, then by text (platforms 38)."""
    return len(ident), ident


def version_of(status: Mapping[str, Any]) -> str | None:
    """When it was last edited, or made."""
    moment = status.get("edited_at") or status.get("created_at")
    return moment if isinstance(moment, str) else None


def record_of(status: Mapping[str, Any], *, followers_are_org: bool) -> Record:
    """The record of a status.

    Raises:
        ValueError: It is not a status.
    """
    ident, author = identifier(status.get("id")), acct_of(status.get("account"))
    if not ident or not author or not isinstance(status.get("content"), str):
        msg = "not a status"
        raise ValueError(msg)
    data: dict[str, Any] = {
        "type": "Note",
        "content": plain_text(status),
        "summary": _text(status, "spoiler_text") or None,
        "sensitive": status.get("sensitive") is True,
        "language": _text(status, "language"),
        "name": None,
        "attributedTo": author,
        "inReplyTo": identifier(status.get("in_reply_to_id")) or None,
        "audience": audience_of(status, followers_are_org=followers_are_org),
        "published": _moment(status, "created_at"),
        "updated": _moment(status, "edited_at"),
        "url": _text(status, "url"),
        "attachment": [
            _attachment(each) for each in _tables(status, "media_attachments")
        ],
        "tag": _tags(status),
    }
    return Record(Ref(ident, _text(status, "url")), data, version_of(status))


def audience_of(
    status: Mapping[str, Any], *, followers_are_org: bool
) -> dict[str, Any] | None:
    """Who may read it; None where our words cannot say it (then nobody is told)."""
    visibility = status.get("visibility")
    if visibility in {"public", "unlisted"}:
        return {"kind": "public", "refs": []}
    if visibility == "direct":
        readers = sorted(filter(None, map(acct_of, _tables(status, "mentions"))))
        return {"kind": "people", "refs": readers} if readers else None
    if visibility == "private" and followers_are_org:
        return {"kind": "org", "refs": []}
    return None


def plain_text(status: Mapping[str, Any]) -> str:
    """The text a person reads: mentions and hashtags without their links."""
    text = text_of_html(status["content"])
    for kind, sign in (("mentions", "@"), ("tags", "#")):
        for each in _tables(status, kind):
            shown = sign + (_text(each, "username" if sign == "@" else "name") or "")
            link = _text(each, "url")
            if link:
                text = text.replace(f"{shown} ({link})", _full(each, shown))
    return _HASHTAG.sub(_bare, text)


def account_record(account: Mapping[str, Any]) -> Record:
    """The record of an account.

    Raises:
        ValueError: It is not an account.
    """
    ident, acct = identifier(account.get("id")), acct_of(account)
    if not ident or not acct:
        msg = "not an account"
        raise ValueError(msg)
    data = {
        "userName": acct,
        "displayName": _text(account, "display_name") or None,
        "profileUrl": _text(account, "url"),
        "active": account.get("suspended") is not True,
    }
    return Record(Ref(ident, acct), data)


def _bare(found: re.Match[str]) -> str:
    """A hashtag as it was written: the platform names it in a spelling of its own."""
    same = unquote(found[2]).casefold() == found[1].casefold()
    return f"#{found[1]}" if same else found[0]


def _full(mention: Mapping[str, Any], shown: str) -> str:
    acct = acct_of(mention)
    return f"@{acct}" if acct else shown


def _tags(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"type": "Mention", "name": f"@{acct}", "href": acct}
        for each in _tables(status, "mentions")
        if (acct := acct_of(each))
    ]
    names = (_text(each, "name") for each in _tables(status, "tags"))
    return found + [{"type": "Hashtag", "name": f"#{name}"} for name in names if name]


def _attachment(media: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": _MEDIA.get(str(media.get("type")), "Document"),
        "mediaType": None,
        "name": _text(media, "description"),
        "url": _text(media, "url"),
    }


def _moment(status: Mapping[str, Any], name: str) -> str | None:
    """RFC 3339 in UTC with ``Z``; the platform sends a fraction, perhaps of zeros."""
    text = _text(status, name)
    if not text:
        return None
    text = text.removesuffix("+00:00").removesuffix("Z")
    whole, dot, fraction = text.partition(".")
    fraction = fraction[:6].rstrip("0")
    return f"{whole}{dot if fraction else ''}{fraction}Z"


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = parent.get(name)
    return value if isinstance(value, str) else None


def _tables(parent: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = parent.get(name)
    if not isinstance(value, list):
        return []
    return [each for each in value if isinstance(each, dict)]
