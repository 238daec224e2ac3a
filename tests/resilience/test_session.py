# ruff: noqa: SIM117 - the server must outlive what talks to it, visibly
from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from moatbridge.adapter import Adapter, AdapterConfig, Partition, Query
from moatbridge.changes import Receipt, Ref
from moatbridge.config import DeadlineConfig
from moatbridge.errors import (
    ConfigurationError,
    MoatbridgeError,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.resilience import Retry, Session
from moatbridge.resilience.deadline import Watchdog
from resilience.test_deadline import wait_for
from resilience.toy import (
    ToyAdapter,
    ToyConfig,
    answering,
    serving,
    toy_net,
    toy_session,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.15
SHORT = DeadlineConfig(call=LIMIT, connect=LIMIT)


def once() -> Retry:
    return Retry(attempts=1)


def quick() -> Retry:
    return Retry(first_wait=0.01)


def renewing(port: int, dog: Watchdog, **more: object) -> Session:
    more.setdefault("retry", quick())
    return toy_session(
        port, dog, renew=lambda: ToyAdapter(ToyConfig(port=port)), **more
    )


def test_every_ability_passes_through(watchdog: Watchdog) -> None:
    with serving(answering({"probe": "server-1"})) as server:
        with toy_session(server.port, watchdog) as session:
            assert session.probe().server == "server-1\n"
            assert session.streams()[0].name == "people"
            assert session.traits("people").max_batch == 100
            assert list(session.split("people", 4)) == [Partition()]
            batches = list(session.scan("people", Partition()))
            assert [batch.complete for batch in batches] == [False, False, True]
            assert [batch.cursor for batch in session.changes("people", None)] == [
                {"now": 1}
            ]
            assert len(session.find("people", [Query("uid", "x")])) == 1
            assert [r.outcome for r in session.write("people", [1, 2])] == [
                "applied",
                "applied",
            ]
            session.settle("people", {"now": 1})
            assert session.write("people", []) == []
        assert session.adapter.closed == 1


def test_fetch_is_cut_into_calls_of_500(watchdog: Watchdog) -> None:
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        asked: list[str] = []
        whole = session.adapter.ask
        session.adapter.ask = lambda text: asked.append(text) or whole(text)
        refs = [Ref(str(number)) for number in range(1100)]
        assert [found.ref for found in session.fetch("people", refs)] == refs
        assert asked == ["fetch 500", "fetch 500", "fetch 100"]
        assert session.fetch("people", []) == []


def test_a_missing_ability_is_told(watchdog: Watchdog) -> None:
    class Bare(Adapter[ToyConfig]):
        name = "bare"
        Config = ToyConfig
        endpoints = ToyAdapter.endpoints
        open = close = lambda self: None
        probe = streams = lambda self: None

    session = toy_session(1, watchdog, adapter=Bare(ToyConfig(port=1), {}))
    session.open()
    for call in (
        lambda: session.scan("people", Partition()),
        lambda: session.changes("people", None),
        lambda: session.fetch("people", []),
        lambda: session.find("people", []),
        lambda: session.write("people", []),
        lambda: session.traits("people"),
        lambda: session.settle("people", {}),
        session.discover,
    ):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert caught.value.code == "adapter.ability"
    session.close()


def test_an_untyped_error_in_a_read_is_a_bug_without_its_text_23(
    watchdog: Watchdog,
) -> None:
    with serving(answering({"fetch": "few"})) as server:
        with toy_session(server.port, watchdog, retry=once()) as session:
            with pytest.raises(NotApplied) as caught:
                session.fetch("people", [Ref("1")])
            assert caught.value.code == "adapter.bug"
            assert "WrongCountError" in str(caught.value)
            assert caught.value.stream == "hr/people"
            assert session.broken


@pytest.mark.parametrize("answer", ["few", "bug"])
def test_wrong_receipts_or_an_untyped_error_make_a_write_unknown_23(
    answer: str, watchdog: Watchdog
) -> None:
    with serving(answering({"write": answer})) as server:
        with toy_session(server.port, watchdog) as session:
            receipts = session.write("people", [1, 2])
            assert [(r.outcome, r.code) for r in receipts] == [
                ("unknown", "adapter.bug")
            ] * 2
            assert session.broken
        assert server.accepted == 1


@pytest.mark.parametrize("bad", [{1, 2}, b"bytes", float("nan"), object()])
def test_progress_that_is_no_json_makes_that_outcome_unknown_and_no_other_23(
    bad: object, watchdog: Watchdog
) -> None:
    answers = [
        Receipt("not_applied", code="toy.some", progress={"sent": 3}),
        Receipt("not_applied", code="toy.some", progress={"sent": bad}),
        Receipt("applied", progress=bad),
        Receipt("rejected", code="toy.data", progress=[bad]),
        Receipt("unknown", code="toy.lost", progress=bad),
    ]
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        session.adapter.write = lambda *_: answers
        receipts = session.write("people", [1, 2, 3, 4, 5])
    assert [(r.outcome, r.code, r.progress) for r in receipts] == [
        ("not_applied", "toy.some", {"sent": 3}),
        ("unknown", "adapter.bug", None),
        ("applied", "", None),
        ("rejected", "toy.data", None),
        ("unknown", "adapter.bug", None),
    ]


def test_progress_that_holds_itself_is_no_json_either_23(watchdog: Watchdog) -> None:
    endless: list[object] = []
    endless.append(endless)
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        session.adapter.write = lambda *_: [Receipt("not_applied", progress=endless)]
        assert session.write("people", [1])[0].code == "adapter.bug"


def test_what_is_no_receipt_makes_a_write_unknown_23(watchdog: Watchdog) -> None:
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        session.adapter.write = lambda *_: [Receipt("applied"), True]
        receipts = session.write("people", [1, 2])
        assert [(r.outcome, r.code) for r in receipts] == [
            ("unknown", "adapter.bug")
        ] * 2
        assert session.broken


def test_a_reset_in_a_write_is_unknown_and_never_repeated(watchdog: Watchdog) -> None:
    with serving(answering({"write": "reset"})) as server:
        with renewing(server.port, watchdog) as session:
            session.adapter.write = _raise(OutcomeUnknown("reset", code="toy.reset"))
            receipts = session.write("people", [1])
            assert [(r.outcome, r.code) for r in receipts] == [("unknown", "toy.reset")]
        assert server.accepted == 1


def _raise(error: Exception) -> Callable[..., object]:
    def fail(*_: object) -> object:
        raise error

    return fail


def test_a_lost_connection_is_replaced_and_the_read_repeated_27(
    watchdog: Watchdog,
) -> None:
    with serving(answering({"probe": "reset"}), answering({"probe": "two"})) as server:
        with renewing(server.port, watchdog) as session:
            first = session.adapter
            first.probe = _raise(NotApplied("gone", code="toy.gone"))
            assert session.probe().server == "two\n"
            assert session.adapter is not first
            assert first.closed == 1
            assert server.accepted == 2
            assert not session.broken


def test_a_write_that_raised_not_applied_is_repeated_27(watchdog: Watchdog) -> None:
    with serving(answering()) as server, renewing(server.port, watchdog) as session:
        session.adapter.write = _raise(NotApplied("gone", code="toy.gone"))
        assert [r.outcome for r in session.write("people", [1])] == ["applied"]
        assert server.accepted == 2


@pytest.mark.parametrize(
    "error",
    [
        Rejected("no", code="toy.data"),
        ConfigurationError("no", code="toy.auth"),
        NotApplied("later", code="toy.busy", retry_after=60),
    ],
)
def test_what_must_not_be_repeated_is_not(
    error: MoatbridgeError, watchdog: Watchdog
) -> None:
    calls: list[int] = []

    def probe() -> None:
        calls.append(1)
        raise error

    with serving(answering()) as server, renewing(server.port, watchdog) as session:
        session.adapter.probe = probe
        with pytest.raises(type(error)) as caught:
            session.probe()
        assert caught.value is error
        assert error.system == "hr"
        assert len(calls) == 1


def test_a_throttled_read_waits_as_told_on_the_same_connection(
    watchdog: Watchdog,
) -> None:
    with serving(answering()) as server, renewing(server.port, watchdog) as session:
        errors = [NotApplied("busy", code="toy.busy", retry_after=0.15)]
        whole = session.adapter.probe
        session.adapter.probe = lambda: _raise(errors.pop())() if errors else whole()
        started = time.monotonic()
        session.probe()
        assert time.monotonic() - started >= 0.15
        assert server.accepted == 1


def test_the_first_batch_is_repeated_later_ones_are_the_flows(
    watchdog: Watchdog,
) -> None:
    with serving(answering()) as server, renewing(server.port, watchdog) as session:
        failing = [True]

        def scan(*_: object):
            if failing.pop() if failing else False:
                raise NotApplied("gone", code="toy.gone")
            yield from ()

        session.adapter.scan = scan
        assert len(list(session.scan("people", Partition()))) == 3
        batches = session.scan("people", Partition())
        next(batches)
        session.adapter.ask = _raise(NotApplied("gone", code="toy.gone"))
        with pytest.raises(NotApplied) as caught:
            next(batches)
        assert caught.value.code == "toy.gone"


def test_a_scan_given_up_early_is_closed(watchdog: Watchdog) -> None:
    ended: list[str] = []
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        whole = session.adapter.scan

        def scan(*arguments: object):
            try:
                yield from whole(*arguments)
            finally:
                ended.append("closed")

        session.adapter.scan = scan
        batches = session.scan("people", Partition())
        next(batches)
        batches.close()
        assert ended == ["closed"]


def test_two_threads_in_one_session_are_refused(watchdog: Watchdog) -> None:
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        entered, leave = threading.Event(), threading.Event()
        whole = session.adapter.probe

        def probe() -> object:
            entered.set()
            leave.wait(30)
            return whole()

        session.adapter.probe = probe
        first = threading.Thread(target=session.probe)
        first.start()
        assert entered.wait(30)
        with pytest.raises(RuntimeError, match="two threads"):
            session.probe()
        leave.set()
        first.join()


def test_a_session_must_be_opened_first(watchdog: Watchdog) -> None:
    session = toy_session(1, watchdog, retry=once())
    with pytest.raises(NotApplied) as caught:
        session.probe()
    assert caught.value.code == "session.broken"
    session.close()
    session.close()


def test_a_keyboard_interrupt_passes_and_breaks_the_session(watchdog: Watchdog) -> None:
    with serving(answering()) as server, toy_session(server.port, watchdog) as session:
        session.adapter.probe = _raise(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            session.probe()
        assert session.broken
        assert watchdog.stuck() == []


def test_stop_ends_waiting_at_once(watchdog: Watchdog, monkeypatch) -> None:
    monkeypatch.setattr("moatbridge.resilience.retry.PATIENCE", 60.0)
    stop = threading.Event()
    retry = Retry(stop=stop)
    with serving(answering()) as server:
        with renewing(server.port, watchdog, retry=retry) as session:
            session.adapter.probe = _raise(
                NotApplied("busy", code="toy.busy", retry_after=60.0)
            )
            threading.Timer(0.05, stop.set).start()
            started = time.monotonic()
            with pytest.raises(NotApplied):
                session.probe()
            assert time.monotonic() - started < 30


def test_a_stuck_call_is_reported_14() -> None:
    dog = Watchdog(grace=0.05)
    release = threading.Event()
    with serving(answering()) as server:
        session = toy_session(server.port, dog, retry=once())
        session.open()
        session.deadlines = SHORT
        session.adapter.probe = lambda: release.wait(60)
        caught: list[str] = []

        def probe() -> None:
            try:
                session.probe()
            except NotApplied as error:
                caught.append(error.code)

        caller = threading.Thread(target=probe)
        caller.start()
        wait_for(dog.stuck)
        assert dog.stuck()[0][0] == "hr probe"
        release.set()
        caller.join()
        assert caught == ["toy.deadline"]
        session.close()
    dog.close()


def test_remaining_follows_the_call(watchdog: Watchdog) -> None:
    seen: list[float] = []
    with serving(answering()) as server:
        session = toy_session(server.port, watchdog, deadlines=DeadlineConfig(call=60))
        with session:
            whole = session.adapter.probe
            session.adapter.probe = lambda: (
                seen.append(session.net.remaining()) or whole()
            )
            session.probe()
            assert 30 < seen[0] <= 60
            assert session.net.deadline is None


def test_configuration_of_nothing_is_needed() -> None:
    assert AdapterConfig()
    assert toy_net(1).remaining() == 30
