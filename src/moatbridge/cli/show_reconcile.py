"""A reconciliation for people who manage, and as JSON lines: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.flow.reconcile import Divergence, Normalised, Reconciliation

WORDS: Final = {
    "missing": "missing: delivered, but no longer there",
    "changed": "changed there, in fields that this flow owns",
    "duplicate": "doubled: a second record for one source record",
    "extra": "extra: ours by its external id, but linked to nothing",
}
"""Kind of divergence -> what people call it."""

BEHIND: Final = {
    "new": "new at the source: the next pass creates them",
    "changed": "changed at the source since: the next pass carries it",
    "gone": "no longer at the source: the next pass decides",
    "waiting": "on their way, or waiting to be sent",
    "held": "held or parked for a person: see `moatbridge review`",
    "rejected": "rejected before: see `moatbridge review`",
    "unreadable": "could not be read or translated at the source",
    "retracted": "taken back by a retract; they stay so until the source changes",
}
"""Why the target does not show it yet -> what people read."""

LEFT: Final = {
    "told-once": "the source tells everything once; let it tell these again",
    "not-owner": "the other flow of the pair decides which records exist",
    "moved": "something happened to them meanwhile; run it again",
    "gone": "gone from the source meanwhile; the next pass decides",
    "unreadable": "could not be translated",
    "retracted": "a retract took something of them back; a repair would undo that",
}
"""Why a divergence is not repaired -> what people read."""


def reconcile_lines(
    report: Reconciliation, again: str, *, values: bool = True
) -> Iterator[str]:
    """The report for people.

    Args:
        report: What was found.
        again: Options that the next command must repeat.
        values: Show who is concerned.
    """
    yield f"Reconciled flow {report.flow}: {report.source} -> {report.target}"
    yield f"  {report.read:,} records read there, {report.compared:,} compared"
    if not report.looked:
        yield "  The source tells everything once: compared with what was delivered."
    yield from ("", "What the target does not show as delivered")
    if not report.diverging:
        yield "  nothing: every record is as it should be"
    for kind in WORDS:
        if report.counts.get(kind):
            yield f"  {report.counts[kind]:>9,}  {WORDS[kind]}"
    if report.doubtful:
        yield "  The target shows less than half of what was delivered, and cannot be"
        yield "  asked for the rest one by one. Find out whether it hides them (filter,"
        yield "  role) before you repair anything."
    yield from _fields(report)
    yield from _normalised(report.normalised)
    yield from _examples(report, values=values)
    yield from _aside(report)
    yield from _left(report)
    if report.diverging and report.plan is None and not report.left:
        yield from ("", f"Next: moatbridge reconcile {report.flow} --repair{again}")
    if report.plan is None:
        yield from ("", "Nothing was changed.")


def _fields(report: Reconciliation) -> Iterator[str]:
    if report.fields:
        yield from ("", "Fields that somebody changed there")
        for path, number in report.fields.items():
            yield f"  {number:>9,}  {clean(path)}"


def _normalised(found: tuple[Normalised, ...]) -> Iterator[str]:
    if not found:
        return
    yield from ("", "The target writes these fields in its own way (no divergence)")
    for one in found:
        how = "letter case and spaces" if one.spelling else "the value"
        yield (
            f"  {clean(one.path)}: {how} in {one.records:,} of {one.compared:,} records"
        )
    if any(not one.spelling for one in found):
        yield "  If nobody expects that, somebody changed the field everywhere: look."


def _examples(report: Reconciliation, *, values: bool) -> Iterator[str]:
    if not report.examples:
        return
    yield from ("", "Which ones" + ("" if values else " (names are hidden)"))
    shown: dict[str, int] = {}
    for one in report.examples:
        shown[one.kind] = shown.get(one.kind, 0) + 1
        yield f"  {one.kind} {_who(one, values=values)}{_more(one)}"
    for kind, number in shown.items():
        rest = report.counts[kind] - number
        if rest:
            yield f"  ... and {rest:,} more {kind} (--limit shows more)"


def _who(one: Divergence, *, values: bool) -> str:
    return clean(one.who, 80) if values else f"(link {one.link_id or 'none'})"


def _more(one: Divergence) -> str:
    fields = f": {', '.join(clean(path) for path in one.fields)}" if one.fields else ""
    return fields + (f" ({clean(one.why)})" if one.why else "")


def _aside(report: Reconciliation) -> Iterator[str]:
    """What is no divergence, and named as such."""
    rows = [(n, BEHIND.get(why, why)) for why, n in report.behind.items()]
    if report.unmanaged:
        rows.append((report.unmanaged, "at the target only, and none of this flow's"))
    if report.unreadable:
        rows.append((report.unreadable, "could not be read at the target"))
    if not report.searched:
        yield from ("", "The target cannot be read as a whole: only what was delivered")
        yield "is looked up there, and extra records cannot be found."
    if rows:
        yield from ("", "Beside that (no divergence)")
        yield from (f"  {number:>9,}  {words}" for number, words in rows)


def _left(report: Reconciliation) -> Iterator[str]:
    if report.left:
        yield from ("", "Left to people")
        for why, number in report.left.items():
            yield f"  {number:>9,}  {LEFT.get(why, why)}"


def divergence_json(
    flow: str, one: Divergence, *, values: bool = True
) -> dict[str, Any]:
    """One divergence, as a JSON line."""
    facts: dict[str, Any] = {
        "divergence": one.kind,
        "flow": flow,
        "link": one.link_id or None,
        "fields": list(one.fields),
        "why": one.why,
    }
    return facts | ({"who": one.who, "key": one.key} if values else {})


def reconcile_json(report: Reconciliation) -> dict[str, Any]:
    """The last JSON line: all counts."""
    plan = report.plan
    return {
        "reconciled": report.flow,
        "source": report.source,
        "target": report.target,
        "diverging": report.diverging,
        "counts": {kind: report.counts.get(kind, 0) for kind in WORDS},
        "fields": report.fields,
        "normalised": [
            {
                "path": one.path,
                "records": one.records,
                "compared": one.compared,
                "spelling": one.spelling,
            }
            for one in report.normalised
        ],
        "behind": report.behind,
        "unmanaged": report.unmanaged,
        "unreadable": report.unreadable,
        "read": report.read,
        "compared": report.compared,
        "searched": report.searched,
        "looked": report.looked,
        "doubtful": report.doubtful,
        "left": report.left,
        "run": report.run_id,
        "digest": plan.digest if plan else None,
        "decision": plan.verdict.decision if plan else None,
        "confirm": plan.verdict.count if plan else None,
        "seconds": round(report.seconds, 3),
    }
