import copy

import pytest

import moatbridge
from moatbridge.entities import (
    DECISION,
    POST,
    REACTION,
    Decision,
    Post,
    Reaction,
    check,
    entity_type,
    fingerprint,
)
from moatbridge.errors import ConfigurationError

ADA = {"stream": "hr/people", "id": "1"}
POSTED = {
    "type": "Note",
    "content": "Order 4711 waits.\nPlease look.",
    "audience": {"kind": "people", "refs": [ADA]},
    "label": "internal",
    "attributedTo": ADA,
    "inReplyTo": {"stream": "social/posts", "id": "p1"},
    "tag": [{"type": "Mention", "name": "ada", "href": ADA}],
    "attachment": [{"type": "Document", "mediaType": "application/pdf", "url": "x"}],
    "business": {
        "type": "com.acme.erp.order",
        "id": "4711",
        "data": {"total": "12.50", "lines": [{"sku": "a", "n": 2}]},
    },
}


def codes(post):
    return {(each.path, each.code) for each in check(post, "Post")}


def without(name):
    return {key: value for key, value in POSTED.items() if key != name}


def test_posts_reactions_and_decisions_are_built_in():
    assert [entity_type(n) for n in ("Post", "Reaction", "Decision")] == [
        POST, REACTION, DECISION,
    ]  # fmt: skip
    assert [entity_type(t) for t in (Post, Reaction, Decision)] == [
        POST, REACTION, DECISION,
    ]  # fmt: skip
    assert moatbridge.Post is Post
    assert {POST.label, REACTION.label, DECISION.label} == {"internal"}


def test_a_whole_post_is_valid():
    assert check(POSTED, "Post") == []


@pytest.mark.parametrize("name", ["audience", "label"])
def test_audience_and_label_are_required(name):
    assert codes(without(name)) == {(name, "missing")}


def test_content_may_only_be_missing_beside_an_attachment():
    assert codes(without("content")) == set()
    bare = without("content")
    del bare["attachment"]
    assert codes(bare) == {("content", "missing")}


@pytest.mark.parametrize(
    ("audience", "code"),
    [({"kind": "people"}, "kind"), ({"kind": "all"}, "kind"), ({}, "missing"),
     ({"kind": "public", "refs": [ADA]}, "kind")],
)  # fmt: skip
def test_an_audience_of_the_wrong_shape(audience, code):
    found = codes({**POSTED, "audience": audience})
    assert {path.partition(".")[0] for path, _ in found} == {"audience"}
    assert code in {each for _, each in found}


def test_floats_are_refused_in_business_data():
    post = copy.deepcopy(POSTED)
    post["business"]["data"]["total"] = 12.5
    assert codes(post) == {("business.data.total", "kind")}


def test_business_data_is_bounded():
    post = copy.deepcopy(POSTED)
    post["business"]["data"] = {f"k{n}": "x" * 1000 for n in range(17)}
    assert ("business", "too-large") in codes(post)
    post["business"]["data"] = {"a": [[[["deep"]]]]}
    assert ("business.data", "too-large") in codes(post)
    post["business"] = {"type": "order"}
    assert codes(post) == {("business.type", "text")}


def test_attachments_have_a_place_and_a_real_digest():
    assert codes({**POSTED, "attachment": [{"type": "Image"}]}) == {
        ("attachment[0]", "missing")
    }
    blob = {"type": "Image", "blob": {"sha256": "abc", "size": 1}}
    assert codes({**POSTED, "attachment": [blob]}) == {
        ("attachment[0].blob.sha256", "text")
    }


def test_words_of_a_type_are_the_only_ones():
    assert codes({**POSTED, "type": "Poll"}) == {("type", "kind")}
    assert codes({**POSTED, "language": "german!"}) == {("language", "text")}


def test_a_decision_names_who_decided_and_on_what():
    given = {"type": "Accept", "actor": ADA, "identity": "ada", "object": ADA}
    assert check(given, "Decision") == []
    for name in given:
        rest = {key: value for key, value in given.items() if key != name}
        assert [(p.path, p.code) for p in check(rest, "Decision")] == [
            (name, "missing")
        ]
    assert [p.path for p in check({**given, "type": "Maybe"}, "Decision")] == ["type"]


def test_a_reaction_needs_both_ends():
    assert [p.path for p in check({"type": "Like"}, "Reaction")] == ["actor", "object"]


def test_a_label_is_no_part_of_the_fingerprint():
    one, other = {**POSTED, "label": "internal"}, {**POSTED, "label": "restricted"}
    assert fingerprint(one, "Post") == fingerprint(other, "Post")
    assert fingerprint(one, "Post") != fingerprint({**one, "content": "x"}, "Post")


def test_the_order_of_readers_means_nothing():
    refs = [ADA, {"stream": "hr/people", "id": "2"}]
    one = {**POSTED, "audience": {"kind": "people", "refs": refs}}
    other = {**POSTED, "audience": {"kind": "people", "refs": refs[::-1]}}
    assert fingerprint(one, "Post") == fingerprint(other, "Post")


def test_built_in_names_cannot_be_taken():
    from moatbridge.entities import EntityTypes

    with pytest.raises(ConfigurationError):
        EntityTypes().register(POST)
