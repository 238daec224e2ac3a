"""Fetching by id and finding by value: in batches, judged by identity."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from moatbridge.adapter import Query
from moatbridge.changes import Absent, OutOfScope, Record, Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_ldap import testing as fake
from servers.openldap import BASE, PLAIN, WRITER, person


def test_present_gone_and_out_of_scope_are_told_apart(lab: Any) -> None:
    place, other = lab.place(), lab.place()
    lab.server.add(
        [
            person("here", place),
            person("moves", place),
            person("dies", place),
            person("hides", place),
        ]
    )
    adapter = lab.open(
        place, stream={"filter": "(&(objectClass=inetOrgPerson)(!(title=hidden)))"}
    )
    refs = {c.data["uid"][0]: c.ref for c in lab.scan(adapter)}
    lab.server.delete(f"uid=dies,{place}")
    lab.server.set(f"uid=hides,{place}", "title", "hidden")
    lab.server.modify(
        f"dn: uid=moves,{place}\nchangetype: modrdn\nnewrdn: uid=moves\ndeleteoldrdn: 1\nnewsuperior: {other}"
    )
    asked = [refs["dies"], refs["here"], refs["moves"], refs["hides"], refs["here"]]
    answers = adapter.fetch("people", asked)
    assert [type(a) for a in answers] == [
        Absent,
        Record,
        OutOfScope,
        OutOfScope,
        Record,
    ]
    assert [a.ref.id for a in answers] == [ref.id for ref in asked]
    assert answers[1].data["uid"] == ["here"]


def test_a_ref_with_only_a_name_is_read_by_it(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("named", place)])
    adapter = lab.open(place)
    found, gone, odd, none = adapter.fetch(
        "people",
        [
            Ref("", f"UID=named, {place}"),
            Ref("", f"uid=x,{place}"),
            Ref("", "no name"),
            Ref(""),
        ],
    )
    assert found.data["uid"] == ["named"]
    assert [type(a) for a in (gone, odd, none)] == [Absent, Absent, Absent]


def test_450_refs_take_two_searches_for_each_200(lab: Any) -> None:
    place = lab.place()
    lab.server.add(person(f"u{i:03d}", place) for i in range(450))
    adapter = lab.open(place)
    refs = [c.ref for c in lab.scan(adapter)]
    before = adapter._session.channel.sent
    answers = adapter.fetch("people", refs)
    assert [a.ref.id for a in answers] == [ref.id for ref in refs]
    assert adapter._session.channel.sent - before == 2 * 3


def test_excluded_entries_are_out_of_scope(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("a", place)])
    (change,) = lab.scan(lab.open(place))
    adapter = lab.open(place, stream={"exclude": [f"uid=a,{place}"]})
    assert [type(a) for a in adapter.fetch("people", [change.ref])] == [OutOfScope]
    assert adapter.find("people", [Query("uid", "a")]) == [[]]


def test_a_hostile_id_is_only_a_value(lab: Any) -> None:
    adapter = lab.open(BASE)
    for text in ("*", ")(objectClass=*", "\0", str(uuid.uuid4())):
        assert [type(a) for a in adapter.fetch("people", [Ref(text)])] == [Absent]


def test_finding_by_value_in_one_search_each_field(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person(f"f{i}", place) for i in range(5)])
    lab.server.add(
        [
            person("twin", place, mail=["f0@legacy.example"]),
            person("f9", BASE, uid=["f9", "f1"]),
        ]
    )
    adapter = lab.open(place)
    adapter.streams()
    before = adapter._session.channel.sent
    queries = [
        Query("UID", "F1"),
        Query("mail", "f0@legacy.example"),
        Query("uid", "nobody"),
        Query("uid", "*"),
        Query("dn", f"uid = f2,{place}"),
        Query("employeeNumber", "E-f3"),
    ]
    found = adapter.find("people", queries)
    assert [sorted(r.data["uid"][0] for r in hits) for hits in found] == [
        ["f1"],
        ["f0", "twin"],
        [],
        [],
        ["f2"],
        ["f3"],
    ]
    assert adapter._session.channel.sent - before <= 6


def test_finding_by_an_unknown_field_is_a_configuration_error(lab: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        lab.open(BASE).find("people", [Query("shoeSize", "42")])
    assert caught.value.code == "ldap.field"


def test_chunks_shrink_where_the_server_says_too_much(lab: Any) -> None:
    def script(request: fake.Request) -> list[bytes]:
        ids = [raw.decode() for raw in re.findall(rb"[0-9a-f-]{36}", request.filter)]
        if len(ids) > 60:
            return [fake.done(request, 11)]
        return [
            *(
                fake.entry(request, f"cn={i},dc=fake", {"cn": [i], "entryUUID": [i]})
                for i in ids
            ),
            fake.done(request),
        ]

    refs = [Ref(str(uuid.UUID(int=n))) for n in range(100)]
    with fake.FakeDirectory(script) as server:
        adapter = lab.fake(server.url, stream={"filter": "(objectClass=*)"})
        assert [a.ref.id for a in adapter.fetch("people", refs)] == [r.id for r in refs]
    with (
        fake.FakeDirectory(lambda r: [fake.done(r, 4)]) as server,
        pytest.raises(ConfigurationError) as caught,
    ):
        lab.fake(server.url).fetch("people", refs)
    assert caught.value.code == "ldap.size-limit"


def test_answers_to_two_searches_may_be_mixed(lab: Any) -> None:
    held: list[fake.Request] = []
    one = str(uuid.UUID(int=1))

    def script(request: fake.Request) -> list[bytes]:
        held.append(request)
        if len(held) < 2:
            return []
        first, second = held
        both = [
            fake.entry(r, "cn=a,dc=fake", {"cn": ["a"], "entryUUID": [one]})
            for r in (second, first)
        ]
        return [*both, fake.done(second), fake.done(first)]

    with fake.FakeDirectory(script) as server:
        (answer,) = lab.fake(server.url).fetch("people", [Ref(one)])
    assert answer.data["cn"] == ["a"]


def test_a_limited_account_can_still_fetch(lab: Any) -> None:
    place = lab.place()
    lab.server.add(person(f"u{i}", place) for i in range(3))
    refs = [c.ref for c in lab.scan(lab.open(place))]
    assert [type(a) for a in lab.open(place, PLAIN).fetch("people", refs)] == [
        Record
    ] * 3


def test_a_closed_adapter_says_so(lab: Any) -> None:
    adapter = lab.open(BASE, WRITER)
    adapter.close()
    with pytest.raises(NotApplied) as caught:
        adapter.fetch("people", [Ref("x")])
    assert caught.value.code == "ldap.closed"


def test_discovery_needs_only_a_url_and_an_account(lab: Any) -> None:
    place = lab.place()
    lab.server.add([person("d", place)])
    found = lab.open(BASE, stream={"fields": ["cn"]}).discover()
    settings = {(s.stream, s.setting): s for s in found.items}
    assert settings[("people", "filter")].value == "(objectClass=inetOrgPerson)"
    assert "uid" in settings[("people", "fields")].value
    assert settings[(None, "follow")].value == "syncrepl"
    assert settings[(None, "id_attribute")].value == "entryUUID"
    assert not any("legacy.example" in repr(s.value) for s in found.items)
