"""``moatbridge serve`` as a person starts it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.sending import deliver, person
from moatbridge.cli import exit_codes
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError
from servers.gateway import KEY

CONFIG = """
adapters = ["webhook"]
[ledger]
url = "sqlite:///{folder}/ledger.db"
[systems.hooks]
adapter = "webhook"
verify = "standard-webhooks"
secrets = ["env:MB_TEST_HOOK_KEY"]
[streams."hooks/people"]
key = ["id"]
fields = {{ id = "data.id" }}
[gateway]
public_url = "http://127.0.0.1"
min_free = 0.0
[gateway.inbox.hooks]
"""


def started(folder, *more):
    (folder / "moatbridge.toml").write_text(CONFIG.format(folder=folder))
    command = [
        sys.executable,
        "-c",
        "from moatbridge.cli import main; main()",
        "serve",
        *more,
    ]
    return subprocess.Popen(
        command,
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "MB_TEST_HOOK_KEY": KEY},
    )


def test_it_listens_takes_deliveries_and_ends_on_a_signal(tmp_path):
    with started(tmp_path, "--port", "0") as process:
        try:
            line = process.stderr.readline()
            assert "listening on http://127.0.0.1:" in line
            assert deliver(int(line.rpartition(":")[2]), "m1", person("ada"))[0] == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) in {0, -signal.SIGTERM}
        finally:
            process.kill()


def test_clear_text_for_the_network_is_refused(tmp_path):
    with started(tmp_path, "--host", "0.0.0.0", "--port", "0") as process:
        assert process.wait(60) == exit_codes.CONFIGURATION
        assert "TLS" in process.stderr.read()


HOST = """
import asyncio
from gateway.asgi import ask
from moatbridge.gateway import Gateway
from moatbridge.run import Bridge

with Bridge.open("moatbridge.toml") as bridge:
    print(*asyncio.run(ask(Gateway(bridge).app, "/readyz"))[::2])
"""


def test_a_host_that_never_runs_the_lifespan_can_still_end(tmp_path):
    (tmp_path / "moatbridge.toml").write_text(CONFIG.format(folder=tmp_path))
    tests = str(Path(__file__).parent.parent)
    ran = subprocess.run(
        [sys.executable, "-c", HOST],
        cwd=tmp_path, env={**os.environ, "MB_TEST_HOOK_KEY": KEY, "PYTHONPATH": tests},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "gateway.lifespan" in ran.stdout


@pytest.mark.parametrize(
    "gateway",
    [
        {},
        {"public_url": "http://bridge.example"},
        {"public_url": "https://u:p@bridge.example"},
        {"public_url": "https://bridge.example?x=1"},
        {"public_url": "https://bridge.example", "allowed_hosts": ["https://x"]},
        {"public_url": "https://bridge.example", "inbox": {"hooks": {"nope": 1}}},
        {"public_url": "https://bridge.example", "ready_token": "literal"},
    ],
)
def test_a_gateway_table_that_cannot_work_is_refused(gateway):
    with pytest.raises(ConfigurationError):
        parse({"gateway": gateway})


def test_the_host_of_the_public_url_is_the_one_we_answer_to():
    found = parse({"gateway": {"public_url": "https://Bridge.example/x/"}}).gateway
    assert found.hosts == {"bridge.example"}
    assert found.public_url == "https://Bridge.example/x"


BLANKS = b" " * 60_000 + b"\x00\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Odd: " + BLANKS,
        b"POST /in/hooks HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n5" + BLANKS,
    ],
    ids=["head", "chunk"],
)
def test_who_sends_a_line_of_blanks_is_hung_up_on(tmp_path, request_):
    """h11 takes eight seconds of CPU to refuse such a line once it is whole."""
    with started(tmp_path, "--port", "0") as process:
        try:
            port = int(process.stderr.readline().rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
                with contextlib.suppress(ConnectionError):
                    peer.sendall(request_)
                with contextlib.suppress(ConnectionError):
                    assert peer.recv(1) == b""  # h11 would have answered 400
            assert deliver(port, "m1", person("ada"))[0] == 200
        finally:
            process.terminate()
            process.wait(30)
