"""What a post must be beyond its shape (entities 23, 25-27); for edges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.audience import audience_fault
from moatbridge.entities.canonical import canonical_json
from moatbridge.entities.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BUSINESS: Final = 16 * 1024
"""Bytes of ``business`` as canonical JSON."""

MAX_LISTS: Final = 3
"""Lists inside lists of ``business.data``."""

_REVERSE_DNS: Final = re.compile(r"[a-z][\w-]*(\.[\w-]+){2,}", re.ASCII)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def post_problems(post: Mapping[str, Any]) -> Iterator[Problem]:
    """Everything wrong with a complete post that its shape alone does not say."""
    if not post.get("content") and not post.get("attachment"):
        yield Problem("content", "missing", "a text, or at least one attachment")
    if post.get("label") is None:
        yield Problem("label", "missing", "a label; the flow fills the stream's")
    if "audience" not in post or post["audience"] is None:
        yield Problem("audience", "missing", "an audience; there is no default")
    elif fault := audience_fault(post["audience"]):
        yield Problem("audience", "kind", fault)
    language = post.get("language")
    if isinstance(language, str) and not _LANGUAGE.fullmatch(language):
        yield Problem("language", "text", "a BCP 47 language tag such as de-CH")
    yield from _attachments(post.get("attachment"))
    yield from business_problems(post.get("business"))


def _attachments(attachments: Any) -> Iterator[Problem]:
    for index, each in enumerate(attachments if isinstance(attachments, list) else ()):
        if not isinstance(each, dict):
            continue  # its shape is reported already
        at, blob = f"attachment[{index}]", each.get("blob")
        if not each.get("url") and not blob:
            yield Problem(at, "missing", "a url or a blob")
        digest = blob.get("sha256") if isinstance(blob, dict) else None
        if digest is not None and not _SHA256.fullmatch(str(digest)):
            yield Problem(f"{at}.blob.sha256", "text", "64 hexadecimal digits")


def business_problems(business: Any) -> Iterator[Problem]:
    """What is wrong with a post's business data, whatever else it is (entities 27)."""
    if not isinstance(business, dict):
        return
    kind = business.get("type")
    if isinstance(kind, str) and not _REVERSE_DNS.fullmatch(kind):
        yield Problem("business.type", "text", "a reverse-DNS name with three parts")
    if _lists(business.get("data"), 0) > MAX_LISTS:
        yield Problem("business.data", "too-large", f"lists at most {MAX_LISTS} deep")
    try:
        size = len(canonical_json(business).encode())
    except (TypeError, ValueError, RecursionError):
        return  # reported already as a wrong value
    if size > MAX_BUSINESS:
        yield Problem("business", "too-large", f"at most {MAX_BUSINESS} bytes")


def _lists(value: Any, depth: int) -> int:
    if depth > MAX_LISTS or not isinstance(value, (dict, list)):
        return depth
    inner = value.values() if isinstance(value, dict) else value
    below = depth + isinstance(value, list)
    return max((_lists(each, below) for each in inner), default=below)
