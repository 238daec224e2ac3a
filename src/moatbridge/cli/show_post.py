"""A post as people read it: who sees it, its text, what hangs on it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KINDS: Final = {
    "org": "everybody in the company",
    "public": "the public",
}
_SHOWN: Final = 5
_LINES: Final = 8
_WIDTH: Final = 100


def is_post(entity: object) -> bool:
    """Whether this entity is read best as a post."""
    return isinstance(entity, dict) and ("audience" in entity or "inReplyTo" in entity)


def post_lines(entity: Mapping[str, Any]) -> Iterator[str]:
    """Audience in words, the text line by line, and the rest in short."""
    yield f"to: {audience_words(entity.get('audience'))}"
    if entity.get("inReplyTo"):
        yield f"reply to: {_reference(entity['inReplyTo'])}"
    if entity.get("summary"):
        yield f"warning: {clean(entity['summary'], _WIDTH)}"
    lines = str(entity.get("content") or "").splitlines() or ["(no text)"]
    yield from (f"| {clean(line, _WIDTH)}" for line in lines[:_LINES])
    if len(lines) > _LINES:
        yield f"| ... and {len(lines) - _LINES} more lines"
    for each in entity.get("attachment") or ():
        yield f"attached: {clean(each.get('name') or each.get('type') or 'a file', 80)}"


def audience_words(audience: object) -> str:
    """Who may read it, in words."""
    if not isinstance(audience, dict):
        return "nobody is named (held)"
    kind = str(audience.get("kind"))
    if kind in _KINDS:
        return _KINDS[kind]
    names = [_reference(each) for each in audience.get("refs") or ()]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{clean(kind)} {', '.join(names[:_SHOWN])}{more}"


def _reference(reference: object) -> str:
    if not isinstance(reference, dict):
        return "?"
    who = reference.get("name") or reference.get("id") or "?"
    return f"{clean(str(who), 60)} ({clean(str(reference.get('stream')), 60)})"
