"""The guard's rules as plain values: limit, mode, and where each came from.

Everything here is immutable and free of I/O; `moatbridge.config.guard.effective`
makes a `Rules` from the configuration, `moatbridge.guard` judges with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from moatbridge.entities import AUDIENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Mode: TypeAlias = Literal["observe", "warn", "enforce"]
RuleDecision: TypeAlias = Literal[
    "allow", "mask", "hold", "drop", "confirm", "approve", "stop"
]
Kind: TypeAlias = Literal["flag", "cap", "floor", "ceiling", "level", "findings"]

MODES: Final[tuple[Mode, ...]] = ("observe", "warn", "enforce")
WINDOW: Final = 86400.0
"""Seconds of the sliding window in which many small runs count as one big one."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, sized.

    Args:
        name: As it stands in the configuration.
        decision: What a hit means while the mode is ``enforce``.
        kind: ``flag`` has no number; ``cap`` is `at_most`; ``floor`` fires below
            ``share``, ``ceiling`` above it, both from ``least`` records on; ``level``
            is a widest audience; ``findings`` fires from ``count`` in one text on.
        fixed: The mode cannot be lowered.
        mode: ``observe`` counts, ``warn`` also lists, ``enforce`` decides.
        count: Absolute limit of a cap.
        share: Share of the links (cap) or the ratio itself.
        least: Below this number of records the share does not apply.
        run: Absolute limit of one run; ``count`` is the day's.
        level: The widest audience that passes.
        outside: The mode where people outside the company can read; None: the same.
        fixed_outside: That mode cannot be lowered.
        origin: Where the value came from.
        until: Last day (UTC) of a loosening.
        inherited: The rule that holds again after that day.
    """

    name: str
    decision: RuleDecision
    kind: Kind = "flag"
    fixed: bool = False
    mode: Mode = "enforce"
    count: int | None = None
    share: float | None = None
    least: int | None = None
    run: int | None = None
    level: str | None = None
    outside: Mode | None = None
    fixed_outside: bool = False
    origin: str = "built in"
    until: date | None = None
    inherited: Rule | None = None

    def mode_for(self, *, external: bool) -> Mode:
        """The mode inside the company, or where outsiders can read."""
        return self.outside or self.mode if external else self.mode

    def at_most(self, links: int) -> int:
        """The limit of a cap for a pair with that many live links."""
        if self.share is None:
            return _least(self.count, self.least)
        grown = max(self.least or 0, math.floor(self.share * links + 1e-9))
        return grown if self.count is None else min(self.count, grown)

    def at(self, day: date) -> Rule:
        """The rule as it holds on that day: an ended loosening falls away."""
        rule = self
        while (
            rule.until is not None and rule.inherited is not None and day > rule.until
        ):
            rule = rule.inherited
        return rule

    def under(self, below: Rule) -> Rule:
        """This rule laid over one that is loosened for a while: both ends hold."""
        if below.until is None or below.inherited is None:
            return self
        plain = replace(self, until=None, inherited=None)
        after = below.inherited if loosens(plain, below.inherited) else plain
        return replace(self, until=below.until, inherited=after)

    def words(self) -> str:
        """The size in words, such as ``min(100, max(5, 2 %))``."""
        outside = self.outside if self.outside != self.mode else None
        mode = f"{self.mode} ({outside} outside)" if outside else self.mode
        return f"{_size(self)}, {mode}" if self.kind != "flag" else mode


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of one flow, and the settings that judging needs.

    Args:
        rules: Rule name -> rule.
        four_eyes: Approvals need another person.
        approval_ttl: Seconds until an item that waits for a person expires.
        quarantine_ttl: The same for quarantined items.
        over_label: ``hold`` or ``strip``.
        sensitive_groups: Patterns of group names.
        home_domains: The company's mail domains.
        markers: Words that say "not for everybody".
        internal_hosts: Patterns of hosts that only the company can reach.
        words: Words and phrases that the company does not want to see in posts.
        attachment_types: Media types a post may carry.
        attachment_size: Bytes of one attachment at most.
        origin: Rule or setting -> where its value came from.
        warnings: Sentences to print and audit at each start.
        day: The day (UTC) that they were made for by `at`; None: for any.
    """

    rules: Mapping[str, Rule]
    four_eyes: bool = True
    approval_ttl: float = 72 * 3600.0
    quarantine_ttl: float = 30 * 86400.0
    over_label: Literal["hold", "strip"] = "hold"
    sensitive_groups: tuple[str, ...] = ("*admin*",)
    home_domains: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    attachment_types: tuple[str, ...] = ()
    attachment_size: int = 0
    origin: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    day: date | None = field(default=None, repr=False, compare=False)
    _ends: bool = field(init=False, repr=False, compare=False)
    _today: list[Rules] = field(
        default_factory=list, init=False, repr=False, compare=False
    )
    """What `at` made last, at most one: a day asks many times and is made once.

    Without a lock: a list is filled in one step, so threads that race only make the
    same day twice, and one that asks for another day looks at ``day`` and makes it.
    """

    def __post_init__(self) -> None:
        ends = any(rule.until is not None for rule in self.rules.values())
        object.__setattr__(self, "_ends", ends)

    def __getitem__(self, name: str) -> Rule:
        return self.rules[name]

    def at(self, now: float) -> Rules:
        """The rules as they hold at that POSIX time: ended loosenings fall away."""
        if not self._ends:
            return self
        day = datetime.fromtimestamp(now, UTC).date()
        if day == self.day:
            return self
        for made in self._today:
            if made.day == day:
                return made
        held = {name: rule.at(day) for name, rule in self.rules.items()}
        made = replace(self, rules=held, day=day)
        self._today[:] = [made]
        return made

    def explain(self) -> list[tuple[str, str, str]]:
        """Rows (rule, size and mode, origin) for ``guard explain``."""
        return [(n, r.words(), r.origin) for n, r in sorted(self.rules.items())]


def loosens(rule: Rule, below: Rule) -> bool:
    """Whether ``rule`` lets anything pass that ``below`` would not."""
    if any(
        MODES.index(rule.mode_for(external=where))
        < MODES.index(below.mode_for(external=where))
        for where in (False, True)
    ):
        return True
    if rule.kind in _LOOSER:
        return _LOOSER[rule.kind](rule, below)
    if rule.share is None or below.share is None:
        return False
    if (rule.least or 0) > (below.least or 0):
        return True
    if rule.kind == "floor":
        return rule.share < below.share
    return rule.share > below.share


def _looser_level(rule: Rule, below: Rule) -> bool:
    return _LEVELS.index(rule.level or "") > _LEVELS.index(below.level or "")


def _looser_findings(rule: Rule, below: Rule) -> bool:
    more = (rule.count or 0) > (below.count or 0)
    return more or _ACTIONS.index(rule.decision) < _ACTIONS.index(below.decision)


def _looser_cap(rule: Rule, below: Rule) -> bool:
    """Compare two caps for every number of links.

    Both are straight between their kinks (where the share meets ``least`` or
    ``count``), so comparing at the kinks and far beyond is comparing everywhere.
    """
    kinks = {0.0}
    for cap in (rule, below):
        if cap.share:
            kinks |= {(level or 0) / cap.share for level in (cap.least, cap.count)}
    kinks.add(10 * max(kinks) + 1e9)
    if (rule.run or 0) > (below.run or 0):
        return True
    return any(_exact(rule, n) > _exact(below, n) + 1e-9 for n in kinks)


_LEVELS: Final = ("", *AUDIENCES)
_ACTIONS: Final = ("allow", "mask", "hold", "drop")
_LOOSER: Final[Mapping[Kind, Callable[[Rule, Rule], bool]]] = {
    "flag": lambda _rule, _below: False,
    "cap": _looser_cap,
    "level": _looser_level,
    "findings": _looser_findings,
}


def _exact(cap: Rule, links: float) -> float:
    if cap.share is None:
        return _least(cap.count, cap.least)
    grown = max(cap.least or 0, cap.share * links)
    return grown if cap.count is None else min(cap.count, grown)


def _least(*numbers: int | None) -> int:
    return min((n for n in numbers if n is not None), default=0)


def _size(rule: Rule) -> str:
    if rule.kind == "level":
        return f"at most {rule.level}"
    if rule.kind == "findings":
        return f"{rule.decision} from {rule.count} on"
    if rule.run is not None:
        return f"{rule.run} a run, {rule.count} a day"
    share = "" if rule.share is None else f"{rule.share * 100:g} %"
    if rule.kind == "cap":
        grown = f"max({rule.least or 0}, {share})" if share else ""
        parts = [str(rule.count)] if rule.count is not None else []
        parts += [grown] if grown else []
        return parts[0] if len(parts) == 1 else f"min({', '.join(parts)})"
    word = "at least" if rule.kind == "floor" else "at most"
    return f"{word} {share} from {rule.least} records on"


def _cap(
    name: str,
    count: int | None = None,
    share: float | None = None,
    least: int | None = None,
    decision: RuleDecision = "approve",
) -> Rule:
    return Rule(name, decision, "cap", count=count, share=share, least=least)


def _findings(name: str, count: int = 1) -> Rule:
    return Rule(name, "hold", "findings", mode="warn", count=count, outside="enforce")


_TABLE: Final = (
    Rule("complete_scan", "stop", fixed=True),
    Rule("shrink", "stop", "floor", fixed=True, share=0.5, least=20),
    Rule("identity_churn", "stop", "ceiling", share=0.1, least=10),
    _cap("removals", 100, 0.02, 5),
    _cap("creates", 500),
    _cap("updates", None, 0.3, 50),
    _cap("field_change", None, 0.1, 20),
    _cap("field_blank", None, 0.02, 5),
    Rule("same_value", "approve", "ceiling", mode="warn", share=0.9, least=20),
    Rule("growth", "approve", "ceiling", share=3.0, least=20),
    _cap("privileged", 0),
    Rule("first_run", "confirm", fixed=True),
    Rule("fields", "approve", fixed=True),
    Rule("label", "hold", fixed=True),
    Rule("deny_fields", "mask", fixed=True),
    Rule("audience", "hold", "level", fixed=True, level="org"),
    Rule("external", "approve", "cap", fixed=True, count=0),
    Rule("mass_mention", "hold", "cap", count=10),
    Rule("posts", "hold", "cap", count=100, run=20),
    Rule("attachments", "hold"),
    Rule("free_text", "hold", fixed=True),
    Rule("credential", "hold", "findings", count=1, fixed_outside=True),
    _findings("card"),
    _findings("iban"),
    _findings("national_id"),
    _findings("email", 5),
    _findings("phone", 5),
    _findings("marker"),
    _findings("internal_url"),
    _findings("word"),
)

BUILT_IN: Final[Mapping[str, Rule]] = {rule.name: rule for rule in _TABLE}
"""Every rule at its size and mode out of the box (guard 2)."""
