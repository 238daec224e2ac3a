"""The crash hook, the standalone net, the watching, and a cheap import."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge.resilience import crash
from moatbridge.testing import RecordingNet, net
from moatbridge.testing.conformance.safety import Safety
from moatbridge.testing.conformance.writing import Writing
from moatbridge.testing.connections import parse
from moatbridge.testing.stage import staged
from moatbridge.testing.watching import overhearing, watching
from testing.memory_harness import MemoryHarness


def test_crash_points_do_nothing_until_a_hook_is_installed():
    seen = []
    crash.crash_point("stage.in")
    crash.install(seen.append)
    try:
        crash.crash_point("settle.in")
    finally:
        crash.install(None)
    crash.crash_point("send.half")
    assert seen == ["settle.in"]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_the_net_dials_only_its_endpoints(listener):
    host, port = listener.getsockname()
    with net([(host, port)]).connect(host, port, why="config") as made:
        assert made.getpeername() == (host, port)
    with pytest.raises(ConfigurationError, match=r"net\.egress"):
        net([(host, 1)]).connect(host, port, why="config")


def test_a_recording_net_cuts_what_went_through_it(listener):
    host, port = listener.getsockname()
    recording = RecordingNet(net([(host, port)]))
    made = recording.connect(host, port, why="config")
    accepted, _ = listener.accept()
    recording.cut()
    assert made.recv(1) == b""
    recording.forget()
    made.close()
    accepted.close()


def test_watching_tells_what_was_dialled_and_slept(listener):
    host, port = listener.getsockname()
    recording = RecordingNet(net([(host, port)]))
    with watching(recording) as watch:
        recording.connect(host, port, why="config").close()
        assert (watch.dialled, watch.by_driver) == ([], 0)
        recording.resolve(host, port, why="config")
        socket.create_connection((host, port)).close()
        assert (watch.dialled, watch.unwatched) == ([], 1)
        with socket.create_server((host, 0)) as other:
            socket.create_connection(other.getsockname()).close()
        time.sleep(0.001)
    assert len(watch.dialled) == 1
    assert len(watch.slept) == 1
    recording.forget()


def test_the_kernel_tells_of_dialling_without_an_audit_event(listener):
    host, port = listener.getsockname()
    with watching(RecordingNet(net([(host, port)]))) as watch:
        code = (
            "import socket, sys; server = socket.create_server(('127.0.0.1', 0));"
            "print(server.getsockname()[1], flush=True); server.accept(); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as peer:
            with socket.create_connection(("127.0.0.1", int(peer.stdout.readline()))):
                watch.dialled.clear()  # what the audit event told
                watch.look()
            peer.stdin.close()
    assert len(watch.dialled) == 1


@pytest.mark.parametrize(
    ("cell", "address"),
    [
        ("0100007F:1F90", ("127.0.0.1", 8080)),
        ("00000000000000000000000001000000:0016", ("::1", 22)),
        ("0000000000000000FFFF00000100007F:0016", ("127.0.0.1", 22)),
    ],
)
def test_reads_the_kernels_addresses(cell, address):
    assert parse(cell) == address


@pytest.mark.parametrize(
    "text", ["s3cret/value", "czNjcmV0L3ZhbHVl", "733363726574", "s3cret%2Fvalue"]
)
def test_canaries_are_found_in_every_spelling(text):
    with overhearing() as ear:
        logging.getLogger("third.party").debug("token %s", text)
    found = ear.leaks(["s3cret" if text == "733363726574" else "s3cret/value"])
    assert len(found) == 1
    assert "s3cret" not in found[0]


def test_the_memory_system_needs_no_pytest_and_no_driver():
    code = (
        "import sys; from moatbridge.testing import MemoryAdapter, MemorySystem;"
        "print([m for m in ('pytest', 'sqlalchemy', 'hypothesis') if m in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_every_public_name_is_there():
    from moatbridge import testing

    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError, match="no_such"):
        _ = testing.no_such


class StrictHarness(MemoryHarness):
    def target(self, record):
        assert isinstance(record["userName"], str)


def test_the_harness_is_asked_for_the_target_of_sensible_records_only():
    with staged(StrictHarness()) as stage:
        Writing().test_no_input_makes_write_raise_a_bare_error(stage)
        Safety().test_nothing_secret_or_personal_is_shown(stage)
