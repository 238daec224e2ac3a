"""What the guard says about one change and about a whole plan (guard 1, 3, 14)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from moatbridge.entities import highest
from moatbridge.errors import GuardStopped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.config.guard_rules import Mode
    from moatbridge.entities import Label

Decision: TypeAlias = Literal["allow", "mask", "hold", "drop"]
PlanDecision: TypeAlias = Literal["pass", "confirm", "approve", "stop"]
Reason: TypeAlias = Literal[
    "approval", "quarantine", "budget", "quiet", "digest", "conflict", "ambiguous",
    "removal", "limit", "no-audience", "audience", "mass-mention", "label", "loop",
    "ref-clash", "duplicate-key", "guard-bug",
]  # fmt: skip
"""Why an item is held: a closed list (guard 31)."""

STRICTNESS: Final[tuple[Decision, ...]] = ("allow", "mask", "hold", "drop")
PLAN_STRICTNESS: Final[tuple[PlanDecision, ...]] = (
    "pass",
    "confirm",
    "approve",
    "stop",
)
EXIT_CODES: Final[dict[PlanDecision, int]] = {
    "pass": 0,
    "confirm": 10,
    "approve": 11,
    "stop": 12,
}


Steps: TypeAlias = tuple[str | int, ...]
"""Member names and list positions that lead to one text of an entity."""


@dataclass(frozen=True, slots=True)
class Found:
    """One value that a detector found; the value itself is not kept (guard 28).

    Args:
        detector: Its rule's name.
        steps: Which text of the entity.
        start: First character in that text, as it would be sent.
        end: After the last one.
        shown: What a mask writes in its place.
        digest: Keyed digest of the value; empty if the context has no salt.
    """

    detector: str
    steps: Steps
    start: int
    end: int
    shown: str
    digest: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that had something to say about one change.

    Args:
        rule: Its name.
        decision: What it asks for.
        mode: Only ``enforce`` decides.
        reason: Why the item would be held.
        paths: Entity paths concerned; for ``mask`` those that are taken out, or
            changed if there are findings or ``put`` says to what.
        findings: What a detector found; masking writes `Found.shown` over each.
        put: Top-level members and what they become, for ``mask``.
    """

    rule: str
    decision: Decision
    mode: Mode = "enforce"
    reason: Reason | None = None
    paths: tuple[str, ...] = ()
    findings: tuple[Found, ...] = ()
    put: tuple[tuple[str, Any], ...] = ()

    @property
    def effect(self) -> Decision:
        """The decision, as far as the mode lets it count."""
        return self.decision if self.mode == "enforce" else "allow"

    def places(self) -> tuple[tuple[str, int], ...]:
        """Rows of (entity path, how often): where it hit; positions are not told."""
        found = Counter(path_of(each.steps) for each in self.findings)
        return tuple(sorted((found or Counter(self.paths)).items()))


class Noticed(NamedTuple):
    """What one rule said of one change, in words that may be kept; plain JSON.

    Args:
        rule: Its name; for findings the detector's.
        mode: Only ``enforce`` decided.
        decision: What it asked for.
        places: Rows of (entity path, findings there).
    """

    rule: str
    mode: Mode
    decision: Decision
    places: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one outgoing change.

    Args:
        decision: The strictest of all rules.
        entity: What may be sent: the entity handed in, or a masked copy. None for a
            delete.
        hits: Every rule that hit, whatever its mode.
        masked: Paths that were taken out, or whose text or value was changed.
        label: The item's label where findings or the item itself raise it above what
            the route says; else None. The flow puts it on the intent.
    """

    decision: Decision
    entity: dict[str, Any] | None = None
    hits: tuple[Hit, ...] = ()
    masked: tuple[str, ...] = ()
    label: Label | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the rules that hit, each once."""
        return tuple(dict.fromkeys(hit.rule for hit in self.hits))

    @property
    def deciding(self) -> tuple[str, ...]:
        """Names of the rules that do not let it go as it was, each once."""
        hit = (hit.rule for hit in self.hits if hit.effect != "allow")
        return tuple(dict.fromkeys(hit))

    @property
    def findings(self) -> tuple[Found, ...]:
        """Everything that detectors found, whatever the rules' modes."""
        return tuple(found for hit in self.hits for found in hit.findings)

    @property
    def noticed(self) -> tuple[Noticed, ...]:
        """What is told of it, beside what it decides (guard 6, 28): never a value.

        Hits of rules that only observe or warn, and everything that detectors found.
        """
        return tuple(
            Noticed(hit.rule, hit.mode, hit.decision, hit.places())
            for hit in self.hits
            if hit.findings or (hit.mode != "enforce" and hit.decision != "allow")
        )

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """All reasons of the rules that decide, each once."""
        found = (hit.reason for hit in self.hits if hit.effect != "allow")
        return tuple(dict.fromkeys(reason for reason in found if reason))

    def __repr__(self) -> str:
        return f"Verdict({self.decision}, rules={self.rules}, masked={self.masked})"


def path_of(steps: Steps) -> str:
    """The entity path of a text; list positions are not told."""
    return ".".join("[]" if isinstance(each, int) else each for each in steps).replace(
        ".[]", "[]"
    )


def strictest(decisions: Iterable[Decision]) -> Decision:
    """The strictest of these: drop, then hold, mask, allow; nothing means allow."""
    return max(decisions, key=STRICTNESS.index, default="allow")


def combine(first: Verdict, second: Verdict) -> Verdict:
    """Both verdicts on one change as one; the entity is the first one's."""
    return Verdict(
        strictest((first.decision, second.decision)),
        first.entity,
        first.hits + second.hits,
        first.masked + second.masked,
        highest(first.label, second.label) if first.label or second.label else None,
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """One plan rule that had something to say.

    Args:
        rule: Its name.
        mode: Only ``enforce`` decides.
        decision: What it asks for.
        seen: The number met, the window of the last 24 h included.
        limit: The largest (for ``shrink`` the smallest) number that passes.
        nearest_pass: The nearest number *of this plan* that would pass.
        sentence: What a manager reads. Numbers and field names, never a value.
        path: The entity path concerned.
        sample: Link ids of a few of the records.
        acceptable: Whether people may accept it at all.
    """

    rule: str
    mode: Mode
    decision: PlanDecision
    seen: int
    limit: int
    nearest_pass: int
    sentence: str
    path: str | None = None
    sample: tuple[int, ...] = ()
    acceptable: bool = True

    @property
    def effect(self) -> PlanDecision:
        """The decision, as far as the mode lets it count."""
        return self.decision if self.mode == "enforce" else "pass"


@dataclass(frozen=True, slots=True)
class PlanVerdict:
    """The judgement of a whole plan; nothing has been sent yet.

    Args:
        flow: The flow's name.
        decision: The strictest of all findings that decide.
        findings: All of them, the strictest first.
        count: Records concerned: the number a person types to agree.
        deletes_allowed: False when the pass cannot tell what is gone; then nothing
            may be removed, whatever anybody agrees to.
        four_eyes: Agreement takes another person.
        digest: Digest of the plan that was judged.
        planned_at: POSIX seconds of the judgement.
    """

    flow: str
    decision: PlanDecision
    findings: tuple[Finding, ...] = ()
    count: int = 0
    deletes_allowed: bool = True
    four_eyes: bool = True
    digest: str = ""
    planned_at: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 pass, 10 confirm, 11 approve, 12 stop."""
        return EXIT_CODES[self.decision]

    @property
    def deciding(self) -> tuple[Finding, ...]:
        """The findings that make the decision what it is."""
        return tuple(f for f in self.findings if f.effect == self.decision)

    def stopped(self) -> GuardStopped:
        """The error that says why this plan is not applied as it stands.

        Its code is ``guard.RULE`` of the first deciding finding. Only for verdicts
        other than ``pass``.
        """
        first = self.deciding[0]
        sentences = "; ".join(finding.sentence for finding in self.deciding)
        return GuardStopped(
            f"the plan of flow {self.flow} {sentences}. Nothing was sent. Look at it "
            f"with: moatbridge plan {self.flow}",
            code=f"guard.{first.rule}",
            rule=first.rule,
            decision=self.decision,
            seen=first.seen,
            limit=first.limit,
            nearest_pass=first.nearest_pass,
            digest=self.digest,
            exit_code=self.exit_code,
        )
