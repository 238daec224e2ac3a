"""What is read is held back where the guard's windows are full (guard 10, 40).

Live changes are judged one by one against the day's window. A planned run is judged as
a whole, except for posts: what is beyond the run's or the day's number of posts is held
one by one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from moatbridge.guard import Context, LiveWindow, counted, deactivates, post_keys
from moatbridge.ledger import counts, marks

if TYPE_CHECKING:
    from moatbridge.flow.observation import Observation
    from moatbridge.flow.route import Route
    from moatbridge.guard import Operation
    from moatbridge.ledger import Ledger
    from moatbridge.ledger.staging import Staged

_POSTS: Final = "posts"


class Limits:
    """The windows for one stretch of reading; counts are asked once a commit.

    Args:
        route: The flow.
        ledger: Its ledger.
        run_id: The run that is staged for.
        live: Whether changes are judged one by one.
    """

    def __init__(
        self, route: Route, ledger: Ledger, *, run_id: int, live: bool
    ) -> None:
        self._route = route
        self._ledger = ledger
        self._run_id = run_id
        self._live = live
        self._window: LiveWindow | None = None

    def judge(self, found: Observation) -> None:
        """Hold what is beyond a limit."""
        if not self._live and self._route.entity != "Post":
            return
        self._window = self._window or self._opened()
        for staged in (*found.upserts, *found.disables, *found.deletes):
            self._one(self._window, staged)

    def counted(self) -> dict[tuple[str, str], int]:
        """What to add to the ledger's counts in the transaction that stages.

        Planned posts count for the day when they are sent, for their run at once: its
        other parts must know.
        """
        if self._window is None:
            return {}
        added = {(c.rule, c.key): c.n for c in self._window.counts()}
        self._window = None
        if self._live:
            return added
        return {(rule, key): n for (rule, key), n in added.items() if key != self._day}

    @property
    def _day(self) -> str:
        return self._route.target.system

    def _one(self, window: LiveWindow, staged: Staged) -> None:
        held = json.loads(staged.payload)
        op: Operation = "renew" if held.get("renew") else cast("Any", staged.op)
        changed = held.get("changed", ())
        verdict = window.judge(
            op,
            changed=changed,
            blanked=held.get("blank", ()),
            deactivates=deactivates(op, changed, held["entity"] or {}),
            privileged=held.get("privileged", False),
            external=held.get("external", False),
            posts=self._keys() if staged.hold is None else (),
        )
        if verdict.decision != "allow" and staged.hold is None:
            staged.hold = ("limit", ", ".join(verdict.rules), "")

    def _keys(self) -> tuple[tuple[str, str], ...]:
        if self._route.entity != "Post":
            return ()
        return post_keys(self._day, None if self._live else self._run_id)

    def _opened(self) -> LiveWindow:
        """The window as the ledger has it; what is staged since is counted on."""
        route = self._route
        memory = _Staged(self._ledger, route.row.flow_id, self._day, self._run_id)
        salt = self._ledger.ledger_id.encode()
        context = Context(now=self._ledger.now(), memory=memory, salt=salt)
        only = None if self._live else {_POSTS}
        return LiveWindow(route.rules, context, links=self._links, only=only)

    def _links(self, most: int) -> int:
        with self._ledger.read() as tx:
            return marks.count_live_to(tx, self._route.row.pair_id, most)


def counted_as(
    route: Route, op: Operation, payload: dict[str, Any]
) -> list[tuple[str, str]]:
    """What an intent counts as against the day's windows: (rule, key)."""
    if op == "create" and payload.keys() == _NOTHING_SAID and route.entity != "Post":
        return list(_CREATES)
    op = "renew" if payload.get("renew") else op
    changed = payload.get("changed", ())
    return list(
        counted(
            op,
            changed,
            payload.get("blank", ()),
            deactivates=deactivates(op, changed, payload.get("entity") or {}),
            privileged=payload.get("privileged", False),
            external=payload.get("external", False),
            posts=post_keys(route.target.system) if route.entity == "Post" else (),
        )
    )


_NOTHING_SAID: Final = {"entity"}
_CREATES: Final = tuple(counted("create"))


class _Staged:
    """The guard's memory, with what this run has staged and not sent yet."""

    def __init__(self, ledger: Ledger, flow_id: int, day: str, run_id: int) -> None:
        self._window = counts.Window(ledger.db, flow_id)
        self._day = day
        self._run = post_keys(day, run_id)[1][1]

    def seen(self, rule: str, key: str, window: float) -> int:
        """See `moatbridge.guard.Memory`."""
        sent = self._window.seen(rule, key, window)
        if rule == _POSTS and key == self._day:
            return sent + self._window.seen(rule, self._run, window)
        return sent
