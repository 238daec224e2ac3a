"""What the guard let go although a rule had something to say: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.cli.terminal import clean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORDS: Final = {
    "warn": "warned of {n}",
    "observe": "only observed {n}",
    "mask": "masked something in {n}",
    "allow": "found something in {n}",
}


def let_go_lines(found: Mapping[str, int]) -> Iterator[str]:
    """``card warned of 2 changes that were sent``, a line a rule.

    Args:
        found: ``MODE.RULE`` (or ``mask.RULE``) -> changes, as `ledger.counts.let_go`.
    """
    for name, number in sorted(found.items()):
        how, _, rule = name.partition(".")
        changes = "1 change" if number == 1 else f"{number:,} changes"
        verb = "was" if number == 1 else "were"
        said = _WORDS.get(how, how + " {n}").format(n=changes)
        yield f"{clean(rule)} {said} that {verb} sent"
