"""What `ldap_adapter` sets side by side: each way to read or write, ready to be timed.

A variant connects and prepares, and returns the call that is measured; that returns how
many entries it handled.
"""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = 1000
COLLECT_AFTER = 20_000
"""As `run.collect_after` is by default."""
PLAIN = {"fast_reader": False}
FIELDS = [
    "uid", "cn", "sn", "givenName", "displayName", "mail", "telephoneNumber", "title",
    "departmentNumber", "employeeNumber",
]  # fmt: skip

Site = dict[str, Any]


def ldapsearch(site: Site) -> Callable[[], int]:
    command = [
        "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", site["url"], "-D",
        site["who"], "-w", site["password"], "-b", site["people"],
        "-E", f"pr={PAGE}/noprompt", "(objectClass=inetOrgPerson)", *FIELDS,
    ]  # fmt: skip

    def run() -> int:
        with tempfile.TemporaryFile() as out:
            subprocess.run(command, stdout=out, check=True)
        return int(site["count"])

    return run


def ldap3_paged(site: Site) -> Callable[[], int]:
    connection = _ldap3(site)

    def run() -> int:
        found = connection.extend.standard.paged_search(
            site["people"], "(objectClass=inetOrgPerson)", attributes=FIELDS,
            paged_size=PAGE, generator=True,
        )  # fmt: skip
        return sum(1 for entry in found if entry["type"] == "searchResEntry")

    return run


def python_ldap_decoded(site: Site) -> Callable[[], int]:
    import ldap
    from ldap.controls import SimplePagedResultsControl

    connection = ldap.initialize(site["url"])
    connection.simple_bind_s(site["who"], site["password"])

    def run() -> int:
        control, count = (
            SimplePagedResultsControl(criticality=True, size=PAGE, cookie=b""),
            0,
        )
        while True:
            number = connection.search_ext(
                site["people"], ldap.SCOPE_SUBTREE, "(objectClass=inetOrgPerson)",
                FIELDS, serverctrls=[control],
            )  # fmt: skip
            _, data, _, controls = connection.result3(number)
            for _, attributes in data:
                {name: [v.decode() for v in vs] for name, vs in attributes.items()}
                count += 1
            control.cookie = controls[0].cookie
            if not control.cookie:
                return count

    return run


def ours_raw(site: Site) -> Callable[[], int]:
    """The reader without records: entries with their values as bytes."""
    from moatbridge_ldap.scan import _request

    adapter = _adapter(site)
    shape = adapter._shape("people")
    request = _request(shape, shape.places[0])
    scanner = adapter._scanner
    return lambda: sum(len(page) for page in scanner.entries(shape, request))


def ours_scan(site: Site) -> Callable[[], int]:
    """`scan` with finished records."""
    return _scan(_adapter(site), "people")


def ours_scan_plain(site: Site) -> Callable[[], int]:
    """The same with the fast path switched off."""
    return _scan(_adapter(site, **PLAIN), "people")


def ours_scan_collected(site: Site) -> Callable[[], int]:
    """`scan` outside of a slice, under the interpreter's own thresholds."""
    import gc

    run, usual = _scan(_adapter(site), "people"), gc.get_threshold()[1:]
    gc.set_threshold(700, *usual)
    return run


def ours_groups(site: Site) -> Callable[[], int]:
    """20,000 people and their groups, one pass each, groups inverted into a map."""
    adapter = _adapter(site)
    people, groups = _scan(adapter, "people"), site["members"]

    def run() -> int:
        of: dict[str, list[str]] = {}
        for batch in adapter.scan("groups", _partition(), None):
            for change in batch.changes:
                for member in change.data["member"]:
                    of.setdefault(member, []).append(change.ref.id)
        assert sum(map(len, of.values())) == groups
        return people()

    return run


def _scan(adapter: Any, stream: str) -> Callable[[], int]:
    def run() -> int:
        passed = adapter.scan(stream, _partition(), None)
        return sum(len(batch.changes) for batch in passed)

    return run


def ldap3_add(site: Site) -> Callable[[], int]:
    connection, records = _ldap3(site), list(_records(site))

    def run() -> int:
        for name, record in records:
            dn = f"uid={name},{site['place']}"
            assert connection.add(dn, ["inetOrgPerson"], record)
        return int(site["writes"])

    return run


def ours_add(site: Site) -> Callable[[], int]:
    adapter, intents = _adapter(site), _creates(site)
    return lambda: _write(adapter, intents)


def ldap3_modify(site: Site) -> Callable[[], int]:
    import ldap3

    adapter = _adapter(site)
    _write(adapter, _creates(site))
    connection, records = _ldap3(site), list(_records(site))

    def run() -> int:
        for name, _ in records:
            dn = f"uid={name},{site['place']}"
            change = {"title": [(ldap3.MODIFY_REPLACE, ["Chief"])]}
            assert connection.modify(dn, change)
        return int(site["writes"])

    return run


def ldap3_modify_as_we_do(site: Site) -> Callable[[], int]:
    """Find by the id, 200 at a time; delete old, add new; id and version come back."""
    import ldap3
    from ldap3.protocol.rfc4527 import post_read_control

    adapter = _adapter(site)
    refs = _write(adapter, _creates(site), refs=True)
    connection = _ldap3(site)
    back = [post_read_control(["entryUUID", "entryCSN"])]
    change = {
        "title": [(ldap3.MODIFY_DELETE, ["Engineer"]), (ldap3.MODIFY_ADD, ["Chief"])]
    }

    def run() -> int:
        for at in range(0, len(refs), 200):
            ids = "".join(f"(entryUUID={ref.id})" for ref in refs[at : at + 200])
            connection.search(site["base"], f"(|{ids})", attributes=["entryUUID"])
            for entry in list(connection.response):
                assert connection.modify(entry["dn"], change, controls=back)
        return int(site["writes"])

    return run


def ours_modify(site: Site) -> Callable[[], int]:
    """`write` of updates whose image is known, as a flow does it."""
    adapter = _adapter(site)
    refs = _write(adapter, _creates(site), refs=True)
    intents = _updates(site, refs)
    return lambda: _write(adapter, intents)


def ours_modify_raw(site: Site) -> Callable[[], int]:
    """The port alone: modify requests in windows of 32."""
    from moatbridge_ldap.wire.port import REPLACE, ModifyEntry, ModifyItem

    adapter = _adapter(site)
    refs = _write(adapter, _creates(site), refs=True)

    def run() -> int:
        for at in range(0, len(refs), 32):
            sent = [
                ModifyEntry(ref.name, [ModifyItem(REPLACE, "title", [b"Chief"])])
                for ref in refs[at : at + 32]
            ]
            assert all(done.code == 0 for done in adapter._port.send(sent))
        return int(site["writes"])

    return run


VARIANTS = {
    one.__name__: one
    for one in (
        ldapsearch, ldap3_paged, python_ldap_decoded, ours_raw, ours_scan,
        ours_scan_plain, ours_scan_collected, ours_groups, ldap3_add, ours_add,
        ldap3_modify, ldap3_modify_as_we_do, ours_modify, ours_modify_raw,
    )
}  # fmt: skip


def _ldap3(site: Site) -> Any:
    """Bound; the collector of cycles as scripts have it."""
    import gc
    import warnings

    gc.set_threshold(700, *gc.get_threshold()[1:])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import ldap3

    server = ldap3.Server(site["url"], get_info=ldap3.NONE)
    return ldap3.Connection(server, site["who"], site["password"], auto_bind=True)


def _adapter(site: Site, **more: Any) -> Any:
    """Open, on a fresh session; the collector of cycles as slices set it."""
    import gc

    from pydantic import SecretStr

    from moatbridge.testing import net
    from moatbridge_ldap import LdapAdapter, LdapConfig, LdapStreamConfig

    auth = {"bind_dn": site["who"], "password": SecretStr(site["password"])}
    config = LdapConfig(
        urls=(site["url"],), starttls="off", insecure_cleartext=True, auth=auth,
        page_size=PAGE, **more,
    )  # fmt: skip
    person = {"filter": "(objectClass=inetOrgPerson)", "fields": FIELDS}
    create = {"dn": f"uid={{uid}},{site['place']}", "object_classes": ["inetOrgPerson"]}
    group = {"filter": "(objectClass=groupOfNames)", "fields": ["cn", "member"]}
    streams = {
        "people": {"bases": [{"dn": site["people"]}], **person},
        "groups": {"bases": [{"dn": site["groups"]}], **group},
        "written": {"bases": [{"dn": site["place"]}], "create": create, **person},
    }
    adapter = LdapAdapter(
        config, {name: LdapStreamConfig(**one) for name, one in streams.items()}
    )
    adapter.net = net(LdapAdapter.endpoints(config))
    adapter.open()
    for name in streams:
        adapter._shape(name)  # the schema is read once a session
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    return adapter


def _partition() -> Any:
    from moatbridge.adapter import Partition

    return Partition()


def _records(site: Site) -> Iterator[tuple[str, dict[str, list[str]]]]:
    for number in range(site["writes"]):
        name = f"w{number:06d}"
        yield name, person(name, number)


def _creates(site: Site) -> list[Any]:
    from moatbridge.changes import Intent

    return [
        Intent(f"k{name}", "create", None, record) for name, record in _records(site)
    ]


def _updates(site: Site, refs: list[Any]) -> list[Any]:
    from moatbridge.changes import Intent

    return [
        Intent(
            f"u{name}", "update", ref, {**record, "title": ["Chief"]}, ("title",),
            record,
        )
        for (name, record), ref in zip(_records(site), refs, strict=True)
    ]  # fmt: skip


def _write(adapter: Any, intents: list[Any], *, refs: bool = False) -> Any:
    done = []
    for at in range(0, len(intents), 500):
        done += adapter.write("written", intents[at : at + 500])
    assert all(receipt.outcome == "applied" for receipt in done)
    return [receipt.ref for receipt in done] if refs else len(done)


def person(name: str, number: int) -> dict[str, list[str]]:
    given = ("Anna", "Björn", "Chloe", "Dmitri")[number % 4]
    return {
        "uid": [name], "cn": [f"{given} Person {number}"], "sn": [f"Person{number}"],
        "givenName": [given], "displayName": [f"{given} Person {number}"],
        "mail": [f"{name}@legacy.example"], "title": ["Engineer"],
        "telephoneNumber": [f"+49 30 {1000000 + number}"],
        "departmentNumber": [str(number % 50)], "employeeNumber": [f"E-{number:07d}"],
    }  # fmt: skip
