"""Reads: counted requests on the real server, and peers that lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scim2_models import Path, ScimFilter
from scim2_server.utils import load_default_provider

from moatbridge.adapter import Query
from moatbridge.changes import Record
from moatbridge.errors import (
    ConfigurationError,
)
from moatbridge_scim import filters
from servers.scim import ScimServer
from servers.scim_peers import everything, requests_of

USER = load_default_provider().model_for("User")


def user(number):
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": f"u{number}",
        "externalId": f"x{number}",
    }


def test_a_thousand_people_at_page_twenty_are_fifty_requests(server, connect):
    server.create_many("/Users", [user(n) for n in range(1000)])
    adapter = connect(server, page_size=20)
    found, requests = requests_of(adapter, lambda: everything(adapter))
    assert (len(found), requests) == (1000, 50)


def test_fetch_of_two_hundred_costs_at_most_five_requests(server, connect):
    server.create_many("/Users", [user(n) for n in range(200)])
    adapter = connect(server)
    refs = [change.ref for change in everything(adapter)]
    found, requests = requests_of(adapter, lambda: adapter.fetch("people", refs))
    assert all(isinstance(answer, Record) for answer in found)
    assert [answer.ref.id for answer in found] == [ref.id for ref in refs]
    assert requests <= 5


def test_find_of_a_hundred_external_ids_is_two_requests(server, connect):
    server.create_many("/Users", [user(n) for n in range(120)])
    adapter = connect(server)
    queries = [Query("externalId", f"x{n}") for n in range(100)]
    found, requests = requests_of(adapter, lambda: adapter.find("people", queries))
    assert [[r.data["userName"] for r in hits] for hits in found] == [
        [f"u{n}"] for n in range(100)
    ]
    assert requests == 2


@pytest.mark.parametrize("field", ["id", "externalId", "userName", "displayName"])
def test_find_knows_the_fields_the_flow_asks_for(server, connect, field):
    resource = server.call("POST", "/Users", {**user(1), "displayName": "Ada"})
    found = connect(server).find("people", [Query(field, resource[field])])
    assert [hit.ref.id for hit in found[0]] == [resource["id"]]


def test_names_compare_without_case_and_external_ids_with(server, connect):
    server.call("POST", "/Users", {**user(1), "userName": "Ada", "externalId": "AbC"})
    adapter = connect(server)
    queries = [
        Query("userName", "ADA"),
        Query("externalId", "abc"),
        Query("externalId", "AbC"),
    ]
    assert [len(hits) for hits in adapter.find("people", queries)] == [1, 0, 1]


def test_looking_for_an_unknown_field_is_a_configuration_error(server, connect):
    with pytest.raises(ConfigurationError) as caught:
        connect(server).find("people", [Query("shoeSize", "43")])
    assert caught.value.code == "scim.query"


def test_the_peers_schema_makes_the_fields(server, connect):
    people, groups = connect(server).streams()
    fields = {field.name: field for field in people.fields}
    assert people.native
    assert fields["userName"].required
    assert fields["userName"].unique
    assert fields["emails"].multi
    assert [f.name for f in fields["name"].fields][:2] == ["formatted", "familyName"]
    manager = next(f for f in fields["enterprise"].fields if f.name == "manager")
    assert (manager.type, manager.to) == ("reference", "people")
    member = next(f for f in groups.field("members").fields if f.name == "value")
    assert (member.type, member.to) == ("reference", "people")
    assert not {"password", "groups", "x509Certificates", "id", "meta"} & fields.keys()
    assert not fields["created"].writable


def test_streams_may_have_other_names(server, connect):
    from moatbridge_scim import ScimStreamConfig

    adapter = connect(server, {"staff": ScimStreamConfig(resource_type="User")})
    assert [stream.name for stream in adapter.streams()] == ["staff"]


def test_a_resource_type_the_peer_lacks_is_named(server, connect):
    from moatbridge_scim import ScimStreamConfig

    with pytest.raises(ConfigurationError, match="it has: Group, User") as caught:
        connect(server, {"staff": ScimStreamConfig(resource_type="Employee")})
    assert caught.value.code == "scim.resource-type"


def test_discover_suggests_what_the_peer_announces(server, connect):
    found = connect(server, page_size=2000).discover()
    told = {(item.stream, item.setting): item.value for item in found.items}
    assert told == {
        (None, "page_size"): 1000,
        ("people", "resource_type"): "User",
        ("groups", "resource_type"): "Group",
    }
    assert "userName" in next(i.reason for i in found.items if i.stream == "people")


def test_the_identity_follows_capabilities_and_probe_tells_limits(server, connect):
    probe = connect(server).probe()
    assert probe.limits == {"page": 1000, "bulk": 100, "bulk_bytes": 1048576}
    assert probe.warnings == ()
    with ScimServer({"etag": {"supported": False}}) as other:
        poor = connect(other).probe()
    assert poor.server != probe.server
    assert any("no ETags" in warning for warning in poor.warnings)


@given(st.sampled_from(list(filters.FIELDS.values())), st.text(min_size=1, max_size=20))
def test_no_value_escapes_its_filter(field, value):
    try:
        term = filters.term(field, value)
        parsed = ScimFilter[USER](term)
    except UnicodeEncodeError:
        return
    assert parsed.ast.value == value
    assert str(parsed.ast.attr_path) == str(Path[USER](field))


@given(st.lists(st.text(max_size=300), max_size=120))
def test_chunks_hold_every_value_once_and_stay_short(values):
    chunks = list(filters.chunked("externalId", values))
    assert [value for chunk in chunks for value in chunk] == values
    assert all(len(chunk) <= filters.MAX_TERMS for chunk in chunks)
