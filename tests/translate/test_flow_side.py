"""What a flow does between two translators: references, cutting, reports."""

from __future__ import annotations

import copy

import pytest

from moatbridge.adapter import Field, Stream
from moatbridge.entities import Person
from moatbridge.translate import (
    Translator,
    join_report,
    reference_key,
    references_in,
    replace_references,
)
from translate.streams import GROUPS, NATIVE, NATIVE_GROUPS, RECORD, people

BOSS = {"stream": "hr/people", "name": "cn=boss"}
MAPPING = {reference_key(BOSS): {"stream": "social/people", "id": "77", "name": "boss"}}


def native(paths, stream=NATIVE, entity="Person"):
    return Translator.identity(entity, paths, stream).bind(
        stream, f"social/{stream.name}"
    )


def hr_groups():
    table = {"each": "member", "ref": "hr/people", "by": "name", "type": "Person"}
    return Translator("Group", {"displayName": "cn", "members": table}).bind(
        GROUPS, "hr/groups"
    )


def test_a_person_travels_from_a_directory_to_a_platform():
    source = people()
    target = native(source.paths)
    entity = source.decode(RECORD)
    assert references_in(entity, source) == [("enterprise.manager", BOSS)]
    resolved = replace_references(entity, source, MAPPING)
    assert resolved.unresolved == []
    cut = target.restrict(source.paths)(resolved.entity)
    record = target.encode_new(cut)
    assert record == {
        "userName": "ada",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"type": "work", "value": "a@x.org"}],
        "displayName": "Ada Lovelace",
        "enterprise": {"manager": "77"},
    }
    assert set(target.owned_by(cut)) == set(target.owned)
    assert target.fingerprint(target.cut(target.decode(record))) == target.fingerprint(
        cut
    )


def test_unresolved_references_are_left_out_and_listed():
    source = people()
    entity = source.decode(RECORD)
    untouched = copy.deepcopy(entity)
    found = replace_references(entity, source, {})
    assert found.unresolved == [("enterprise.manager", BOSS)]
    assert found.entity["enterprise"] == {}
    assert entity == untouched
    assert "enterprise" not in native(source.paths).encode(found.entity)


def test_cleared_and_absent_references_stay_what_they_are():
    source = people()
    for record in ({**RECORD, "manager": None}, {"uid": "x"}):
        entity = source.decode_partial(record)
        assert references_in(entity, source) == []
        assert replace_references(entity, source, MAPPING) == (entity, [])


def test_group_members_are_resolved_one_by_one():
    source = hr_groups()
    target = native(source.paths, NATIVE_GROUPS, "Group")
    assert target.references == (("members[].value", "social/people", "id"),)
    entity = source.decode({"cn": "G", "member": ["cn=boss", "cn=gone"]})
    assert [path for path, _ in references_in(entity, source)] == [
        "members[].value"
    ] * 2
    found = replace_references(entity, source, MAPPING)
    assert found.unresolved == [
        ("members[].value", {"stream": "hr/people", "name": "cn=gone"})
    ]
    record = target.encode(target.cut(found.entity))
    assert record == {
        "displayName": "G",
        "members": [{"value": "77", "type": "Person"}],
    }
    stored = target.cut(target.decode(record))
    assert target.fingerprint(stored) == target.fingerprint(target.cut(found.entity))


def test_large_memberships_are_no_reject():
    source = hr_groups()
    record = {"cn": "G", "member": [f"cn={n}" for n in range(20_000)]}
    assert source.encode_new(source.decode(record)) == record


def test_identity_takes_what_the_stream_can_hold():
    wanted = (
        "userName",
        "title",
        "emails[type=work].value",
        "name",
        "enterprise.manager",
        "nope[",
    )
    bound = native(wanted)
    assert bound.paths == (
        "userName", "emails[type=work].value", "name.familyName", "name.givenName", "enterprise.manager",
    )  # fmt: skip
    assert bound.references == (("enterprise.manager", "social/people", "id"),)
    assert bound.owned == bound.paths


def test_a_native_slot_is_a_slot_on_both_sides():
    bound = native(("emails[type=work].value", "emails[type=work].primary"))
    both = [
        {"type": "home", "value": "h"},
        {"type": "work", "value": "w", "primary": True},
    ]
    entity = bound.decode({"emails": both})
    assert entity == {"emails": [{"type": "work", "value": "w", "primary": True}]}
    update = {"emails": [{"type": "work", "value": None}]}
    assert bound.encode(update) == update
    assert bound.owned_by(update) == ("emails[type=work].value",)
    cleared = {"emails": [{"type": "work", "value": None, "primary": True}]}
    assert bound.encode_new(cleared) == {}


def test_a_whole_list_leaves_out_cleared_entries():
    bound = native(("emails",))
    slots = {
        "emails": [{"type": "work", "value": None}, {"type": "home", "value": "h"}]
    }
    assert bound.encode(slots) == {"emails": [{"type": "home", "value": "h"}]}


def test_cut_keeps_only_what_the_target_can_hold():
    bound = native(("userName", "emails[type=work].value"))
    entity = {
        "userName": "ada",
        "title": "Countess",
        "emails": [
            {"type": "home", "value": "h"},
            {"type": "work", "value": "w", "display": "x"},
        ],
    }
    untouched = copy.deepcopy(entity)
    assert bound.cut(entity) == {
        "userName": "ada",
        "emails": [{"type": "work", "value": "w"}],
    }
    assert bound.cut({"title": "x"}) == {}
    assert bound.restrict(("userName", "title"))(entity) == {"userName": "ada"}
    assert entity == untouched


def test_an_entry_gone_from_a_whole_list_clears_the_targets_slot():
    target = native(("userName", "emails[type=work].value"))
    cut = target.restrict(("emails",))
    assert cut({"emails": [{"type": "home", "value": "h"}]}) == {
        "emails": [{"type": "work", "value": None}]
    }
    assert cut({"emails": [{"type": "work", "value": "w"}]}) == {
        "emails": [{"type": "work", "value": "w"}]
    }
    assert cut({"userName": "x"}) == {}
    slots = target.restrict(("emails[type=work].value",))
    assert slots({"emails": []}) == {"emails": []}


def test_a_report_lists_what_leaves_and_what_does_not():
    report = people().report()
    assert report.lost == ("userAccountControl", "diary")
    assert report.one_way_out == ("displayName", "userType")
    assert report.one_way_in == ("objectClass", "cn")
    assert "emails[type=work].value" in report.normalised
    assert report.unfed == ()
    assert report.unfed_record == ()
    assert report.label == "restricted"
    assert report == people().report()
    assert hash(report) == hash(people().report())
    text = report.to_text()
    assert "mail <-> emails[type=work].value  via lower" in text
    assert "never leaves: userAccountControl, diary" in text
    assert report.to_dict()["leaves"][0] == {
        "record": "uid",
        "entity": "userName",
        "direction": "both",
        "label": "restricted",
        "through": (),
    }


def test_a_report_names_what_is_required_and_unfed():
    stream = Stream("p", (Field("a"), Field("must", required=True)))
    report = Translator(Person, {"title": "a"}).report(stream, "hr/p")
    assert report.unfed == ("userName",)
    assert report.unfed_record == ("must",)
    assert "required, without a source: userName" in report.to_text()


def test_an_unconfirmed_pick_is_a_warning():
    stream = Stream("p", (Field("mail", multi=True),))
    assert len(Translator(Person, {"userName": "mail"}).report(stream).warnings) == 1
    confirmed = {"userName": {"from": "mail", "pick": "min"}}
    assert Translator(Person, confirmed).report(stream).warnings == ()


def test_a_flow_report_joins_two_translators():
    source = people()
    report = join_report(source, native(source.paths))
    text = report.to_text()
    assert "hr mail -> social emails[type=work].value" in text
    assert "hr givenName, sn -> social displayName" in text
    assert report.lost == (
        "phoneNumbers[type=work].value", "userType", 'extensions."com.acme.hr".badge',
    )  # fmt: skip
    assert report.unfed == ()
    assert report.to_dict()["source"] == "hr/people"


def test_a_flow_report_warns_where_a_slot_meets_a_whole_list():
    report = join_report(people(), native(("emails",)))
    assert report.unfed == ("userName",)
    [warning] = report.warnings
    assert "other entries are removed" in warning


@pytest.mark.parametrize("name", ["report", "join"])
def test_reports_hold_no_data(name):
    bound = people()
    bound.decode(RECORD)
    text = (
        bound.report() if name == "report" else join_report(bound, native(bound.paths))
    ).to_text()
    assert "Lovelace" not in text
    assert "psst" not in text + repr(bound)
