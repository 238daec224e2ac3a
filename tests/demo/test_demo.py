"""The demo as people start it, on its real servers; small, but the whole story."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from moatbridge.demo import act_killed, main
from moatbridge.demo.narration import Narrator

COMMAND = [
    sys.executable,
    "-c",
    "from moatbridge.cli import main; main()",
    "demo",
    "--quick",
]


@pytest.fixture
def folder():
    """Not pytest's own: the account that PostgreSQL runs under must pass through."""
    with tempfile.TemporaryDirectory(prefix="moatbridge-test-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def test_the_whole_story_ends_well_and_goes_on_with_a_page(folder):
    process = subprocess.Popen(
        [*COMMAND, "--serve"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=folder, env={**os.environ, "TMPDIR": str(folder)}, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(270, process.kill)
    watchdog.start()
    try:
        words = ""
        for line in process.stdout:
            words += line
            if "until you press Ctrl-C" in line:
                break
        url = re.search(r"as people see it: (\S+)", words)
        assert url, words[-3000:]
        _page(url[1])
        process.send_signal(signal.SIGINT)
        words += process.stdout.read()
        assert process.wait(60) == 0, words[-3000:]
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    good, every = map(
        int, re.search(r"(\d+) of (\d+) expectations hold", words).groups()
    )
    assert good == every >= 100
    for chapter in (
        "First load",
        "A day of changes",
        "A profile edit",
        "A poison record",
        "Disasters",
        "kill -9",
        "Orders from the ERP system",
        "Answers on the timeline",
        "Nightly files",
        "Events from the product",
    ):
        assert chapter in words
    assert "\x1b" not in words
    if Path("/usr/lib/postgresql").exists():
        assert "PostgreSQL: 60 contractors" in words
    assert list(folder.iterdir()) == [], "nothing is left behind"


def _page(url):
    """A person reads the timeline and answers; the ERP and the post show it."""
    host = url.removeprefix("http://").rstrip("/")
    before = _get(url)
    post = re.search(
        r'<article id="p(\d+)">(?:(?!</article>).)*PO-1003', before, re.DOTALL
    )
    who = re.search("<option>([^<]+)", before)[1]
    form = {"post": post[1], "who": who, "text": "approve <b>fine</b>"}
    assert _post(url, form, origin="http://evil.example") == 403
    assert _post(url, {**form, "who": "erp"}, origin=f"http://{host}") == 400
    assert _post(url, form, origin=f"http://{host}") == 303
    ends = time.monotonic() + 60
    while "&lt;b&gt;fine&lt;/b&gt;" not in (page := _get(url)):
        assert time.monotonic() < ends, "the decision did not arrive"
        time.sleep(0.1)  # the poll interval of a condition with a deadline
    assert "<b>fine</b>" not in page
    assert _status(url, {"Host": "evil.example"}) == 421


def _get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return answer.read().decode()


def _post(url, form, origin):
    body = urllib.parse.urlencode(form)
    return _status(url + "reply", {"Origin": origin}, "POST", body)


def _status(url, headers, method="GET", body=None):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request(method, parts.path, body, headers)
        return connection.getresponse().status


def test_without_postgresql_the_hr_database_is_sqlite(folder, monkeypatch, capsys):
    monkeypatch.setattr(
        "moatbridge.demo.servers.database._postgres_programs", lambda: None
    )
    monkeypatch.setattr("moatbridge.demo.play._ACTS", (act_killed.play,))
    code = main(quick=True, folder=folder / "d")
    said = capsys.readouterr().out
    assert code == 0, said
    assert "SQLite: 60 contractors" in said
    assert "killed in the middle: yes" in said


def test_a_missing_server_is_named_with_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: None)
    assert main(quick=True, folder=tmp_path / "d") == 2
    said = capsys.readouterr().out
    assert "slapd is not installed" in said
    assert "apt-get install slapd ldap-utils postgresql php-cli" in said


def test_a_disappointed_expectation_is_told_and_counted(capsys):
    tell = Narrator()
    tell.act("Testing")
    tell.expect("accounts", 2000, 1999)
    tell.confirm("killed in the middle", holds=True)
    tell.finish()
    assert tell.failed == 1
    said = capsys.readouterr().out
    assert "FAILED accounts: expected 2,000, found 1,999" in said
    assert "1 of 2 expectations hold" in said


@pytest.mark.parametrize("stopped", [False, True])
def test_a_story_that_breaks_fails_and_leaves_nothing_running(
    tmp_path, monkeypatch, capsys, stopped
):
    started = []

    def break_off(stage):
        started.append(stage.world)
        if stopped:
            os.kill(os.getpid(), 15)
        raise OSError("the network is gone")

    monkeypatch.setattr("moatbridge.demo.play._ACTS", (break_off,))
    if stopped:
        with pytest.raises(SystemExit, match="143"):
            main(quick=True, folder=tmp_path / "d")
    else:
        assert main(quick=True, folder=tmp_path / "d") == 1
        assert "no: the network is gone" in capsys.readouterr().out
    assert not (tmp_path / "d").exists()
    with pytest.raises(OSError):
        started[0].social.count_users()
