"""What a hostile server sends without end, or without shape, costs little and ends."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.adapter import Partition, Query
from moatbridge.changes import Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_ldap import ranges, syncrepl
from moatbridge_ldap import testing as fake
from moatbridge_ldap.schema import MAX_DEFINITION, Schema
from moatbridge_ldap.wire import ber
from moatbridge_ldap.wire.filters import EVERYTHING
from moatbridge_ldap.wire.port import ANSWER, SLACK, Budget, SearchRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK = 50
UNPAGED = {**fake.ROOT, "supportedControl": []}
STREAM = {"filter": "(objectClass=*)"}


def endless(size: int = 1) -> Callable[[fake.Request], Iterator[bytes]]:
    """A script whose answers to a search never end."""

    def script(request: fake.Request) -> Iterator[bytes]:
        if request.kind == "searchRequest":
            held = {"cn": ["x" * size], "entryUUID": [str(uuid.UUID(int=1))]}
            yield from itertools.repeat(
                fake.entry(request, "cn=p,dc=fake", held) * (BLOCK if size == 1 else 1)
            )

    return script


def refused(adapter: Any, call: Callable[[], Any]) -> int:
    """Check that the call ends the session; returns the bytes that it read."""
    adapter.streams()
    before = adapter._session.channel.received
    with pytest.raises(NotApplied) as caught:
        call()
    assert caught.value.code == "ldap.protocol"
    assert "asked for" in caught.value.message
    assert adapter._session.channel.closed
    return int(adapter._session.channel.received - before)


def test_a_page_without_end_is_refused_near_the_size_asked_for(lab: Any) -> None:
    with fake.FakeDirectory(endless()) as server:
        adapter = lab.fake(server.url, page_size=50)
        read = refused(adapter, lambda: lab.scan(adapter))
    one = len(fake.entry(fake.Request(9, "", None, {}), "cn=p,dc=fake", {"cn": ["x"]}))
    assert read < (50 + SLACK) * (one + 100) + (1 << 20)


def test_a_page_of_huge_entries_is_refused_at_64_mib(lab: Any) -> None:
    with fake.FakeDirectory(endless(4 << 20)) as server:
        adapter = lab.fake(server.url)
        read = refused(adapter, lambda: lab.scan(adapter))
    assert ANSWER < read < ANSWER + (8 << 20)


def test_references_without_end_are_refused_at_64_mib(lab: Any) -> None:
    def script(request: fake.Request) -> Iterator[bytes]:
        url = "ldap://x/CN=Configuration," + "x" * (1 << 20)
        yield from itertools.repeat(fake.reference(request, url))

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url)
        assert refused(adapter, lambda: lab.scan(adapter)) < ANSWER + (8 << 20)


@pytest.mark.parametrize("call", [
    lambda a: a.fetch("people", [Ref(str(uuid.UUID(int=1)))]),
    lambda a: a.fetch("people", [Ref("", "cn=p,dc=fake")]),
    lambda a: a.find("people", [Query("cn", "x")]),
    lambda a: a.probe(),
    lambda a: a.discover(),
], ids=["id", "name", "value", "probe", "discover"])  # fmt: skip
def test_a_look_up_without_end_is_refused(lab: Any, call: Any) -> None:
    with fake.FakeDirectory(endless()) as server:
        adapter = lab.fake(server.url, stream=STREAM)
        assert refused(adapter, lambda: call(adapter)) < 1 << 20


def test_look_ups_in_flight_share_their_64_mib(lab: Any) -> None:
    def script(request: fake.Request) -> Iterator[bytes]:
        held = {"cn": ["x" * (4 << 20)], "entryUUID": [str(uuid.UUID(int=1))]}
        yield fake.entry(request, request.base, held)
        yield fake.done(request)

    refs = [Ref("", f"cn=p{n},dc=fake") for n in range(24)]
    stream = STREAM | {"fields": ["cn", "entryUUID"]}
    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, stream=stream, id_attribute="cn")
        refused(adapter, lambda: adapter.fetch("people", refs))


def test_an_unpaged_answer_is_handed_out_in_bounded_batches(lab: Any) -> None:
    def script(request: fake.Request) -> Iterator[bytes]:
        for number in range(730):
            held = {"cn": [f"p{number}"], "entryUUID": [str(uuid.UUID(int=number))]}
            yield fake.entry(request, f"cn=p{number},dc=fake", held)
        yield fake.done(request)

    with fake.FakeDirectory(script, root=UNPAGED) as server:
        adapter = lab.fake(server.url, page_size=100)
        batches = list(adapter.scan("people", Partition(), None))
    sizes = [len(batch.changes) for batch in batches]
    assert (sum(sizes), max(sizes), batches[-1].complete) == (730, 100, True)
    with fake.FakeDirectory(endless(4 << 20), root=UNPAGED) as server:
        adapter = lab.fake(server.url, id_attribute="uid")
        batch = next(adapter.scan("people", Partition(), None))
        assert 1 <= len(batch.rejects) <= 8


@pytest.mark.parametrize("code", [3, 4, 11, 51])
def test_an_unpaged_answer_cut_short_is_an_error(lab: Any, code: int) -> None:
    def script(request: fake.Request) -> list[bytes]:
        held = {"cn": ["p"], "entryUUID": [str(uuid.UUID(int=1))]}
        return [
            fake.entry(request, "cn=p,dc=fake", held),
            fake.done(request, code),
        ]

    with fake.FakeDirectory(script, root=UNPAGED) as server:
        complete = []
        with pytest.raises((NotApplied, ConfigurationError)):
            complete.extend(
                batch.complete
                for batch in lab.fake(server.url).scan("people", Partition(), None)
            )
    assert not any(complete)


def position() -> dict[str, Any]:
    return syncrepl.Position("h", (b"opaque",)).to_json()


def test_synchronized_entries_are_handed_out_by_their_bytes_too(lab: Any) -> None:
    state = ber.sequence(ber.integer(1, 0x0A), ber.octets(bytes(15) + b"\1"))

    def script(request: fake.Request) -> Iterator[bytes]:
        held = {"cn": ["x" * (4 << 20)], "entryUUID": [str(uuid.UUID(int=1))]}
        controls = {syncrepl.STATE: state}
        yield from itertools.repeat(fake.entry(request, "cn=p,dc=fake", held, controls))

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, follow="syncrepl")
        batch = next(adapter.changes("people", position()))
        assert 1 <= len(batch.changes) <= 8


@pytest.mark.parametrize("kind", [0xA3, 0x80])
def test_synchronization_sets_without_end_are_handed_out_or_refused(
    lab: Any, kind: int
) -> None:
    ids = ber.sequence(*[ber.octets(bytes(16))] * 1000, tag=0x31)
    body = ber.sequence(ber.boolean(value=True), ids, tag=0xA3)
    if kind == 0x80:
        body = ber.octets(b"c" * (1 << 20), 0x80)

    def script(request: fake.Request) -> Iterator[bytes]:
        told = ber.sequence(ber.octets(syncrepl.INFO, 0x80), ber.octets(body, 0x81), tag=0x79)  # fmt: skip
        rounds = itertools.repeat(told) if kind == 0xA3 else [told] * 200
        for each in rounds:
            yield ber.sequence(ber.integer(request.id), each)
        yield fake.done(request, 51)

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, follow="syncrepl")
        batches = adapter.changes("people", position())
        if kind == 0xA3:
            assert len(next(batches).changes) == 1000
        else:  # nothing to hand out, nothing kept: only the deadline ends it
            with pytest.raises(NotApplied) as caught:
                next(batches)
            assert caught.value.code == "ldap.search"


def test_a_set_of_too_many_ids_is_refused(lab: Any) -> None:
    ids = ber.sequence(*[ber.octets(bytes(16))] * (syncrepl.MAX_IDS + 1), tag=0x31)
    body = ber.sequence(ber.boolean(value=True), ids, tag=0xA3)

    def script(request: fake.Request) -> Iterator[bytes]:
        told = ber.sequence(ber.octets(syncrepl.INFO, 0x80), ber.octets(body, 0x81), tag=0x79)  # fmt: skip
        yield ber.sequence(ber.integer(request.id), told)

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, follow="syncrepl")
        with pytest.raises(NotApplied) as caught:
            next(adapter.changes("people", position()))
    assert caught.value.code == "ldap.protocol"


def test_tiny_answers_to_another_search_do_not_fill_the_memory(lab: Any) -> None:
    """The queue counts what a message costs, not only its bytes on the wire."""

    def script(request: fake.Request) -> Iterator[bytes]:
        if len(server.searches()) < 2:
            return
        first, _ = server.searches()
        tiny = ber.sequence(
            ber.integer(first.id),
            ber.sequence(ber.octets(b""), ber.sequence(), tag=0x64),
        )
        yield from itertools.repeat(tiny * 1000, 1000)

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, stream=STREAM)
        session = adapter._session
        _, second = (
            session.search(SearchRequest("dc=fake", EVERYTHING, ("cn",)), Budget(1))
            for _ in range(2)
        )
        with pytest.raises(NotApplied) as caught:
            next(second)
    assert caught.value.code == "ldap.protocol"


def test_one_attribute_in_endless_ranges_is_refused(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        asked = [name for name in request.asked if ";range=" in name]
        low = int(asked[0].partition("=")[2].partition("-")[0]) if asked else 0
        head = {"cn": ["g"], "entryUUID": [str(uuid.UUID(int=1))]}
        held = {f"member;range={low}-{low}": ["x" * (16 << 20)]}
        return [
            fake.entry(request, "cn=g,dc=fake", head | held),
            fake.done(request, controls=fake.page_cookie(b"") if not asked else None),
        ]

    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url)
        with pytest.raises(NotApplied) as caught:
            lab.scan(adapter)
        assert caught.value.code == "ldap.protocol"
        assert len(server.searches()) <= 3 + ranges.MAX_BYTES // (16 << 20)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ldap://[x/", "an unreadable address"),
        ("ldap://[::1", "an unreadable address"),
        ("ldap://a\u2100b/dc=x", "an unreadable address"),
        ("ldap:///dc=x", "an unreadable address"),
        ("no url at all", "an unreadable address"),
        ("ldap://o\x1bcbad\x07ther.example/dc=x", "o?cbad?ther.example"),
        ("ldap://\u202eexample\u00fc/dc=x", "?example?"),
        ("ldap://user:pass%20word@other.example:389/dc=x", " other.example."),
    ],
)
@pytest.mark.parametrize("referrals", ["known", "fail"])
def test_a_reference_is_typed_and_its_host_cleaned(
    lab: Any, url: str, words: str, referrals: str
) -> None:
    script = lambda r: [fake.reference(r, url), fake.done(r)]  # noqa: E731 - short
    with (
        fake.FakeDirectory(script) as server,
        pytest.raises(ConfigurationError) as caught,
    ):
        lab.scan(lab.fake(server.url, referrals=referrals))
    assert caught.value.code == "ldap.referral"
    assert words in caught.value.message
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert "pass" not in caught.value.message


def test_hosts_of_references_keep_messages_short(lab: Any) -> None:
    urls = [f"ldap://{n}{'x' * 5000}/dc=x" for n in range(40)]
    script = lambda r: [fake.reference(r, *urls), fake.done(r)]  # noqa: E731 - short
    with (
        fake.FakeDirectory(script) as server,
        pytest.raises(ConfigurationError) as caught,
    ):
        lab.scan(lab.fake(server.url))
    assert len(caught.value.message) < 2000
    assert "x" * 200 in caught.value.message
    assert "x" * 256 not in caught.value.message


def test_a_reference_without_an_address_is_not_a_known_one(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        bare = ber.sequence(ber.integer(request.id), ber.sequence(tag=0x73))
        return [bare, fake.done(request)]

    with (
        fake.FakeDirectory(script) as server,
        pytest.raises(ConfigurationError) as caught,
    ):
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.referral"


@pytest.mark.parametrize(
    "hostile",
    [
        b"NAME (" * 32000,
        b"( 1.2.3 " + b"NAME (" * 10000,
        b"( 1.2.3 " + b"NAME ( 'a' " * 5000,
        b"( 1.2.3 NAME ( " + b"'" * 60001,
        b"( 1.2.3 NAME" + b" " * 60000,
        b"(" * 65000,
    ],
)
def test_hostile_definitions_take_no_time(hostile: bytes) -> None:
    good = b"( 2.5.4.3 NAME ( 'cn' 'commonName' ) SYNTAX 1.3.6 )"
    started = time.thread_time()
    schema = Schema.from_values([hostile, good], [hostile])
    schema.attribute("1.2.3")
    schema.required(["1.2.3"])
    assert time.thread_time() - started < 1
    assert schema.has("commonname")


def test_a_definition_is_read_up_to_64_kib() -> None:
    def padded(oid: str, size: int) -> bytes:
        head = f"( {oid} NAME 'a{oid[-1]}' DESC '".encode()
        return head + b"x" * (size - len(head) - 3) + b"' )"

    fits, beyond = padded("1.1", MAX_DEFINITION), padded("1.2", MAX_DEFINITION + 1)
    schema = Schema.from_values([beyond, fits], [])
    assert (schema.has("a1"), schema.has("a2")) == (True, False)


def test_one_definition_of_many_names_is_parsed_once() -> None:
    names = " ".join(f"'n{i}'" for i in range(4000))
    above = " $ ".join(f"n{i}" for i in range(4000))
    text = f"( 1.2.3 NAME ( {names} ) SUP ( {above} ) MUST ( cn ) )"
    started = time.thread_time()
    schema = Schema.from_values([], [text.encode()])
    assert schema.required(["n0"]) == {"cn"}
    assert time.thread_time() - started < 2


def test_names_inside_a_description_name_nothing() -> None:
    text = b"( 1.2.3 DESC 'see its NAME ' SUP 'top' )"
    assert set(Schema.from_values([text], []).attribute_texts) == {"1.2.3"}
