"""Targets: servers that receive people or orders, read back round our adapters."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections import Counter

from servers.mastodon import Mastodon
from servers.openldap import BASE, PASSWORDS, WRITER, OpenLdap
from servers.scim import ScimServer
from servers.webhook_receiver import WebhookReceiver
from torture.pairs.ends import LOCAL, NAMES, REMOVE, End, Found, back, freeze
from torture.pairs.postgres import Server
from torture.pairs.sources import ldap_system, mail, scim_system

ORDER = re.compile(r"Order (PO-\d+): (\w+)")


class ScimTarget(End):
    """scim2-server; who left is disabled there."""

    name = "scim"

    def start(self):
        self.server = ScimServer().start()
        self.secrets = {"PAIR_APP": self.server.token}
        self.system = scim_system(self.server, "env:PAIR_APP")
        self.stream = {}
        self.flow = {"match": ["externalId"]}

    def stop(self):
        self.server.stop()

    def die(self, chance):
        freeze(self.server._process, chance.uniform(0.05, 0.5))
        return True

    def found(self):
        users = self.server.all("/Users")
        names = Counter(user["userName"] for user in users)
        ours = Counter(user["externalId"] for user in users)
        active = [user for user in users if user.get("active", True)]
        for user in active:
            assert user["emails"][0]["value"] == mail(user["userName"])
        twice = [name for name, count in (names + ours).items() if count > 1]
        words = {user["userName"]: user["name"]["familyName"] for user in active}
        return Found(words, [] if len(names) == len(ours) == len(users) else twice)


class PostgresTarget(End):
    """A table of people or orders; a trigger writes down every effect."""

    name = "pg"
    durable = True
    columns = ("login", "given", "family", "mail")

    def start(self):
        columns = ", ".join(f"{name} text" for name in self.columns)
        self.server = Server(
            f"people(id bigserial primary key, {columns}, ext text unique)"
        )
        self.server.start()
        self.secrets = {"PAIR_APP": self.server.password("writer")}
        self.system = self.server.system("writer", "env:PAIR_APP")
        fields = dict(zip(self.paths, self.columns, strict=True))
        self.stream = {
            "table": "people",
            "fields": ["id", *self.columns, "ext"],
            "writable": [*self.columns, "ext"],
            "external_id": "ext",
            "remove": "delete",
            "translator": {
                "entity": self.entity,
                "fields": fields | {"externalId": "ext"},
            },
        }
        self.flow = REMOVE

    paths = NAMES

    def stop(self):
        self.server.stop()

    def die(self, _chance):
        self.server.die()
        return True

    def found(self):
        with self.server.connect("pair") as base:
            rows = base.execute(
                f"select {', '.join(self.columns)} from people"
            ).fetchall()
            journal = base.execute(
                "select op, row_before, row_after from journal order by nr"
            )
            doubled, repeats = self.twice(journal.fetchall(), len(rows))
        words = dict(map(self.word, rows))
        if len(words) < len(rows):
            doubled += [
                key for key, n in Counter(row[0] for row in rows).items() if n > 1
            ]
        return Found(words, doubled, repeats)

    def twice(self, journal, _count):
        """A second insert of a row that is there or was removed; updates that change nothing."""
        made = Counter()
        repeats = 0
        for op, before, after in journal:
            if op == "INSERT":
                made[json.loads(after)[self.columns[0]]] += 1
            repeats += op == "UPDATE" and before == after
        return [key for key, count in made.items() if count > 1], repeats

    def word(self, row):
        assert row[1] == "Ada"
        assert row[3] == mail(row[0])
        return row[0], row[2]


class LdapTarget(End):
    """A subtree of OpenLDAP."""

    name = "ldap"
    durable = True
    place = f"ou=people,{BASE}"

    def start(self):
        self.server = OpenLdap(self.folder / "app")
        self.server.create()
        self.server.start()
        self.secrets = {"PAIR_APP": PASSWORDS[WRITER]}
        self.system = ldap_system(self.server, WRITER, "env:PAIR_APP")
        names = ["uid", "givenName", "sn", "mail"]
        paths = dict(zip(NAMES, names, strict=True))
        paths |= {"displayName": "cn", "externalId": "employeeNumber"}
        self.stream = {
            "bases": [{"dn": self.place}],
            "filter": "(objectClass=inetOrgPerson)",
            "fields": [*names, "cn", "employeeNumber"],
            "external_id": "employeeNumber",
            "create": {
                "dn": f"uid={{uid}},{self.place}",
                "object_classes": ["inetOrgPerson"],
            },
            "remove": "delete",
            "translator": {
                "entity": "Person",
                "fields": {p: {"from": n, "pick": "min"} for p, n in paths.items()},
            },
        }
        self.flow = REMOVE

    def stop(self):
        self.server.stop()

    def die(self, _chance):
        self.server.kill()
        back(self.server.start)
        return True

    def found(self):
        entries = self.server.read(self.place, text="(objectClass=inetOrgPerson)")
        words, ours = {}, Counter()
        for entry in entries.values():
            (key,), (word,) = entry["uid"], entry["sn"]
            assert entry["mail"] == [mail(key)]
            words[key] = word
            ours[entry["employeeNumber"][0]] += 1
        return Found(words, [key for key, count in ours.items() if count > 1])


class FileTarget(End):
    """A published folder; each file is a batch of effects, in the order of their names."""

    name = "sftp"
    columns = ("LOGIN", "GIVEN", "FAMILY", "MAIL")
    paths = NAMES

    def start(self):
        self.out = self.folder / "out" / "feed"
        self.out.mkdir(parents=True)
        self.system = {"adapter": "sftp", "url": f"file://{self.out.parent}",
                       "max_label": "confidential"}  # fmt: skip
        self.stream = {
            "folder": "feed",
            "publish": True,
            "content": "delta",
            "action": {"field": "OP", "upsert": "U", "delete": "D"},
            "key": [self.columns[0]],
            "format": "csv",
            "fields": ["OP", *self.columns],
            "translator": {
                "entity": self.entity,
                "fields": dict(zip(self.paths, self.columns, strict=True)),
            },
        }
        self.flow = REMOVE

    def found(self):
        # As a consumer that takes each file when it comes.
        files = sorted(self.out.glob("*.csv"), key=lambda path: path.stat().st_mtime_ns)
        last, doubled = {}, []
        for path in files:
            with path.open(newline="") as file:
                for row in csv.DictReader(file):
                    said = tuple(row.values())
                    key = row[self.columns[0]]
                    if last.get(key) == said:
                        doubled.append(key)
                    last[key] = said
        rows = (row[1:] for row in last.values() if row[0] == "U")
        return Found(dict(map(self.word, rows)), doubled)

    def word(self, row):
        return row[0], row[2]


class _Orders:
    """How an order looks where columns are ours to choose."""

    entity = "Post"
    columns = ("nr", "content", "audience")
    paths = ("business.id", "content", "audience.kind")

    def word(self, row):
        key, word = ORDER.fullmatch(row[1]).groups()
        assert key == row[0]
        return key, word


class OrderTable(_Orders, PostgresTarget):
    """Orders in a table, each under its number."""

    name = "pg-orders"

    def start(self):
        super().start()
        self.stream["external_id"] = "nr"
        self.stream["fields"].remove("ext")
        self.stream["writable"].remove("ext")
        del self.stream["translator"]["fields"]["externalId"]
        with self.server.connect("pair") as base:
            base.execute("alter table people drop column ext, add unique(nr)")


class OrderFiles(_Orders, FileTarget):
    """Orders in published files."""

    name = "sftp-orders"


class MastodonTarget(End):
    """mastodon-mock; a post for each order."""

    name = "mastodon"
    entity = "Post"

    def start(self):
        self.server = Mastodon()
        self.server.start()
        self.secrets = {"PAIR_APP": self.server.token}
        self.system = {
            "adapter": "mastodon",
            "base_url": self.server.url,
            "insecure_cleartext": True,
            "auth": {"kind": "bearer", "token": "env:PAIR_APP"},
            "followers_are_org": True,
            "exposure": "internal",
            **LOCAL,
        }
        self.stream = {}
        self.more_streams = {"app/accounts": {}}
        self.flow = REMOVE

    def stop(self):
        self.server.__exit__(None, None, None)

    def die(self, chance):
        freeze(self.server._program._process, chance.uniform(0.05, 0.5))
        return True

    def found(self):
        said = [ORDER.search(s["content"]).groups() for s in self.server.statuses()]
        counts = Counter(key for key, _word in said)
        return Found(dict(said), [key for key, count in counts.items() if count > 1])


class WebhookTarget(End):
    """A receiver of signed events, which knows deliveries again by their id."""

    name = "webhook"
    entity = "Post"

    def start(self):
        self.server = WebhookReceiver().start()
        self.secrets = {"PAIR_APP": self.server.key}
        self.system = {
            "adapter": "webhook",
            "base_url": self.server.base_url,
            "insecure_cleartext": True,
            "signing_keys": ["env:PAIR_APP"],
            "key_ttl": 86400,
            "exposure": "internal",
            **LOCAL,
        }
        self.stream = {"entity": "Post", "type": "org.example.order"}
        self.flow = REMOVE

    def stop(self):
        self.server.stop()

    def die(self, chance):
        freeze(self.server._process, chance.uniform(0.05, 0.5))
        return True

    def found(self):
        events = self.server.events()
        ids = [event["headers"]["webhook-id"] for event in events]
        effects = dict(zip(ids, (event["body"] for event in events), strict=True))
        last, doubled = {}, []
        for body in effects.values():
            key = body["data"]["id"]
            said = (body["type"], body["data"].get("content"))
            if last.get(key) == said:
                doubled.append(key)
            last[key] = said
        held = [
            ORDER.search(record["content"]).groups() for record in self.server.records()
        ]
        counts = Counter(key for key, _word in held)
        doubled += [key for key, count in counts.items() if count > 1]
        return Found(dict(held), doubled, len(ids) - len(effects))


PEOPLE = (ScimTarget, PostgresTarget, LdapTarget, FileTarget)
POSTS = (OrderTable, OrderFiles, MastodonTarget, WebhookTarget)
TARGETS = {each.name: each for each in itertools.chain(PEOPLE, POSTS)}
