"""People and groups of a directory by hand.

Naive: asks for the groups of each person (N+1). Best: one pass over people and one over
groups, members through a table in memory.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.contents import BULK, creates, user

from scenarios.to_platform.by_hand import Platform
from scenarios.to_platform.readers import reader

if TYPE_CHECKING:
    from collections.abc import Callable

Order = dict[str, Any]
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


def connected(source: dict[str, Any]) -> Any:
    import ldap3

    server = ldap3.Server(source["url"], get_info=ldap3.NONE)
    return ldap3.Connection(server, source["who"], source["password"], auto_bind=True)


def naive(order: Order) -> Callable[[], Order]:
    """A search and a request for each person."""
    import requests

    source, names = order["source"], order["source"]["attributes"]
    headers = {"Authorization": "Bearer benchmark"}

    def run() -> Order:
        teams: dict[str, list[str]] = {}
        with requests.Session() as http, connected(source) as connection:
            people = connection.extend.standard.paged_search(
                source["people"],
                "(objectClass=inetOrgPerson)",
                attributes=names,
                generator=True,
            )
            for entry in islice(people, order["records"]):
                values = entry["attributes"]
                flat = [
                    values[n][0] if isinstance(values[n], list) else values[n]
                    for n in names
                ]
                url = order["sink"] + "/Users"
                made = http.post(url, json=user(flat), headers=headers)
                made.raise_for_status()
                connection.search(
                    source["groups"], f"(member={entry['dn']})", attributes=["cn"]
                )
                for group in connection.response:
                    teams.setdefault(group["attributes"]["cn"][0], []).append(
                        made.json()["id"]
                    )
            for name, members in teams.items():
                body = {"displayName": name, "members": [{"value": m} for m in members]}
                http.post(
                    order["sink"] + "/Groups", json=body, headers=headers
                ).raise_for_status()
        return {}

    return run


def by_hand(order: Order) -> Callable[[], Order]:
    """Two passes, bulk requests."""
    source = order["source"]
    platform, read = Platform(order), reader(source)

    def run() -> Order:
        for batch in read():
            platform.send(platform.encode(creates(batch)))
        with connected(source) as connection:
            found = connection.extend.standard.paged_search(
                source["groups"], "(objectClass=groupOfNames)", attributes=["cn", "member"],
                paged_size=1000, generator=True,
            )  # fmt: skip
            groups = [entry["raw_attributes"] for entry in found]
        for at in range(0, len(groups), 10):
            operations = [
                {
                    "method": "POST",
                    "path": "/Groups",
                    "bulkId": str(n),
                    "data": _group(g),
                }
                for n, g in enumerate(groups[at : at + 10])
            ]
            platform.send(
                platform.encode({"schemas": [BULK], "Operations": operations})
            )
        return {}

    return run


def _group(raw: dict[str, list[bytes]]) -> dict[str, Any]:
    """The platform's id of a person is the name here: the first part of the DN."""
    name = raw["cn"][0].decode()
    members = [{"value": dn[4 : dn.index(b",")].decode()} for dn in raw["member"]]
    return {
        "schemas": [GROUP],
        "externalId": name,
        "displayName": name,
        "members": members,
    }
