"""What a newcomer meets first: what is installed, what is missing, what is wrong, what comes next."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.test_starting import second_distribution
from moatbridge.adapter import Ability, CanScan
from moatbridge.cli import installed as facts
from moatbridge.cli.show_adapters import installed_lines
from moatbridge.registry import KNOWN, Registry

ROOT = Path(__file__).parents[2]
HR = """
[systems.hr]
adapter = "sql"
url = "{url}"
{more}
[streams."hr/people"]
table = "{table}"
fields = ["id", "login"]
key = ["id"]
"""


@pytest.fixture
def people(site):
    """A real database with one table, and a configuration that reads it."""
    import sqlite3

    with sqlite3.connect(site / "hr.db") as db:
        db.execute("create table people(id integer primary key, login text unique)")
        db.executemany("insert into people values(?, ?)", [(1, "ada"), (2, "bo")])

    def written(url="sqlite:///hr.db", table="people", more=""):
        text = HR.format(url=url, table=table, more=more)
        (site / "moatbridge.toml").write_text(text)

    written()
    return written


@pytest.fixture
def ran(site, capsys):
    from cli.conftest import World

    bare = World.__new__(World)
    bare.folder, bare.capsys = site, capsys
    return bare.cli


@pytest.fixture
def without(tmp_path):
    """The program in an environment that lacks some distributions, in a process of its own."""

    def run(lacking, *args):
        packages = tmp_path / "packages"
        packages.mkdir(exist_ok=True)
        for path in map(Path, sys.path):
            for each in path.iterdir() if path.name == "site-packages" else ():
                name = each.name.lower().replace("-", "_")
                if each.suffix != ".pth" and not name.startswith(tuple(lacking)):
                    link = packages / each.name
                    link.is_symlink() or link.symlink_to(each)
        sources = [str(ROOT / "src"), str(packages)]
        return subprocess.run(
            [sys.executable, "-S", "-c", "from moatbridge.cli import main; main()", *args],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sources), "NO_COLOR": "1"},
            text=True, capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def test_every_ability_and_every_adapter_has_words_for_newcomers():
    assert facts.ABILITIES.keys() == {
        each.__name__ for each in Ability.__subclasses__()
    }
    assert facts.SYSTEMS.keys() == KNOWN.keys()
    for name, distribution in KNOWN.items():
        assert facts.summary_of(distribution) == facts.SYSTEMS[name]


def test_every_adapter_of_this_project_says_all_there_is_to_say():
    found = facts.installed(Registry())
    for each in (found for found in found.adapters if found.name in KNOWN):
        assert each.problem is None
        assert all((each.about, each.how, each.direction, each.streams, each.repeats))
    assert found.absent == {}


def test_adapters_verbose_tells_what_each_can_do_and_needs(site, ran):
    out = ran("adapters", "--verbose").out
    ldap = out.partition("\nldap ")[2].partition("\n\n")[0]
    assert "moatbridge-ldap" in ldap
    assert "speaks to    LDAP directories and Active Directory" in ldap
    assert "follow       reads what changed since the last time" in ldap
    assert "may be       source and target" in ldap
    assert "needs        urls, auth" in ldap
    assert "repeats      keyed where an attribute holds our key, else lookup." in ldap
    assert "offline      cli-offline 1.2.3" in out
    assert "Next: `moatbridge init`" in out


def test_adapters_verbose_is_json_too(site, ran):
    found = ran("adapters", "--verbose", "--json").json
    soap = next(each for each in found["adapters"] if each["name"] == "soap")
    assert soap["needs"] == ["wsdl", "endpoint"]
    x509 = next(each for each in soap["extras"] if each["name"] == "x509")
    assert x509["pip"] == "pip install 'moatbridge-soap[x509]'"
    assert "ldap" not in {each["name"] for each in found["extras"]}


def test_a_broken_adapter_is_told_with_its_reason_and_keeps_no_other_away(site, ran):
    (site / "site" / "breaks.py").write_text("raise RuntimeError('secret of Ada')\n")
    second_distribution(site, "aaa = breaks:Adapter\nzzz = no_such_package:Adapter")
    told = ran("adapters", "--verbose")
    assert told.code == 1
    assert "PROBLEM registry.import: The adapter 'aaa' of rival" in told.out
    assert "its own code ends in RuntimeError" in told.out
    assert "'no_such_package' is missing or does not fit; run `pip install" in told.out
    assert "moatbridge-ldap" in told.out
    assert "Traceback" not in told.out + told.err
    assert "Ada" not in told.out + told.err


def test_adapters_verbose_tells_what_to_type_for_what_is_missing(without):
    ran = without(
        ("moatbridge_ldap", "moatbridge_scim", "cryptography"), "adapters", "--verbose"
    )
    assert ran.returncode == 1, ran.stderr  # the adapters without their sources
    assert "LDAP directories and Active Directory" in ran.stdout
    assert "pip install 'moatbridge[ldap]'" in ran.stdout
    assert "  without      [crypto]: pip install 'moatbridge[crypto]'" in ran.stdout


def test_an_empty_environment_is_told_how_to_begin(without):
    lacking = tuple(f"moatbridge_{name}" for name in KNOWN)
    began = without(lacking, "init", "--legacy", "sql")
    assert began.returncode == 0
    assert "First of all: pip install 'moatbridge[sql,scim]'" in began.stdout
    checked = without(lacking, "check")
    assert checked.returncode == 2
    assert (
        "'sql' is not installed; run `pip install 'moatbridge[sql]'`" in checked.stderr
    )
    assert (
        "'scim' is not installed; run `pip install 'moatbridge[scim]'`"
        in checked.stderr
    )
    listed = without(lacking, "adapters")
    assert (
        "No adapter is installed; try `pip install 'moatbridge[ldap,scim]'`"
        in listed.stdout
    )


def test_an_adapter_of_strangers_is_described_by_its_own_words():
    registry = Registry(discover=False)
    from cli.offline import OfflineMemory

    class Stranger(OfflineMemory, CanScan):
        """Speaks to the archive in the cellar."""

    registry.register("cellar", Stranger)
    found = facts.described(registry, "cellar")
    assert found.how == "Speaks to the archive in the cellar."
    assert found.distribution is None
    everything = facts.Installed("1", (), (found,), {"ldap": "pip ..."})
    lines = list(installed_lines(everything))
    assert "cellar       ?" in lines
    assert "  how          Speaks to the archive in the cellar." in lines
    assert "  ldap         LDAP directories and Active Directory" in lines


def test_check_reads_the_first_batch_and_says_what_comes_next(people, ran):
    told = ran("check")
    assert told.code == 0
    assert "reads     people: 2 records in the first batch" in told.out


def test_check_of_a_good_flow_ends_with_its_plan(world):
    told = world.cli("check")
    assert told.out.splitlines()[-1] == "Next: moatbridge plan people"
    world.gone(*range(30))
    assert "reads     people: nothing: a pass finds no record" in world.cli("check").out


def test_check_finds_a_source_that_cannot_be_read(world):
    world.fault("hr", "breaks")
    told = world.cli("check")
    assert told.code == 1
    assert "PROBLEM   offline.broke: The server went away." in told.out
    assert "Next: mend what says PROBLEM, then: moatbridge check" in told.out


def test_check_repeats_the_option_that_names_the_file(world):
    world.path.rename(world.folder / "other.toml")
    told = world.cli("check", "--config", "other.toml")
    assert told.out.endswith("Next: moatbridge plan people --config other.toml\n")


@pytest.mark.parametrize(
    ("wrong", "told", "following"),
    [
        ({"table": "peple"}, "There is no table 'peple'; did you mean 'people'?", "discover hr"),
        ({"url": "sqlite:///no.db"}, "The file in url does not exist; check the path.", "check"),
        ({"url": "postgresql+psycopg://u@127.0.0.1:1/hr", "more": 'insecure_cleartext = true\nallow_networks = ["127.0.0.0/8"]'},
         "cannot be reached, or hung up; check the host and port in url, and that it is up", "check"),
        ({"url": "postgresql+psycopg://u@db.corp.example/hr"}, "db.corp.example is a placeholder: put the real address in its place.", "check"),
        ({"url": "oracle+oracledb://u@127.0.0.1:1/hr", "more": 'insecure_cleartext = true\nallow_networks = ["127.0.0.0/8"]'},
         "sql.no-driver: The driver of 'oracle+oracledb' is not installed: pip install oracledb.", "check"),
        ({"url": "nonsense://u@127.0.0.1:1/hr", "more": 'insecure_cleartext = true\nallow_networks = ["127.0.0.0/8"]'},
         "sql.no-driver: No installed package speaks to 'nonsense'; check the word before :// in url", "check"),
    ],
)  # fmt: skip
def test_check_says_what_is_wrong_and_what_to_do_next(
    people, ran, wrong, told, following
):
    people(**wrong)
    found = ran("check")
    assert found.code == 1
    assert told in found.out
    assert f"moatbridge {following}" in found.out.splitlines()[-1]


def test_a_password_that_is_not_there_is_told_with_its_name(people, ran, monkeypatch):
    monkeypatch.delenv("HR_PASSWORD", raising=False)
    people(
        url="postgresql+psycopg://u@127.0.0.1:1/hr",
        more='password = "env:HR_PASSWORD"\nallow_networks = ["127.0.0.0/8"]',
    )
    assert (
        "Secret env:HR_PASSWORD is not set in the environment: export it first."
        in ran("check").out
    )


def test_discover_ends_with_the_next_command(people, ran):
    told = ran("discover", "hr")
    assert told.code == 0
    assert '[streams."hr/people"]' in told.out
    assert (
        told.out.splitlines()[-1]
        == "# Next: put what fits into moatbridge.toml, then: moatbridge check"
    )


def test_help_shows_the_brackets_of_a_section(site, ran):
    assert "Its name: [systems.NAME]." in ran("discover", "--help").out
    assert "Name of a flow: [flows.NAME]." in ran("plan", "--help").out
    page = (ROOT / "docs/reference/cli.md").read_text()
    assert "Its name: [systems.NAME]." in page


def test_init_with_everything_there_asks_for_nothing_to_be_installed(site, ran):
    assert "First of all" not in ran("init", "--path", "a.toml").out
    assert ran("init", "--path", "b.toml", "--json").json["install"] is None
