"""The adapter passes the suite on a real server, for people and for groups."""

from __future__ import annotations

import secrets
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from moatbridge.entities.scim import to_scim
from moatbridge.testing import AdapterConformance, Harness, SlotCase
from moatbridge_scim import ScimAdapter, ScimConfig


class ScimHarness(Harness):
    kind = "Person"
    path = "/Users"

    def __init__(self, server):
        self.server = server
        self.endpoint = server.endpoint
        self.canaries = [server.token]

    def make(self, *, endpoint=None, credentials="good"):
        host, port = endpoint or self.server.endpoint
        token = self.server.token if credentials == "good" else "wrong-token"
        config = ScimConfig(
            base_url=f"http://{host}:{port}/v2",
            auth={"kind": "bearer", "token": SecretStr(token)},
            insecure_cleartext=True,
            page_size=5,
            remove="delete",
        )
        return ScimAdapter(config, {})

    def seed(self, records):
        self.server.create_many(self.path, [to_scim(r, self.kind) for r in records])

    def read_all(self):
        return self.server.all(self.path)

    def remove(self, values):
        for resource in self.server.all(self.path):
            if resource[self.unique] in values:
                self.server.call("DELETE", f"{self.path}/{quote(resource['id'])}")

    def edit(self, value):
        operation = {
            "op": "replace",
            "path": "displayName",
            "value": secrets.token_hex(4),
        }
        self.patch(value, operation)

    def patch(self, value, operation):
        body = {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        }
        for resource in self.server.all(self.path):
            if resource[self.unique] == value:
                self.server.call("PATCH", f"{self.path}/{resource['id']}", body)


class PeopleHarness(ScimHarness):
    stream = "people"
    unique = "userName"
    clearable = "nickName"

    def sample(self, count):
        return [self._person() for _ in range(count)]

    def _person(self):
        word = secrets.token_hex(6)
        return {
            "userName": f"u-{word}",
            "externalId": f"hr-{word}",
            "name": {"givenName": f"Ada {word}", "familyName": "Lovelace"},
            "nickName": f"nick {word}",
            "active": True,
            "emails": [{"value": f"{word}@corp.local", "type": "work"}],
            "enterprise": {"department": f"R&D {word}"},
        }

    def change(self, record):
        return {"nickName": f"new {secrets.token_hex(4)}", "active": False}

    def rival(self, record):
        return {**self._person(), "userName": record["userName"]}

    def broken(self):
        return {"externalId": secrets.token_hex(4), "nickName": "has no user name"}

    def slot(self):
        record = self._person()
        home = {"value": "home@corp.local", "type": "home"}
        record["emails"].append(home)
        work = {"value": "new@corp.local", "type": "work"}
        return SlotCase(
            record,
            ("emails[type=work].value",),
            {"emails": [work]},
            "emails",
            [work, home],
        )


class GroupsHarness(ScimHarness):
    stream = "groups"
    unique = "displayName"
    clearable = "externalId"
    kind = "Group"
    path = "/Groups"

    def sample(self, count):
        return [self._group() for _ in range(count)]

    def _group(self):
        word = secrets.token_hex(6)
        members = [{"value": secrets.token_hex(8), "type": "Person"} for _ in range(2)]
        return {
            "displayName": f"team {word}",
            "externalId": f"g-{word}",
            "members": members,
        }

    def change(self, record):
        return {"members": [{"value": secrets.token_hex(8), "type": "Person"}]}

    def broken(self):
        return {"externalId": secrets.token_hex(4)}

    def edit(self, value):
        self.patch(
            value,
            {"op": "replace", "path": "externalId", "value": secrets.token_hex(4)},
        )


class TestPeople(AdapterConformance):
    adapter = ScimAdapter
    features = frozenset({"network", "credentials", "keyed", "conditional", "slots"})

    @pytest.fixture
    def harness(self, server):
        return PeopleHarness(server)


class TestGroups(AdapterConformance):
    adapter = ScimAdapter
    features = frozenset({"network", "credentials", "conditional"})

    @pytest.fixture
    def harness(self, server):
        return GroupsHarness(server)
