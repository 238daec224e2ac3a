"""The harness of `MemoryAdapter`: also the shortest example of one."""

from __future__ import annotations

import secrets

from moatbridge.adapter import Field
from moatbridge.changes import Ref
from moatbridge.testing import (
    Harness,
    MemoryAdapter,
    MemoryConfig,
    MemoryStream,
    MemorySystem,
    SlotCase,
)

PEOPLE = MemoryStream(
    "people",
    (
        Field("userName", required=True, unique=True),
        Field("displayName"),
        Field("nickName"),
        Field("emails", "object", multi=True),
    ),
    unique="userName",
    page=5,
)


class MemoryHarness(Harness):
    stream = "people"
    unique = "userName"
    clearable = "nickName"
    crowd = 30

    def __init__(self, system=None, kind=MemoryAdapter):
        self.system = system or MemorySystem([PEOPLE])
        self.kind = kind

    def make(self, *, endpoint=None, credentials="good"):
        return self.kind(MemoryConfig(system=self.system), {})

    def sample(self, count):
        return [person(secrets.token_hex(6)) for _ in range(count)]

    def seed(self, records):
        self.system.put("people", records)

    def read_all(self):
        return [row.data for row in self.system.all("people")]

    def remove(self, values):
        self.system.delete("people", [self.row(value).ref for value in values])

    def edit(self, value):
        row = self.row(value)
        data = {**row.data, "nickName": f"edited {secrets.token_hex(4)}"}
        with self.system.store.transaction():
            self.system.save(self.system.stream("people"), row.ref, data)

    def spoil(self, value):
        self.system.unreadable.add(self.row(value).ref.key)

    def change(self, record):
        return {"displayName": f"Changed {secrets.token_hex(4)}"}

    def broken(self):
        return {"displayName": "nobody"}

    def slot(self):
        record = person(secrets.token_hex(6))
        home = {"type": "home", "value": "home@example.org"}
        record["emails"].append(home)
        work = {"type": "work", "value": "new@example.org"}
        owned = ("emails[type=work].value",)
        return SlotCase(record, owned, {"emails": [work]}, "emails", [home, work])

    def absent(self):
        return Ref("m99999999")

    def row(self, value):
        for row in self.system.all("people"):
            if row.data["userName"] == value:
                return row
        raise LookupError(value)


def person(tag):
    return {
        "userName": f"user-{tag}",
        "displayName": f"Display {tag}",
        "nickName": f"Nick {tag}",
        "emails": [{"type": "work", "value": f"{tag}@example.org"}],
    }
