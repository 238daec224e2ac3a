"""Spin searches every run of the delivery protocol; its verdicts must match this table.

What the model says is why the code does what it does: "violated" rows are the ways of
doing it that are not open to us (delivery 8, 24, 25).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from model.spin import Model

HERE = Path(__file__).parent
H, V = "holds", "violated"
CLAIMS = ("no_duplicate", "no_loss", "nothing_silent")
REST = "never_rests"
EXPIRES = {"EXPIRES": 1, "CRASHES": 2}
LOOKUP = {"DEDUP": "LOOKUP", "CRASHES": 2}
PLAIN = {"DEDUP": "PLAIN", "CRASHES": 2}
TABLE = {
    "keyed, 1 worker, lingering, 3 crashes": ({"CRASHES": 3}, (H, H, H)),
    "keyed, 2 workers, 2 crashes": ({"WORKERS": 2, "CRASHES": 2}, (H, H, H)),
    "keyed, key may expire": (EXPIRES, (V, H, H)),
    "keyed, may expire, no retry after its time": ({**EXPIRES, "HORIZON": 1}, (H, H, H)),
    "same, requests may linger past expiry": ({**EXPIRES, "HORIZON": 1, "LATE": 1}, (V, H, H)),
    "lookup, nothing lingers, 1 worker": ({**LOOKUP, "LINGER": 0}, (H, H, H)),
    "lookup, requests linger": (LOOKUP, (V, H, H)),
    "lookup, requests linger, looked up after their life": ({**LOOKUP, "PATIENT": 1}, (H, H, H)),
    "lookup, nothing lingers, second worker": ({**LOOKUP, "LINGER": 0, "WORKERS": 2}, (V, H, H)),
    "plain, retry": (PLAIN, (V, H, H)),
    "plain, parked": ({**PLAIN, "PARK": 1}, (H, H, H)),
    "BUG: done before send": ({"ORDER": "DONE_FIRST"}, (H, V, H)),
    "BUG: checkpoint before ledger": ({"ORDER": "CURSOR_FIRST"}, (H, H, V)),
}  # fmt: skip
"""Configuration -> settings, and verdicts on `CLAIMS`."""

ORDER = {
    "newer sent over unknown": ("AT_ONCE", (V, V)),
    "older repeated until answered, then newer": ("REPEAT", (H, V)),
    "newer waits for the life of a request": ("WAIT", (H, H)),
    "conditional write": ("CONDITIONAL", (H, H)),
}
"""Rule -> settings, and whether the final value is the newest: by request-scoped and by
object-scoped keys."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Every verdict, by model, configuration and claim."""
    folder = tmp_path_factory.mktemp("spin")
    jobs = {
        ("delivery", row): (settings, (*CLAIMS, REST))
        for row, (settings, _expected) in TABLE.items()
    }
    for row, (rule, _expected) in ORDER.items():
        for scope in ("REQUEST", "OBJECT"):
            jobs["order", row, scope] = ({"RULE": rule, "SCOPE": scope}, ("newest",))

    def run(job):
        number, (name, (settings, claims)) = job
        model = Model(HERE / f"{name[0]}.pml", folder / str(number), **settings)
        return {(*name, claim): model.check(claim) for claim in claims}

    verdicts = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for some in pool.map(run, enumerate(jobs.items())):
            verdicts |= some
    return verdicts


@pytest.mark.parametrize("row", TABLE)
def test_the_verdicts_on_a_configuration_are_those_of_the_table(row, found):
    verdicts = [found["delivery", row, claim] for claim in CLAIMS]
    assert tuple(str(v) for v in verdicts) == TABLE[row][1]
    for verdict in verdicts:
        assert verdict.holds or "effects" in verdict.counterexample
    assert not found["delivery", row, REST].holds


@pytest.mark.parametrize("row", ORDER)
def test_whether_the_final_value_is_the_newest_is_as_in_the_table(row, found):
    verdicts = [found["order", row, scope, "newest"] for scope in ("REQUEST", "OBJECT")]
    assert tuple(str(v) for v in verdicts) == ORDER[row][1]
    for verdict in verdicts:
        assert verdict.holds or "shown = 1" in verdict.counterexample


def test_the_table_is_printed_with_what_was_searched(found, capsys):
    lines = []
    for name, verdict in found.items():
        what = ", ".join(name[1:])
        if REST in name:
            continue
        lines.append(f"{what:72} {verdict!s:9} {verdict.states:>8} states")
    with capsys.disabled():
        print("\n" + "\n".join(lines))  # noqa: T201 - the table is the point
    # A search of a handful of states would prove nothing.
    assert all(v.states > 100 for v in found.values() if v.holds)
