"""A bridge over durable memory systems, driven by its command line only."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from moatbridge.adapter import Field, WriteTraits
from moatbridge.cli.app import run
from moatbridge.testing import MemoryStream, MemorySystem

TESTS = Path(__file__).parents[1]
PEOPLE = tuple(Field(name) for name in ("uid", "given", "family", "mail"))
FIELDS = """
userName = "uid"
"name.givenName" = "given"
"name.familyName" = "family"
"emails[type=work].value" = "mail"
"""
CONFIG = """
[ledger]
url = "sqlite:///ledger.db"

[systems.hr]
adapter = "offline"
path = "{folder}/hr.db"
{hr}

[systems.social]
adapter = "offline"
path = "{folder}/social.db"
max_label = "confidential"

[streams."hr/people".translator]
entity = "Person"

[streams."hr/people".translator.fields]
{fields}

[streams."social/people".translator]
entity = "Person"

[streams."social/people".translator.fields]
{fields}
active = "active"
externalId = "ext"

[flows.people]
from = "hr/people"
to = "social/people"
{flow}
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


class World:
    """Two systems in files, a configuration, and the command line over them."""

    def __init__(self, folder, capsys, *, count=30, traits=None, flow="", hr=""):
        self.folder = folder
        self.capsys = capsys
        self.path = folder / "moatbridge.toml"
        extra = {} if traits is None else {"traits": traits}
        hr_stream = MemoryStream("people", PEOPLE, key=("uid",))
        target = (*PEOPLE, Field("active", "bool"), Field("ext"))
        with self.system("hr") as system:
            system.add(hr_stream)
        with self.system("social") as system:
            system.add(MemoryStream("people", target, unique="ext", **extra))
        self.put(*range(count))
        self.configure(flow=flow, hr=hr)

    def configure(self, **parts):
        known = {"folder": self.folder, "fields": FIELDS, "flow": "", "hr": "", **parts}
        self.path.write_text(CONFIG.format(**known))

    @contextmanager
    def system(self, name):
        system = MemorySystem(path=self.folder / f"{name}.db", name=name)
        try:
            yield system
        finally:
            system.store.close()

    def put(self, *numbers, **more):
        with self.system("hr") as hr:
            hr.put(
                "people",
                [
                    {
                        "uid": f"u{n:04}",
                        "given": "Ada",
                        "family": f"L{n}",
                        "mail": f"u{n}@x.example",
                        **more,
                    }
                    for n in numbers
                ],
            )

    def gone(self, *numbers):
        with self.system("hr") as hr:
            hr.delete(
                "people",
                [hr.ref_of(hr.stream("people"), {"uid": f"u{n:04}"}) for n in numbers],
            )

    def target(self):
        with self.system("social") as social:
            return {row.data["uid"]: row.data for row in social.all("people")}

    def fault(self, system, name, *, on=True):
        file = self.folder / f"{system}.db.{name}"
        file.touch() if on else file.unlink()

    @contextmanager
    def login(self, name):
        """As if another user of the operating system ran the commands within."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pwd, "getpwuid", lambda _uid: SimpleNamespace(pw_name=name))
            yield

    def cli(self, *args) -> Ran:
        """One command line in this process: the same function that the console script calls."""
        self.capsys.readouterr()
        code = run([str(arg) for arg in args])
        out, err = self.capsys.readouterr()
        return Ran(code, out, err)

    def process(self, *args, **more):
        """The real program in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", "from moatbridge.cli import main; main()", *map(str, args)],
            cwd=self.folder, env=environment(self.folder), **more,
        )  # fmt: skip

    def next_command(self, out):
        """The arguments of the command that the output tells to type."""
        line = next(line for line in out.splitlines() if "moatbridge apply" in line)
        return shlex.split(line[line.index("moatbridge apply") :])[1:]

    def applied(self):
        """Carry out the first plan."""
        done = self.cli(*self.next_command(self.cli("plan", "people").out))
        assert done.code == 0, done


def environment(folder):
    return {
        **os.environ,
        "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{TESTS}",
        "NO_COLOR": "1",
    }


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The test's adapter, installed as a distribution would be."""
    info = tmp_path / "site" / "cli_offline-1.2.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: cli-offline\nVersion: 1.2.3\n"
    )
    (info / "entry_points.txt").write_text(
        "[moatbridge.adapters]\noffline = cli.offline:OfflineMemory\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOATBRIDGE_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def make_world(site, capsys):
    return lambda **settings: World(site, capsys, **settings)


@pytest.fixture
def world(make_world):
    return make_world()


@pytest.fixture
def unkeyed(make_world):
    """A target that recognises nothing: what gets no answer is parked."""
    return make_world(
        count=3,
        traits=WriteTraits(dedup="none", max_batch=10),
        flow='match = ["userName"]',
    )
