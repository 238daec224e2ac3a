"""The hang matrix: whatever the wire does, a call ends in time and tells the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.adapter import CanFetch, CanScan, CanWrite
from moatbridge.testing import hangs
from moatbridge.testing.conformance.base import ConformanceBase, requires
from moatbridge.testing.hangs import Cell, Matrix
from moatbridge.testing.stage import MANY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moatbridge.resilience.session import Session
    from moatbridge.testing.hangs import Ending
    from moatbridge.testing.stage import Stage

_OPENING: Final = [
    Cell("silence"), Cell("drip"),
    *(Cell(how, 0) for how in ("flood", "reset", "end")),
    *(Cell(how, 0.5) for how in ("stall", "flood", "reset", "end")),
    *(Cell(how, 0.9) for how in ("stall", "reset", "end")),
]  # fmt: skip
_READING: Final = [
    Cell("drip"), Cell("stall", 0.9), Cell("reset", 0), Cell("end", 0),
    *(Cell(how, 0.5) for how in ("stall", "flood", "reset", "end")),
    *(Cell(how, 0.95) for how in ("reset", "end")),
]  # fmt: skip
_FETCHING: Final = [
    Cell("drip"), *(Cell(how, 0.5) for how in ("stall", "flood", "reset", "end")),
]  # fmt: skip
_WRITING: Final = [
    Cell("drip"), *(Cell(how, 0) for how in ("flood", "reset", "end")),
    *(Cell(how, 0.5) for how in ("stall", "flood", "reset", "end")),
]  # fmt: skip


class Hanging(ConformanceBase):
    """Through a `FaultProxy`; needs the feature ``network``.

    With ``MOATBRIDGE_HANGS=strict`` in the environment the cells run one by one, may
    end no later than half a second after their deadline, and are printed.
    """

    @requires("network")
    def test_no_wire_holds_an_opening(self, stage: Stage) -> None:
        """Connecting, TLS and logging in: on time, typed, and worth another try."""

        def opening(session: Session, _number: int) -> Callable[[], object]:
            def first_use() -> None:
                session.open()
                session.probe()

            return first_use

        endings = _run("opening", stage, opening, _OPENING, opens=True)
        # Some dial in `open`, some in `probe`: each has a deadline.
        _judge(hangs.late(ending, calls=2) for ending in endings)
        _judge(hangs.misjudged_read(ending) for ending in endings)

    @requires("network", CanScan)
    def test_no_wire_holds_a_scan(self, stage: Stage) -> None:
        """Broken, dripping or endless answers are never the end of the data."""
        stage.seed(MANY)
        early: list[int] = []

        def scanning(session: Session, number: int) -> Callable[[], object]:
            part = session.split(stage.name, 1)[0]

            def scan() -> list[object]:
                seen: list[object] = []
                for batch in session.scan(stage.name, part):
                    seen += [change.ref.key for change in batch.changes]
                    if batch.complete and len(seen) < MANY:
                        early.append(number)
                return seen

            return scan

        endings = _run("scan", stage, scanning, _READING)
        _judge(hangs.late(ending) for ending in endings)
        _judge(hangs.misjudged_read(ending) for ending in endings)
        assert early == [], "a partial scan says that it is complete"

    @requires("network", CanScan, CanFetch)
    def test_no_wire_holds_a_fetch(self, stage: Stage) -> None:
        """What could not be read is an error, never "absent"."""
        stage.seed(MANY)
        adapter = stage.open()
        refs = [change.ref for change in stage.everything(adapter)]
        adapter.close()

        def fetching(session: Session, _number: int) -> Callable[[], object]:
            return lambda: session.fetch(stage.name, refs)

        endings = _run("fetch", stage, fetching, _FETCHING)
        _judge(hangs.late(ending) for ending in endings)
        _judge(hangs.misjudged_read(ending) for ending in endings)

    @requires("network", CanWrite)
    def test_no_wire_holds_a_write(self, stage: Stage) -> None:
        """What is called applied is there, and what is called not applied is not."""
        records = stage.harness.sample(len(_WRITING) + 1)

        def writing(session: Session, number: int) -> Callable[[], object]:
            session.traits(stage.name)
            intents = stage.creates([records[number]])
            return lambda: session.write(stage.name, intents)

        endings = _run("write", stage, writing, _WRITING)
        there = set(stage.present())
        _judge(hangs.late(ending) for ending in endings)
        _judge(
            hangs.misjudged_write(ending, there=stage.value(record) in there)
            for ending, record in zip(endings, records, strict=False)
        )


def _run(
    what: str,
    stage: Stage,
    prepare: Callable[[Session, int], Callable[[], object]],
    cells: Sequence[Cell],
    *,
    opens: bool = False,
) -> list[Ending]:
    endpoint = stage.harness.endpoint
    assert endpoint is not None, "the feature 'network' needs an endpoint"
    matrix = Matrix(endpoint, lambda at: stage.make(endpoint=at), prepare, opens)
    endings = matrix.run(cells)
    if hangs.STRICT:
        name = f"{type(stage.harness).__name__} {what}"
        print(hangs.table(name, endings))  # noqa: T201 - the report that was asked for
    return endings


def _judge(found: Iterable[str | None]) -> None:
    wrong = [each for each in found if each is not None]
    assert not wrong, "; ".join(wrong)
