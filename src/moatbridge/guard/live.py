"""Judging live changes one by one against the sliding window (guard 10).

A `LiveWindow` serves one batch of one flow: it asks the memory once for each count it
needs, then counts on by itself, so a batch of 1,000 changes costs a handful of
look-ups. The flow adds `LiveWindow.counts` to the memory in the transaction that
stages the batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.guard.verdict import Hit, Verdict
from moatbridge.guard.windows import RUN, WindowCount, counted, window_counts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from moatbridge.config.guard_rules import Rule, Rules
    from moatbridge.guard.context import Context, Operation
    from moatbridge.guard.verdict import Reason
    from moatbridge.guard.windows import Counted

HELD: Final = ".held"
"""Suffix of the rule under which held changes are counted, so one alert is enough."""


FIRST: Final = 5_000
"""Links that are counted at first where a share of them decides."""


class LiveWindow:
    """The window's counts, and what one batch adds to them. One thread at a time.

    Args:
        rules: The flow's rules.
        context: Time and counts.
        links: Counts the live links of the pair, up to the number it is given. That
            reads them, so it is asked only if a share of them decides, and for more
            only if so many are too few.
        only: Names of the rules to judge by; None: all that count. A planned run is
            judged as a whole, except for ``posts``: what is beyond is held one by one.
    """

    def __init__(
        self,
        rules: Rules,
        context: Context,
        *,
        links: Callable[[int], int],
        only: Collection[str] | None = None,
    ) -> None:
        self._only = only
        self._rules = rules.at(context.now)
        self._context = context
        self._count_links = links
        self._links = 0
        self._asked = 0
        self._seen: dict[Counted, int] = {}
        self._added: list[Counted] = []
        self._alerts: dict[Counted, None] = {}

    def judge(
        self,
        op: Operation,
        *,
        changed: Collection[str] = (),
        blanked: Collection[str] = (),
        deactivates: bool = False,
        privileged: bool = False,
        external: bool = False,
        posts: Iterable[Counted] = (),
    ) -> Verdict:
        """Allow one change, or hold it because its class has reached a limit.

        What is held is not counted as sent; other classes go on. A memory that fails
        holds the change with the reason ``guard-bug``.

        Args:
            op: What happens at the target.
            changed: Entity paths that get another value.
            blanked: Those of them that become empty.
            deactivates: The update sets ``active`` to false.
            privileged: ``judge`` noted the rule ``privileged``.
            external: ``judge`` noted the rule ``external``.
            posts: `moatbridge.guard.windows.post_keys` of a post.
        """
        noted = {"privileged": privileged, "external": external}
        counts = counted(
            op, changed, blanked, deactivates=deactivates, posts=posts, **noted
        )
        keys = [key for key in counts if self._only is None or key[0] in self._only]
        try:
            hits = tuple(hit for key in keys if (hit := self._hit(key)))
        except Exception:  # noqa: BLE001 - a window that cannot be read must not let pass
            return Verdict("hold", None, (Hit("live", "hold", reason="guard-bug"),))
        if any(hit.effect == "hold" for hit in hits):
            return Verdict("hold", None, hits)
        self._added += keys
        for key in keys:
            self._seen[key] += 1
        return Verdict("allow", None, hits)

    @property
    def alerts(self) -> tuple[Counted, ...]:
        """(rule, key) pairs whose limit was reached for the first time in 24 hours."""
        return tuple(self._alerts)

    def counts(self) -> tuple[WindowCount, ...]:
        """What this batch adds to the memory."""
        return window_counts(self._added)

    def _hit(self, key: Counted) -> Hit | None:
        rule = self._rules[key[0]]
        if self._fits(rule, key, self._count(key) + 1):
            return None
        if rule.mode == "enforce":
            self._note_held(key)
        reason: Reason = "removal" if rule.name == "removals" else "limit"
        paths = (key[1],) if key[1] and rule.name != "posts" else ()
        return Hit(rule.name, "hold", rule.mode, reason, paths)

    def _fits(self, rule: Rule, key: Counted, n: int) -> bool:
        """Whether so many are within the limit; more links only ever raise it."""
        if rule.run is not None and key[1].startswith(RUN):
            return n <= rule.run
        if n <= rule.at_most(0) or rule.share is None:
            return n <= rule.at_most(0)
        while n > rule.at_most(self._links):
            if self._links < self._asked:  # these are all of them
                return False
            self._asked = 4 * self._asked or FIRST
            self._links = self._count_links(self._asked)
        return True

    def _count(self, key: Counted) -> int:
        if key not in self._seen:
            self._seen[key] = self._context.seen(*key)
        return self._seen[key]

    def _note_held(self, key: Counted) -> None:
        held = (key[0] + HELD, key[1])
        if self._count(held) == 0:
            self._alerts[key] = None
        self._seen[held] += 1
        self._added.append(held)
