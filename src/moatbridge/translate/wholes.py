"""What holds of an entity as a whole, beyond its single paths (entities 27, 29, 52).

HTML becomes harmless where a post is made, so guard, ledger and every target see the
same text. Limits of business data and extensions are checked there too. Both cost
nothing for translators that name no such path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities.checking import extension_problems
from moatbridge.entities.social_checking import business_problems
from moatbridge.entities.text import sanitise, text_of_html
from moatbridge.errors import TranslationError
from moatbridge.translate.sources import Const

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moatbridge.entities import Problem
    from moatbridge.translate.leaves import Leaf

Entity = dict[str, Any]

HTML: Final = "text/html"
_CONTENT: Final = "content"
MEDIA_TYPE: Final = "mediaType"
"""Where a post says what its content is; without it, it is plain text."""

_TAG: Final = re.compile(r"<[A-Za-z/!?]")


def finishing(kind: str, leaves: Sequence[Leaf]) -> Callable[[Entity], Entity] | None:
    """What is done to each entity that was just made; None if that is nothing.

    The function changes the entity it gets, and raises `TranslationError`, or
    `ConfigurationError` ``html.missing`` where HTML is met and cannot be cleaned.

    Args:
        kind: Name of the entity type.
        leaves: Of the translator.
    """
    tops = {leaf.spot.text.partition(".")[0] for leaf in leaves}
    steps: list[Callable[[Entity], None]] = []
    if kind == "Post" and _may_be_html(leaves):
        steps.append(_cleaned)
    if kind == "Post" and "business" in tops:
        steps.append(lambda e: _refuse(business_problems(e.get("business"))))
    if "extensions" in tops:
        steps.append(lambda e: _refuse(extension_problems(e.get("extensions"))))

    def run(entity: Entity) -> Entity:
        for step in steps:
            step(entity)
        return entity

    return run if steps else None


def as_plain_text(entity: Entity) -> Entity:
    """The same, its HTML as plain text: for streams that cannot say that it is HTML."""
    content = entity.get(_CONTENT)
    if entity.get(MEDIA_TYPE) != HTML or not isinstance(content, str):
        return entity
    return {**entity, _CONTENT: text_of_html(content), MEDIA_TYPE: "text/plain"}


def _may_be_html(leaves: Sequence[Leaf]) -> bool:
    media = next((leaf for leaf in leaves if leaf.spot.text == MEDIA_TYPE), None)
    if media is None or not any(leaf.spot.text == _CONTENT for leaf in leaves):
        return False
    return not isinstance(media.source, Const) or media.source.value == HTML


def _cleaned(entity: Entity) -> None:
    content = entity.get(_CONTENT)
    if not isinstance(content, str):
        return
    # A partial record may leave out what its text is; then what looks like HTML is.
    unsaid = MEDIA_TYPE not in entity and _TAG.search(content) is not None
    if unsaid or entity.get(MEDIA_TYPE) == HTML:
        entity[_CONTENT] = sanitise(content)


def _refuse(problems: Iterable[Problem]) -> None:
    for problem in problems:
        code = "too-large" if problem.code == "too-large" else "value"
        raise TranslationError(
            f"{problem.path}: {code}: takes {problem.expected}",
            path=problem.path,
            code=f"translate.{code}",
        )
