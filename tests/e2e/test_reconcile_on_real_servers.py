"""Somebody works at the target directly, or the ledger is lost: found and mended on real servers, nothing doubled."""

from __future__ import annotations

import shutil

import pytest

from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.errors import ConfigurationError
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem
from servers.mastodon import Mastodon
from servers.openldap import PASSWORDS, PEOPLE, WRITER, openldap
from servers.scim import ScimServer
from servers.webhook_receiver import WebhookReceiver

__all__ = ["openldap"]

NAMES = ("ada", "ben", "cleo", "dora", "emil")
PERSON = tuple(Field(name) for name in ("uid", "given", "family", "mail", "boss"))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
}
BOSS = {"enterprise.manager": {"ref": "hr/people", "from": "boss", "by": "id"}}
MEMBERS = {"each": "member", "ref": "hr/people", "by": "id"}
LOCAL = {"allow_networks": ["127.0.0.0/8"], "max_label": "confidential"}
LIMITS = ("creates", "updates", "removals")


class Company:
    """People, groups and notices in memory, and a bridge to one real system."""

    def __init__(self, folder, system, streams, flows, *, people=FIELDS):
        self.folder = folder
        described = [
            MemoryStream("people", PERSON, key=("uid",)),
            MemoryStream("groups", (Field("cn"), Field("member", multi=True)), ("cn",)),
            MemoryStream("notices", (Field("nr"), Field("text")), ("nr",)),
        ]
        self.hr = HUB.register(MemorySystem(described, name=f"company-{folder}"))
        notice = {"content": "text", "audience": {"const": {"kind": "org"}}}
        sources = {
            "hr/people": ("Person", people),
            "hr/groups": ("Group", {"displayName": "cn", "members": MEMBERS}),
            "hr/notices": ("Post", notice),
        }
        self.config = {
            "ledger": {"url": f"sqlite:///{folder}/ledger.db", "durability": "normal"},
            "guard": {
                "four_eyes": False,
                **dict.fromkeys(LIMITS, 1000),
                "loosen": dict.fromkeys(LIMITS, "tests, tests, until 2999-12-31"),
            },
            "systems": {
                "hr": {"adapter": "memory", "system": self.hr.name,
                       "max_label": "confidential"},
                "app": {**LOCAL, **system},
            },
            "streams": {
                **{address: {"translator": {"entity": entity, "fields": fields}}
                   for address, (entity, fields) in sources.items()},
                **streams,
            },
            "flows": flows,
        }  # fmt: skip
        self.registry = Registry()
        self.registry.register("memory", MemoryAdapter)
        self.open()

    def open(self):
        config = parse(self.config, self.registry)
        self.bridge = Bridge(config, registry=self.registry)

    def people(self, *names, **more):
        self.hr.put(
            "people",
            [
                {
                    "uid": name, "given": name.title(), "family": "Old",
                    "mail": f"{name}@x.example", **more,
                }
                for name in names
            ],
        )  # fmt: skip

    def carry(self, flow, plan=None):
        plan = plan or self.bridge.plan(flow)
        done = self.bridge.apply(plan, confirm=plan.verdict.count)
        assert done.state in {"done", "nothing"}, done
        return plan

    def repair(self, flow):
        found = self.bridge.reconcile(flow, repair=True)
        self.carry(flow, found.plan)
        return found

    def lose_the_ledger(self):
        """The host is gone; nobody had a backup."""
        self.bridge.close()
        for file in self.folder.glob("ledger.db*"):
            file.unlink()
        self.open()

    def back_up(self):
        self.bridge.ledger.db.backup(self.folder / "backup.db")

    def restore(self):
        """As `moatbridge ledger restored` says: keys of the lost time are never reused."""
        self.bridge.close()
        for file in self.folder.glob("ledger.db*"):
            file.unlink()
        shutil.copy(self.folder / "backup.db", self.folder / "ledger.db")
        self.open()
        with self.bridge.ledger.write() as tx:
            epoch = int(tx.value("SELECT value FROM meta WHERE name='epoch'"))
            tx.run("UPDATE meta SET value=? WHERE name='epoch'", str(epoch + 1))
        self.bridge.close()
        self.open()


@pytest.fixture
def company(tmp_path, monkeypatch):
    made = []

    def make(system, streams, flows, *, secret="", **more):
        monkeypatch.setenv("RECONCILE_SECRET", secret)
        made.append(Company(tmp_path, system, streams, flows, **more))
        return made[-1]

    yield make
    for each in made:
        each.bridge.close()


@pytest.fixture(scope="module")
def platform():
    with ScimServer() as server:
        yield server


@pytest.fixture
def scim(company, platform):
    platform.clear()
    made = company(
        {
            "adapter": "scim",
            "base_url": platform.base_url,
            "insecure_cleartext": True,
            "auth": {"kind": "bearer", "token": "env:RECONCILE_SECRET"},
        },
        {"app/people": {}, "app/groups": {"remove": "delete"}},
        {
            name: {
                "from": f"hr/{name}", "to": f"app/{name}", "match": ["externalId"],
                **more,
            }
            for name, more in {
                "people": {},
                "groups": {"deletes": "remove", "i_know": "deletes are final"},
            }.items()
        },
        secret=platform.token,
        people={**FIELDS, **BOSS},
    )  # fmt: skip
    made.server = platform
    made.people(*NAMES)
    made.people("ben", boss="ada")
    made.hr.put("groups", [{"cn": "all", "member": ["ada", "ben", "cleo"]}])
    made.carry("people")
    if not clean(made, "people"):
        made.carry("people")  # the manager is known now
    made.carry("groups")
    return made


def clean(made, flow):
    found = made.bridge.reconcile(flow)
    return not found.counts and not found.behind


def users(server):
    return {user["userName"]: user for user in server.all("/Users")}


def members(server):
    ids = {user["id"]: name for name, user in users(server).items()}
    [group] = server.all("/Groups")
    return {ids.get(each["value"]) for each in group["members"]}


def test_what_people_do_at_a_scim_platform_is_found_and_mended(scim):
    assert clean(scim, "people")
    assert clean(scim, "groups")
    server, there = scim.server, users(scim.server)
    ben = {**there["ben"], "title": "not ours"}
    ben["name"] = {**ben["name"], "familyName": "Edited"}
    server.call("PUT", f"/Users/{ben['id']}", ben)
    server.call("DELETE", f"/Users/{there['cleo']['id']}")
    schemas = there["ada"]["schemas"]
    server.call("POST", "/Users", {"schemas": schemas, "userName": "local-admin"})
    second = {"schemas": schemas, "userName": "ada2", "externalId": "ada"}
    server.call("POST", "/Users", second)

    found = scim.repair("people")
    assert found.counts == {"missing": 1, "changed": 1, "duplicate": 1}
    assert found.fields == {"name.familyName": 1}
    assert found.unmanaged == 1
    assert {one.who for one in found.examples} == {"ben", "cleo", "ada2"}
    there = users(server)
    assert set(there) == {*NAMES, "local-admin", "ada2"}
    assert there["ben"]["name"]["familyName"] == "Old"
    assert there["ben"]["title"] == "not ours"
    assert scim.bridge.reconcile("people").counts == {"duplicate": 1}

    # The group still names the account that is gone, or nobody in its place.
    scim.repair("groups")
    assert members(server) == {"ada", "ben", "cleo"}
    assert clean(scim, "groups")


def test_a_member_that_somebody_took_out_of_a_group_is_put_back(scim):
    [group] = scim.server.all("/Groups")
    group["members"] = group["members"][:1]
    scim.server.call("PUT", f"/Groups/{group['id']}", group)
    found = scim.repair("groups")
    assert found.counts == {"changed": 1}
    assert found.fields == {"members": 1}
    assert members(scim.server) == {"ada", "ben", "cleo"}


def test_a_lost_ledger_is_rebuilt_without_a_second_record(scim):
    """Delivery 52: the first plan of an empty ledger finds what is there."""
    before = {name: user["id"] for name, user in users(scim.server).items()}
    groups = scim.server.all("/Groups")
    scim.lose_the_ledger()
    found = scim.bridge.reconcile("people")
    assert found.counts == {"extra": 5}  # ours, and linked to nothing so far
    assert found.behind == {"new": 5}
    for flow in ("people", "groups"):
        plan = scim.carry(flow)
        assert plan.counts.get("create", 0) == 0
    assert {n: u["id"] for n, u in users(scim.server).items()} == before
    assert [g["id"] for g in scim.server.all("/Groups")] == [g["id"] for g in groups]
    assert members(scim.server) == {"ada", "ben", "cleo"}
    for flow in ("people", "groups"):
        assert clean(scim, flow)
        assert scim.bridge.plan(flow).empty


def test_a_ledger_from_a_backup_ends_where_the_target_is(scim):
    """What was carried after the backup is there already: nothing is doubled."""
    scim.back_up()
    scim.people("fred", "ben")
    scim.people("cleo", family="New")
    stream = scim.hr.stream("people")
    scim.hr.delete("people", [scim.hr.ref_of(stream, {"uid": "emil"})])
    scim.carry("people")
    there = users(scim.server)
    scim.server.call("DELETE", f"/Users/{there['dora']['id']}")
    there = users(scim.server)
    scim.restore()

    found = scim.repair("people")
    assert found.counts == {"missing": 1, "extra": 1}  # dora; fred is not linked yet
    assert [one.who for one in found.examples] == ["dora", "fred"]
    plan = scim.carry("people")
    assert plan.counts.get("create", 0) == 0
    after = users(scim.server)
    assert set(after) == {*there, "dora"}
    assert len(scim.server.all("/Users")) == len(after)
    assert after["cleo"]["name"]["familyName"] == "New"
    assert after["emil"]["active"] is False
    assert clean(scim, "people")


def test_what_people_do_in_a_directory_is_found_and_mended(company, openldap):
    place = f"ou=reconcile,{PEOPLE}"
    openldap.add(
        [(place, {"objectClass": ["organizationalUnit"], "ou": ["reconcile"]})]
    )
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
                "password": "env:RECONCILE_SECRET",
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
            }
        },
        {"people": {"from": "hr/people", "to": "app/people", "deletes": "ignore",
                    "match": ["externalId"]}},
        secret=PASSWORDS[WRITER],
        people={**FIELDS, "displayName": "uid"},
    )  # fmt: skip
    app.people(*NAMES)
    app.carry("people")
    assert clean(app, "people")
    openldap.set(f"uid=ben,{place}", "sn", "Edited")
    openldap.delete(f"uid=cleo,{place}")
    openldap.add(
        [
            (
                f"uid=admin,{place}",
                {
                    "objectClass": ["inetOrgPerson"],
                    "uid": ["admin"],
                    "cn": ["admin"],
                    "sn": ["Local"],
                },
            )
        ]
    )
    found = app.repair("people")
    assert found.counts == {"missing": 1, "changed": 1}
    assert (found.fields, found.unmanaged) == ({"name.familyName": 1}, 1)
    entries = openldap.read(place, text="(uid=*)")
    there = {entry["uid"][0]: entry["sn"] for entry in entries.values()}
    assert there == {name: ["Old"] for name in NAMES} | {"admin": ["Local"]}
    assert app.bridge.reconcile("people").counts == {}
    app.lose_the_ledger()
    assert app.carry("people").counts.get("create", 0) == 0
    assert clean(app, "people")


def test_posts_are_looked_at_and_only_a_person_posts_one_again(company):
    with Mastodon() as town:
        app = company(
            {
                "adapter": "mastodon",
                "base_url": town.url,
                "insecure_cleartext": True,
                "auth": {"kind": "bearer", "token": "env:RECONCILE_SECRET"},
                "followers_are_org": True,
                "exposure": "internal",
            },
            {"app/posts": {}, "app/accounts": {}},
            {"notices": {"from": "hr/notices", "to": "app/posts", "deletes": "ignore"}},
            secret=town.token,
        )
        notices = [{"nr": str(n), "text": f"Notice {n}"} for n in range(8)]
        app.hr.put("notices", notices)
        app.carry("notices")
        assert clean(app, "notices")
        [gone] = [s for s in town.statuses() if "Notice 3" in s["content"]]
        town.call("DELETE", f"/api/v1/statuses/{gone['id']}")
        found = app.bridge.reconcile("notices", repair=True)
        assert found.counts == {"missing": 1}
        assert len(town.statuses()) == 7
        assert [w.kind for w in app.bridge.review("notices")] == ["held"]

        # Nothing can tell whose an old post is: a lost ledger posts nothing by itself.
        app.lose_the_ledger()
        assert app.bridge.reconcile("notices").unmanaged == 7
        result = app.bridge.run("notices")
        assert result.state == "planned"
        assert result.plan.verdict.decision == "confirm"
        assert "first_run" in {f.rule for f in result.plan.verdict.findings}
        assert len(town.statuses()) == 7


def test_a_webhook_cannot_be_read_back_and_says_so(company):
    with WebhookReceiver() as receiver:
        app = company(
            {
                "adapter": "webhook",
                "base_url": receiver.base_url,
                "insecure_cleartext": True,
                "signing_keys": ["env:RECONCILE_SECRET"],
                "key_ttl": 86400,
            },
            {"app/people": {"entity": "Person", "type": "com.acme.person"}},
            {"people": {"from": "hr/people", "to": "app/people"}},
            secret=receiver.key,
        )
        app.people("ada")
        app.carry("people")
        with pytest.raises(ConfigurationError) as caught:
            app.bridge.reconcile("people")
        assert caught.value.code == "reconcile.target"
        # A lost ledger sends nothing by itself either: a person must agree first.
        app.lose_the_ledger()
        assert app.bridge.run("people").state == "planned"
