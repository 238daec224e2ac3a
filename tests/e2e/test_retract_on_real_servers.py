"""Runs taken back on real servers: only what somebody edited there stays, and is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.flow.retract import reasons
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem
from servers.mastodon import Mastodon
from servers.openldap import PASSWORDS, PEOPLE, WRITER, openldap
from servers.scim import ScimServer

__all__ = ["openldap"]

NAMES = ("ada", "ben", "cleo")
PERSON = tuple(Field(name) for name in ("uid", "given", "family", "mail"))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
}
FINAL = {"deletes": "remove", "i_know": "deletes are final"}
LOCAL = {"allow_networks": ["127.0.0.0/8"], "max_label": "confidential"}


class Company:
    """People, groups and notices of a company, and a bridge to one real target."""

    def __init__(self, folder, system, streams, flows):
        described = [
            MemoryStream("people", PERSON, key=("uid",)),
            MemoryStream(
                "groups", (Field("cn"), Field("member", multi=True)), key=("cn",)
            ),
            MemoryStream("notices", (Field("nr"), Field("text")), key=("nr",)),
        ]
        self.hr = HUB.register(MemorySystem(described, name=str(folder)))
        members = {"each": "member", "ref": "hr/people", "by": "id"}
        notice = {"content": "text", "audience": {"const": {"kind": "org"}}}
        sources = {
            "hr/people": ("Person", FIELDS),
            "hr/groups": ("Group", {"displayName": "cn", "members": members}),
            "hr/notices": ("Post", notice),
        }
        rules = dict.fromkeys(("creates", "updates", "removals"), 1000)
        registry = Registry()
        registry.register("memory", MemoryAdapter)
        config = {
            "ledger": {"url": f"sqlite:///{folder}/ledger.db", "durability": "normal"},
            "guard": {
                "four_eyes": False, **rules,
                "loosen": dict.fromkeys(rules, "tests, tests, until 2999-12-31"),
            },
            "systems": {
                "hr": {"adapter": "memory", "system": self.hr.name,
                       "max_label": "confidential"},
                "app": {**LOCAL, **system},
            },
            "streams": {
                **{a: {"translator": {"entity": e, "fields": f}}
                   for a, (e, f) in sources.items()},
                **streams,
            },
            "flows": flows,
        }  # fmt: skip
        self.bridge = Bridge(parse(config, registry), registry=registry)

    def people(self, *names, **more):
        rows = [
            {
                "uid": n,
                "given": n.title(),
                "family": "Old",
                "mail": f"{n}@x.example",
                **more,
            }
            for n in names
        ]
        self.hr.put("people", rows)

    def carry(self, flow):
        plan = self.bridge.plan(flow)
        done = self.bridge.apply(plan, confirm=plan.verdict.count)
        assert done.state == "done", done
        assert not done.waiting, self.bridge.review(flow)
        return done.run_id

    def retract(self, run):
        planned = self.bridge.plan_retract(run)
        confirm = planned.plan.verdict.count if planned.plan else None
        return self.bridge.retract(run, confirm=confirm)


@pytest.fixture
def company(tmp_path, monkeypatch):
    made = []

    def make(system, streams, flows, secret=""):
        monkeypatch.setenv("RETRACT_SECRET", secret)
        made.append(Company(tmp_path, system, streams, flows))
        return made[-1]

    yield make
    for each in made:
        each.bridge.close()


@pytest.fixture
def scim(company):
    with ScimServer() as server:
        system = {
            "adapter": "scim",
            "base_url": server.base_url,
            "insecure_cleartext": True,
            "auth": {"kind": "bearer", "token": "env:RETRACT_SECRET"},
        }
        flows = {
            "people": {"from": "hr/people", "to": "app/people"},
            "groups": {
                "from": "hr/groups",
                "to": "app/groups",
                "match": ["externalId"],
                **FINAL,
            },
        }
        made = company(
            system,
            {"app/people": {}, "app/groups": {"remove": "delete"}},
            flows,
            server.token,
        )
        made.server = server
        made.people(*NAMES)
        made.carry("people")
        yield made


def users(server):
    return {user["userName"]: user for user in server.all("/Users")}


def test_people_of_a_scim_platform(scim):
    scim.people(*NAMES, family="New")
    run = scim.carry("people")
    ben = users(scim.server)["ben"]
    scim.server.call(
        "PUT",
        f"/Users/{ben['id']}",
        {**ben, "name": {**ben["name"], "familyName": "Own"}},
    )
    report = scim.retract(run)
    assert report.undone == {"update": 2}
    assert report.failed == {reasons.CHANGED: 1}
    assert [left.who for left in report.left] == ["ben"]
    names = {n: u["name"]["familyName"] for n, u in users(scim.server).items()}
    assert names == {"ada": "Old", "ben": "Own", "cleo": "Old"}


def test_new_people_and_leavers_of_a_scim_platform(scim):
    scim.people("dora")
    stream = scim.hr.stream("people")
    scim.hr.delete("people", [scim.hr.ref_of(stream, {"uid": "ada"})])
    run = scim.carry("people")
    assert users(scim.server)["ada"]["active"] is False
    report = scim.retract(run)
    assert report.not_undone == 0
    there = users(scim.server)
    assert there["ada"]["active"] is True
    assert there["dora"]["active"] is False
    assert scim.bridge.plan("people").empty


def test_groups_of_a_scim_platform(scim):
    scim.hr.put("groups", [{"cn": "all", "member": ["ada", "ben"]},
                           {"cn": "few", "member": ["ben"]}])  # fmt: skip
    first = scim.carry("groups")
    scim.hr.put("groups", [{"cn": "all", "member": ["ben", "cleo"]},
                           {"cn": "few", "member": ["ben"]}])  # fmt: skip
    run = scim.carry("groups")
    report = scim.retract(run)
    assert report.not_undone == 0
    ids = {user["id"]: name for name, user in users(scim.server).items()}
    there = {
        group["displayName"]: {ids[m["value"]] for m in group["members"]}
        for group in scim.server.all("/Groups")
    }
    assert there == {"all": {"ada", "ben"}, "few": {"ben"}}
    report = scim.retract(first)
    assert report.not_undone == 0, report
    assert scim.server.all("/Groups") == []


def test_rows_of_a_database(company, tmp_path):
    file = tmp_path / "app.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE people(uid TEXT PRIMARY KEY, given, family, mail)")
    app = company(
        {"adapter": "sql", "url": f"sqlite:///{file}"},
        {
            "app/people": {
                "table": "people",
                "fields": ["uid", "given", "family", "mail"],
                "writable": ["uid", "given", "family", "mail"],
                "remove": "delete",
                "translator": {"entity": "Person", "fields": FIELDS},
            }
        },
        {"people": {"from": "hr/people", "to": "app/people", **FINAL}},
    )
    app.people(*NAMES)
    first = app.carry("people")
    app.people(*NAMES, family="New", mail=None)
    run = app.carry("people")
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE people SET family='Own' WHERE uid='ben'")
    report = app.retract(run)
    assert report.undone == {"update": 2}
    assert [(left.who, left.reason) for left in report.left] == [
        ("ben", reasons.CHANGED)
    ]
    with closing(sqlite3.connect(file)) as db:
        rows = db.execute(
            "SELECT uid, family, mail FROM people ORDER BY uid"
        ).fetchall()
    assert rows == [
        ("ada", "Old", "ada@x.example"),
        ("ben", "Own", None),
        ("cleo", "Old", "cleo@x.example"),
    ]
    assert app.retract(first).undone == {"delete": 3}
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT count(*) FROM people").fetchone() == (0,)


def test_entries_of_a_directory(company, openldap):
    place = f"ou=retract,{PEOPLE}"
    openldap.add([(place, {"objectClass": ["organizationalUnit"], "ou": ["retract"]})])
    first = {"pick": "min"}
    fields = {
        "userName": {"from": "uid", **first},
        "name.givenName": {"from": "givenName", **first},
        "name.familyName": {"from": "sn", **first},
        "emails[type=work].value": {"from": "mail", **first},
        "externalId": {"from": "employeeNumber", **first},
        "displayName": {"from": "cn", **first},
    }
    app = company(
        {
            "adapter": "ldap",
            "urls": [openldap.url],
            "starttls": "off",
            "insecure_cleartext": True,
            "auth": {
                "kind": "simple",
                "bind_dn": WRITER,
                "password": "env:RETRACT_SECRET",
            },
        },
        {
            "app/people": {
                "bases": [{"dn": place}],
                "filter": "(objectClass=inetOrgPerson)",
                "fields": ["uid", "cn", "sn", "givenName", "mail", "employeeNumber"],
                "external_id": "employeeNumber",
                "create": {
                    "dn": f"uid={{uid}},{place}",
                    "object_classes": ["inetOrgPerson"],
                },
                "remove": "delete",
                "translator": {"entity": "Person", "fields": fields},
            },
            "hr/people": {
                "translator": {
                    "entity": "Person",
                    "fields": {**FIELDS, "displayName": "uid"},
                }
            },
        },
        {"people": {"from": "hr/people", "to": "app/people", **FINAL}},
        PASSWORDS[WRITER],
    )
    app.people(*NAMES)
    made = app.carry("people")
    app.people(*NAMES, family="New")
    run = app.carry("people")
    openldap.set(f"uid=ben,{place}", "sn", "Own")
    report = app.retract(run)
    assert report.undone == {"update": 2}
    assert [(left.who, left.reason) for left in report.left] == [
        ("ben", reasons.CHANGED)
    ]
    found = openldap.read(place, text="(uid=*)")
    there = {entry["uid"][0]: entry["sn"] for entry in found.values()}
    assert there == {"ada": ["Old"], "ben": ["Own"], "cleo": ["Old"]}
    taken = app.retract(made)
    assert taken.undone == {"delete": 2}
    assert [(left.who, left.reason) for left in taken.left] == [
        ("ben", reasons.CHANGED)
    ]


def test_posts_of_a_platform(company):
    with Mastodon() as town:
        app = company(
            {
                "adapter": "mastodon",
                "base_url": town.url,
                "insecure_cleartext": True,
                "auth": {"kind": "bearer", "token": "env:RETRACT_SECRET"},
                "followers_are_org": True,
                "exposure": "internal",
            },
            {"app/posts": {}, "app/accounts": {}},
            {"notices": {"from": "hr/notices", "to": "app/posts", "deletes": "ignore"}},
            town.token,
        )
        notices = [{"nr": str(n), "text": f"Notice {n}"} for n in range(3)]
        app.hr.put("notices", notices)
        made = app.carry("notices")
        app.hr.put(
            "notices", [{**each, "text": each["text"] + "!"} for each in notices]
        )
        run = app.carry("notices")
        edited = next(s for s in town.statuses() if "Notice 1" in s["content"])
        town.call(
            "PUT", f"/api/v1/statuses/{edited['id']}", {"status": "Notice 1, mended"}
        )
        report = app.retract(run)
        assert report.undone == {"update": 2}
        assert report.failed == {reasons.CHANGED: 1}
        texts = sorted(s["content"] for s in town.statuses())
        assert ["mended" in text for text in texts] == [False, True, False]
        assert not any("!" in text for text in texts)
        taken = app.retract(made)
        assert taken.undone == {"delete": 2}
        assert taken.failed == {reasons.CHANGED: 1}
        [left] = town.statuses()
        assert "mended" in left["content"]
        assert app.bridge.plan("notices").empty
