"""What each change adds to the counts of the sliding window (guard 2, 9, 10)."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from moatbridge.guard.context import Operation

Counted: TypeAlias = tuple[str, str]
"""(rule, key): what `moatbridge.guard.Memory` counts."""

REMOVALS: Final = frozenset({"delete", "disable", "left_scope"})


class WindowCount(NamedTuple):
    """``n`` to add to the memory's count of ``(rule, key)``."""

    rule: str
    key: str
    n: int


def deactivates(
    op: Operation,
    changed: Collection[str],
    after: Mapping[str, Any] | None = None,
) -> bool:
    """Whether an update disables the record, which counts as a removal (guard 15).

    Anything but a known ``True`` in a changed ``active`` does.

    Args:
        op: What happens at the target.
        changed: Entity paths that change, blanked ones included.
        after: Path -> new value, where known.
    """
    if op != "update" or "active" not in changed:
        return False
    return (after or {}).get("active") is not True


RUN: Final = "run:"
"""What the key of a run's own count of posts starts with."""


def post_keys(target: str, run: str | int | None = None) -> tuple[Counted, ...]:
    """Under which keys one new post is counted: the target's day, and the run.

    Args:
        target: Name of the system that receives. Its count spans all flows to it.
        run: The run that planned it; None outside of runs.
    """
    day = ("posts", target)
    return (day,) if run is None else (day, ("posts", f"{RUN}{run}"))


def counted(
    op: Operation,
    changed: Iterable[str] = (),
    blanked: Iterable[str] = (),
    *,
    deactivates: bool = False,
    privileged: bool = False,
    external: bool = False,
    posts: Iterable[Counted] = (),
) -> Iterator[Counted]:
    """Which counts one change belongs to.

    Args:
        op: What happens at the target.
        changed: Entity paths that get another value; creates and removals count as
            such only (guard 11).
        blanked: Those of them that become empty.
        deactivates: What the function of that name says: counted as a removal too.
        privileged: The rule ``privileged`` noted it.
        external: The rule ``external`` noted it.
        posts: For a `Post`: its `post_keys`; only a create is counted under them.
    """
    if privileged:
        yield "privileged", ""
    if external and op not in REMOVALS:
        yield "external", ""
    if op == "create":
        yield from posts
        yield "creates", ""
    elif op in REMOVALS:
        yield "removals", ""
    else:
        yield "updates", ""
        if deactivates:
            yield "removals", ""
        yield from _paths(changed, blanked)


def _paths(changed: Iterable[str], blanked: Iterable[str]) -> Iterator[Counted]:
    blanked = tuple(blanked)
    for path in dict.fromkeys((*changed, *blanked)):
        yield "field_change", path
    for path in dict.fromkeys(blanked):
        yield "field_blank", path


def window_counts(keys: Iterable[Counted]) -> tuple[WindowCount, ...]:
    """Add up what many changes count as; for the transaction that lets them go."""
    return tuple(WindowCount(*key, n) for key, n in sorted(Counter(keys).items()))
