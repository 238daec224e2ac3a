"""What a target needs of every create, and nothing fills, is told before the first."""

from __future__ import annotations

import sqlite3
import tomllib

import pytest

from cli.conftest import World
from cli.rota import ROWS
from cli.test_starting import second_distribution

BASE = """
[systems.hr]
adapter = "sql"
url = "sqlite:///hr.db"

[systems.rota]
adapter = "rota"
max_label = "confidential"

[streams."hr/people"]
table = "people"
fields = ["id", "login", "full", "mail"]

[streams."hr/people".translator]
entity = "Person"

[streams."hr/people".translator.fields]
userName = "login"
displayName = "full"
"emails[type=work].value" = "mail"
"""
FLOW = """
[flows.people]
from = "hr/people"
to = "rota/{stream}"
{more}
"""
TABLE = """
[streams."rota/{stream}".translator]
entity = "Person"

[streams."rota/{stream}".translator.fields]
{lines}
"""
WHOLE = """
externalId = "staff_no"
userName = "login"
displayName = "name"
"""


@pytest.fixture
def ran(site, capsys):
    """A command line over lines of the target's translator."""
    ROWS.clear()
    second_distribution(site, "rota = cli.rota:RotaAdapter")
    with sqlite3.connect(site / "hr.db") as db:
        db.execute(
            "create table people(id integer primary key, login text, full text, mail text)"
        )
        db.execute("insert into people values(7, 'ada', 'Ada L', 'ada@x.example')")
    db.close()
    bare = World.__new__(World)
    bare.folder, bare.capsys = site, capsys

    def run(lines, *args, stream="people", more="", base=BASE):
        text = base + FLOW.format(stream=stream, more=more)
        text += TABLE.format(stream=stream, lines=lines)
        (site / "moatbridge.toml").write_text(text)
        return bare.cli(*args)

    return run


def test_a_key_that_the_writer_chooses_and_nothing_fills_is_a_problem(ran):
    lines = WHOLE.replace('externalId = "staff_no"', "")
    told = ran(lines, "check")
    assert told.code == 1, told
    assert "PROBLEM   flow.unfilled: Flow 'people'" in told.out
    assert "staff_no (its key, which the writer chooses)" in told.out
    assert '[streams."rota/people".translator.fields]' in told.out
    assert 'externalId = "staff_no"' in told.out
    assert "login" not in told.out.partition("flow.unfilled")[2].partition("\n\n")[0]


def test_a_plan_whose_creates_would_all_be_refused_is_not_made(ran):
    told = ran(WHOLE.replace('externalId = "staff_no"', ""), "plan", "people")
    assert told.code == 2, told
    assert 'externalId = "staff_no"' in told.err
    assert "flow.unfilled" in told.err
    assert not told.out
    assert not ROWS


def test_a_required_field_that_nothing_fills_is_named_with_what_could_fill_it(ran):
    told = ran('externalId = "staff_no"\ndisplayName = "name"', "check")
    assert told.code == 1, told
    assert "fills login (required)" in told.out
    assert (
        'PATH = "login"  # PATH: one of userName, emails[type=work].value' in told.out
    )


def test_a_path_that_the_source_does_not_say_is_asked_of_the_source(ran):
    base = BASE.replace('userName = "login"\n', "")
    told = ran(WHOLE, "check", base=base)
    assert told.code == 1, told
    shown = told.out.partition("flow.unfilled")[2]
    assert '[streams."hr/people".translator.fields]' in shown
    assert 'userName = "FIELD"  # fills login' in shown


def test_a_target_whose_key_is_filled_by_our_own_id_is_whole(ran):
    told = ran(WHOLE, "check")
    assert told.code == 0, told
    assert "unfilled" not in told.out
    planned = ran(WHOLE, "plan", "people")
    command = World.next_command(None, planned.out)
    assert ran(WHOLE, *command).code == 0
    assert ROWS["7"]["login"] == "ada"


def test_a_key_that_the_target_gives_out_is_not_asked_for(ran):
    told = ran('userName = "login"', "check", stream="given")
    assert told.code == 0, told
    assert ran('userName = "login"', "plan", "people", stream="given").code == 10


def test_a_target_that_makes_no_records_needs_nothing_filled(ran):
    lines = '"emails[type=work].value" = "mail"'
    more = 'match = ["userName"]'
    told = ran('userName = "login"\n' + lines, "check", stream="known", more=more)
    assert told.code == 0, told


def test_discover_suggests_our_id_for_a_key_that_the_writer_chooses(ran):
    told = ran('userName = "login"', "discover", "rota", stream="known")
    assert told.code == 0, told
    found = tomllib.loads(told.out)["streams"]
    assert found["rota/people"]["translator"]["fields"] == {
        "externalId": "staff_no",
        "userName": "login",
        "displayName": "name",
        "emails[type=work].value": "mail",
    }
    assert found["rota/given"]["translator"]["fields"] == {"userName": "login"}
    assert '# PATH = "number"  # 0%: the key needs no translation' in told.out
