"""`discover` is for files that are not finished: whatever is whole is looked at."""

from __future__ import annotations

import sqlite3
import tomllib

import pytest

from cli.conftest import World
from cli.phones import PhonesAdapter
from cli.test_starting import second_distribution
from moatbridge.adapter import Probe

PHONES = """
[systems.phones]
adapter = "phones"
"""
HR = """
[systems.hr]
adapter = "sql"
url = "sqlite:///hr.db"
"""
BEGUN = (
    HR
    + PHONES
    + """
[systems.social]
adapter = "scim"

[streams."hr/people"]
table = "people"

[flows.people]
from = "hr/people"
to = "social/people"
"""
)


@pytest.fixture
def ran(site, capsys):
    """A command line over a configuration given as text."""
    second_distribution(site, "phones = cli.phones:PhonesAdapter")
    with sqlite3.connect(site / "hr.db") as db:
        db.execute("create table people(id integer primary key, login text unique)")
    db.close()
    bare = World.__new__(World)
    bare.folder, bare.capsys = site, capsys

    def run(text, *args):
        (site / "moatbridge.toml").write_text(text)
        return bare.cli(*args)

    return run


def test_an_adapter_of_functions_suggests_all_that_it_declares(ran):
    told = ran(PHONES, "discover", "phones")
    assert told.code == 0, told
    found = tomllib.loads(told.out)["streams"]["phones/people"]["translator"]
    assert found["entity"] == "Person"
    assert found["fields"] == {
        "userName": "ext",
        "displayName": "name",
        "emails[type=work].value": "mail",
        "enterprise.department": "office",
    }
    assert '# PATH = "floor"' in told.out  # named nowhere, so it never leaves
    assert '# entity = "Person"' in told.out  # of the rooms: nobody knows
    assert "# [flows.people]" in told.out
    assert '# to = "OTHER/people"  # or the other way round' in told.out


def test_what_is_suggested_can_be_pasted_and_passes_check(ran):
    suggested = ran(PHONES, "discover", "phones").out.partition("[streams.")
    people = "[streams." + suggested[2].partition('\n[streams."phones/rooms')[0]
    checked = ran(PHONES + people, "check")
    assert checked.code == 0, checked
    assert "reads     people: 1 record in the first batch" in checked.out
    again = ran(PHONES + people, "discover", "phones")
    assert "phones/people" not in str(tomllib.loads(again.out))  # it is there already


def test_a_file_that_is_begun_is_enough_and_what_it_lacks_is_told(ran):
    told = ran(BEGUN, "discover", "hr")
    assert told.code == 0, told
    assert tomllib.loads(told.out)["streams"]["hr/people"]["key"] == ["id"]
    assert "The file has this section already" in told.out
    assert '#   streams."hr/people".fields: is required' in told.out
    assert '# [systems.social]\n# base_url = "..."' in told.out
    assert "# moatbridge discover social  # suggests its streams" in told.out
    assert "[flows." not in told.out  # one is in the file
    lacking = ran(BEGUN, "discover", "hr", "--json").json["lacking"]
    assert {"key": "systems.social.base_url", "code": "config.missing", "message": "is required"} in lacking  # fmt: skip


def test_a_plain_table_suggests_a_translator_that_can_be_pasted(ran, site):
    with sqlite3.connect(site / "app.db") as db:
        db.execute(
            "create table person(id integer primary key, login text, name text, email text)"
        )
        db.execute(
            "create table orders(id integer primary key, email text, total integer)"
        )
        db.execute("insert into person values (1, 'ada', 'Ada', 'ada@corp.example')")
    db.close()
    app = HR.replace("hr", "app")
    suggested = ran(app, "discover", "app").out
    found = tomllib.loads(suggested)["streams"]
    assert found["app/person"]["translator"] == {
        "entity": "Person",
        "fields": {
            "userName": "login",
            "displayName": "name",
            "emails[type=work].value": "email",
        },
    }
    assert "translator" not in found["app/orders"]  # an address makes no person
    people = '[streams."app/person"' + suggested.partition('[streams."app/person"')[2]
    checked = ran(app + people, "check")
    assert checked.code == 0, checked
    assert "reads     person: 1 record in the first batch" in checked.out


def test_a_system_that_flows_name_and_that_is_not_there_is_told(ran):
    flow = '\n[flows.people]\nfrom = "book/people"\nto = "phones/people"\n'
    told = ran(PHONES + flow, "discover", "phones")
    assert '# [systems.book]\n# adapter = "..."' in told.out


def test_a_flow_is_proposed_between_what_the_file_names(ran):
    more = PHONES + '\n[streams."phones/people"]\n'
    found = ran(HR + more, "discover", "hr", "--json").json
    assert found["flows"] == [
        {"name": "people", "from": "hr/people", "to": "phones/people"}
    ]


def test_a_wrong_table_shows_those_that_there_are(ran):
    wrong = HR + '\n[streams."hr/people"]\ntable = "peple"\nfields = ["id"]\n'
    told = ran(wrong, "discover", "hr")
    assert told.code == 0, told
    assert told.out.startswith("# warning: There is no table 'peple'")
    assert tomllib.loads(told.out)["streams"]["hr/people"]["table"] == "people"


def test_a_system_that_is_itself_unfinished_or_absent_is_told(ran):
    told = ran(BEGUN, "discover", "social")
    assert told.code == 2
    assert "systems.social.base_url: is required" in told.err
    assert "streams" not in told.err
    told = ran(BEGUN, "discover", "socail")
    assert "did you mean `social`?" in told.err
    told = ran(BEGUN, "discover", "crm")
    assert "there are: `hr`, `phones`, `social`" in told.err


def test_check_opens_what_stands_and_tells_the_rest(ran):
    told = ran(BEGUN, "check")
    assert told.code == 2
    assert "System hr (sql): ok" in told.out
    assert "System phones (phones): ok" in told.out
    assert "Next:" not in told.out
    assert "systems.social.base_url: is required" in told.err
    told = ran(BEGUN, "check", "--json")
    assert {each["system"] for each in told.json["systems"]} == {"hr", "phones"}
    assert "systems.social.base_url" in told.err


def test_nothing_is_opened_with_a_wrong_ledger(ran, site):
    for command in (("check",), ("discover", "hr")):
        told = ran(BEGUN + "\n[ledger]\nurll = 1\n", *command)
        assert told.code == 2
        assert "ledger.urll: unknown setting; did you mean `url`?" in told.err
        assert "System" not in told.out
    assert not list(site.glob("moatbridge.db*"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("hr/poeple", "did you mean `hr/people`?"),
        ("social/people", "there are: `hr/people`, `phones/rooms`"),
        ("hr/rooms", "there are: `hr/people`, `phones/rooms`"),
    ],
)
def test_only_a_near_stream_is_taken_for_the_one_that_was_meant(ran, wanted, words):
    text = (
        HR + PHONES + '\n[streams."hr/people"]\ntable = "people"\nfields = ["id"]\n'
        f'[streams."phones/rooms"]\n[flows.people]\nfrom = "{wanted}"\nto = "phones/rooms"\n'
    )
    err = ran(text, "plan", "people").err
    assert f"flows.people.from: there is no stream `{wanted}`; {words}" in err


def test_check_warns_of_a_system_that_does_not_say_who_it_is(ran, monkeypatch):
    monkeypatch.setattr(PhonesAdapter, "prober", staticmethod(lambda _rows: Probe("")))
    told = ran(PHONES, "check")
    assert told.code == 0
    assert "warning   This system does not say whose data it holds" in told.out
