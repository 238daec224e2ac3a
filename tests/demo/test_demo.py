"""The demo as people start it, on its real servers; small, but the whole story."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
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


def test_the_whole_story_ends_well(folder):
    done = subprocess.run(
        COMMAND, capture_output=True, text=True, timeout=120, check=False, cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    words = done.stdout
    assert done.returncode == 0, words[-3000:] + done.stderr[-2000:]
    good, every = map(
        int, re.search(r"(\d+) of (\d+) expectations hold", words).groups()
    )
    assert good == every >= 60
    for chapter in (
        "First load",
        "A day of changes",
        "A profile edit",
        "A poison record",
        "Disasters",
        "kill -9",
    ):
        assert chapter in words
    assert "\x1b" not in words
    if Path("/usr/lib/postgresql").exists():
        assert "PostgreSQL: 60 contractors" in words
    assert list(folder.iterdir()) == [], "nothing is left behind"


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
    assert "apt-get install slapd ldap-utils postgresql" in said


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
