"""The report of a conformance run: abilities x checks, as Markdown or JSON. Pure.

The same run always gives the same text: no times, no paths, suites by name. So it can
stand in an adapter's README and be compared with a collection that ran nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from moatbridge.testing.conformance import AdapterConformance
from moatbridge.testing.conformance.base import needs_of, suite_tests
from moatbridge.testing.conformance.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

State: TypeAlias = Literal[
    "passed", "known weakness", "not run", "failed", "not offered"
]

START: Final = "<!-- conformance -->"
END: Final = "<!-- /conformance -->"

_WORST: Final = ("passed", "known weakness", "not run", "failed")
_CELLS: Final[dict[State, str]] = {
    "passed": "passed",
    "failed": "**FAILED**",
    "known weakness": "known weakness",
    "not run": "not run",
    "not offered": "-",
}
_LEGEND: Final = (
    "Made by the conformance suite of moatbridge (`pytest --conformance-report`); "
    "- : not offered, so there is nothing to check."
)


class ReportError(ValueError):
    """The file cannot take the report; says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the suite.

    Args:
        name: The test's name.
        topic: One of `moatbridge.testing.conformance.topics.TOPICS`.
        sentence: The name, for people.
        promise: First line of its docstring.
        needs: Abilities and features without which it is not collected.
    """

    name: str
    topic: str
    sentence: str
    promise: str
    needs: frozenset[str]


@dataclass(slots=True)
class Suite:
    """One test class: one stream of one adapter.

    Args:
        adapter: Name of the adapter.
        name: Name of the class.
        has: Abilities and features of the stream.
        states: Check -> what became of it; the worst of its parameters.
        reasons: Check -> reason of its ``xfail``.
    """

    adapter: str
    name: str
    has: frozenset[str]
    states: dict[str, State] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def note(self, check: str, state: State, reason: str = "") -> None:
        """Remember a result; of several the worst counts."""
        known = self.states.get(check, "passed")
        self.states[check] = max(known, state, key=_WORST.index)
        if reason:
            self.reasons[check] = reason

    def state(self, check: Check) -> State:
        """What became of a check."""
        if not check.needs <= self.has:
            return "not offered"
        return self.states.get(check.name, "not run")

    @property
    def title(self) -> str:
        """The class's name without its ``Test``."""
        return self.name.removeprefix("Test") or self.name

    @property
    def abilities(self) -> list[str]:
        """``scan``, ``write``, ...; sorted."""
        return sorted(n[3:].lower() for n in self.has if n.startswith("Can"))

    @property
    def features(self) -> list[str]:
        """What is declared beside the abilities; sorted."""
        return sorted(name for name in self.has if not name.startswith("Can"))


def checks() -> list[Check]:
    """Every check of the suite, in the order of the report."""
    tests = suite_tests(AdapterConformance)
    return [
        Check(
            name, topic, _sentence(name), _promise(tests[name]), needs_of(tests[name])
        )
        for topic, names in TOPICS.items()
        for name in names
    ]


def markdown(suites: Sequence[Suite]) -> str:
    """The report for a README, without its markers."""
    adapters = sorted({suite.adapter for suite in suites})
    blocks = [_LEGEND]
    for adapter in adapters:
        mine = [suite for suite in suites if suite.adapter == adapter]
        if len(adapters) > 1:
            blocks.append(f"**{adapter}**")
        blocks += _adapter(mine)
    return "\n\n".join(blocks) + "\n"


def as_json(suites: Sequence[Suite]) -> str:
    """The report for programs; ``format`` grows when its shape changes."""
    return json.dumps({"format": 1, "suites": [_plain(s) for s in suites]}, indent=2)


def spliced(text: str | None, report: str) -> str:
    """The file's text with the part between the markers replaced.

    Args:
        text: The file as it is; None if there is none yet.
        report: From `markdown`.

    Raises:
        ReportError: The text has no markers (once each, in order).
    """
    part = f"{START}\n{report}{END}"
    if text is None:
        return f"{part}\n"
    if text.count(START) != 1 or text.count(END) != 1:
        raise ReportError(f"needs one line {START} and one line {END}")
    before, rest = text.split(START)
    if END not in rest:
        raise ReportError(f"{END} stands before {START}")
    return before + part + rest.split(END)[1]


def differences(suites: Sequence[Suite]) -> list[str]:
    """Checks that did not do what they should, one line each."""
    return [
        f"{suite.adapter} {suite.name} {check.name}: {state}"
        for suite in suites
        for check in checks()
        if (state := suite.state(check)) in {"failed", "not run"}
    ]


def _adapter(suites: Sequence[Suite]) -> Iterable[str]:
    all_checks = checks()
    titles = [suite.title for suite in suites]
    rows = [["abilities", *(", ".join(suite.abilities) for suite in suites)]]
    rows.append(["features", *(", ".join(suite.features) or "-" for suite in suites)])
    for topic in TOPICS:
        mine = [check for check in all_checks if check.topic == topic]
        rows.append([topic, *(_count(suite, mine) for suite in suites)])
    yield _table(["checks passed", *titles], rows)
    weak = _weaknesses(suites, all_checks)
    if weak:
        yield "Known weaknesses:\n\n" + "\n".join(weak)
    listed = _table(
        ["check", *titles],
        [
            [check.sentence, *(_CELLS[suite.state(check)] for suite in suites)]
            for check in all_checks
        ],
    )
    yield "<details><summary>Every check</summary>"
    yield listed
    yield "</details>"


def _count(suite: Suite, mine: Sequence[Check]) -> str:
    offered = [state for c in mine if (state := suite.state(c)) != "not offered"]
    if not offered:
        return "-"
    passed = offered.count("passed")
    return f"{passed} of {len(offered)}" if passed < len(offered) else f"all {passed}"


def _weaknesses(suites: Sequence[Suite], all_checks: Sequence[Check]) -> list[str]:
    told: dict[tuple[str, str], list[str]] = {}
    for check in all_checks:
        for suite in suites:
            if suite.state(check) == "known weakness":
                reason = " ".join(suite.reasons.get(check.name, "").split())
                told.setdefault((check.sentence, reason), []).append(suite.title)
    return [
        f"- {sentence} ({', '.join(titles)}): {reason}"
        for (sentence, reason), titles in told.items()
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(suite: Suite) -> dict[str, Any]:
    found = []
    for check in checks():
        row = {
            "name": check.name,
            "topic": check.topic,
            "sentence": check.sentence,
            "promise": check.promise,
            "state": suite.state(check),
        }
        if check.name in suite.reasons:
            row["reason"] = suite.reasons[check.name]
        found.append(row)
    return {
        "adapter": suite.adapter,
        "suite": suite.name,
        "abilities": suite.abilities,
        "features": suite.features,
        "checks": found,
    }


def _sentence(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    for plain, spelled in (("cores", "core's"), ("elses", "else's")):
        words = words.replace(plain, spelled)
    return words[0].upper() + words[1:]


def _promise(test: Any) -> str:
    lines = (test.__doc__ or "").strip().splitlines()
    return lines[0] if lines else ""
