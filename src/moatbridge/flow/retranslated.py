"""A translator that changed makes every record look changed; most say nothing new (18).

Such a pass costs a translation for each record and no traffic. The plan says so, so
that nobody wonders why millions of records were looked at anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.ledger import counts

if TYPE_CHECKING:
    from moatbridge.flow.route import Route
    from moatbridge.ledger import Transaction

SAME: Final = "irrelevant"
"""Count of records whose change is none for the target."""

_RULE: Final = "seen.run"


def note(tx: Transaction, route: Route, run_id: int, found: dict[str, int]) -> None:
    """Remember how many records of a run only looked changed; part of transaction A."""
    if found.get(SAME):
        counts.add(tx, route.row.flow_id, {(_RULE, str(run_id)): found[SAME]})


def retranslated(tx: Transaction, route: Route, run_id: int) -> dict[str, int]:
    """For the plan: how many records say the same as before by another translator.

    Empty if the translator is the one that the last pass was carried out with.
    """
    former = tx.value("SELECT translator FROM flow WHERE flow_id=?", route.row.flow_id)
    if former is None or former == route.source.bound.version:
        return {}
    same = tx.value(
        "SELECT coalesce(sum(n), 0) FROM guard_count "
        "WHERE flow_id=? AND rule=? AND key=?",
        route.row.flow_id,
        _RULE,
        str(run_id),
    )
    return {"retranslated": int(same)}
