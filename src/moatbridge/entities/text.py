"""Text at the edges: HTML, plain text, mentions that must not ping (entities 52-53).

Sanitising HTML is the work of ``nh3`` (extra ``[html]``), which is imported only when
HTML is met. Everything here is pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WORD_JOINER: Final = "\u2060"
"""U+2060: invisible, no line break; what keeps a mention from being one."""

ALLOWED_TAGS: Final = frozenset({
    "p", "br", "a", "strong", "em", "ul", "ol", "li", "blockquote", "code", "pre",
})  # fmt: skip
_RENAMED: Final = {"b": "strong", "i": "em"}

_MENTION: Final = re.compile(
    r"(?P<sign>[@\uff20\ufe6b])(?=[\w.\-])"  # @name, @everyone; also full-width
    r"|(?P<angle><)(?=[!@#])"  # <!here>, <@U123>, <#C1>, <!subteam^S1>
)
_HANDLE: Final = re.compile(r"[@\uff20\ufe6b]([\w.\-]+(?:@[\w.\-]+)?)")


def sanitise(markup: str) -> str:
    """HTML of strangers cut down to a fixed list of harmless elements.

    Keeps ``p br a strong em ul ol li blockquote code pre``, and of attributes only a
    link's ``href`` with http or https; links get ``rel="nofollow noopener"``.

    Raises:
        ConfigurationError: ``html.missing``: the extra ``[html]`` is not installed.
    """
    try:
        import nh3  # noqa: PLC0415 - the extra [html], only where HTML is met
    except ImportError:
        message = (
            "HTML was met and nh3, which cleans it, is not installed; "
            "add it with: pip install 'moatbridge[html]'"
        )
        raise ConfigurationError(message, code="html.missing") from None
    renamed = markup
    for old, new in _RENAMED.items():
        renamed = re.sub(
            rf"<(/?){old}(?=[\s>/])", rf"<\1{new}", renamed, flags=re.IGNORECASE
        )
    return nh3.clean(
        renamed,
        tags=set(ALLOWED_TAGS),
        attributes={"a": {"href"}},
        url_schemes={"http", "https"},
        link_rel="nofollow noopener",
    )


def text_of_html(markup: str) -> str:
    """The text of an HTML fragment: blocks become lines, links keep their target.

    Raises:
        Fault: It is not text.
    """
    from moatbridge.entities.html import text_of_html as read  # noqa: PLC0415 - slow

    return read(markup)


def plain_text(post: Mapping[str, Any], field: str = "content") -> str:
    """A post's text as plain text, whatever its ``mediaType`` says.

    Args:
        post: A `moatbridge.entities.Post`.
        field: ``content``; other fields are plain text always.
    """
    text = post.get(field) or ""
    if field == "content" and post.get("mediaType") == "text/html":
        return text_of_html(text)
    return str(text)


def neutralise(text: str, mentions: Iterable[str] = ()) -> str:
    """Text in which nothing pings: U+2060 after the sign that would make a mention.

    ``@name``, ``@everyone``, ``<!here>``, ``<@U1>``: text of a legacy record must not
    notify anybody, nor (Mastodon's ``direct``) add a reader. An e-mail address is
    treated alike, since some platforms find mentions inside words. Idempotent.

    Args:
        text: Plain text or Markdown.
        mentions: Names that may stay mentions, as written after the ``@`` (with or
            without it): those of resolved ``tag`` entries. Compared without case.
    """
    allowed = {each.lstrip("@").casefold() for each in mentions}
    parts: list[str] = []
    last = 0
    for found in _MENTION.finditer(text):
        if found["sign"] and allowed and _resolved(text, found.start(), allowed):
            continue
        parts += [text[last : found.end()], WORD_JOINER]
        last = found.end()
    return "".join([*parts, text[last:]])


def _resolved(text: str, start: int, allowed: set[str]) -> bool:
    if start and (text[start - 1].isalnum() or text[start - 1] == "_"):
        return False  # inside a word: an address, not the mention that was resolved
    handle = _HANDLE.match(text, start)
    if handle is None:
        return False
    return handle[1].rstrip(".-").casefold() in allowed
