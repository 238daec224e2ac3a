"""A legacy system and a platform in memory, and a bridge between them."""

from __future__ import annotations

from moatbridge.adapter import Field
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem
from servers.places import place_for

PERSON = tuple(
    Field(name) for name in ("uid", "given", "family", "mail", "phone", "manager")
)
GROUP = (Field("cn"), Field("member", multi=True))
FIELDS = {
    "userName": "uid",
    "name.givenName": "given",
    "name.familyName": "family",
    "emails[type=work].value": "mail",
    "phoneNumbers[type=work].value": "phone",
}


class World:
    def __init__(
        self, folder, *, count=20, flows=None, traits=None, systems=None, extra=None
    ):
        self.folder = folder
        self.hr = HUB.register(
            MemorySystem(
                [
                    MemoryStream("people", PERSON, key=("uid",)),
                    MemoryStream("groups", GROUP, key=("cn",)),
                ],
                name=f"hr-{folder.name}",
            )
        )
        target = {} if traits is None else {"traits": traits}
        self.social = HUB.register(
            MemorySystem(
                [
                    MemoryStream(
                        "people",
                        (*PERSON, Field("active", "bool"), Field("ext")),
                        unique="ext",
                        **target,
                    ),
                    MemoryStream(
                        "groups", (*GROUP, Field("ext")), unique="ext", **target
                    ),
                ],
                name=f"social-{folder.name}",
            )
        )
        self.systems = systems or {}
        self.extra = extra or {}
        for number in range(count):
            self.put(number)
        self.flows = flows or {"people": {"from": "hr/people", "to": "social/people"}}
        self.bridge = self.open()

    def put(self, number, **more):
        record = {
            "uid": f"u{number:04}", "given": "Ada", "family": f"L{number}",
            "mail": f"u{number}@x.example", "phone": "1", "manager": None, **more,
        }  # fmt: skip
        return self.hr.put("people", [record])[0]

    def remove(self, *numbers):
        stream = self.hr.stream("people")
        self.hr.delete(
            "people", [self.hr.ref_of(stream, {"uid": f"u{n:04}"}) for n in numbers]
        )

    def config(self):
        people = {
            **FIELDS,
            "enterprise.manager": {"ref": "hr/people", "from": "manager", "by": "id"},
        }
        there = {
            **FIELDS, "active": "active", "externalId": "ext",
            "enterprise.manager": {"ref": "social/people", "from": "manager", "by": "id"},
        }  # fmt: skip
        return {
            "adapters": ["memory"],
            "ledger": {
                **place_for(self.folder).settings,
                **self.extra.get("ledger", {}),
            },
            "guard": {"four_eyes": True, **self.extra.get("guard", {})},
            "run": self.extra.get("run", {}),
            "systems": {
                "hr": {
                    "adapter": "memory",
                    "system": self.hr.name,
                    "max_label": "confidential",
                    **self.systems.get("hr", {}),
                },
                "social": {
                    "adapter": "memory",
                    "system": self.social.name,
                    "max_label": "confidential",
                    **self.systems.get("social", {}),
                },
            },
            "streams": {
                "hr/people": {"translator": {"entity": "Person", "fields": people}},
                "social/people": {"translator": {"entity": "Person", "fields": there}},
            },
            "flows": self.flows,
        }

    def open(self):
        registry = Registry(discover=False)
        registry.register("memory", MemoryAdapter)
        return Bridge(parse(self.config(), registry), registry=registry)

    def reopen(self):
        self.bridge.close()
        self.bridge = self.open()

    def apply(self, flow="people"):
        plan = self.bridge.plan(flow)
        return self.bridge.apply(plan, confirm=plan.verdict.count)

    def there(self):
        return {row.data["uid"]: row.data for row in self.social.all("people")}

    def here(self):
        return {row.data["uid"]: row.data for row in self.hr.all("people")}

    def edit_there(self, uid, **changes):
        row = next(r for r in self.social.all("people") if r.data["uid"] == uid)
        with self.social.store.transaction():
            self.social.save(
                self.social.stream("people"), row.ref, {**row.data, **changes}
            )
