"""Complete passes: everything, or an error; never a shorter list."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from moatbridge.adapter import Partition
from moatbridge.errors import ConfigurationError, CursorTooOld, NotApplied, Rejected
from moatbridge_ldap import LdapStreamConfig
from moatbridge_ldap import testing as fake
from servers.openldap import APP, BASE, PEOPLE, PLAIN, SYNC, person, running

if TYPE_CHECKING:
    from collections.abc import Iterator

MANY = 3000


@pytest.fixture(scope="module")
def many(openldap: Any) -> Iterator[str]:
    dn = f"ou=many,{BASE}"
    openldap.add([(dn, {"objectClass": ["organizationalUnit"], "ou": ["many"]})])
    openldap.add(person(f"m{i:05d}", dn) for i in range(MANY))
    return dn


@pytest.mark.parametrize(("who", "page_size"), [(SYNC, 500), (SYNC, 1000), (APP, 500)])
def test_3000_entries_are_read_by_accounts_that_may(
    lab: Any, many: str, who: str, page_size: int
) -> None:
    adapter = lab.open(many, who, page_size=page_size)
    changes = lab.scan(adapter)
    assert sorted(c.data["uid"][0] for c in changes) == [
        f"m{i:05d}" for i in range(MANY)
    ]
    assert len({c.ref.id for c in changes}) == MANY


def test_an_account_with_a_size_limit_gets_an_error_not_500_entries(
    lab: Any, many: str
) -> None:
    adapter = lab.open(many, PLAIN)
    complete = []
    with pytest.raises(ConfigurationError) as caught:
        complete.extend(
            batch.complete for batch in adapter.scan("people", Partition(), None)
        )
    assert caught.value.code == "ldap.size-limit"
    assert not any(complete)


def test_pages_shrink_until_the_server_accepts_them(lab: Any, many: str) -> None:
    adapter = lab.open(many, APP, page_size=500)
    lab.scan(adapter)
    assert adapter.probe().limits["page_size"] == 125


def test_requests_are_pages_and_one_more(lab: Any, many: str) -> None:
    adapter = lab.open(many, page_size=500)
    adapter.streams()
    before = adapter._session.channel.sent
    lab.scan(adapter)
    assert adapter._session.channel.sent - before == MANY // 500


def test_the_next_page_is_asked_for_before_a_page_is_handed_out(
    lab: Any, many: str
) -> None:
    adapter = lab.open(many, page_size=500)
    adapter.streams()
    before = adapter._session.channel.sent
    batches = adapter.scan("people", Partition(), None)
    next(batches)
    assert adapter._session.channel.sent - before == 2
    batches.close()
    assert len(lab.scan(adapter)) == MANY


def test_fetching_between_two_batches_does_not_disturb_the_scan(
    lab: Any, many: str
) -> None:
    adapter = lab.open(many, page_size=1000)
    seen = 0
    for batch in adapter.scan("people", Partition(), None):
        refs = [change.ref for change in batch.changes[:3]]
        assert [r.ref.id for r in adapter.fetch("people", refs)] == [r.id for r in refs]
        seen += len(batch.changes)
    assert seen == MANY


def test_a_cut_scan_starts_its_partition_again_and_loses_nothing(
    lab: Any, many: str
) -> None:
    first = lab.open(many, page_size=1000)
    batches = first.scan("people", Partition(), None)
    cursor = next(batches).cursor
    batches.close()
    rest = list(lab.open(many).scan("people", Partition(), cursor))
    assert sum(len(batch.changes) for batch in rest) == MANY
    again = list(lab.open(many).scan("people", Partition(), rest[-1].cursor))
    assert [(len(b.changes), b.complete) for b in again] == [(0, True)]
    with pytest.raises(CursorTooOld):
        list(first.scan("people", Partition(), {"mode": "syncrepl"}))


def test_a_server_killed_in_the_middle_of_a_pass_is_an_error(lab: Any) -> None:
    with running() as server:
        server.add(person(f"u{i}") for i in range(600))
        own = type(lab)(server)
        try:
            adapter = own.open(PEOPLE, page_size=100)
            batches = adapter.scan("people", Partition(), None)
            got = [next(batches)]
            server.kill()
            with pytest.raises(NotApplied):
                got.extend(batches)
            assert not any(batch.complete for batch in got)
        finally:
            own.close()


def test_a_missing_base_is_never_empty(lab: Any) -> None:
    adapter = lab.open(f"ou=nowhere,{BASE}")
    with pytest.raises(ConfigurationError) as caught:
        lab.scan(adapter)
    assert caught.value.code == "ldap.no-base"


def test_the_schema_decides_shapes_and_every_field_is_a_key(lab: Any) -> None:
    place = lab.place()
    lab.server.add(
        [
            person(
                "shape",
                place,
                mail=["z@x.example", "a@x.example"],
                jpegPhoto=[b"\xff\xd8\x00"],
            )
        ]
    )
    fields = [
        "uid",
        "MAIL",
        "employeeNumber",
        "displayName",
        "title",
        "jpegPhoto",
        "createTimestamp",
        "hasSubordinates",
        "dn",
        {"attribute": "sn", "multi": False},
    ]
    adapter = lab.open(place, stream={"fields": fields})
    (change,) = lab.scan(adapter)
    stamp = change.data.pop("createTimestamp")
    assert change.data == {
        "uid": ["shape"], "MAIL": ["a@x.example", "z@x.example"], "employeeNumber": "E-shape", "displayName": None,
        "title": [], "jpegPhoto": [b"\xff\xd8\x00"], "hasSubordinates": False, "dn": f"uid=shape,{place}", "sn": "Shape",
    }  # fmt: skip
    assert stamp.tzinfo is not None
    assert (change.ref.name, change.version is not None) == (f"uid=shape,{place}", True)
    assert {f.name: f.type for f in adapter.streams()[0].fields}[
        "createTimestamp"
    ] == "datetime"


def test_a_record_that_cannot_be_decoded_is_rejected_alone(lab: Any) -> None:
    place = lab.place()
    lab.server.add(
        [
            person("good", place),
            person("bad", place, sn=["a", "b"]),
            person("text", place, title=["not a number"]),
        ]
    )
    stream = {
        "fields": [
            "uid",
            {"attribute": "sn", "multi": False},
            {"attribute": "title", "type": "int"},
        ]
    }
    batches = list(lab.open(place, stream=stream).scan("people", Partition(), None))
    assert [c.data["uid"] for b in batches for c in b.changes] == [["good"]]
    rejects = {
        r.ref.name.partition(",")[0]: (r.reason, r.field)
        for b in batches
        for r in b.rejects
    }
    assert rejects == {
        "uid=bad": ("ldap.value", "sn"),
        "uid=text": ("ldap.value", "title"),
    }
    assert batches[-1].complete


def test_filters_bases_scopes_and_exclusions_decide_the_stream(lab: Any) -> None:
    place = lab.place()
    inner, gone = f"ou=inner,{place}", f"ou=gone,{place}"
    lab.server.add(
        [
            (
                dn,
                {
                    "objectClass": ["organizationalUnit"],
                    "ou": [dn[3:].partition(",")[0]],
                },
            )
            for dn in (inner, gone)
        ]
    )
    lab.server.add(
        [
            person("top", place),
            person("in", inner),
            person("out", gone),
            person("robot", place, title=["bot"]),
        ]
    )

    def uids(where: Any, **stream: Any) -> list[str]:
        return sorted(
            c.data["uid"][0] for c in lab.scan(lab.open(where, stream=stream))
        )

    assert uids(place, filter="(&(objectClass=inetOrgPerson)(!(title=bot)))") == [
        "in",
        "out",
        "top",
    ]
    assert uids([{"dn": place, "scope": "one"}]) == ["robot", "top"]
    assert uids(place, exclude=[gone.upper()]) == ["in", "robot", "top"]
    assert uids([{"dn": place}, {"dn": inner}]) == ["in", "out", "robot", "top"]
    assert uids([{"dn": inner, "filter": "(uid=in)"}, {"dn": gone}]) == ["in", "out"]


def test_overlapping_bases_are_reported(lab: Any) -> None:
    place = lab.place()
    adapter = lab.open([{"dn": BASE}, {"dn": place}])
    assert any("overlap" in warning for warning in adapter.probe().warnings)


def test_a_reference_to_another_server_fails_the_scan_and_names_it(lab: Any) -> None:
    place = lab.place()
    lab.server.modify(
        f"dn: ou=far,{place}\ncontrol: 2.16.840.1.113730.3.4.2 true\nchangetype: add\nobjectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://other.example/ou=far,{place}"
    )
    lab.server.add([person("near", place)])
    with pytest.raises(ConfigurationError) as caught:
        lab.scan(lab.open(place))
    assert caught.value.code == "ldap.referral"
    assert "other.example" in str(caught.value)
    ignoring = lab.open(place, referrals="ignore")
    assert [c.data["uid"] for c in lab.scan(ignoring)] == [["near"]]
    assert ignoring.probe().limits["references_ignored"] == 1


def test_a_server_named_in_references_and_referrals_gets_no_connection(
    lab: Any,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as rogue:
        url = f"ldap://127.0.0.1:{rogue.getsockname()[1]}/dc=fake"
        with fake.FakeDirectory(
            lambda r: [fake.reference(r, url), fake.done(r)]
        ) as server:
            with pytest.raises(ConfigurationError):
                lab.scan(lab.fake(server.url))
            ignoring = lab.fake(server.url, referrals="ignore")
            with pytest.raises(NotApplied):  # no paging control in that answer
                lab.scan(ignoring)
        rogue.settimeout(0)
        with pytest.raises(BlockingIOError):
            rogue.accept()


def test_active_directorys_own_references_are_known(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        urls = [
            "ldap://x/CN=Configuration,DC=fake",
            "ldap://x/DC=DomainDnsZones,DC=fake",
        ]
        return [
            *(fake.reference(request, url) for url in urls),
            fake.done(request, controls=fake.page_cookie(b"")),
        ]

    with fake.FakeDirectory(script) as server:
        assert lab.scan(lab.fake(server.url)) == []


def test_an_unknown_field_gets_a_hint(lab: Any) -> None:
    adapter = lab.open(PEOPLE, stream={"fields": ["uid", "givname"]})
    with pytest.raises(ConfigurationError) as caught:
        adapter.streams()
    assert caught.value.code == "ldap.field"
    assert "givenname" in str(caught.value)


@pytest.mark.parametrize("stream", [
    {"bases": []}, {"fields": []}, {"fields": ["*"]}, {"fields": ["uid", "UID"]}, {"filter": "(("}, {"bases": [{"dn": "x"}]},
    {"create": {"dn": "uid={uid},dc=x", "object_classes": ["person"]}, "fields": ["cn"]}, {"external_id": "mail"},
    {"create": {"dn": "uid=x,dc=x", "object_classes": ["person"]}}, {"remove": "move"}, {"move_to": "dc=x"}, {"unknown": 1},
])  # fmt: skip
def test_stream_settings_that_cannot_work_are_refused_at_load(
    stream: dict[str, Any],
) -> None:
    usual = {"bases": [{"dn": "dc=x"}], "fields": ["uid"]}
    with pytest.raises(ValidationError):
        LdapStreamConfig(**(usual | stream))


def person_at(request: fake.Request, number: int) -> bytes:
    uuid = f"00000000-0000-0000-0000-{number:012d}"
    return fake.entry(
        request, f"cn=p{number},dc=fake", {"cn": [f"p{number}"], "entryUUID": [uuid]}
    )


def test_a_repeated_page_is_a_paging_loop(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        return [
            person_at(request, 1),
            fake.done(request, controls=fake.page_cookie(b"same")),
        ]

    with fake.FakeDirectory(script) as server, pytest.raises(Rejected) as caught:
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.paging-loop"


def test_a_repeated_cookie_alone_is_legal(lab: Any) -> None:
    pages = iter([1, 2, 3])

    def script(request: fake.Request) -> list[bytes]:
        number = next(pages)
        cookie = b"" if number == 3 else b"same"
        return [
            person_at(request, number),
            fake.done(request, controls=fake.page_cookie(cookie)),
        ]

    with fake.FakeDirectory(script) as server:
        assert len(lab.scan(lab.fake(server.url))) == 3


def test_empty_pages_without_end_are_a_paging_loop(lab: Any) -> None:
    with (
        fake.FakeDirectory(
            lambda r: [fake.done(r, controls=fake.page_cookie(b"more"))]
        ) as server,
        pytest.raises(Rejected) as caught,
    ):
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.paging-loop"
    assert 10 <= len(server.searches()) <= 12


def test_two_entries_with_one_id_break_the_protocol(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        return [
            person_at(request, 1),
            person_at(request, 1),
            fake.done(request, controls=fake.page_cookie(b"")),
        ]

    with fake.FakeDirectory(script) as server, pytest.raises(NotApplied) as caught:
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.protocol"


def test_an_ignored_paging_control_is_noticed(lab: Any) -> None:
    script = lambda r: [person_at(r, 1), fake.done(r)]  # noqa: E731 - used twice
    with fake.FakeDirectory(script) as server, pytest.raises(NotApplied) as caught:
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.protocol"
    plain = {**fake.ROOT, "supportedControl": []}
    with fake.FakeDirectory(
        lambda r: [person_at(r, 1), fake.done(r)], root=plain
    ) as server:
        assert len(lab.scan(lab.fake(server.url))) == 1
        assert server.searches()[0].controls == {}


@pytest.mark.parametrize(("code", "error", "name"), [
    (3, NotApplied, "ldap.search"), (4, ConfigurationError, "ldap.size-limit"), (11, ConfigurationError, "ldap.size-limit"),
    (10, ConfigurationError, "ldap.wrong-server"), (12, ConfigurationError, "ldap.unsupported"), (32, ConfigurationError, "ldap.no-base"),
    (50, ConfigurationError, "ldap.rights"), (51, NotApplied, "ldap.search"), (52, NotApplied, "ldap.search"),
    (80, NotApplied, "ldap.search"), (2, ConfigurationError, "ldap.refused"), (1234, ConfigurationError, "ldap.refused"),
])  # fmt: skip
@pytest.mark.parametrize("after", [0, 2])
def test_every_partial_ending_is_an_error(
    lab: Any, code: int, error: type[Exception], name: str, after: int
) -> None:
    def script(request: fake.Request) -> list[bytes]:
        return [
            *(person_at(request, n) for n in range(after)),
            fake.done(request, code, text="personal value"),
        ]

    with fake.FakeDirectory(script) as server, pytest.raises(error) as caught:
        lab.scan(lab.fake(server.url))
    assert caught.value.code == name
    assert "personal" not in str(caught.value)


def test_a_connection_closed_in_a_page_is_an_error(lab: Any) -> None:
    with (
        fake.FakeDirectory(lambda r: [person_at(r, 1), b""]) as server,
        pytest.raises(NotApplied) as caught,
    ):
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.lost"


def ranged(total: int, step: int, stamps: Any = None) -> Any:
    """A server that hands ``member`` out in steps, as [MS-ADTS] describes."""
    members = [f"cn=m{i},dc=fake" for i in range(total)]
    stamps = stamps or iter(lambda: "1", None)

    def script(request: fake.Request) -> list[bytes]:
        head = {"cn": ["g"], "entryUUID": ["00000000-0000-0000-0000-000000000001"]}
        asked = [name for name in request.asked if ";range=" in name]
        low = int(asked[0].partition("=")[2].partition("-")[0]) if asked else 0
        last = low + step >= total
        name = f"member;range={low}-{'*' if last else low + step - 1}"
        more = {"uSNChanged": [next(stamps)]} if asked else {}
        controls = fake.page_cookie(b"") if not asked else None
        return [
            fake.entry(
                request, "cn=g,dc=fake", head | more | {name: members[low : low + step]}
            ),
            fake.done(request, controls=controls),
        ]

    return script, members


def test_5000_members_are_read_in_ranges(lab: Any) -> None:
    script, members = ranged(5000, 1500)
    with fake.FakeDirectory(script) as server:
        (change,) = lab.scan(lab.fake(server.url))
        assert change.data["member"] == sorted(members)
        assert len(server.searches()) == 1 + 4


def test_a_group_that_changes_between_ranges_is_read_again_or_rejected(
    lab: Any,
) -> None:
    script, members = ranged(3000, 1500, iter(["1", "2", "2", "2", "2"]))
    with fake.FakeDirectory(script) as server:
        (change,) = lab.scan(lab.fake(server.url))
        assert change.data["member"] == sorted(members)
    script, _ = ranged(3000, 1500, iter(map(str, range(99))))
    with fake.FakeDirectory(script) as server:
        batches = list(lab.fake(server.url).scan("people", Partition(), None))
        assert [(r.reason, r.field) for b in batches for r in b.rejects] == [
            ("ldap.changed-while-reading", "member")
        ]
        assert [c for b in batches for c in b.changes] == []


def test_ranges_with_a_hole_break_the_protocol(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        head = {"cn": ["g"], "entryUUID": ["00000000-0000-0000-0000-000000000001"]}
        hole = (
            {"member;range=5-*": ["cn=x"]}
            if ";range=" in "".join(request.asked)
            else {"member;range=0-0": ["cn=y"]}
        )
        return [
            fake.entry(request, "cn=g,dc=fake", head | hole),
            fake.done(request, controls=fake.page_cookie(b"")),
        ]

    with fake.FakeDirectory(script) as server, pytest.raises(NotApplied) as caught:
        lab.scan(lab.fake(server.url))
    assert caught.value.code == "ldap.protocol"
