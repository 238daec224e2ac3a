"""The directory and the platform, compared entry by entry. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.demo.world import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Entries = Mapping[str, Mapping[str, list[str]]]
    Accounts = Mapping[str, dict[str, Any]]


def wrong_people(people: Entries, accounts: Accounts) -> list[str]:
    """DNs whose account is missing or differs in any field, managers included.

    Args:
        people: DN -> attributes, of the directory.
        accounts: externalId -> account, of the platform.
    """
    ids = {dn: _account(entry, accounts).get("id") for dn, entry in people.items()}
    return [
        dn
        for dn, entry in people.items()
        if flat(_account(entry, accounts)) != _wanted(entry, ids)
    ]


def wrong_groups(
    groups: Entries,
    people: Entries,
    there: Iterable[dict[str, Any]],
    accounts: Accounts,
) -> list[str]:
    """DNs of groups that are missing or whose members differ, nested ones included.

    Args:
        groups: DN -> attributes, of the directory.
        people: The same of people.
        there: Groups of the platform.
        accounts: externalId -> account, of the platform.
    """
    by_key = {each.get("externalId"): each for each in there}
    ids = {dn: _account(entry, accounts).get("id") for dn, entry in people.items()}
    ids |= {dn: by_key.get(_key(e), {}).get("id") for dn, e in groups.items()}
    return [
        dn
        for dn, entry in groups.items()
        if {ids.get(member) for member in entry["member"]}
        != {m["value"] for m in by_key.get(_key(entry), {}).get("members", ())}
    ]


def doubled(accounts: Iterable[dict[str, Any]]) -> int:
    """Accounts too many: equal logins or equal externalIds."""
    found = list(accounts)
    logins = {each["userName"].casefold() for each in found}
    keys = {each.get("externalId") for each in found}
    return 2 * len(found) - len(logins) - len(keys)


def _account(entry: Mapping[str, list[str]], accounts: Accounts) -> dict[str, Any]:
    return accounts.get(_key(entry), {})


def _key(entry: Mapping[str, list[str]]) -> str:
    return entry["entryUUID"][0].lower()


def _wanted(
    entry: Mapping[str, list[str]], ids: Mapping[str, str | None]
) -> dict[str, Any]:
    plain = (
        "uid", "givenName", "sn", "mail", "telephoneNumber", "mobile", "title",
        "preferredLanguage", "employeeNumber", "departmentNumber",
    )  # fmt: skip
    wanted: dict[str, Any] = {name: entry.get(name, [None])[0] for name in plain}
    manager = entry.get("manager", [None])[0]
    return {**wanted, "manager": None if manager is None else ids.get(manager)}
