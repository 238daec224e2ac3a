"""Whole resources: entity -> SCIM -> entity."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from entities_scim.oracle import dumped, valid
from entities_scim.strategies import groups, people
from moatbridge.entities.scim import ENTERPRISE, USER, from_scim, to_scim

ADA = {
    "userName": "ada",
    "externalId": "hr-1",
    "active": True,
    "name": {"givenName": "Ada", "familyName": None},
    "emails": [{"value": "ada@corp.local", "type": "work", "primary": True}],
    "phoneNumbers": [],
    "title": None,
    "enterprise": {"department": "R&D", "manager": "42"},
}


def test_enterprise_becomes_its_urn_and_manager_an_object():
    assert to_scim(ADA, "Person") == {
        "schemas": [USER, ENTERPRISE],
        "userName": "ada",
        "externalId": "hr-1",
        "active": True,
        "name": {"givenName": "Ada"},
        "emails": [{"value": "ada@corp.local", "type": "work", "primary": True}],
        ENTERPRISE: {"department": "R&D", "manager": {"value": "42"}},
    }


def test_cleared_slots_and_values_are_left_out_of_a_create():
    cleared = {
        "userName": "a",
        "emails": [{"type": "work", "value": None}],
        "title": None,
    }
    assert to_scim(cleared, "Person") == {"schemas": [USER], "userName": "a"}


def test_an_internal_address_is_plain_text_to_the_peers_own_schema():
    assert (
        dumped(valid(to_scim(ADA, "Person"), "Person"))["emails"][0]["value"]
        == "ada@corp.local"
    )


def test_names_are_read_without_case_and_come_out_in_the_standards_spelling():
    read = from_scim(
        {"USERNAME": "a", "Emails": [{"Value": "x", "TYPE": "work"}]}, "Person"
    )
    assert read == {"userName": "a", "emails": [{"value": "x", "type": "work"}]}


@pytest.mark.parametrize("told", [True, "True", "true"])
def test_truth_as_text_is_understood(told):
    assert from_scim({"active": told}, "Person") == {"active": True}


def test_passwords_certificates_groups_and_links_never_become_entity_data():
    resource = {
        "userName": "a",
        "password": "hunter22",
        "x509Certificates": [{"value": "AA"}],
        "groups": [{"value": "1", "$ref": "https://x/Groups/1"}],
    }
    assert from_scim(resource, "Person") == {"userName": "a"}


def test_member_types_are_ours_inside_and_scims_outside():
    members = [
        {"value": "1", "type": "User"},
        {"value": "2", "$ref": "https://x/v2/Groups/2"},
    ]
    group = from_scim({"displayName": "g", "members": members}, "Group")
    assert group["members"] == [
        {"value": "1", "type": "Person"},
        {"value": "2", "type": "Group"},
    ]
    assert to_scim(group, "Group")["members"][0]["type"] == "User"


def test_meta_times_become_utc_with_z():
    meta = {
        "created": "2026-01-23T04:56:22.500+02:00",
        "lastModified": "2026-01-23T04:56:22Z",
    }
    read = from_scim({"meta": meta}, "Person")
    assert read == {
        "created": "2026-01-23T02:56:22.5Z",
        "updated": "2026-01-23T04:56:22Z",
    }


def test_unknown_extensions_travel_under_their_urn_and_other_names_do_not():
    urn = "urn:acme:hr"
    entity = {
        "userName": "a",
        "extensions": {urn: {"badge": "17"}, "com.acme": {"x": "1"}},
    }
    wire = to_scim(entity, "Person")
    assert wire[urn] == {"badge": "17"}
    assert "com.acme" not in wire
    assert from_scim(wire, "Person")["extensions"] == {urn: {"badge": "17"}}


@pytest.mark.parametrize(
    ("resource", "member"),
    [
        ([], "resource"),
        ({"userName": {"x": "secret"}}, "userName"),
        ({"emails": "secret"}, "emails"),
        ({"emails": [{"primary": "secret"}]}, "emails.primary"),
        ({"active": 3}, "active"),
    ],
)
def test_a_wrong_shape_names_the_member_and_never_the_value(resource, member):
    with pytest.raises(ValueError, match=f"^{member} is not") as caught:
        from_scim(resource, "Person")
    assert "secret" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(people())
def test_every_person_we_emit_is_valid_scim_and_reads_back(person):
    assert (
        from_scim(dumped(valid(to_scim(person, "Person"), "Person")), "Person")
        == person
    )


@settings(max_examples=60, deadline=None)
@given(groups())
def test_every_group_we_emit_is_valid_scim_and_reads_back(group):
    read = from_scim(dumped(valid(to_scim(group, "Group"), "Group")), "Group")
    assert {"members": [], **read} == group


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ("2026-01-23T02:56:22Z", "2026-01-23T02:56:22Z"),
        ("2026-01-23T02:56:22.000Z", "2026-01-23T02:56:22Z"),
        ("2026-01-23 02:56:22+00:00", "2026-01-23T02:56:22Z"),
        ("2026-W04-5T02:56:22Z", "2026-01-23T02:56:22Z"),
        ("2026-02-30T02:56:22Z", None),
        ("2026-01-23T02:56:22", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        (7, None),
    ],
)
def test_a_moment_is_read_in_every_spelling_or_left_out(told, read):
    found = from_scim({"userName": "ada", "meta": {"created": told}}, "Person")
    assert found.get("created") == read
