"""Peers that misbehave: a small scripted SCIM service over a list of resources."""

from __future__ import annotations

import re
from typing import Any

from moatbridge.adapter import Partition
from moatbridge.testing.stage import intent
from servers.scripted_http import Answer, Asked, ScriptedHttp

DISCOVERY = ("/v2/ServiceProviderConfig", "/v2/ResourceTypes", "/v2/Schemas")
EQUAL = re.compile(r'(\w+) eq "((?:[^"\\]|\\.)*)"')


def person(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"id-{number:05}",
        "userName": f"user{number}",
        "externalId": f"x{number}",
        **more,
    }


class Service:
    """Answers as an honest, minimal SCIM service; tests override one method each.

    Args:
        people: The users there are.
        config: Its ServiceProviderConfig; None has no discovery at all.
    """

    def __init__(
        self,
        people: list[dict[str, Any]] | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        self.people = people if people is not None else []
        self.config = config

    def __call__(self, asked: Asked) -> Answer:
        if asked.path in DISCOVERY:
            return self.discovery(asked)
        if asked.path == "/v2/Bulk":
            return self.bulk(asked)
        if asked.method == "GET" and asked.path == "/v2/Users":
            return self.listing(asked)
        if asked.path == "/v2/Groups":
            return Answer(200, listed([], 0))
        return getattr(self, asked.method.lower())(asked)

    def discovery(self, asked: Asked) -> Answer:
        if self.config is None or asked.path != DISCOVERY[0]:
            return Answer(404, {"detail": "no discovery"})
        return Answer(200, self.config)

    def listing(self, asked: Asked) -> Answer:
        found = self.matching(asked.query.get("filter"))
        start, count = (
            int(asked.query.get("startIndex", 1)),
            int(asked.query.get("count", 100)),
        )
        return Answer(200, listed(found[start - 1 : start - 1 + count], len(found)))

    def matching(self, text: str | None) -> list[dict[str, Any]]:
        if text is None:
            return self.people
        wanted = EQUAL.findall(text)
        return [
            p
            for p in self.people
            if any(str(p.get(f)).lower() == v.lower() for f, v in wanted)
        ]

    def get(self, asked: Asked) -> Answer:
        for one in self.people:
            if asked.path == f"/v2/Users/{one['id']}":
                return Answer(200, one)
        return Answer(404, {"detail": "gone"})

    def post(self, asked: Asked) -> Answer:
        made = {**asked.body, "id": f"new-{len(self.people)}"}
        self.people.append(made)
        return Answer(201, made)

    def put(self, asked: Asked) -> Answer:
        return self.stored(asked, asked.body)

    def patch(self, asked: Asked) -> Answer:
        return self.stored(asked, {})

    def stored(self, asked: Asked, body: dict[str, Any]) -> Answer:
        for at, one in enumerate(self.people):
            if asked.path == f"/v2/Users/{one['id']}":
                self.people[at] = {**body, "id": one["id"]} if body else one
                return Answer(200, self.people[at])
        return Answer(404, {"detail": "gone"})

    def delete(self, asked: Asked) -> Answer:
        return Answer(204)

    def bulk(self, asked: Asked) -> Answer:
        return Answer(501, {"detail": "no bulk"})


def listed(resources: list[Any], total: int, **more: Any) -> dict[str, Any]:
    return {"totalResults": total, "Resources": resources, **more}


def counted(
    peer: ScriptedHttp, method: str | None = None, path: str | None = None
) -> int:
    """Requests other than discovery."""
    return sum(
        a.path not in DISCOVERY
        and method in {None, a.method}
        and path in {None, a.path}
        for a in peer.asked
    )


PATCHING = {
    "patch": {"supported": True},
    "filter": {"supported": True, "maxResults": 100},
}
BULK = {
    **PATCHING,
    "bulk": {"supported": True, "maxOperations": 10, "maxPayloadSize": 100_000},
}
ADA = {"userName": "ada", "externalId": "hr-1", "displayName": "Ada", "active": True}


def people(count):
    return [{"userName": f"u{n}", "externalId": f"x{n}"} for n in range(count)]


def creates(records):
    return [intent("create", None, record) for record in records]


def write(adapter, *intents, stream="people"):
    return list(adapter.write(stream, list(intents)))


def made(adapter, record=None, stream="people"):
    receipt = write(adapter, intent("create", None, record or ADA), stream=stream)[0]
    assert receipt.outcome == "applied", receipt
    return receipt


def outcome(receipt):
    return receipt.outcome, receipt.code


def requests_of(adapter, call):
    before = adapter._client.requests
    return call(), adapter._client.requests - before


class Says(Service):
    """One answer to every write."""

    def __init__(self, answer, config=PATCHING, listing=None):
        super().__init__([person(1)], config)
        self.answer, self.refused, self.opened = answer, listing, 0

    def listing(self, asked):
        self.opened += 1
        return (
            self.refused if self.refused and self.opened > 1 else super().listing(asked)
        )

    def post(self, asked):
        return self.answer

    put = patch = delete = bulk = post


def group(count, first=0):
    return [
        {"value": f"m{n:05}", "type": "Person"} for n in range(first, first + count)
    ]


def everything(adapter, stream="people"):
    return [
        c for batch in adapter.scan(stream, Partition(), None) for c in batch.changes
    ]
