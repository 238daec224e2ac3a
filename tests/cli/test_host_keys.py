"""``check --show-host-key``: what a person compares before a server is trusted."""

from __future__ import annotations

import json

import pytest

from moatbridge.cli.app import run
from servers.openssh import openssh  # noqa: F401

CONFIG = """
[systems.files]
adapter = "sftp"
url = "{url}"
host_keys = ["SHA256:{pin}"]
allow_networks = ["127.0.0.0/8"]

[systems.disk]
adapter = "sftp"
url = "file:///nowhere"
"""


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs ``check --show-host-key`` on a configuration: exit code and output."""
    monkeypatch.chdir(tmp_path)

    def call(text, *more):
        (tmp_path / "moatbridge.toml").write_text(text)
        code = run(["check", "--show-host-key", *more])
        return code, capsys.readouterr().out

    return call


def settings(url):
    return CONFIG.format(url=url, pin="A" * 43)


def test_it_shows_what_ssh_keygen_shows_before_anything_is_trusted(openssh, command):  # noqa: F811
    code, out = command(settings(openssh.url()))
    assert code == 0
    for kind in ("ed25519", "rsa", "ecdsa"):
        assert f"  host key  {openssh.fingerprint(kind)} (" in out
    assert "Compare with what the server's owner says" in out
    assert "disk" not in out


def test_it_is_plain_json_on_request(openssh, command):  # noqa: F811
    code, out = command(settings(openssh.url()), "--json")
    [found] = json.loads(out)
    assert (code, found["system"], found["problem"]) == (0, "files", None)
    assert found["keys"][0] == f"{openssh.fingerprint()} (ssh-ed25519)"


def test_it_needs_no_login_and_sends_no_secret(openssh, command, monkeypatch):  # noqa: F811
    monkeypatch.delenv("NO_SUCH_PASSWORD", raising=False)
    auth = (
        'allow_networks = ["127.0.0.0/8"]\nauth = { password = "env:NO_SUCH_PASSWORD" }'
    )
    text = settings(openssh.url())
    before, after = text.split('allow_networks = ["127.0.0.0/8"]')
    code, out = command(before + auth + after)
    assert code == 0
    assert openssh.fingerprint() in out


def test_a_server_that_does_not_answer_is_told(command, unused_tcp_port):
    url = f"sftp://a@127.0.0.1:{unused_tcp_port}/x"
    code, out = command(settings(url))
    assert code == 1
    assert "PROBLEM   net.unreachable" in out
    assert "Compare" not in out


def test_without_ssh_there_is_nothing_to_show(command):
    code, out = command('[systems.disk]\nadapter = "sftp"\nurl = "file:///nowhere"\n')
    assert (code, out) == (
        0,
        "No system here has a host key: none is reached over SSH.\n",
    )


@pytest.fixture
def unused_tcp_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
