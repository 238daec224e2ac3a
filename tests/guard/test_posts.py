import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.counting import NOON, RULES, CountingMemory, adding, context, plan
from moatbridge.config.guard import GuardConfig, effective
from moatbridge.entities import wider
from moatbridge.errors import ConfigurationError
from moatbridge.guard import (
    Context,
    LiveWindow,
    Outgoing,
    PathSet,
    Route,
    bound_to,
    check_route,
    item_digest,
    judge,
    judge_plan,
)

ADA = {"stream": "social/people", "id": "1"}
BOB = {"stream": "social/people", "id": "2"}
GROUP = {"kind": "groups", "refs": [{"stream": "social/groups", "id": "g"}]}
POST = {"type": "Note", "content": "Order 4711 waits.", "audience": GROUP}
CARD = "4111 1111 1111 1111"


def route(**more):
    settings = {
        "flow": "orders",
        "entity_type": "Post",
        "target": "social",
        "owned": PathSet(("type", "content", "audience", "tag", "attachment", "label",
                          "name", "business", "inReplyTo")),
        "label": "internal",
        "stream_label": "internal",
        "max_label": "internal",
    }  # fmt: skip
    return Route(**(settings | more))


def ask(op="create", rules=RULES, to=None, more=None, memory=None, **post):
    entity = {**POST, **post}
    outgoing = Outgoing(to or route(), entity, op, 7, **(more or {}))
    before = copy.deepcopy(entity)
    verdict = judge(outgoing, rules, context(memory))
    assert entity == before, "the guard changed what it judged"
    return verdict


def held(verdict):
    return verdict.decision, verdict.reasons


def guard(**table):
    return effective(GuardConfig.model_validate(table))


def loosened(**table):
    names = {"max_audience": "audience"}
    loosen = {names.get(name, name): "test, A. Example, 2099-01-01" for name in table}
    return guard(**table, loosen=loosen)


def test_an_ordinary_post_passes():
    verdict = ask()
    assert held(verdict) == ("allow", ())
    assert verdict.entity == POST


@pytest.mark.parametrize(
    "audience",
    [None, {}, {"kind": "all"}, {"kind": "groups", "refs": []}, {"kind": "people"},
     "public", {"kind": "org", "refs": [ADA]}],
)  # fmt: skip
def test_a_post_without_a_valid_audience_is_held(audience):
    assert held(ask(audience=audience)) == ("hold", ("no-audience",))


def test_a_post_without_the_key_is_held_and_an_edit_knows_the_one_before():
    bare = {"content": "x"}
    verdict = judge(Outgoing(route(), bare, "create"), RULES, context())
    assert held(verdict) == ("hold", ("no-audience",))
    edit = Outgoing(route(), bare, "update", before={"audience": GROUP})
    assert judge(edit, RULES, context()).decision == "allow"


def test_wider_than_max_audience_is_held():
    rules = guard(max_audience="people")
    assert held(ask(rules=rules)) == ("hold", ("audience",))
    people = {"kind": "people", "refs": [ADA]}
    assert ask(rules=rules, audience=people).decision == "allow"
    assert ask(audience={"kind": "org"}).decision == "allow"


def test_what_the_public_reads_is_held_for_its_audience_and_as_external():
    public = {"kind": "public"}
    assert held(ask(audience=public)) == ("hold", ("audience", "approval"))
    rules = loosened(max_audience="public")
    verdict = ask(audience=public, rules=rules)
    assert held(verdict) == ("hold", ("approval",))
    assert verdict.rules == ("external",)


def test_everything_for_an_external_system_is_approved_one_by_one():
    outside = route(exposure="external")
    assert held(ask(to=outside)) == ("hold", ("approval",))
    assert held(ask(more={"outside": True})) == ("hold", ("approval",))
    gone = Outgoing(outside, None, "delete", 7)
    assert judge(gone, RULES, context()).decision == "allow"


def test_people_of_a_directory_are_no_content():
    to = route(exposure="external", entity_type="Person", owned=PathSet(["userName"]))
    verdict = judge(Outgoing(to, {"userName": "a"}, "create"), RULES, context())
    assert verdict.decision == "allow"


def test_a_sized_external_rule_only_notes_and_the_day_counts():
    rules = loosened(external=2)
    outside = route(exposure="external")
    verdict = ask(to=outside, rules=rules)
    assert held(verdict) == ("allow", ())
    assert verdict.rules == ("external",)
    window = LiveWindow(rules, context(), links=lambda _most: 10)
    decisions = [window.judge("create", external=True).decision for _ in range(3)]
    assert decisions == ["allow", "allow", "hold"]
    summary = adding(plan(external=3, entity_type="Post"), "create", 3)
    finding = next(f for f in judge_plan(summary, rules, context()).findings if f.rule == "external")  # fmt: skip
    assert (finding.decision, finding.seen, finding.limit) == ("approve", 3, 2)


def test_an_edit_never_widens():
    before = {"audience": {"kind": "people", "refs": [ADA]}}
    assert held(ask("update", more={"before": before})) == ("hold", ("audience",))
    two = {"kind": "people", "refs": [ADA, BOB]}
    wide = ask("update", more={"before": before}, audience=two)
    assert held(wide) == ("hold", ("audience",))
    same = ask("update", more={"before": before}, **before)
    assert same.decision == "allow"


def test_an_edit_for_others_is_a_new_item_even_if_they_are_fewer():
    two = {"audience": {"kind": "people", "refs": [ADA, BOB]}}
    one = {"kind": "people", "refs": [ADA]}
    narrow = ask("update", more={"before": two}, audience=one)
    assert held(narrow) == ("hold", ("audience",))
    assert held(ask("update", more={"readdressed": True})) == ("hold", ("audience",))


def test_an_edited_reply_is_compared_as_it_goes_out():
    one = {"kind": "people", "refs": [ADA]}
    known = {"before": {"audience": one}, "parent": one}
    verdict = ask("update", more=known, audience={"kind": "org"})
    assert held(verdict) == ("mask", ())
    assert verdict.entity["audience"] == one


def test_a_reply_takes_the_narrower_audience():
    parent = {"kind": "people", "refs": [ADA]}
    verdict = ask(more={"parent": parent})
    assert held(verdict) == ("mask", ())
    assert verdict.entity["audience"] == parent
    assert verdict.masked == ("audience",)
    assert ask(more={"parent": {"kind": "org"}}).entity["audience"] == GROUP
    other = {"kind": "groups", "refs": [{"stream": "social/groups", "id": "h"}]}
    assert held(ask(more={"parent": other})) == ("hold", ("audience",))


audiences = st.sampled_from([
    {"kind": "people", "refs": [ADA]}, {"kind": "people", "refs": [ADA, BOB]},
    {"kind": "people", "refs": [BOB]}, GROUP, {"kind": "org"}, {"kind": "public"},
    {"kind": "people", "refs": []}, None,
])  # fmt: skip


@given(audiences, audiences, audiences, st.sampled_from(["people", "groups", "org"]))
def test_whatever_passes_is_not_wider_than_anything_it_was_held_to(
    mine, before, parent, most
):
    more = {"before": {"audience": before}, "parent": parent}
    verdict = ask("update", guard(max_audience=most), more=more, audience=mine)
    if verdict.decision in {"allow", "mask"}:
        sent = verdict.entity["audience"] or before
        assert not wider(sent, most)
        if mine is not None and before and before["kind"] != "people":
            assert not wider(sent, before)
        if parent and parent.get("refs", [1]):
            assert not wider(sent, parent)


def test_many_resolved_mentions_are_held():
    def mentions(count, **more):
        tag = {"type": "Mention", "name": "x", "href": ADA, **more}
        return [tag for _ in range(count)]

    assert ask(tag=mentions(10)).decision == "allow"
    assert held(ask(tag=mentions(11))) == ("hold", ("mass-mention",))
    assert ask(tag=mentions(11, href=None)).decision == "allow"
    assert ask(tag=mentions(11, type="Hashtag")).decision == "allow"


@pytest.mark.parametrize(
    ("attachment", "decision"),
    [
        ({"type": "Document", "mediaType": "application/pdf; x=1", "url": "u"}, "allow"),
        ({"type": "Document", "mediaType": "application/zip", "url": "u"}, "hold"),
        ({"type": "Document", "url": "u"}, "hold"),
        ({"type": "Image", "mediaType": "image/png", "blob": {"size": 25_000_001}}, "hold"),
        ({"type": "Image", "mediaType": "image/png", "blob": {"size": 25_000_000}}, "allow"),
        ({"type": "Link", "url": "https://x.example"}, "allow"),
        ({"type": "Link", "url": "javascript:x"}, "hold"),
    ],
)  # fmt: skip
def test_attachments_have_an_allowed_type_and_size(attachment, decision):
    verdict = ask(attachment=[attachment])
    assert verdict.decision == decision
    if decision == "hold":
        assert verdict.hits[0].paths == ("attachment[0]",)


def test_findings_warn_inside_and_hold_outside():
    inside = ask(content=CARD)
    assert held(inside) == ("allow", ())
    assert inside.rules == ("card", "label")
    assert {hit.mode for hit in inside.hits} == {"warn"}
    assert inside.deciding == ()
    outside = ask(content=CARD, to=route(exposure="external", max_label="restricted"))
    assert outside.reasons == ("approval",)
    assert outside.rules == ("external", "card")
    assert "4111" not in repr(outside.hits)


def test_a_credential_is_held_everywhere_and_raises_the_label():
    verdict = ask(content="password=hunter2")
    assert held(verdict) == ("hold", ("approval", "label"))
    assert verdict.label == "restricted"
    tried = loosened(credential={"mode": "observe"})
    allowed = ask(content="password=hunter2", rules=tried)
    assert (allowed.decision, allowed.label) == ("allow", "restricted")
    outside = ask(
        content="password=hunter2", rules=tried, to=route(exposure="external")
    )
    assert "credential" in {h.rule for h in outside.hits if h.effect == "hold"}


def test_what_only_warns_raises_the_label_and_warns_of_it():
    """The label is the item's own, whatever the mode of the rule that found why (18)."""
    verdict = ask(content=CARD)
    assert (verdict.decision, verdict.label) == ("allow", "confidential")
    assert [tuple(each) for each in verdict.noticed] == [
        ("card", "warn", "hold", (("content", 1),)),
        ("label", "warn", "hold", ()),
    ]
    fits = ask(content=CARD, to=route(max_label="confidential"))
    assert (fits.rules, fits.label) == (("card",), "confidential")


def test_what_is_kept_of_findings_names_fields_and_numbers_and_no_value():
    business = {"data": {"lines": [{"text": CARD}, {"text": CARD}]}}
    verdict = ask(content=CARD, business=business, to=route(exposure="external"))
    [card] = [each for each in verdict.noticed if each.rule == "card"]
    assert card.mode == "enforce"
    assert card.places == (("business.data.lines[].text", 2), ("content", 1))
    assert "4111" not in repr(verdict.noticed)


def test_thresholds_count_over_the_whole_item():
    four = {"content": "a@x.example b@x.example", "name": "c@x.example d@x.example"}
    rules = guard(email={"mode": "enforce"})
    assert ask(rules=rules, **four).decision == "allow"
    business = {"data": {"who": "e@x.example"}}
    verdict = ask(rules=rules, business=business, **four)
    assert verdict.decision == "hold"
    assert verdict.hits[0].paths == ("content", "name", "business.data.who")


def test_masking_leaves_everything_else_as_it_was():
    rules = loosened(card={"action": "mask", "mode": "enforce"})
    business = {"data": {"lines": [{"text": f"pay {CARD} now", "n": 1}]}, "id": "7"}
    verdict = ask(content=f"a {CARD} b", business=business, rules=rules)
    assert verdict.decision == "mask"
    assert verdict.entity == {
        **POST,
        "content": "a [card ending 1111] b",
        "business": {
            "data": {"lines": [{"text": "pay [card ending 1111] now", "n": 1}]},
            "id": "7",
        },
    }
    assert verdict.masked == ("content", "business.data.lines[].text")
    assert verdict.label is None
    assert len(verdict.findings) == 2


def test_an_allowed_finding_still_has_its_label():
    rules = loosened(card={"action": "allow", "mode": "enforce"})
    assert held(ask(content=CARD, rules=rules)) == ("hold", ("label",))
    fits = route(max_label="confidential")
    verdict = ask(content=CARD, rules=rules, to=fits)
    assert (verdict.decision, verdict.label) == ("allow", "confidential")


def test_dropping_is_the_strictest():
    rules = guard(word={"action": "drop", "mode": "enforce"}, words=["falcon"])
    assert ask(content="Falcon " + CARD, rules=rules).decision == "drop"


def test_more_text_than_can_be_read_is_quarantined():
    assert held(ask(content="x" * 100_001)) == ("hold", ("quarantine",))


def test_a_broken_detector_holds(monkeypatch):
    from moatbridge.guard import findings

    def broken(_text, _lists):
        raise RuntimeError("4111 1111 1111 1111")

    detectors = {**findings.DETECTORS, "phone": broken}
    monkeypatch.setattr(findings.find_all, "__kwdefaults__", {"salt": b"", "detectors": detectors})  # fmt: skip
    verdict = ask()
    assert held(verdict) == ("hold", ("guard-bug",))
    assert "4111" not in repr(verdict)


def test_a_post_above_the_label_of_its_target_is_held():
    assert held(ask(label="confidential")) == ("hold", ("label",))
    assert ask(label="public").label == "internal"


@given(st.text(max_size=40), st.text(max_size=10), audiences, st.booleans())
def test_any_content_gets_a_verdict(content, name, audience, external):
    to = route(exposure="external" if external else "internal")
    verdict = ask(content=content, name=name, audience=audience, to=to)
    assert "guard-bug" not in verdict.reasons
    if external:
        assert verdict.decision == "hold"


def test_a_flow_of_posts_without_an_audience_does_not_load():
    bare = route(owned=PathSet(["content", "audience-x"]))
    with pytest.raises(ConfigurationError) as caught:
        check_route(bare, RULES)
    assert caught.value.code == "guard.audience"
    for path in ("audience", "audience.kind"):
        check_route(route(owned=PathSet(["content", path])), RULES)


def test_an_approval_binds_to_readers_and_attachments():
    blob = {"type": "Image", "blob": {"sha256": "a" * 64}}
    link = {"type": "Link", "url": "https://x.example"}

    def digest(readers=("1", "2"), **post):
        bound = bound_to({**POST, "attachment": [blob, link], **post}, readers)
        return item_digest(
            target="social", op="create", fingerprint=b"f", **bound._asdict()
        )

    same = digest(readers=("2", "1"))
    assert digest() == same
    other_blob = {"type": "Image", "blob": {"sha256": "b" * 64}}
    changed = [
        digest(readers=("1", "2", "3")),
        digest(readers=None),
        digest(audience={"kind": "public"}),
        digest(attachment=[link, blob]),
        digest(attachment=[other_blob, link]),
        digest(attachment=[blob, {**link, "url": "https://y.example"}]),
        digest(attachment=[]),
    ]
    assert len({same, *changed}) == len(changed) + 1
    assert bound_to(None) == ((), ())


def test_a_clock_out_of_bounds_holds():
    rules = loosened(external=1)
    far = Context(now=1e30, memory=CountingMemory(now=NOON))
    assert judge(Outgoing(route(), POST, "create"), rules, far).decision == "hold"


def test_the_salt_of_digests_is_not_shown():
    assert "pepper" not in repr(replace(context(), salt=b"pepper"))
