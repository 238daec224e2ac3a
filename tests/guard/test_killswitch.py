import threading
import time

import pytest

from guard.counting import BrokenMemory, CountingMemory
from moatbridge.guard import Kill, KillFlag, KillState, evaluate, file_there, trips
from moatbridge.guard.killswitch import ENVIRONMENT

OFF = {"environment": None, "file_exists": False, "rows": []}
ON = Kill("all", "test", "eve")
FLOW = {"flow": "people", "system": "social"}


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def test_everything_off_means_go_on():
    assert evaluate(**OFF).stops(**FLOW) is None
    assert ENVIRONMENT == "MOATBRIDGE_KILL"


@pytest.mark.parametrize("value", ["1", "true", "stop it", "on"])
def test_the_environment_switches_off(value):
    kill = evaluate(**(OFF | {"environment": value})).stops(**FLOW)
    assert (kill.actor, kill.reason) == ("environment", value)


@pytest.mark.parametrize("value", [None, "", " ", "0", "false", "No", "off"])
def test_an_environment_that_says_no(value):
    assert evaluate(**(OFF | {"environment": value})) == KillState()


@pytest.mark.parametrize(
    "source",
    [{"file_exists": True}, {"file_exists": None}, {"rows": None}, {"rows": [ON]}],
)
def test_any_source_that_is_on_or_unreadable_is_on(source):
    assert evaluate(**(OFF | source)).stops(**FLOW)


def test_lifting_the_file_does_not_lift_a_row():
    state = evaluate(environment="1", file_exists=True, rows=[ON])
    assert {kill.actor for kill in state.kills} == {"environment", "file", "eve"}
    assert evaluate(**(OFF | {"rows": [ON]})).stops(**FLOW) == ON


@pytest.mark.parametrize(
    ("scope", "stops"),
    [
        ("all", True),
        ("flow:people", True),
        ("system:social", True),
        ("flow:social", False),
        ("system:people", False),
        ("flow:people2", False),
    ],
)
def test_scopes(scope, stops):
    state = evaluate(**(OFF | {"rows": [Kill(scope, "x", "eve")]}))
    assert (state.stops(**FLOW) is not None) is stops


def test_reading_goes_on_unless_it_is_switched_off_too():
    sending = KillState((ON,))
    both = KillState((ON, Kill("all", "x", "eve", reads=True)))
    assert sending.stops_reads(**FLOW) is None
    assert both.stops_reads(**FLOW).reads


@pytest.mark.parametrize(("incidents", "on"), [(4, False), (5, True), (6, True)])
def test_incidents_switch_a_system_off(incidents, on):
    memory = CountingMemory()
    memory.add([("incident", "", incidents)])
    assert trips(memory) is on
    memory.now += 601
    assert trips(memory) is False


def test_incidents_that_cannot_be_counted_switch_off():
    assert trips(BrokenMemory())


def test_the_flag_follows_within_a_second():
    rows = []
    with KillFlag(lambda: evaluate(**(OFF | {"rows": list(rows)}))) as flag:
        assert flag.stops(**FLOW) is None

        def follows():
            rows.append(ON)
            begun = time.monotonic()
            wait_for(lambda: flag.stops(**FLOW) == ON)
            taken = time.monotonic() - begun
            rows.clear()
            wait_for(lambda: flag.stops(**FLOW) is None)
            return taken

        # A busy machine may stand still once, but not each time.
        assert any(follows() < 1.0 for _ in range(5))


def test_before_and_after_its_thread_the_flag_is_on():
    flag = KillFlag(KillState)
    assert flag.stops(**FLOW)
    with flag:
        assert flag.stops(**FLOW) is None
    assert flag.stops(**FLOW)
    flag.close()


def test_a_reading_that_fails_counts_as_on_after_the_grace():
    broken = threading.Event()

    def read():
        if broken.is_set():
            raise OSError("no ledger")
        return KillState()

    good = []

    def read_and_note():
        state = read()
        good.append(time.monotonic())
        return state

    with KillFlag(read_and_note, interval=0.01, grace=0.2) as flag:
        broken.set()
        wait_for(lambda: flag.stops(**FLOW))
        assert time.monotonic() - good[-1] > 0.15
        assert "could not be read" in flag.stops(**FLOW).reason
        broken.clear()
        wait_for(lambda: flag.stops(**FLOW) is None)


def test_a_first_reading_that_fails_is_on():
    def read():
        raise OSError("no ledger")

    with KillFlag(read, interval=0.01) as flag:
        assert flag.stops(**FLOW)


def test_a_reading_that_hangs_counts_as_on_and_asking_never_blocks():
    go_on, hang = threading.Event(), threading.Event()

    def read():
        if hang.is_set():
            go_on.wait(60)
        return KillState()

    with KillFlag(read, interval=0.01, grace=0.1) as flag:
        hang.set()
        wait_for(lambda: flag.stops(**FLOW))
        go_on.set()
        hang.clear()
        wait_for(lambda: flag.stops(**FLOW) is None)
    assert not [t for t in threading.enumerate() if t.name == "moatbridge-kill"]


@pytest.mark.parametrize(
    ("what", "there"),
    [("nothing", False), ("file", True), ("folder", True), ("dangling", True), ("loop", True), ("no folder", False), ("odd", None)],
)  # fmt: skip
def test_the_kill_file_is_there_whatever_it_is(tmp_path, what, there):
    path = tmp_path / "moatbridge.kill"
    if what == "file":
        path.touch()
    elif what == "folder":
        path.mkdir()
    elif what == "dangling":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "loop":
        path.symlink_to(path)
    elif what == "no folder":
        path = tmp_path / "no" / "moatbridge.kill"
    elif what == "odd":
        path = f"{path}\0"
    assert file_there(str(path)) is there
