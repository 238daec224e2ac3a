"""What the guard noticed and let go all the same: kept, listed, counted (guard 6, 28).

Beside the entity, an intent's payload keeps what rules said that only observe or warn,
and what detectors found: rule, mode, what it asked for, and how often in which field;
never a value. So a plan can list it, a reviewer sees it, and it is counted in the
transaction that lets the change go: once, whatever is interrupted (guard 2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.guard import Finding, Noticed
from moatbridge.ledger import audit, counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge.guard import Verdict
    from moatbridge.ledger import Transaction

NOTICED: Final = "noticed"
"""Member of a payload."""

_WORDS: Final = {
    "hold": "sends {n} that it would hold{where}",
    "drop": "sends {n} that it would drop{where}",
    "mask": "sends {n} that it would mask{where}",
    "allow": "sends {n} in which it found something{where}",
    "masked": "masks what it found in {n}{where}",
}


def kept(verdict: Verdict) -> dict[str, Any]:
    """What a payload keeps of a judgement; nothing for most."""
    return {NOTICED: verdict.noticed} if verdict.noticed else {}


def renewed(payload: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    """The payload with what a later judgement noticed in place of the former.

    What was masked before is not found any more, and stays told.
    """
    rest = {k: v for k, v in payload.items() if k != NOTICED}
    again = {one.rule for one in verdict.noticed}
    masked = [n for n in noticed(payload) if _masks(n) and n.rule not in again]
    found = [*masked, *verdict.noticed]
    return {**rest, NOTICED: found} if found else rest


def _masks(one: Noticed) -> bool:
    return one.mode == "enforce" and one.decision == "mask"


def noticed(payload: Mapping[str, Any]) -> list[Noticed]:
    """What a payload says that was noticed."""
    return [
        Noticed(rule, mode, decision, tuple((path, n) for path, n in places))
        for rule, mode, decision, places in payload.get(NOTICED, ())
    ]


def counted_as(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a change that is sent counts as: (mode or ``mask``, rule).

    A change that a rule would have held is not here if that rule decides: then a person
    agreed to it.
    """
    if NOTICED not in payload:
        return []
    found = dict.fromkeys(_counted(one) for one in noticed(payload))
    return [each for each in found if each is not None]


def _counted(one: Noticed) -> tuple[str, str] | None:
    if one.mode != "enforce":
        return one.mode, one.rule
    return {"mask": ("mask", one.rule), "allow": ("allow", one.rule)}.get(one.decision)


def count(
    tx: Transaction,
    flow: tuple[int, str],
    run_id: int,
    found: Iterable[tuple[str, str]],
) -> None:
    """Count what leaves although rules had something to say; part of transaction B.

    Args:
        tx: Open transaction.
        flow: Its id and name.
        run_id: The run that sends it.
        found: `counted_as` of everything that leaves.
    """
    numbers: dict[tuple[str, str], int] = {}
    for each in found:
        numbers[each] = numbers.get(each, 0) + 1
    if not numbers:
        return
    counts.add_noticed(tx, flow[0], run_id, numbers)
    said = {f"{mode}.{rule}": n for (mode, rule), n in sorted(numbers.items())}
    audit.record(tx, "let-go", flow=flow[1], run=run_id, rules=said)


class Noticing:
    """Adds up what was noticed in one plan."""

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str, str], int] = {}
        self._places: dict[tuple[str, str, str], dict[str, None]] = {}

    def add(self, payload: Mapping[str, Any]) -> None:
        """Add one planned change."""
        for one in noticed(payload):
            key = (one.rule, one.mode, one.decision)
            self._changes[key] = self._changes.get(key, 0) + 1
            self._places.setdefault(key, {}).update(
                dict.fromkeys(path for path, _n in one.places)
            )

    def findings(self) -> list[Finding]:
        """One finding for each rule; none of them decides about the plan."""
        return [self._finding(*key) for key in sorted(self._changes)]

    def _finding(self, rule: str, mode: Any, decision: str) -> Finding:
        key = (rule, mode, decision)
        number, places = self._changes[key], self._places[key]
        masks = mode == "enforce" and decision == "mask"
        changes = "1 change" if number == 1 else f"{number:,} changes"
        sentence = _WORDS["masked" if masks else decision].format(
            n=changes, where=f" (in {', '.join(sorted(places))})" if places else ""
        )
        return Finding(rule, mode, "pass", number, 0, 0, sentence)
