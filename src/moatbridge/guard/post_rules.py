"""The rules for posts: who may read them, who is called, what hangs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.entities import narrower, wider
from moatbridge.entities.audience import audience_fault
from moatbridge.guard.verdict import Decision, Hit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from moatbridge.config.guard_rules import Rule, Rules
    from moatbridge.guard.context import Context, Outgoing

DIRECTORY: Final = frozenset({"Person", "Group"})
"""Types that are no content: nobody reads them as a message."""

_NEW_READERS: Final = frozenset({"create", "update", "renew"})


def audience(
    outgoing: Outgoing, rule: Rule, _rules: Rules, _context: Context
) -> Iterable[Hit]:
    """A post has an audience, not wider than allowed or its parent's; an edit keeps it.

    Nothing is widened by fallback: no audience, one that is not valid, or one without
    refs where it needs some is held. A reply is narrowed to its parent's audience. An
    edit for others is a new item, which a person looks at: who saw the post stays.
    """
    entity = outgoing.entity
    if entity is None or outgoing.op not in _NEW_READERS or not _is_read(outgoing):
        return ()
    mine = outgoing.audience
    if audience_fault(mine) is not None:
        return (Hit(rule.name, "hold", rule.mode, "no-audience", ("audience",)),)
    sent = _within_parent(outgoing, mine)
    too_wide = wider(mine, rule.level or "people")  # type: ignore[arg-type]
    if sent is None or too_wide or _for_others(outgoing, sent):
        return (Hit(rule.name, "hold", rule.mode, "audience", ("audience",)),)
    if sent is mine:
        return ()
    put = (("audience", sent),)
    return (Hit(rule.name, "mask", rule.mode, None, ("audience",), put=put),)


def external(
    outgoing: Outgoing, rule: Rule, _rules: Rules, _context: Context
) -> Iterable[Hit]:
    """What people outside the company would see waits for a person, each item.

    With a limit above 0 a single item is only noted: the day's window judges their
    number.
    """
    if outgoing.entity is None or outgoing.route.entity_type in DIRECTORY:
        return ()
    if not outgoing.external:
        return ()
    decision: Decision = "hold" if rule.at_most(0) == 0 else "allow"
    return (Hit(rule.name, decision, rule.mode, "approval"),)


def mass_mention(
    outgoing: Outgoing, rule: Rule, _rules: Rules, _context: Context
) -> Iterable[Hit]:
    """One post calls many people by name (guard 23)."""
    called = sum(1 for _ in _mentions(outgoing.entity or {}))
    if called <= rule.at_most(0):
        return ()
    return (Hit(rule.name, "hold", rule.mode, "mass-mention", ("tag",)),)


def attachments(
    outgoing: Outgoing, rule: Rule, rules: Rules, _context: Context
) -> Iterable[Hit]:
    """Attachments are of an allowed type and size; content is not inspected (guard 30).

    Type and size are those the source names; whoever opens the blob compares its first
    bytes with `moatbridge.entities.media.media_type_of` and counts again.
    """
    wrong = [
        f"attachment[{index}]"
        for index, each in enumerate((outgoing.entity or {}).get("attachment") or ())
        if not _may_hang(each, rules)
    ]
    if not wrong:
        return ()
    return (Hit(rule.name, "hold", rule.mode, "approval", tuple(wrong)),)


def _is_read(outgoing: Outgoing) -> bool:
    entity = outgoing.entity or {}
    return outgoing.route.entity_type == "Post" or "audience" in entity


def _within_parent(
    outgoing: Outgoing, mine: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """What a reply may have; None if that is nobody we could name."""
    parent = outgoing.parent
    if parent is None or not wider(mine, parent):
        return mine
    return narrower(mine, parent)


def _for_others(outgoing: Outgoing, sent: Mapping[str, Any]) -> bool:
    """Whether an edit is known to have other readers than the post had."""
    if outgoing.readdressed:
        return True
    before = (outgoing.before or {}).get("audience")
    if before is None or audience_fault(before) is not None:
        return False
    return wider(sent, before) or wider(before, sent)


def _mentions(entity: Mapping[str, Any]) -> Iterator[Any]:
    for each in entity.get("tag") or ():
        if (
            isinstance(each, dict)
            and each.get("type") == "Mention"
            and each.get("href")
        ):
            yield each


def _may_hang(attachment: Any, rules: Rules) -> bool:
    if not isinstance(attachment, dict):
        return False
    if attachment.get("type") == "Link":
        return str(attachment.get("url") or "").startswith(("https://", "http://"))
    size = (attachment.get("blob") or {}).get("size") or 0
    if size > rules.attachment_size:
        return False
    media = str(attachment.get("mediaType") or "").partition(";")[0].strip().lower()
    return media in rules.attachment_types
