"""An in-memory `Memory` with a real sliding window, and shorthands for judging."""

from dataclasses import dataclass, field

from moatbridge.config.guard import effective
from moatbridge.guard import Context, PlanSummary

RULES = effective()
NOON = 1_790_000_000.0


@dataclass
class CountingMemory:
    """What a ledger does with window counts, without the ledger."""

    now: float = NOON
    events: list = field(default_factory=list)
    looked_up: int = 0

    def seen(self, rule, key, window):
        self.looked_up += 1
        return sum(
            n
            for at, name, k, n in self.events
            if (name, k) == (rule, key) and self.now - window < at <= self.now
        )

    def add(self, counts):
        self.events += [(self.now, rule, key, n) for rule, key, n in counts]


class BrokenMemory:
    def seen(self, rule, key, window):
        raise OSError("the disk is gone")


def context(memory=None):
    memory = memory or CountingMemory()
    return Context(now=getattr(memory, "now", NOON), memory=memory)


def plan(links=1000, **more):
    settings = {
        "flow": "people",
        "target": "social",
        "links": links,
        "seen": links,
        "prev_seen": links,
        "complete": True,
        "entity_type": "Person",
        "digest": "d1",
    }
    return PlanSummary(**(settings | more))


def adding(summary, op, n, **more):
    for link_id in range(n):
        summary.add(op, link_id=link_id, **more)
    return summary


def rule_names(verdict):
    return {finding.rule for finding in verdict.findings}
