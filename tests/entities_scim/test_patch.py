"""Updates: only the owned paths, as operations that any server applies alike."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from entities_scim.oracle import applied
from entities_scim.strategies import groups, people, updates
from moatbridge.entities.scim import (
    ENTERPRISE,
    from_scim,
    merged,
    patch_bodies,
    patch_operations,
    slots,
    to_scim,
)


def _patch(before, record, *owned):
    return patch_operations(before, record, owned, "Person")


def test_an_owned_slot_is_addressed_by_its_type():
    before = {
        "emails": [{"type": "work", "value": "a"}, {"type": "home", "value": "h"}]
    }
    operations = _patch(
        before, {"emails": [{"type": "work", "value": "b"}]}, "emails[type=work].value"
    )
    assert operations == [
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "b"}
    ]


def test_a_slot_the_target_lacks_is_added_whole():
    operations = _patch(
        {}, {"emails": [{"type": "work", "value": "b"}]}, "emails[type=work].value"
    )
    assert operations == [
        {"op": "add", "path": "emails", "value": [{"type": "work", "value": "b"}]}
    ]


def test_a_cleared_slot_is_removed_and_the_others_stay():
    before = {
        "emails": [{"type": "work", "value": "a"}, {"type": "home", "value": "h"}]
    }
    operations = _patch(
        before, {"emails": [{"type": "work", "value": None}]}, "emails[type=work].value"
    )
    assert operations == [{"op": "remove", "path": 'emails[type eq "work"]'}]


def test_of_two_entries_of_one_type_only_the_first_is_ours():
    before = {
        "emails": [{"type": "work", "value": "a"}, {"type": "work", "value": 'b"'}]
    }
    operations = _patch(
        before, {"emails": [{"type": "work", "value": "c"}]}, "emails[type=work].value"
    )
    assert operations[0]["path"] == 'emails[type eq "work" and value eq "a"].value'


def test_a_cleared_value_is_a_remove_never_a_null():
    before = {"title": "Dr", "enterprise": {"department": "x", "manager": "1"}}
    record = {"title": None, "enterprise": {"department": None, "manager": None}}
    operations = _patch(
        before, record, "title", "enterprise.department", "enterprise.manager"
    )
    assert operations == [
        {"op": "remove", "path": "title"},
        {"op": "remove", "path": f"{ENTERPRISE}:department"},
        {"op": "remove", "path": f"{ENTERPRISE}:manager"},
    ]


def test_a_manager_is_an_object_on_the_wire():
    operations = _patch({}, {"enterprise": {"manager": "7"}}, "enterprise.manager")
    assert operations == [
        {"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": "7"}}
    ]


def test_what_is_not_owned_or_equal_or_read_only_makes_no_operation():
    before = {"displayName": "Ada", "title": "Dr"}
    record = {
        "displayName": "Ada",
        "title": "Prof",
        "created": "2026-01-01T00:00:00Z",
        "active": None,
    }
    assert _patch(before, record, "displayName", "created", "active", "nickName") == []


def test_an_extension_is_addressed_by_its_urn():
    record = {"extensions": {"urn:acme:hr": {"badge": "17"}}}
    operations = _patch({}, record, 'extensions."urn:acme:hr".badge')
    assert operations == [{"op": "add", "path": "urn:acme:hr:badge", "value": "17"}]


def test_membership_travels_as_a_difference_in_chunks():
    before = {"members": [{"value": str(n), "type": "Person"} for n in range(5)]}
    record = {"members": [{"value": str(n), "type": "Person"} for n in range(3, 9)]}
    operations = patch_operations(before, record, ["members"], "Group")
    bodies = patch_bodies(operations, 2)
    sizes = [len(op.get("value", "?")) for body in bodies for op in body["Operations"]]
    assert [len(body["Operations"]) for body in bodies] == [2, 1, 1, 1]
    assert sizes == [1, 1, 1, 2, 2]
    assert bodies[0]["Operations"][0] == {
        "op": "remove",
        "path": 'members[value eq "0"]',
    }


def test_a_membership_difference_of_ten_thousand_stays_in_chunks():
    record = {"members": [{"value": str(n)} for n in range(10_000)]}
    bodies = patch_bodies(patch_operations({}, record, ["members"], "Group"), 1000)
    assert [len(body["Operations"][0]["value"]) for body in bodies] == [1000] * 10


def _known(entity):
    empty = (None, [], {})
    return {
        name: _sorted(value) for name, value in entity.items() if value not in empty
    }


def _sorted(value):
    return (
        sorted(sorted(e.items()) for e in value) if isinstance(value, list) else value
    )


def _expected(before, record, owned, kind):
    return from_scim(to_scim(merged(before, record, owned, kind), kind), kind)


@settings(max_examples=60, deadline=None)
@given(people(), updates())
def test_the_patch_applied_to_before_gives_after(before, update):
    record, owned = update
    bodies = patch_bodies(patch_operations(before, record, owned, "Person"), 100)
    after = from_scim(applied(to_scim(before, "Person"), bodies, "Person"), "Person")
    assert _known(after) == _known(_expected(before, record, owned, "Person"))


@settings(max_examples=60, deadline=None)
@given(people(), updates())
def test_the_same_update_twice_changes_nothing_more(before, update):
    record, owned = update
    after = _expected(before, record, owned, "Person")
    assert patch_operations(after, record, owned, "Person") == []


@settings(max_examples=60, deadline=None)
@given(people(), people())
def test_owning_everything_turns_one_person_into_another(before, after):
    record = {
        name: after.get(name, [] if isinstance(before.get(name), list) else None)
        for name in {**before, **after}
    }
    bodies = patch_bodies(
        patch_operations(before, record, tuple(record), "Person"), 100
    )
    read = from_scim(applied(to_scim(before, "Person"), bodies, "Person"), "Person")
    assert _known(read) == _known(after)


class Careful(dict):
    """An object that is no plain one: it is always looked at member by member."""


PARTS = st.fixed_dictionaries(
    {},
    optional={
        "givenName": st.none() | st.sampled_from(["a", "b", "1", 1, True]),
        "department": st.none() | st.sampled_from(["a", "b", 0, False]),
        "manager": st.sampled_from([None, "7", {"value": "7"}, {"value": "8"}]),
    },
)
OBJECTS = st.sampled_from(
    ["name", "name.givenName", "enterprise", "enterprise.department", "extensions",
     "enterprise.manager", 'extensions."urn:x".manager', 'extensions."urn:x"']
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(OBJECTS, PARTS, st.none() | PARTS)
def test_an_object_that_is_alike_is_skipped_as_if_looked_at_by_members(
    path, have, other
):
    want = json.loads(json.dumps(have)) if other is None else other
    field = path.partition(".")[0]

    def found(held):
        before, record = (
            ({field: {"urn:x": one}} if field == "extensions" else {field: one})
            for one in (held, want)
        )
        return _patch(before, record, path)

    assert found(have) == found(Careful(have))
    if other is None:
        assert found(have) == []


@given(st.text() | st.text('aZ09é\u0663\\"', max_size=4))
def test_a_filters_text_is_quoted_as_json_is(text):
    assert slots.quoted(text) == json.dumps(text, ensure_ascii=False)


@settings(max_examples=60, deadline=None)
@given(groups(), groups())
def test_a_membership_difference_gives_the_wanted_membership(before, after):
    bodies = patch_bodies(
        patch_operations(before, after, ("members", "displayName"), "Group"), 2
    )
    read = from_scim(applied(to_scim(before, "Group"), bodies, "Group"), "Group")
    values = {member["value"] for member in read.get("members", [])}
    assert values == {member["value"] for member in after["members"]}
    assert read["displayName"] == after["displayName"]


@settings(max_examples=60, deadline=None)
@given(people(), updates())
def test_inputs_are_never_mutated(before, update):
    record, owned = update
    frozen = repr((before, record))
    patch_operations(before, record, owned, "Person")
    merged(before, record, owned, "Person")
    assert repr((before, record)) == frozen
