"""Ways to read and write a directory: ldap3 as one uses it, python-ldap, and ours."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.contents import row

from scenarios.alone.work import in_a_flow, scanned, wired, written
from scenarios.to_platform.groups import connected
from scenarios.to_platform.places import Directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = dict[str, Any]
PAGE = 1000
PEOPLE = "(objectClass=inetOrgPerson)"
TEAMS = "(objectClass=groupOfNames)"


def _paged(connection: Any, base: str, text: str, names: Any) -> Iterator[Any]:
    return connection.extend.standard.paged_search(
        base, text, attributes=list(names), paged_size=PAGE, generator=True
    )


def ldap3_paged(order: Order) -> Callable[[], Order]:
    """Entries with their values as ldap3 makes them."""
    source = order["source"]

    def run() -> Order:
        with connected(source) as connection:
            found = _paged(connection, source["people"], PEOPLE, source["attributes"])
            return {"seen": sum(len(entry["attributes"]) > 0 for entry in found)}

    return run


def ldap3_both(order: Order) -> Callable[[], Order]:
    """One pass over people, one over groups, joined in memory."""
    source = order["source"]

    def run() -> Order:
        of: dict[str, list[str]] = {}
        seen = memberships = 0
        with connected(source) as connection:
            for entry in _paged(connection, source["groups"], TEAMS, ["cn", "member"]):
                for member in entry["attributes"]["member"]:
                    of.setdefault(member, []).append(entry["dn"])
            for entry in _paged(
                connection, source["people"], PEOPLE, source["attributes"]
            ):
                seen += 1
                memberships += len(of[entry["dn"]])
        return {"seen": seen, "memberships": memberships}

    return run


def ldap3_each(order: Order) -> Callable[[], Order]:
    """One search more for each person."""
    source = order["source"]

    def run() -> Order:
        seen = memberships = 0
        with connected(source) as connection:
            found = _paged(connection, source["people"], PEOPLE, source["attributes"])
            for entry in islice(found, order["records"]):
                seen += 1
                text = f"(member={entry['dn']})"
                connection.search(source["groups"], text, attributes=["cn"])
                memberships += len(connection.response)
        return {"seen": seen, "memberships": memberships}

    return run


def python_ldap(order: Order) -> Callable[[], Order]:
    """OpenLDAP's library under Python, values made texts."""
    import ldap
    from ldap.controls import SimplePagedResultsControl

    source = order["source"]
    names = list(source["attributes"])

    def run() -> Order:
        connection = ldap.initialize(source["url"])
        connection.simple_bind_s(source["who"], source["password"])
        control = SimplePagedResultsControl(criticality=True, size=PAGE, cookie=b"")
        seen = 0
        while True:
            number = connection.search_ext(
                source["people"], ldap.SCOPE_SUBTREE, PEOPLE, names, serverctrls=[control],
            )  # fmt: skip
            _, data, _, controls = connection.result3(number)
            for _, attributes in data:
                {name: [v.decode() for v in vs] for name, vs in attributes.items()}
                seen += 1
            control.cookie = controls[0].cookie
            if not control.cookie:
                return {"seen": seen}

    return run


def _adapter(order: Order, **more: Any) -> Any:
    """Ours, not connected."""
    from pydantic import SecretStr

    from moatbridge_ldap import LdapAdapter, LdapConfig, LdapStreamConfig

    source = order["source"]
    auth = {"bind_dn": source["who"], "password": SecretStr(source["password"])}
    config = LdapConfig(
        urls=(source["url"],), starttls="off", insecure_cleartext=True, auth=auth,
        page_size=PAGE, **more,
    )  # fmt: skip
    base = source.get("place", source["people"])
    create = {"dn": f"uid={{uid}},{base}", "object_classes": ["inetOrgPerson"]}
    fields = [*source["attributes"], *(["cn"] if "place" in source else [])]
    people = {"bases": [{"dn": base}], "filter": PEOPLE, "fields": fields}
    groups = {"bases": [{"dn": source["groups"]}], "filter": TEAMS, "fields": ["cn", "member"]}  # fmt: skip
    streams = {"people": {**people, "create": create}, "groups": groups}
    configs = {name: LdapStreamConfig(**one) for name, one in streams.items()}
    return wired(LdapAdapter(config, configs))


def scan(order: Order, **more: Any) -> Callable[[], Order]:
    """As any program that uses the adapter by itself."""
    adapter = _adapter(order, **more)

    def run() -> Order:
        with adapter:
            return {"seen": scanned(adapter)}

    return run


def scan_in_flow(order: Order, **more: Any) -> Callable[[], Order]:
    """As a slice of a flow."""
    return in_a_flow(scan(order, **more))


def scan_generally(order: Order) -> Callable[[], Order]:
    """The fast reader switched off."""
    return scan_in_flow(order, fast_reader=False)


def members(order: Order) -> Callable[[], Order]:
    """Both streams, joined in memory."""
    from moatbridge.adapter import Partition

    adapter = _adapter(order)

    def run() -> Order:
        of: dict[str, list[str]] = {}
        seen = memberships = 0
        with adapter:
            for batch in adapter.scan("groups", Partition(), None):
                for change in batch.changes:
                    for member in change.data["member"]:
                        of.setdefault(member, []).append(change.ref.id)
            for batch in adapter.scan("people", Partition(), None):
                seen += len(batch.changes)
                memberships += sum(len(of[c.ref.name]) for c in batch.changes)
        return {"seen": seen, "memberships": memberships}

    return in_a_flow(run)


def _people(order: Order) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """DN and attributes."""
    for number in range(order["records"]):
        dn, entry = Directory.entry(number, order["source"]["place"])
        entry.pop("objectClass")
        yield dn, entry


def ldap3_add(order: Order) -> Callable[[], Order]:
    """A request, its answer, the next."""
    people = list(_people(order))

    def run() -> Order:
        with connected(order["source"]) as connection:
            made = [connection.add(dn, ["inetOrgPerson"], one) for dn, one in people]
        return {"seen": sum(made)}

    return run


def add(order: Order) -> Callable[[], Order]:
    """`write` of creates."""
    from moatbridge.changes import Intent

    adapter = _adapter(order)
    intents = [Intent(f"k{dn}", "create", None, one) for dn, one in _people(order)]

    def run() -> Order:
        with adapter:
            return {"seen": written(adapter, intents)}

    return in_a_flow(run)


def ldap3_modify(order: Order) -> Callable[[], Order]:
    """The attribute replaced, whatever it was."""
    import ldap3

    names = [dn for dn, _ in _people(order)]
    change = {"title": [(ldap3.MODIFY_REPLACE, ["Chief"])]}

    def run() -> Order:
        with connected(order["source"]) as connection:
            return {"seen": sum(connection.modify(dn, change) for dn in names)}

    return run


def ldap3_modify_as_we_do(order: Order) -> Callable[[], Order]:
    """Find by the id, 200 at a time; delete old, add new; id and version come back."""
    import ldap3
    from ldap3.protocol.rfc4527 import post_read_control

    titles = {row(n)[1]: row(n)[6] for n in range(order["records"])}
    ids = list(order["ids"].values())

    def run() -> Order:
        back, done = [post_read_control(["entryUUID", "entryCSN"])], 0
        with connected(order["source"]) as connection:
            for at in range(0, len(ids), 200):
                asked = "".join(f"(entryUUID={one})" for one in ids[at : at + 200])
                connection.search(
                    order["source"]["place"], f"(|{asked})", attributes=["uid"]
                )
                for entry in list(connection.response):
                    old = titles[entry["attributes"]["uid"][0]]
                    change = {
                        "title": [(ldap3.MODIFY_DELETE, [old]), (ldap3.MODIFY_ADD, ["Chief"])]
                    }  # fmt: skip
                    done += connection.modify(entry["dn"], change, controls=back)
        return {"seen": done}

    return run


def modify(order: Order) -> Callable[[], Order]:
    """`write` of updates whose image is known, as a flow does it."""
    from moatbridge.changes import Intent, Ref

    adapter = _adapter(order)
    intents = [
        Intent(
            f"u{dn}", "update", Ref(order["ids"][old["uid"][0]], dn),
            {**old, "title": ["Chief"]}, ("title",), old,
        )
        for dn, old in _people(order)
    ]  # fmt: skip

    def run() -> Order:
        with adapter:
            return {"seen": written(adapter, intents)}

    return in_a_flow(run)
