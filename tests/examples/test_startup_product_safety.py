"""What the start-up product must not do: the same product, without a browser."""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from contextlib import closing
from importlib import import_module
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from examples.product import PRODUCT, add_staff, make_database, remove_staff
from moatbridge.config import settings_schema
from moatbridge.registry import Registry

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def product():
    """The product in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PRODUCT))
        names = ("app", "bridges", "forms", "jobs", "store")
        yield SimpleNamespace(**{n: import_module(f"commons.{n}") for n in names})
    for name in [each for each in sys.modules if each.partition(".")[0] == "commons"]:
        del sys.modules[name]


@pytest.fixture
def commons(product, tmp_path, monkeypatch):
    """With data of its own; nobody practises."""
    monkeypatch.setenv("COMMONS_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("COMMONS_PRACTICE", raising=False)
    yield product
    product.bridges.close_all()
    product.jobs._jobs.clear()


class Member:
    """Somebody who signed up, or was let in, and works without a browser."""

    def __init__(self, commons, company, *, colleague=""):
        self.client = TestClient(commons.app.app, base_url="http://localhost")
        self.get("/")
        if colleague:
            self.post("/sign-in", email=colleague, password=PASSWORD)
            return
        self.post(
            "/sign-up", company=company, email=f"{company}@x.example", password=PASSWORD
        )

    def get(self, path):
        self.shown = self.client.get(path, headers={"accept": "text/html"})
        return self.shown.text

    def post(self, path, **form):
        found = re.search(r'name="csrf" value="([^"]+)"', self.shown.text)
        form["csrf"] = found[1]
        self.shown = self.client.post(path, data=form, headers={"accept": "text/html"})
        return self.shown.text

    def choose(self, adapter, **settings):
        self.get("/connect")
        self.post("/connect/system", adapter=adapter)
        return self.post("/connect/settings", **settings)


def folder_of(tmp_path):
    [folder] = (tmp_path / "data" / "companies").iterdir()
    return folder


def test_a_form_from_elsewhere_is_refused(commons):
    member = Member(commons, "north")
    for form in ({}, {"csrf": "0" * 64}):
        answer = member.client.post("/connect/system", data={"adapter": "sql", **form})
        assert answer.status_code == 403
    assert "Where are your people" in member.get("/connect")
    stranger = TestClient(commons.app.app, base_url="http://evil.example")
    assert stranger.get("/").status_code == 400


def test_who_is_not_signed_in_sees_the_start_page_only(commons):
    visitor = TestClient(commons.app.app, base_url="http://localhost")
    for path in ("/directory", "/connect", "/connect/settings", "/connect/plan"):
        answer = visitor.get(path)
        assert answer.url.path == "/", path
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_session_ends_and_a_wrong_password_opens_none(commons):
    member = Member(commons, "north")
    assert "Nobody is here yet" in member.get("/directory")
    member.post("/sign-out")
    member.get("/")
    member.post("/sign-in", email="north@x.example", password="something else")
    assert member.shown.status_code == 403
    member.post("/sign-in", email="north@x.example", password=PASSWORD)
    assert "Nobody is here yet" in member.shown.text


def test_a_session_ends_by_itself(commons, monkeypatch):
    member = Member(commons, "north")
    assert "Nobody is here yet" in member.get("/directory")
    now = time.time
    for later, in_between in ((commons.store.IDLE, False), (commons.store.LIFE, True)):
        asked = range(1, 25) if in_between else ()
        for half_hour in asked:  # it is used all the time, and ends all the same
            monkeypatch.setattr(time, "time", lambda n=half_hour: now() + n * 1790)
            assert "Nobody is here yet" in member.get("/directory")
        monkeypatch.setattr(time, "time", lambda n=later: now() + n + 1)
        assert "Start with your company" in member.get("/directory")
        monkeypatch.setattr(time, "time", now)
        member.get("/")
        member.post("/sign-in", email="north@x.example", password=PASSWORD)


def test_a_company_cannot_make_us_dial_our_own_network(commons):
    member = Member(commons, "north")
    login = {"auth.bind_dn": "cn=x,dc=example", "auth.password": PASSWORD}
    for url in (
        "ldap://127.0.0.1:389",
        "ldaps://[::1]",
        "ldap://10.0.0.5",
        "ldap://169.254.169.254:80",
        "ldap://localhost",
        "ldap://[::ffff:127.0.0.1]",
    ):
        member.choose("ldap", urls=url, **login)
        assert "We could not get in" in member.shown.text, url
        assert "net.address" in member.shown.text, url


def test_a_company_cannot_name_a_file_or_a_socket_of_ours(commons):
    member = Member(commons, "north")
    sockets = {"auth.kind": "anonymous"}
    for adapter, settings in (
        ("sql", {"url": "sqlite:///commons.db"}),
        ("sql", {"url": "SQLite:////etc/passwd"}),
        ("sql", {"url": "postgresql+psycopg:///hr"}),
        ("sql", {"url": "postgresql+psycopg://db.example.com/hr?host=/run/postgresql"}),
        ("ldap", {"urls": "ldapi:///run/slapd", **sockets}),
        ("ldap", {"urls": "ldaps://ldap.example.com ldapi:///run/slapd", **sockets}),
    ):
        member.choose(adapter, **settings)
        assert member.shown.status_code == 422, settings
        assert "not right yet" in member.shown.text


def test_a_company_cannot_name_a_secret_of_ours(commons, tmp_path):
    """What is typed is the secret itself, whatever it looks like; never a reference."""
    member = Member(commons, "north")
    login = {"auth.bind_dn": "cn=x,dc=example", "auth.password": "env:PATH_TO_SECRETS"}
    member.choose("ldap", urls="ldaps://203.0.113.7", **login)
    folder = folder_of(tmp_path)
    assert (folder / "secrets" / "auth.password").read_text() == "env:PATH_TO_SECRETS"
    assert "PATH_TO_SECRETS" not in (folder / "connection.json").read_text()
    page = member.get("/connect/settings")
    assert "PATH_TO_SECRETS" not in page
    assert "kept as it is" in page
    member.post(
        "/connect/settings", urls="ldaps://203.0.113.8", **{"auth.bind_dn": "cn=y"}
    )
    assert "file:secrets/auth.password" in (folder / "connection.json").read_text()
    member.choose("sql", url="")
    assert list((folder / "secrets").iterdir()) == []


def test_settings_that_only_suit_practice_are_not_offered(commons):
    member = Member(commons, "north")
    page = member.choose("ldap")
    assert "insecure_cleartext" not in page
    login = {"auth.bind_dn": "cn=x,dc=example", "auth.password": PASSWORD}
    member.post(
        "/connect/settings",
        urls="ldaps://203.0.113.7",
        insecure_cleartext="yes",
        **login,
    )
    assert "insecure_cleartext" not in member.get("/connect/settings")


def test_everything_wrong_is_told_at_once_where_it_stands(commons):
    member = Member(commons, "north")
    page = member.choose("ldap", **{"auth.bind_dn": "cn=x", "page_size": "many"})
    assert "Some settings are" in page
    assert page.count('aria-invalid="true"') == 2
    assert "auth.kind = &#34;simple&#34; needs bind_dn and password" in page
    assert "<details open" in page


def test_no_page_is_reached_before_its_step(commons):
    member = Member(commons, "north")
    for path in (
        "/connect/check",
        "/connect/data",
        "/connect/mapping",
        "/connect/plan",
    ):
        assert "Where are your people" in member.get(path), path
    member.post("/connect/apply", digest="0" * 16, confirm="1")
    assert "Where are your people" in member.shown.text


def test_new_and_gone_people_need_a_new_plan_and_gone_ones_are_kept(
    commons, tmp_path, monkeypatch
):
    """A joiner, and a leaver who is disabled; a column nobody chose is not even read."""
    monkeypatch.setenv("COMMONS_PRACTICE", str(tmp_path))
    make_database(tmp_path / "staff.db")
    member = Member(commons, "south")
    member.choose("sql", url="sqlite:///staff.db")
    member.get("/connect/data")
    member.post("/connect/data", stream="staff")
    run(commons, member, 4)
    bridge = commons.bridges.bridge(folder_of(tmp_path).name)
    read = {field.name for field in bridge.describe("company/staff").stream.fields}
    assert read == {"id", "login", "vorname", "nachname", "email", "abteilung"}
    change(
        tmp_path / "staff.db",
        "delete from staff where login = 'ines'",
        "insert into staff values(9, 'mia', 'Mia', 'Lind', null, 'Yard', 1)",
    )
    run(commons, member, 2)
    [folder] = (tmp_path / "data" / "companies").iterdir()
    states = {
        each["login"]: each["active"] for each in commons.store.people(folder.name)
    }
    assert states == {"ines": 0, "jonas": 1, "kaja": 1, "liam": 1, "mia": 1}


def test_a_plan_that_takes_two_is_agreed_to_by_a_colleague_with_a_reason(
    commons, tmp_path, monkeypatch
):
    monkeypatch.setenv("COMMONS_PRACTICE", str(tmp_path))
    make_database(tmp_path / "staff.db")
    add_staff(tmp_path / "staff.db", 26)
    founder = Member(commons, "south")
    founder.choose("sql", url="sqlite:///staff.db")
    founder.get("/connect/data")
    founder.post("/connect/data", stream="staff")
    run(commons, founder, 30)
    remove_staff(tmp_path / "staff.db", 12)
    founder.post("/connect/plan")
    ended(commons)
    page = founder.get("/connect/plan")
    assert "waits for a second person" in page
    assert 'name="reason"' not in page
    digest = commons.jobs._jobs[folder_of(tmp_path).name].result.digest
    alone = founder.post("/connect/apply", digest=digest, reason="I say so")
    assert founder.shown.status_code == 422
    assert "Somebody else than the one who made the plan" in alone

    founder.get("/colleagues")
    founder.post("/colleagues", email="eve@x.example", password="short")
    assert founder.shown.status_code == 422
    founder.post("/colleagues", email="eve@x.example", password=PASSWORD)
    assert "eve@x.example" in founder.shown.text
    eve = Member(commons, "south", colleague="eve@x.example")
    page = eve.get("/connect/plan")
    assert "south@x.example made this plan" in page
    assert "Say why" in eve.post("/connect/apply", digest=digest, reason="  ")
    eve.get("/connect/plan")
    assert "was replaced" in eve.post("/connect/apply", digest="0" * 16, reason="New")
    eve.get("/connect/plan")
    eve.post("/connect/apply", digest=digest, reason="We <sold> a yard")
    ended(commons)
    page = eve.get("/connect/plan")
    assert "<h1>Done</h1>" in page
    assert "12 changes were carried out" in page
    assert "eve@x.example agreed to it as a second person: We &lt;sold&gt;" in page


def test_a_colleague_of_another_company_sees_none_of_it(commons):
    Member(commons, "north")
    south = Member(commons, "south")
    assert "north@x.example" not in south.get("/colleagues")
    south.post("/colleagues", email="north@x.example", password=PASSWORD)
    assert "That e-mail address is taken" in south.shown.text


def test_tables_are_offered_as_far_as_they_can_be_read(commons, tmp_path, monkeypatch):
    """People first; names that say nothing are for the company to say; a key is needed."""
    monkeypatch.setenv("COMMONS_PRACTICE", str(tmp_path))
    make_database(tmp_path / "staff.db")
    change(
        tmp_path / "staff.db",
        "create table a_first(nr integer primary key, f1 text, f2 text)",
        "create table keyless(f1 text, f2 text)",
        "create unique index only_here on keyless(f1, f2)",
        "create table bare(f1 text)",
    )
    member = Member(commons, "south")
    member.choose("sql", url="sqlite:///staff.db")
    page = member.get("/connect/data")
    offered = re.findall(r'name="stream" value="([^"]+)"', page)
    assert offered[:2] == ["staff", "a_first"]
    assert "bare" not in offered
    member.post("/connect/data", stream="a_first")
    assert "choose a field" in member.shown.text
    assert "side by side" not in member.shown.text
    member.post("/connect/mapping", **{"userName": "f1", "name.familyName": "f2"})
    assert "There is nobody" in member.shown.text


def test_while_work_goes_on_it_is_shown_and_nothing_is_changed_under_it(
    commons, tmp_path
):
    member = Member(commons, "north")
    member.choose("ldap", urls="ldaps://203.0.113.7", **{"auth.kind": "anonymous"})
    folder = folder_of(tmp_path)
    before = (folder / "connection.json").read_text()
    job = commons.jobs._jobs[folder.name] = commons.jobs.Job(
        "apply", "north@x.example", done=3, all=18
    )
    page = member.get("/connect/plan")
    assert "3 of 18 people" in page
    assert '<progress id="progress" max="18" value="3">' in page
    assert 'http-equiv="refresh"' in page
    for path in (
        "/connect/system",
        "/connect/settings",
        "/connect/data",
        "/connect/plan",
    ):
        member.get("/connect/settings")
        member.post(path, adapter="sql", urls="ldaps://203.0.113.8")
        assert (folder / "connection.json").read_text() == before, path
    assert commons.jobs.of(folder.name) is job


def test_a_system_that_went_away_is_told_in_words_at_every_step(
    commons, tmp_path, monkeypatch
):
    monkeypatch.setenv("COMMONS_PRACTICE", str(tmp_path))
    make_database(tmp_path / "staff.db")
    member = Member(commons, "south")
    member.choose("sql", url="sqlite:///staff.db")
    member.get("/connect/data")
    member.post("/connect/data", stream="staff")
    (tmp_path / "staff.db").rename(tmp_path / "elsewhere.db")
    commons.bridges.close_all()
    for path in ("/connect/check", "/connect/data", "/connect/mapping"):
        page = member.get(path)
        assert 'role="alert"' in page, path
        assert "sql" in page, path
        assert member.shown.status_code < 500
    member.post("/connect/plan")
    ended(commons)
    assert "There is no plan" in member.get("/connect/plan")
    (tmp_path / "elsewhere.db").rename(tmp_path / "staff.db")
    run(commons, member, 4)


def run(commons, member, number):
    member.post("/connect/plan")
    ended(commons)
    page = member.get("/connect/plan")
    assert 'name="digest"' in page, page
    if 'name="confirm"' in page:
        assert f"<b>{number}</b>" in page
    digest = re.search(r'name="digest" value="([^"]+)"', page)[1]
    member.post("/connect/apply", digest=digest, confirm=str(number))
    ended(commons)
    assert "<h1>Done</h1>" in member.get("/connect/plan"), member.shown.text


def ended(commons):
    [job] = commons.jobs._jobs.values()
    assert job.ended.wait(60)


def change(path, *statements):
    with closing(sqlite3.connect(path)) as db, db:
        for statement in statements:
            db.execute(statement)


def test_every_installed_adapter_has_a_form(commons):
    registry = Registry()
    for name in registry:
        asked = commons.forms.inputs(settings_schema(registry.get(name).Config))
        assert len({each.id for each in asked}) == len(asked), name
        assert all(each.label for each in asked)
        plain, secrets = commons.forms.settings(asked, {}, {})
        assert secrets == {}
        assert {key for key in plain if plain[key] is not False} == set(), name
