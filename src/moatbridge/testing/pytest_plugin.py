"""The pytest plugin that reports on conformance runs.

    pytest --conformance-report README.md --conformance-report report.json
    pytest --collect-only --conformance-verify README.md

Installed with moatbridge (entry point ``pytest11``); from a checkout also with
``-p moatbridge.testing.pytest_plugin``. Everything is derived from the reports of
single tests, so it works under pytest-xdist too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moatbridge.testing.report import State, Suite

_KEY: Final = "moatbridge_conformance"
_NAME: Final = "moatbridge-conformance-report"
_BASE: Final = "moatbridge.testing.conformance.base"

# Before anything here loads the suite: its assertions explain themselves.
pytest.register_assert_rewrite(
    "moatbridge.testing.conformance", "moatbridge.testing.stage"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--conformance-report`` and ``--conformance-verify``."""
    group = parser.getgroup("moatbridge", "moatbridge conformance")
    group.addoption(
        "--conformance-report",
        action="append",
        default=[],
        metavar="PATH",
        help=(
            "write abilities x checks to PATH: Markdown, between the lines "
            "'<!-- conformance -->' and '<!-- /conformance -->' of an existing file, "
            "or JSON for *.json; '{adapter}' in PATH stands for the adapter's name; "
            "may be given several times"
        ),
    )
    group.addoption(
        "--conformance-verify",
        action="append",
        default=[],
        metavar="PATH",
        help=(
            "fail if the report in PATH is not what this run gives, or, with "
            "--collect-only, what a run without failures would give"
        ),
    )


def pytest_configure(config: pytest.Config) -> None:
    """Listen only where a report was asked for."""
    write = [Path(each) for each in config.getoption("conformance_report")]
    verify = [Path(each) for each in config.getoption("conformance_verify")]
    if write and config.getoption("collectonly"):
        words = "--conformance-report needs a run; --collect-only can only verify"
        raise pytest.UsageError(words)
    _check(write)
    if write or verify:
        config.pluginmanager.register(Reporter(config, write, verify), _NAME)


def _check(paths: Iterable[Path]) -> None:
    """Complain before a long run, not after it."""
    for path in paths:
        if path.suffix != ".json" and path.is_file():
            _spliced(path, path.read_text(encoding="utf-8"), "")


def _spliced(path: Path, text: str | None, part: str) -> str:
    from moatbridge.testing import report  # noqa: PLC0415 - only where it is asked for

    try:
        return report.spliced(text, part)
    except report.ReportError as error:
        raise pytest.UsageError(f"{path}: {error}") from None


class Reporter:
    """Collects results and writes or compares them at the end.

    Args:
        config: Of this run.
        write: Where reports go.
        verify: Reports that must be up to date.
    """

    def __init__(
        self, config: pytest.Config, write: list[Path], verify: list[Path]
    ) -> None:
        self._config = config
        self._write = write
        self._verify = verify
        self._suites: dict[tuple[str, str], Suite] = {}
        self._wrong: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note on each check what it belongs to."""
        for item in items:
            facts = _facts(item)
            if facts is not None:
                item.user_properties.append((_KEY, facts))
                if self._config.getoption("collectonly"):
                    self._note(facts, _expected(facts))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        facts: Any = dict(report.user_properties).get(_KEY)
        if facts is not None:
            state = _state(report)
            if state is not None:
                self._note(facts, state)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write, compare, and fail the run where they differ."""
        if hasattr(self._config, "workerinput"):
            return  # of xdist: the controller does it
        for path in self._write:
            for place, text in self._texts(path):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text, encoding="utf-8")
        for path in self._verify:
            for place, text in self._texts(path):
                if not place.is_file() or place.read_text(encoding="utf-8") != text:
                    self._wrong.append(str(place))
        if self._verify and not self._suites:
            self._wrong.append("no conformance check was collected")
        if self._wrong and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Say what was written, and what is out of date."""
        for path in self._write:
            for place, _ in self._texts(path):
                terminalreporter.write_line(f"conformance report: {place}")
        for wrong in self._wrong:
            terminalreporter.write_line(f"conformance report out of date: {wrong}")

    def _note(self, facts: dict[str, Any], state: State) -> None:
        from moatbridge.testing.report import Suite  # noqa: PLC0415 - as above

        key = (facts["adapter"], facts["suite"])
        if key not in self._suites:
            self._suites[key] = Suite(*key, frozenset(facts["has"]))
        self._suites[key].note(facts["check"], state, facts["weakness"])

    def _texts(self, path: Path) -> Iterator[tuple[Path, str]]:
        """Each file that a PATH means, and what it should say."""
        from moatbridge.testing import report  # noqa: PLC0415 - as above

        suites = [self._suites[key] for key in sorted(self._suites)]
        for place, mine in _places(path, suites):
            if place.suffix == ".json":
                yield place, report.as_json(mine) + "\n"
            else:
                old = place.read_text(encoding="utf-8") if place.is_file() else None
                yield place, _spliced(place, old, report.markdown(mine))


def _places(path: Path, suites: list[Suite]) -> Iterator[tuple[Path, list[Suite]]]:
    if "{adapter}" not in str(path):
        if suites:
            yield path, suites
        return
    for name in sorted({suite.adapter for suite in suites}):
        mine = [suite for suite in suites if suite.adapter == name]
        yield Path(str(path).replace("{adapter}", name)), mine


def _facts(item: pytest.Item) -> dict[str, Any] | None:
    """What the report needs to know of a test; None if it is no check of the suite."""
    base = sys.modules.get(_BASE)
    kind = getattr(item, "cls", None)
    if base is None or kind is None or not issubclass(kind, base.ConformanceBase):
        return None
    check = item.name.partition("[")[0]
    if check not in base.suite_tests(kind):
        return None
    weak = item.get_closest_marker("xfail")
    return {
        "adapter": kind.adapter.name,
        "suite": kind.__name__,
        "check": check,
        "has": sorted(base.has_of(kind)),
        "weakness": str(weak.kwargs.get("reason", "")) if weak else "",
    }


def _expected(facts: dict[str, Any]) -> State:
    return "known weakness" if facts["weakness"] else "passed"


def _state(report: pytest.TestReport) -> State | None:
    """What a phase says about the test; None where another phase decides."""
    if report.failed:
        return "failed"
    if report.skipped:
        return "known weakness" if hasattr(report, "wasxfail") else "not run"
    return "passed" if report.when == "call" else None
