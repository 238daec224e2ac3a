"""The rules that judge one change, and the list they stand in.

A rule is a function of (change, sized rule, rules, context) that yields hits; it is
found under its name in `RECORD_CHECKS`. Adding a rule is adding a function here (or
in a module of its own) and its size in `moatbridge.config.guard_rules`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moatbridge.config.guard_rules import Rule, Rules
from moatbridge.entities import LABELS, canonical_json, highest, rank
from moatbridge.errors import ConfigurationError
from moatbridge.guard.context import Context, Outgoing
from moatbridge.guard.paths import PathSet
from moatbridge.guard.post_rules import attachments, audience, external, mass_mention
from moatbridge.guard.text_rules import free_text
from moatbridge.guard.verdict import Decision, Hit

if TYPE_CHECKING:
    from moatbridge.entities import Label
    from moatbridge.guard.context import Route

RecordCheck: TypeAlias = Callable[[Outgoing, Rule, Rules, Context], Iterable[Hit]]

_PRIVILEGES: Final = ("roles", "entitlements")
_NOTHING: Final[tuple[Hit, ...]] = ()


def fields(
    outgoing: Outgoing, rule: Rule, _rules: Rules, _context: Context
) -> Iterable[Hit]:
    """Only what the translators name may leave; anything else is a bug (guard 17)."""
    entity = outgoing.entity
    outside = outgoing.route.owned.outside(entity) if entity else ()
    if not outside:
        return _NOTHING
    return (Hit(rule.name, "hold", rule.mode, "guard-bug", outside),)


def deny_fields(
    outgoing: Outgoing, rule: Rule, _rules: Rules, _context: Context
) -> Iterable[Hit]:
    """What the target must never get is taken out (guard 17)."""
    denied = outgoing.route.deny_fields
    if not denied or outgoing.entity is None:
        return _NOTHING
    _, removed = denied.removed_from(outgoing.entity)
    return (Hit(rule.name, "mask", rule.mode, None, removed),) if removed else _NOTHING


def label(
    outgoing: Outgoing, rule: Rule, rules: Rules, _context: Context
) -> Iterable[Hit]:
    """Nothing above the target's ``max_label`` leaves (guard 18)."""
    route = outgoing.route
    if outgoing.entity is None:
        return _NOTHING
    own = own_label(outgoing)
    if route.fits and own is None:
        return _NOTHING
    if rank(own or route.label) <= rank(route.max_label):
        return _NOTHING
    if rules.over_label == "strip" and _explained(outgoing):
        _, removed = PathSet(_above(route)).removed_from(outgoing.entity)
        hit = Hit(rule.name, "mask", rule.mode, None, removed)
        return (hit,) if removed else _NOTHING
    return (Hit(rule.name, "hold", rule.mode, "label"),)


def privileged(
    outgoing: Outgoing, rule: Rule, rules: Rules, _context: Context
) -> Iterable[Hit]:
    """Roles, entitlements and membership in sensitive groups wait for a person.

    With a limit above 0 a single record is only noted: the plan and the window judge
    their number.
    """
    entity = outgoing.entity
    if entity is None:
        return _NOTHING
    if outgoing.route.entity_type == "Group":
        paths = _sensitive_membership(outgoing, rules.sensitive_groups)
    else:
        paths = tuple(name for name in _PRIVILEGES if _granted(outgoing, name))
    if not paths:
        return _NOTHING
    decision: Decision = "hold" if rule.at_most(0) == 0 else "allow"
    return (Hit(rule.name, decision, rule.mode, "approval", paths),)


RECORD_CHECKS: Final[Mapping[str, RecordCheck]] = MappingProxyType({
    "fields": fields,
    "deny_fields": deny_fields,
    "label": label,
    "privileged": privileged,
    "audience": audience,
    "external": external,
    "mass_mention": mass_mention,
    "attachments": attachments,
    "free_text": free_text,
})  # fmt: skip
"""Every record rule by name, in the order they are run."""

_FOR_TYPE: Final[Mapping[str, tuple[str, ...]]] = {
    "Person": ("fields", "deny_fields", "label", "privileged"),
    "Group": ("fields", "deny_fields", "label", "privileged", "free_text"),
}


def checks_for(
    entity_type: str, checks: Mapping[str, RecordCheck] = RECORD_CHECKS
) -> Mapping[str, RecordCheck]:
    """The record rules that can say anything about that type: people are no posts."""
    if checks is RECORD_CHECKS:
        return _SELECTED.get(entity_type, checks)
    return checks


_SELECTED: Final[Mapping[str, Mapping[str, RecordCheck]]] = {
    kind: MappingProxyType({name: RECORD_CHECKS[name] for name in names})
    for kind, names in _FOR_TYPE.items()
}


def own_label(outgoing: Outgoing) -> Label | None:
    """The label of this very item, if it or the flow names one; not above nothing."""
    if outgoing.route.entity_type != "Post":
        return outgoing.label
    said = (outgoing.entity or {}).get("label")
    if said not in LABELS:
        return outgoing.label
    return highest(outgoing.route.label, outgoing.label, said)


def check_route(route: Route, rules: Rules) -> None:
    """Refuse a flow whose data the target may not have (guard 19).

    Raises:
        ConfigurationError: ``guard.label``, with the line to add; ``guard.audience``:
            posts without an audience.
    """
    if route.entity_type == "Post" and not _names_audience(route):
        message = (
            f"Flow {route.flow} carries posts, but its translators name no audience; "
            "every post would be held. Name one among the translator's fields, such as "
            'audience = { const = { kind = "org" } }, which the target must take too'
        )
        raise ConfigurationError(message, code="guard.audience", system=route.target)
    if route.fits:
        return
    if rules.over_label == "strip" and rank(route.stream_label) <= rank(
        route.max_label
    ):
        return
    message = (
        f"Flow {route.flow} carries data labelled {route.label}, but system "
        f"{route.target} may receive {route.max_label} at most. If it may have more, "
        f'add max_label = "{route.label}" under [systems.{route.target}]'
    )
    raise ConfigurationError(message, code="guard.label", system=route.target)


def sensitive(name: str, patterns: Iterable[str]) -> bool:
    """Whether a group of that name is sensitive.

    Both sides are compared in NFKC, case-folded and without format characters, so
    that full-width letters or a zero-width space do not slip by.
    """
    folded = _folded(name)
    return any(fnmatchcase(folded, _folded(pattern)) for pattern in patterns)


def _names_audience(route: Route) -> bool:
    return any(re.match(r"audience(?![\w-])", path) for path in route.owned.paths)


def _folded(text: str) -> str:
    visible = (c for c in text if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFKC", "".join(visible)).casefold()


def _above(route: Route) -> list[str]:
    limit = rank(route.max_label)
    return [path for path, text in route.path_labels.items() if rank(text) > limit]


def _explained(outgoing: Outgoing) -> bool:
    """Whether taking out the labelled paths brings the record down far enough."""
    route = outgoing.route
    known = highest(route.stream_label, *route.path_labels.values())
    total = outgoing.label or route.label
    return rank(total) <= rank(known) and rank(route.stream_label) <= rank(
        route.max_label
    )


def _granted(outgoing: Outgoing, name: str) -> bool:
    if not (outgoing.entity or {}).get(name):
        return False
    return _touched(outgoing, name) and _added(outgoing, name)


def _touched(outgoing: Outgoing, name: str) -> bool:
    if outgoing.changed is None or outgoing.op in {"create", "renew"}:
        return True
    return any(p.partition(".")[0].partition("[")[0] == name for p in outgoing.changed)


def _added(outgoing: Outgoing, name: str) -> bool:
    now = _entries((outgoing.entity or {}).get(name))
    return bool(now - _entries((outgoing.before or {}).get(name)))


def _entries(value: Any) -> set[str]:
    if isinstance(value, dict):
        value = value.get("add")
    return {canonical_json(_named(entry)) for entry in value or () if _named(entry)}


def _named(entry: Any) -> Any:
    return entry.get("value") if isinstance(entry, dict) else entry


def _sensitive_membership(
    outgoing: Outgoing, patterns: tuple[str, ...]
) -> tuple[str, ...]:
    names = [
        source["displayName"]
        for source in (outgoing.entity, outgoing.before)
        if source and source.get("displayName")
    ]
    # A group whose name is not known could be any group: it counts as sensitive.
    if names and not any(sensitive(name, patterns) for name in names):
        return ()
    if _touched(outgoing, "displayName") and _renamed(outgoing, patterns):
        return ("displayName",)
    changed = _touched(outgoing, "members") and _added(outgoing, "members")
    return ("members",) if changed else ()


def _renamed(outgoing: Outgoing, patterns: tuple[str, ...]) -> bool:
    """Whether an existing group becomes sensitive, its members with it."""
    entity = outgoing.entity or {}
    name, empty = entity.get("displayName"), entity.get("members") == []
    if outgoing.op == "create" or empty or not name or not sensitive(name, patterns):
        return False
    before = (outgoing.before or {}).get("displayName")
    return before is None or not sensitive(before, patterns)
