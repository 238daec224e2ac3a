"""The numbers of a plan, gathered while it is staged (guard 9, 11; delivery 51).

Bounded: counters per entity path (at most 512 paths), value digests (64 per path) and
a few link ids as samples, however many records the plan holds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from moatbridge.guard.concentration import Concentration
from moatbridge.guard.windows import REMOVALS, deactivates

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from moatbridge.guard.context import Operation

MAX_PATHS: Final = 512
OTHER_PATHS: Final = "(other paths)"
SAMPLES: Final = 10
REMOVAL_SAMPLES: Final = 100

_NOUNS: Final = {
    "Person": "people",
    "Group": "groups",
    "Post": "posts",
    "Reaction": "reactions",
    "Decision": "decisions",
}
_GATHERED: Final = frozenset({"counts", "by_path", "samples", "held"})


@dataclass(slots=True)
class PathCounts:
    """What a plan does to one entity path.

    Args:
        changes: Records in which it gets another value, blanks included.
        blanks: Those in which it becomes empty.
        after: The new values.
        before: The old values, where they were told.
    """

    changes: int = 0
    blanks: int = 0
    after: Concentration = field(default_factory=Concentration)
    before: Concentration = field(default_factory=Concentration)


@dataclass(slots=True)
class PlanSummary:
    """Everything that `judge_plan` looks at.

    One thread at a time; parts staged apart are joined by `merge`, and `to_dict`
    carries a part through the ledger.

    Args:
        flow: The flow's name.
        target: Name of the system that would receive.
        links: Live links of the pair when planning began.
        seen: Records that the pass saw; None when no pass happened.
        prev_seen: Records that the last good pass saw; None if there was none.
        complete: Every partition ended with ``complete=True``.
        server_changed: The source is not the server that the links were made with.
        first_run: Nothing was ever applied by this flow.
        entity_type: ``Person``, ``Group``; for the sentences.
        exposure: Whether the target is seen from outside the company.
        missing: Links that the pass did not see, whether or not that became a
            removal in this plan.
        new: Records that the pass saw and that have no link yet; at least the
            creates.
        new_fields: "hr mail -> social emails" lines that were not in the last approved
            report.
        digest: The plan's digest.
        salt: Key for the digests of values.
        counts: Operation -> records; ``deactivate`` counts the updates that set
            ``active`` to false.
        by_path: Entity path -> what happens to it.
        privileged: Privileged changes that are not held one by one.
        external: Changes that outsiders will see and that are not held one by one.
        attachments: Attachments of the planned posts, whose content nobody inspects.
        held: Rule -> records that it holds; for the printed plan.
        samples: Operation or path -> link ids.
    """

    flow: str
    target: str
    links: int
    seen: int | None
    prev_seen: int | None
    complete: bool
    server_changed: bool = False
    first_run: bool = False
    entity_type: str = ""
    exposure: Literal["internal", "external"] = "internal"
    missing: int = 0
    new: int = 0
    new_fields: tuple[str, ...] = ()
    digest: str = ""
    salt: bytes = field(default=b"", repr=False)
    privileged: int = 0
    external: int = 0
    attachments: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    by_path: dict[str, PathCounts] = field(default_factory=dict)
    held: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[int]] = field(default_factory=dict)

    def add(
        self,
        op: Operation,
        *,
        link_id: int | None = None,
        changed: Collection[str] = (),
        blanked: Collection[str] = (),
        after: Mapping[str, Any] | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> None:
        """Count one planned change.

        Args:
            op: What would happen at the target.
            link_id: Its link.
            changed: Entity paths that get another value (updates only).
            blanked: Those of them that become empty.
            after: Path -> new value, of the changed paths; only counted. Without the
                value of a changed ``active`` the update counts as a removal too.
            before: Path -> old value, where known; only counted.
        """
        self.counts[op] += 1
        self._sample("removals" if op in REMOVALS else op, link_id)
        if op in REMOVALS or op == "create":
            return
        if deactivates(op, (*changed, *blanked), after):
            self.counts["deactivate"] += 1
            self._sample("removals", link_id)
        blank = frozenset(blanked)
        for path in dict.fromkeys((*changed, *blanked)):
            self._count_path(path, link_id, blank, after or {}, before or {})

    def hold(self, rules: Iterable[str]) -> None:
        """Count one change that is held for a person, under each rule that holds it."""
        self.held.update(rules)

    @property
    def noun(self) -> str:
        """What the records are called in sentences."""
        return _NOUNS.get(self.entity_type, "records")

    @property
    def gone(self) -> int:
        """Removals because the source record is gone or left the scope."""
        return sum(self.counts[op] for op in REMOVALS)

    @property
    def removals(self) -> int:
        """Delete, disable and left scope, and updates that disable (guard 15)."""
        return self.gone + self.counts["deactivate"]

    @property
    def creates(self) -> int:
        """Records that would be new at the target."""
        return self.counts["create"]

    @property
    def posts(self) -> int:
        """Posts that would be new at the target and are not held."""
        return self.creates if self.entity_type == "Post" else 0

    @property
    def updates(self) -> int:
        """Records that would change at the target, re-enabled ones included."""
        return self.counts["update"] + self.counts["renew"]

    @property
    def touched(self) -> int:
        """Records that the plan would change in any way."""
        return self.creates + self.updates + self.gone

    @property
    def appeared(self) -> int:
        """Records without a link."""
        return max(self.new, self.creates)

    @property
    def vanished(self) -> int:
        """Links without a record."""
        return max(self.missing, self.gone)

    def merge(self, other: PlanSummary) -> None:
        """Add what was gathered for another part of the same plan.

        Only the gathered numbers are added up; what describes the pass as a whole
        (``links``, ``seen``, ``complete`` ...) stays and is set by the flow at the end.
        """
        self.privileged += other.privileged
        self.external += other.external
        self.attachments += other.attachments
        self.missing += other.missing
        self.new += other.new
        self.counts.update(other.counts)
        self.held.update(other.held)
        for name, links in other.samples.items():
            for link_id in links:
                self._sample(name, link_id)
        for path, theirs in other.by_path.items():
            ours = self._path(path)
            ours.changes += theirs.changes
            ours.blanks += theirs.blanks
            ours.after.merge(theirs.after)
            ours.before.merge(theirs.before)

    def to_dict(self) -> dict[str, Any]:
        """JSON for the ledger: numbers, field names, digests of values."""
        plain = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in _GATHERED and f.name != "salt"
        }
        paths = {
            path: {
                "changes": each.changes,
                "blanks": each.blanks,
                "after": each.after.to_dict(),
                "before": each.before.to_dict(),
            }
            for path, each in self.by_path.items()
        }
        return {
            **plain,
            "new_fields": list(self.new_fields),
            "counts": dict(self.counts),
            "held": dict(self.held),
            "samples": {name: list(links) for name, links in self.samples.items()},
            "by_path": paths,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, salt: bytes = b"") -> Self:
        """The opposite of `to_dict`; the salt is not stored beside the digests."""
        plain = {name: data[name] for name in data if name not in _GATHERED}
        plain["new_fields"] = tuple(data["new_fields"])
        summary = cls(**plain, salt=salt)
        summary.counts.update(data["counts"])
        summary.held.update(data["held"])
        summary.samples.update({n: list(ids) for n, ids in data["samples"].items()})
        for path, each in data["by_path"].items():
            summary.by_path[path] = PathCounts(
                each["changes"],
                each["blanks"],
                Concentration.from_dict(each["after"], salt),
                Concentration.from_dict(each["before"], salt),
            )
        return summary

    def _path(self, path: str) -> PathCounts:
        counts = self.by_path.get(path)
        if counts is None:
            if len(self.by_path) >= MAX_PATHS and path != OTHER_PATHS:
                return self._path(OTHER_PATHS)
            counts = PathCounts(
                after=Concentration(self.salt), before=Concentration(self.salt)
            )
            self.by_path[path] = counts
        return counts

    def _count_path(
        self,
        path: str,
        link_id: int | None,
        blank: Collection[str],
        after: Mapping[str, Any],
        before: Mapping[str, Any],
    ) -> None:
        counts = self._path(path)
        counts.changes += 1
        self._sample(f"path:{path}", link_id)
        if path in blank:
            counts.blanks += 1
            self._sample(f"blank:{path}", link_id)
        elif path in after and not isinstance(after[path], bool):
            # Changes of a yes or no all go the same way: that says nothing.
            counts.after.add(after[path])
        if path in before:
            counts.before.add(before[path])

    def _sample(self, name: str, link_id: int | None) -> None:
        if link_id is None:
            return
        links = self.samples.setdefault(name, [])
        if len(links) < (REMOVAL_SAMPLES if name == "removals" else SAMPLES):
            links.append(link_id)
