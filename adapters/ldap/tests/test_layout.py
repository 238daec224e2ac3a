"""Entries read by one pattern: the same as the general readers make, ours and ldap3's."""

from __future__ import annotations

import itertools
import random
import uuid
import warnings
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.changes import Change, Ref
from moatbridge.errors import NotApplied
from moatbridge_ldap import LdapStreamConfig, straight
from moatbridge_ldap import testing as fake
from moatbridge_ldap.directory import Directory
from moatbridge_ldap.schema import Schema
from moatbridge_ldap.shape import compile_shape
from moatbridge_ldap.wire import ber, layout, messages
from moatbridge_ldap.wire.layout import Layouts
from moatbridge_ldap.wire.messages import Names
from moatbridge_ldap.wire.port import Entry
from servers.openldap import BASE, SYNC, group, person

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.strategy.base import BaseStrategy
    from ldap3.utils.asn1 import decode_message_fast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge_ldap.shape import Shape

NUMBER = b"\x01\x07"
PLAIN = SimpleNamespace(
    connection=SimpleNamespace(
        server=SimpleNamespace(schema=None, custom_formatter=None),
        empty_attributes=True, return_empty_attributes=False, check_names=False,
    )
)  # fmt: skip
"""What ldap3's decoder needs of a connection."""
REQUEST = fake.Request(7, "searchRequest", None, {})
FIELDS: list[Any] = [
    "dn", "uid", "cn", "mail", "sn",
    {"attribute": "employeeNumber", "type": "int", "multi": False},
    {"attribute": "seen", "type": "datetime", "multi": False},
    {"attribute": "photo", "type": "bytes", "multi": True},
    {"attribute": "sn;lang-de", "multi": False},
]  # fmt: skip
ATTRIBUTES = [
    "uid", "cn", "mail", "sn", "employeeNumber", "seen", "photo", "sn;lang-de",
    "entryUUID", "entryCSN", "unasked",
]  # fmt: skip


def shape_of(
    fields: list[Any], *, id_attribute: str = "entryUUID", **more: Any
) -> Shape:
    config = LdapStreamConfig(bases=({"dn": "dc=x"},), fields=tuple(fields), **more)
    known = Directory(SimpleNamespace(server="ldap://x"), {})  # type: ignore[arg-type]
    known.__dict__["schema"] = Schema()
    known.__dict__["version_attribute"] = "entryCSN"
    return compile_shape("people", config, known, id_attribute)


def long_form(tag: int, body: bytes) -> bytes:
    """As Active Directory writes whatever holds other elements."""
    return bytes((tag, 0x84)) + len(body).to_bytes(4, "big") + body


def encoded(
    dn: str,
    held: dict[str, list[bytes]],
    wrap: Callable[[int, bytes], bytes] = ber.tlv,
    number: bytes = b"\x02" + NUMBER,
) -> bytes:
    listed = b"".join(
        wrap(0x30, ber.octets(n) + wrap(0x31, b"".join(map(ber.octets, vs))))
        for n, vs in held.items()
    )
    body = wrap(0x64, ber.octets(dn) + wrap(0x30, listed))
    return wrap(0x30, number + body)


def general(data: bytes, names: list[str] | tuple[str, ...]) -> Any:
    """The first message, as the general reader has it."""
    end = messages.message_end(data, 0)
    assert end is not None
    _, kind, start, stop = messages.split(data, 0, end)
    return messages.decode(data, kind, start, stop, end, Names(names))


def read(layouts: Layouts, data: bytes) -> tuple[list[Any], int]:
    found: list[Any] = []
    return found, layouts.take(data, 0, NUMBER, found)


text = st.text(st.characters(codec="utf-8"), max_size=40).map(str.encode)
value = st.one_of(
    text, st.binary(max_size=20), st.binary(min_size=100, max_size=300),
    st.sampled_from([b"", b"\0", b"a\0b", b"\xff", b"0", b"-7", b"9" * 65,
                     b"20260102030405Z", b"99991231235959Z", "Ölga".encode(),
                     b"0\x0b\x04\x02cn1\x05\x04\x03abc", b"\x04\x03abc"]),
)  # fmt: skip
plain = {
    "uid": [b"ada"], "cn": [b"Ada L"], "mail": [b"ada@x.example"], "sn": [b"L"],
    "employeeNumber": [b"7"], "seen": [b"20260102030405Z"], "photo": [b"\x01"],
    "sn;lang-de": [b"L"], "entryUUID": [str(uuid.UUID(int=1)).encode()],
    "entryCSN": [b"20260102030405.000000Z#000000#000#000000"], "unasked": [b"u"],
}  # fmt: skip


odd = st.dictionaries(
    st.sampled_from(ATTRIBUTES), st.lists(value, max_size=3), max_size=3
)  # fmt: skip
"""What differs from `plain`; no values: the attribute is missing."""
dns = st.one_of(st.just("uid=ada,dc=x"), st.text(max_size=140))


def mixed(given_: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    return {name: vs for name in ATTRIBUTES if (vs := given_.get(name, plain[name]))}


def test_raw_entries_are_what_the_general_reader_and_ldap3_make_of_them() -> None:
    names = tuple(n for n in ATTRIBUTES if n != "unasked")
    models = {
        wrap: Layouts(Names(names), straight.entries) for wrap in (ber.tlv, long_form)
    }
    for wrap, layouts in models.items():
        _teach(
            layouts, *(encoded("uid=a", plain | {"cn": n}, wrap) for n in ([], [b""]))
        )
    hits = []

    @given(dns, odd, st.sampled_from(list(models)))
    @settings(max_examples=400, deadline=None)
    def judged(dn: str, given_: dict[str, list[bytes]], wrap: Any) -> None:
        data = encoded(dn, mixed(given_), wrap)
        found, _ = read(models[wrap], data)
        ours = general(data, names)
        assert found in ([], [ours])
        hits.append(bool(found))
        theirs = BaseStrategy.decode_response_fast(PLAIN, decode_message_fast(data))
        assert ours.dn == theirs["dn"]
        assert ours.attributes == {
            n: list(v or ()) for n, v in theirs["raw_attributes"].items() if n in names
        }

    judged()
    assert sum(hits) > 50


@pytest.mark.parametrize("stand_in", [None, "uid=nobody"])
def test_changes_are_what_the_shape_makes_of_entries(stand_in: str | None) -> None:
    shape = shape_of(FIELDS, empty_group_member=stand_in)
    layouts = shape.learned.changes
    assert layouts is not None
    _teach(layouts, encoded("uid=ada", plain), encoded("uid=ada", plain | {"cn": []}))
    hits = []

    @given(dns, odd)
    @settings(max_examples=250, deadline=None)
    def judged(dn: str, given_: dict[str, list[bytes]]) -> None:
        data = encoded(dn, mixed(given_))
        found, _ = read(layouts, data)
        expected = shape.change(general(data, shape.attributes))
        assert found in ([], [expected])
        hits.append(bool(found))
        if found:
            assert list(found[0].data) == list(expected.data)
            assert isinstance(found[0], Change)

    judged()
    assert sum(hits) > 50


def _teach(layouts: Layouts, *models: bytes) -> None:
    for model in models:
        for _ in range(layout.SAMPLE * layout.ENOUGH):
            read(layouts, model)


@pytest.mark.parametrize("wrap", [ber.tlv, long_form], ids=["slapd", "ad"])
def test_a_plain_entry_is_read_whole_by_its_pattern(wrap: Any) -> None:
    shape = shape_of(FIELDS)
    layouts = shape.learned.changes
    assert layouts is not None
    data = encoded("uid=ada,dc=x", plain, wrap)
    _teach(layouts, data)
    (found,), at = read(layouts, data)
    assert isinstance(found, Change)
    assert at == len(data)
    assert found == shape.change(general(data, shape.attributes))
    assert (found.ref.name, found.data["cn"]) == ("uid=ada,dc=x", ["Ada L"])
    # Attributes may be missing, and a listed one may have any number of values.
    less = encoded("uid=ada,dc=x", {n: plain[n] for n in ("mail", "entryUUID")}, wrap)
    (found,), _ = read(layouts, less)
    assert found == shape.change(general(less, shape.attributes))


def test_active_directorys_binary_ids_are_read_too() -> None:
    shape = shape_of(["cn", "member"], id_attribute="objectGUID")
    layouts = shape.learned.changes
    assert layouts is not None
    held = {
        "cn": [b"a"],
        "member": [b"cn=b", b"cn=a"],
        "objectGUID": [bytes(range(16))],
    }
    data = encoded("CN=a,DC=x", held, long_form)
    _teach(layouts, data)
    (found,), _ = read(layouts, data)
    assert found == shape.change(general(data, shape.attributes))
    assert found.ref.id == "03020100-0504-0706-0809-0a0b0c0d0e0f"
    assert found.data["member"] == ["cn=a", "cn=b"]


@pytest.mark.parametrize("wrap", [ber.tlv, long_form], ids=["slapd", "ad"])
def test_every_altered_byte_is_judged_as_by_the_general_reader(wrap: Any) -> None:
    names = ("uid", "cn", "mail")
    held = {
        "uid": [b"ada"],
        "cn": [b"a", b"bc"],
        "mail": [b"a@x"],
        "unasked": [b"u", b"v"],
    }
    good = encoded("uid=ada,dc=x", held, wrap)
    layouts = Layouts(Names(names), straight.entries)
    _teach(layouts, good)
    assert read(layouts, good) == ([general(good, names)], len(good))
    read_so = refused = 0
    for at, new in itertools.product(
        range(len(good)), (0, 1, 2, 4, 0x30, 0x31, 0x80, 0xFF, -1, 1000)
    ):
        data = bytearray(good)
        data[at] = new if 0 <= new < 256 else (data[at] + (1 if new > 0 else -1)) % 256
        found, _ = read(layouts, bytes(data))
        try:
            other = general(bytes(data), names)
        except (NotApplied, IndexError, AssertionError):
            other = None
        refused += other is None
        read_so += bool(found)
        assert found in ([], [other]), (at, new)
    assert read_so > 50
    assert refused > 100


def test_what_is_no_entry_of_this_search_is_left_alone() -> None:
    layouts = Layouts(Names(("cn",)), straight.entries)
    good = encoded("cn=a", {"cn": [b"a"]})
    _teach(layouts, good)
    assert read(layouts, good * 3)[1] == 3 * len(good)
    other = encoded("cn=a", {"cn": [b"a"]}, number=b"\x02\x01\x08")
    steered = fake.entry(REQUEST, "cn=a", {"cn": [b"a"]}, {"1.2.3": b"x"})
    twice = encoded("cn=a", {"cn": [b"a"], "CN": [b"b"]})
    for odd in (
        other, steered, twice, fake.done(REQUEST), fake.reference(REQUEST, "ldap://x"),
        b"\x04", encoded("cn=a", {"cn": []}),
        encoded("cn=a", {"cn": [b"\xff" * 3]}).replace(b"cn=a", b"cn=\xff"),
    ):  # fmt: skip
        assert read(layouts, good + odd + good) == (
            [general(good, ("cn",))], len(good)
        )  # fmt: skip
    for cut in range(len(good)):
        assert read(layouts, good + good[:cut])[1] == len(good)
    empty = encoded("cn=b", {})
    assert read(layouts, good + empty)[0][1] == general(empty, ("cn",))


def test_a_value_cannot_pass_for_another_attribute() -> None:
    names = ("uid", "cn", "title")
    model = encoded("cn=a", {"uid": [b"u"], "cn": [b"a"], "title": [b"t"]})
    layouts = Layouts(Names(names), straight.entries)
    _teach(layouts, model)
    forged = encoded("x", {"title": [b"boss"]})[-14:]
    for held in ({"uid": [b"u" + forged], "cn": [b"a"]}, {"uid": [forged]}):
        data = encoded("cn=a", held)
        (found,), _ = read(layouts, data)
        assert found.attributes == held


def test_learning_is_bounded_whatever_the_server_sends() -> None:
    chance = random.Random(7)
    names = [f"a{n}" for n in range(200)]
    built: list[Any] = []

    def build(made: Any) -> Any:
        built.append(made)
        return straight.entries(made)

    layouts = Layouts(Names(names), build)
    for _ in range(400):
        order = chance.sample(names, chance.randint(1, 90))
        data = encoded("cn=a", {name: [b"v"] for name in order})
        for _ in range(layout.SAMPLE * layout.ENOUGH if len(built) < 9 else 1):
            read(layouts, data)
    assert len(built) <= layout.LAYOUTS
    assert len(layouts._orders) <= layout.ORDERS
    assert all(len(order) <= layout.MOST for _, order in layouts._orders)


def test_an_attribute_called_long_is_no_form_of_lengths() -> None:
    names = ("cn", "long")
    layouts = Layouts(Names(names), straight.entries)
    short = encoded("cn=a", {"cn": [b"a"], "long": [b"l"]})
    wide = encoded("cn=a", {"cn": [b"a"]}, long_form)
    _teach(layouts, short, wide)
    for data in (short, wide):
        assert read(layouts, data) == ([general(data, names)], len(data))


def test_what_is_filled_by_place_has_these_fields() -> None:
    """`straight` writes code with ``tuple.__new__``, which asks nobody."""
    assert Change._fields == ("ref", "op", "data", "version", "partial", "incomplete")
    assert Ref._fields == ("id", "name")
    assert Entry._fields == ("dn", "attributes", "duplicate", "controls")


def test_orders_that_make_no_layout() -> None:
    def made(held: dict[str, list[bytes]], *names: str) -> Any:
        seen = layout.sample(encoded("cn=a", held), 0)
        return None if seen is None else layout.compiled(seen, Names(names))

    assert made({"cn": [b"a"]}, "cn") is not None
    assert made({"member;range=0-1": [b"a"]}, "member") is None
    assert made({"cn": [b"a"], "CN": [b"b"]}, "cn") is None
    assert made({"cn": [b"a" * 200]}, "cn") is None
    assert made({}, "cn") is None


# --- on a real server ----------------------------------------------------------------

MANY = 700


@pytest.fixture(scope="module")
def awkward(openldap: Any) -> str:
    dn = f"ou=awkward,{BASE}"
    chance = random.Random(11)
    odd = ["Ölga", "x" * 400, " leading", "日本", "a", "0\x0b\x04\x02cn1\x05"]

    def more(number: int) -> dict[str, list[str | bytes]]:
        found: dict[str, list[str | bytes]] = {}
        if number % 5 == 0:
            found["description"] = [chance.choice(odd), "second"]
        if number % 7 == 0:
            found["jpegPhoto"] = [bytes(chance.randrange(256) for _ in range(50))]
        if number % 3 == 0:
            found["givenName"] = [chance.choice(odd)]
        return found

    openldap.add([(dn, {"objectClass": ["organizationalUnit"], "ou": ["awkward"]})])
    openldap.add(person(f"q{n:05d}", dn, **more(n)) for n in range(MANY))
    openldap.add(
        group(
            f"team{n}", [f"uid=q{m:05d},{dn}" for m in range(n * 70, n * 70 + 70)], dn
        )
        for n in range(10)
    )
    return dn


AWKWARD = {"fields": ["uid", "cn", "sn", "givenName", "mail", "description", "jpegPhoto",
                      "createTimestamp", "dn"]}  # fmt: skip


def general_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the entries that the general reader takes."""
    count, real = [0], messages.entry

    def counted(*arguments: Any) -> Any:
        count[0] += 1
        return real(*arguments)

    monkeypatch.setattr(messages, "entry", counted)
    return count


def test_a_scan_reads_the_same_with_the_fast_reader_and_without(
    lab: Any, awkward: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = lab.open(awkward, stream=AWKWARD)
    plain = lab.open(awkward, stream=AWKWARD, fast_reader=False)
    fast.streams(), plain.streams()
    count = general_reads(monkeypatch)
    ours = lab.scan(fast)
    slow_reads, count[0] = count[0], 0
    theirs = lab.scan(plain)
    assert count[0] == MANY
    assert slow_reads < MANY // 2
    assert len(ours) == MANY
    by_id = {change.ref.id: change for change in ours}
    assert by_id == {change.ref.id: change for change in theirs}
    found = _ldap3_people(lab.server, awkward)
    assert {
        c.ref.name: (c.data["givenName"], sorted(c.data["jpegPhoto"])) for c in ours
    } == {
        dn: (
            [v.decode() for v in held.get("givenName", [])],
            sorted(held.get("jpegPhoto", [])),
        )
        for dn, held in found.items()
    }


def _ldap3_people(server: Any, base: str) -> dict[str, dict[str, list[bytes]]]:
    connection = ldap3.Connection(
        ldap3.Server(server.url, get_info=ldap3.NONE), SYNC, "sync-secret",
        auto_bind=True,
    )  # fmt: skip
    found = connection.extend.standard.paged_search(
        base, "(objectClass=inetOrgPerson)", attributes=["givenName", "jpegPhoto"],
        paged_size=500, generator=True,
    )  # fmt: skip
    held = {one["dn"]: one["raw_attributes"] for one in found}
    connection.unbind()
    return held


def test_learning_starts_after_enough_entries_of_one_look(
    lab: Any, many_plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SAMPLE", 8)
    monkeypatch.setattr(layout, "ENOUGH", 32)
    adapter = lab.open(many_plain)
    adapter.streams()
    count = general_reads(monkeypatch)
    assert len(lab.scan(adapter)) == MANY
    first, count[0] = count[0], 0
    assert 8 * 32 <= first < 8 * 32 + 40
    assert len(lab.scan(adapter)) == MANY
    assert count[0] < 20  # what a page or a read of the socket begins with


@pytest.fixture(scope="module")
def many_plain(openldap: Any) -> str:
    dn = f"ou=plain,{BASE}"
    openldap.add([(dn, {"objectClass": ["organizationalUnit"], "ou": ["plain"]})])
    openldap.add(person(f"r{n:05d}", dn) for n in range(MANY))
    return dn


def test_people_with_their_groups_cost_pages_not_people(lab: Any, awkward: str) -> None:
    people = lab.open(awkward, page_size=100, stream=AWKWARD)
    groups = lab.open(awkward, page_size=100, stream={
        "filter": "(objectClass=groupOfNames)", "fields": ["cn", "member"],
    })  # fmt: skip
    sent = 0
    for adapter in (people, groups):
        adapter.streams()
        sent -= adapter._session.channel.sent
    members = [m for c in lab.scan(groups) for m in c.data["member"]]
    names = [c.ref.name for c in lab.scan(people)]
    sent += sum(a._session.channel.sent for a in (people, groups))
    assert sorted(members) == sorted(names)
    assert sent == MANY // 100 + 1


def test_following_by_stamps_and_fetching_read_the_same_without_the_fast_reader(
    lab: Any, many_plain: str
) -> None:
    found = []
    for fast in (True, False):
        adapter = lab.open(many_plain, follow="timestamp", fast_reader=fast)
        cursor = {"mode": "timestamp", "since": "20200101000000Z"}
        changes, after = lab.poll(adapter, cursor)
        refs = [change.ref for change in changes[:450]]
        found.append(
            ({c.ref: c for c in changes}, after, adapter.fetch("people", refs), refs)
        )
    assert found[0][:2] == found[1][:2]
    fetched: Iterator[Any] = iter(found[0][2])
    assert [(r.ref, r.data) for r in fetched] == [
        (ref, found[1][0][ref].data) for ref in found[0][3]
    ]
    assert len(found[0][0]) == MANY
