"""What a product asks before anything flows: `discover` and `preview`."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from config.adapters import registry
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError
from moatbridge.registry import Registry
from moatbridge.run import Bridge, discover, preview

FIELDS = {"userName": "login", "name.familyName": "nachname"}


@pytest.fixture
def folder(tmp_path):
    with closing(sqlite3.connect(tmp_path / "hr.db")) as db, db:
        db.execute(
            "create table staff(id integer primary key, login text not null unique, "
            "vorname text, nachname text, geburt date)"
        )
        for number in range(1, 8):
            row = (number, f"p{number}", "Kim", f"Berg-{number}")
            db.execute("insert into staff values(?, ?, ?, ?, null)", row)
        db.execute("create table log(at text, what text)")
    return tmp_path


def bridge(folder, columns=("id", "login", "nachname"), **translator):
    stream = {"table": "staff", "fields": list(columns)}
    if translator:
        stream["translator"] = {"entity": "Person", **translator}
    tables = {
        "systems": {"hr": {"adapter": "sql", "url": f"sqlite:///{folder}/hr.db"}},
        "streams": {"hr/staff": stream},
        "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
    }
    return Bridge(parse(tables, Registry()))


def test_discover_tells_streams_with_settings_that_can_be_used_as_they_are(folder):
    with bridge(folder) as opened:
        found = discover(opened, "hr")
    staff = next(each for each in found.streams if each.name == "staff")
    assert staff.settings["table"].endswith("staff")
    assert staff.settings["key"] == ["id"]
    assert set(staff.settings["fields"]) >= {"id", "login", "vorname", "nachname"}
    assert staff.entity == "Person"
    assert staff.fields["name.familyName"] == "nachname"
    assert "table" in staff.reasons["table"]
    with bridge(folder, staff.settings["fields"], fields=staff.fields) as opened:
        assert preview(opened, "hr/staff").samples[0].entity["userName"] == "p1"


def test_what_is_doubtful_is_told_apart(folder):
    with bridge(folder) as opened:
        found = discover(opened, "hr")
    log = next(each for each in found.streams if each.name == "log")
    assert log.entity is None
    assert "fields" not in log.settings
    assert log.doubtful["fields"] == ["at", "what"]
    assert log.doubtful["key"] == []


def test_a_preview_shows_records_before_and_after_and_reads_no_more(folder):
    with bridge(folder, fields=FIELDS) as opened:
        three = preview(opened, "hr/staff", most=3)
        every = preview(opened, "hr/staff", most=50)
    assert [each.record["login"] for each in three.samples] == ["p1", "p2", "p3"]
    first = three.samples[0].entity
    assert (first["userName"], first["name"]["familyName"]) == ("p1", "Berg-1")
    assert not three.whole
    assert every.whole
    assert len(every.samples) == 7
    assert "Berg-1" not in repr(three), "personal data stands in no repr"


def test_a_record_that_cannot_be_translated_says_why_and_hides_no_other(folder):
    with closing(sqlite3.connect(folder / "hr.db")) as db, db:
        db.execute(f"update staff set nachname = '{'y' * 300}' where id = 1")
    with bridge(folder, fields=FIELDS, max_text=200) as opened:
        found = preview(opened, "hr/staff")
    assert found.samples[0].entity is None
    assert found.samples[0].problem
    assert "yyy" not in found.samples[0].problem
    assert all(each.entity is not None for each in found.samples[1:])


def test_a_record_that_cannot_be_read_is_told_by_its_place(folder):
    with closing(sqlite3.connect(folder / "hr.db")) as db, db:
        db.execute("update staff set geburt = 'no day at all' where id = 1")
    with bridge(folder, ("id", "login", "nachname", "geburt"), fields=FIELDS) as opened:
        found = preview(opened, "hr/staff")
    assert len(found.rejects) == 1
    assert "no day" not in found.rejects[0]
    assert len(found.samples) == 5


def test_a_wrong_translator_is_told_whole(folder):
    wrong = {"userName": "logn", "nickname": "login"}
    with (
        bridge(folder, fields=wrong) as opened,
        pytest.raises(ConfigurationError) as caught,
    ):
        preview(opened, "hr/staff")
    assert "logn" in caught.value.message
    assert "nickname" in caught.value.message


def test_an_adapter_that_discovers_nothing_suggests_nothing(tmp_path):
    tables = {
        "systems": {"hr": {"adapter": "directory", "urls": ["ldap://x"]}},
        "ledger": {"url": f"sqlite:///{tmp_path}/ledger.db"},
    }
    with Bridge(parse(tables, registry()), registry=registry()) as opened:
        assert discover(opened, "hr").streams == ()
