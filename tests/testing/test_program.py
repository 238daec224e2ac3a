"""A program of a test: on a free port while it is wanted, and gone afterwards."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from moatbridge.testing import program

SERVER = """
import os, signal, socket, sys
port, stubborn = int(sys.argv[1]), sys.argv[2] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        peer, _ = server.accept()
        peer.sendall(f"{os.getpid()} {os.environ.get('MOOD', '-')}".encode())
        peer.close()
"""


def said(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        pid, _, mood = peer.makefile().read().partition(" ")
        return int(pid), mood


def gone(pid):
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("kind", ["gentle", "stubborn"])
def test_a_program_listens_on_its_port_and_is_gone_afterwards(
    kind, tmp_path, monkeypatch
):
    monkeypatch.setattr("moatbridge.testing.programs._LINGERS", 0.5)
    (tmp_path / "server.py").write_text(SERVER)
    command = [sys.executable, "server.py", "{port}", kind]
    with program(command, cwd=tmp_path, env={"MOOD": "calm"}) as port:
        pid, mood = said(port)
    assert mood == "calm"
    gone(pid)
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_two_programs_run_side_by_side_and_end_if_the_test_fails(tmp_path):
    (tmp_path / "server.py").write_text(SERVER)
    command = [sys.executable, str(tmp_path / "server.py"), "{port}", "gentle"]
    pids = []

    def failing():
        with program(command) as one, program(command) as other:
            pids.extend(said(port)[0] for port in (one, other))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert len(set(pids)) == 2
    for pid in pids:
        gone(pid)


def test_a_program_that_does_not_come_up_tells_what_it_said():
    ends = [sys.executable, "-c", "raise SystemExit('no such table')"]
    with (
        pytest.raises(RuntimeError, match=r"ended by itself \(1\).*no such table"),
        program(ends),
    ):
        pass
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with (
        pytest.raises(RuntimeError, match="does not listen"),
        program(waits, within=0.5),
    ):
        pass
