"""Business records become posts: templates with lines, audiences, references."""

from __future__ import annotations

import tomllib
import unicodedata
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Field, Stream
from moatbridge.entities import check
from moatbridge.errors import ConfigurationError, TranslationError
from moatbridge.translate import (
    ITEM,
    Translator,
    const,
    lines,
    only_out,
    ref,
    references_in,
    replace_references,
    template,
)

ORDERS = Stream(
    "orders",
    (
        Field("number", required=True),
        Field("supplier"),
        Field("due", "date"),
        Field("total", "decimal"),
        Field("buyer", "reference", to="hr/people", by="name"),
        Field("approvers", "reference", multi=True, to="hr/people", by="id"),
        Field("parent"),
        Field("note"),
        Field("tags", multi=True),
        Field("margin", label="confidential"),
        Field(
            "items",
            "object",
            multi=True,
            ordered=True,
            fields=(
                Field("sku"),
                Field("quantity", "int"),
                Field("price", "decimal"),
                Field("remark"),
            ),
        ),
    ),
)
TABLE = """
entity = "Post"
[fields]
name = { template = "Order {number}" }
content = { template = "{supplier} by {due|day}, {total|money} EUR\\n{lines}", blocks = { lines = { each = "items", template = "- {quantity} x {sku} at {price|money}{remark?}", most = 2 } } }
audience = { const = { kind = "groups", refs = [{ stream = "hr/groups", name = "buyers" }] } }
inReplyTo = { ref = "erp/requests", from = "parent" }
attributedTo = { ref = "hr/people", from = "buyer", by = "name" }
"business.type" = { const = "com.acme.erp.order" }
"business.id" = "number"
"business.data.total" = "total"
"""
RECORD = {
    "number": "4711",
    "supplier": "ACME",
    "due": date(2026, 1, 23),
    "total": Decimal("1234.5"),
    "buyer": "uid=ada",
    "parent": "r1",
    "items": [
        {"sku": "bolt", "quantity": 3, "price": Decimal("1.2"), "remark": None},
        {"sku": "nut", "quantity": 2, "price": Decimal(2), "remark": " (soon)"},
        {"sku": "cog", "quantity": 1, "price": Decimal(3), "remark": None},
    ],
}


def bind(fields, **more):
    return Translator("Post", fields, **more).bind(ORDERS, "erp/orders")


def problems(fields):
    with pytest.raises(ConfigurationError) as caught:
        bind(fields)
    assert caught.value.code == "translate.invalid"
    return str(caught.value)


def test_an_order_with_its_items_becomes_a_post():
    bound = Translator.from_table(tomllib.loads(TABLE)).bind(ORDERS, "erp/orders")
    post = bound.decode(RECORD)
    assert post == {
        "name": "Order 4711",
        "content": (
            "ACME by 23 Jan 2026, 1,234.50 EUR\n"
            "- 3 x bolt at 1.20\n- 2 x nut at 2.00 (soon)\n... and 1 more"
        ),
        "audience": {
            "kind": "groups",
            "refs": [{"stream": "hr/groups", "name": "buyers"}],
        },
        "inReplyTo": {"stream": "erp/requests", "id": "r1"},
        "attributedTo": {"stream": "hr/people", "name": "uid=ada"},
        "business": {
            "type": "com.acme.erp.order",
            "id": "4711",
            "data": {"total": "1234.5"},
        },
        "label": "internal",
    }
    assert check(post, "Post") == []
    assert "items" in bound.reads
    assert bound.owned == ("parent", "buyer", "number", "total")


def test_a_new_item_changes_the_projection():
    bound = bind({"content": template("{l}", l=lines("items", "{sku}"))})
    more = {**RECORD, "items": [*RECORD["items"], {"sku": "x"}]}
    assert bound.project(RECORD) != bound.project(more)


@pytest.mark.parametrize(
    ("items", "shown"),
    [
        ([], "Items:\n"),
        (None, "Items:\n"),
        ([{"sku": "a"}], "Items:\n* a"),
        ([{"sku": "a"}, {"sku": "b"}], "Items:\n* a\n* b"),
        ([{"sku": None}], None),
        ([{"sku": "a"}, {}], None),
    ],
)
def test_lines_are_never_left_out_silently(items, shown):
    bound = bind({"content": template("Items:\n{lines}", lines=lines("items", "* {sku}"))})  # fmt: skip
    assert bound.decode({**RECORD, "items": items})["content"] == shown


def test_lines_of_plain_values():
    bound = bind({"content": template("{tags}", tags=lines("tags", f"#{{{ITEM}}}"))})
    assert bound.decode({"tags": ["a", "b"]})["content"] == "#a\n#b"


def test_lines_left_out_are_counted():
    shown = lines("tags", "{$}", most=1, more="und {count} weitere")
    bound = bind({"content": template("{tags}", tags=shown)})
    assert bound.decode({"tags": ["a", "b", "c"]})["content"] == "a\nund 2 weitere"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"each": "number", "template": "x"}, "not a list"),
        ({"each": "itms", "template": "x"}, "did you mean 'items'"),
        ({"each": "items", "template": "{skuu}"}, "did you mean 'sku'"),
        ({"each": "items", "template": "{sku.__class__}"}, "nothing lies inside"),
        ({"each": "items", "template": "{sku:>10}"}, "template"),
        ({"each": "items", "template": "{sku|nope}"}, "nope"),
        ({"each": "items"}, "missing"),
        ({"each": "items", "template": "x", "most": 0}, "at least 1"),
        ({"each": "items", "template": "x", "more": "{n}"}, "count"),
        ({"each": "items", "template": "x", "code": "1"}, "does not belong"),
        ("items", "table"),
    ],
)
def test_a_wrong_block_is_told_at_load(block, words):
    fields = {"content": {"template": "{lines}", "blocks": {"lines": block}}}
    assert words in problems(fields)


def test_a_block_needs_its_hole():
    block = {"lines": {"each": "items", "template": "x"}}
    fields = {"content": {"template": "nothing", "blocks": block}}
    assert "no hole {lines}" in problems(fields)


def test_a_function_can_make_the_lines_too():
    shown = only_out(
        lambda r: "\n".join(each["sku"] for each in r["items"]), reads=("items",)
    )
    assert bind({"content": shown}).decode(RECORD)["content"] == "bolt\nnut\ncog"


@given(st.lists(st.dictionaries(st.sampled_from(["sku", "remark"]), st.text(max_size=8) | st.none())))  # fmt: skip
def test_what_fills_a_line_is_never_read_as_a_template(items):
    bound = bind({"content": template("{l}", l=lines("items", "{sku?}{{{remark?}}}"))})
    try:
        found = bound.decode({"items": items})["content"]
    except TranslationError:
        return  # a control character: refused like in every text
    wanted = [f"{i.get('sku') or ''}{{{i.get('remark') or ''}}}" for i in items]
    assert found == unicodedata.normalize("NFC", "\n".join(wanted))


def test_too_long_a_post_is_a_reject_never_cut():
    bound = bind({"content": template("{l}", l=lines("tags", "{$}"))}, max_text=10)
    with pytest.raises(TranslationError) as caught:
        bound.decode({"tags": ["123456", "123456"]})
    assert caught.value.code == "translate.too-large"
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize(
    ("audience", "words"),
    [
        ({"kind": "people"}, "at least one ref"),
        ({"kind": "all"}, "one of people"),
        ({"kind": "org", "refs": [{"stream": "a/b", "id": "1"}]}, "no refs"),
        ({"kind": "people", "refs": [{"stream": "a/b"}]}, "{stream, id}"),
        ({"kind": "people", "refs": [{"id": "1"}]}, "without its stream"),
        ({"kind": "org", "readers": []}, "a member of the type"),
        ("public", "not an object"),
    ],
)
def test_a_constant_audience_is_checked_at_load(audience, words):
    assert words in problems({"audience": const(audience)})


def test_references_of_a_constant_are_found_and_replaced():
    group = {"stream": "groups", "name": "buyers"}
    bound = bind({"audience": const({"kind": "groups", "refs": [group]})})
    post = bound.decode({})
    [(path, found)] = references_in(post, bound)
    assert (path, found) == ("audience", {"stream": "erp/groups", "name": "buyers"})
    assert ("audience", "erp/groups", "name") in bound.references
    there = {"stream": "social/rooms", "id": "g1"}
    replaced = replace_references(
        post, bound, {("erp/groups", "name", "buyers"): there}
    )
    assert replaced.entity["audience"] == {"kind": "groups", "refs": [there]}
    assert replaced.unresolved == []
    lost = replace_references(post, bound, {})
    assert lost.entity["audience"] == {"kind": "groups", "refs": []}
    assert lost.unresolved == [("audience", found)]


@pytest.mark.parametrize(
    ("source", "ids"),
    [("approvers", ["1", "2"]), ("buyer", ["uid=ada"])],
)
def test_readers_come_from_a_field_with_one_or_many_references(source, ids):
    bound = bind({"audience.kind": const("people"), "audience.refs": ref(source)})
    post = bound.decode({**RECORD, "approvers": ["1", "2"]})
    by = "id" if source == "approvers" else "name"
    refs = [{"stream": "hr/people", by: each} for each in ids]
    assert post["audience"] == {"kind": "people", "refs": refs}
    assert [found for _, found in references_in(post, bound)] == refs
    mapping = {
        ("hr/people", by, each): {"stream": "s/u", "id": f"u{each}"} for each in ids
    }
    fresh = replace_references(post, bound, mapping).entity["audience"]["refs"]
    assert fresh == [{"stream": "s/u", "id": f"u{each}"} for each in ids]


def test_nobody_named_is_an_empty_list_and_no_wider_audience():
    bound = bind({"audience.kind": const("people"), "audience.refs": ref("approvers")})
    assert bound.decode({})["audience"] == {"kind": "people", "refs": []}


def test_a_list_of_references_goes_back_where_it_came_from():
    bound = bind({"audience.refs": ref("approvers")})
    record = {"approvers": ["1", "2"]}
    assert bound.encode(bound.decode(record)) == record


@pytest.mark.parametrize(
    ("fields", "more", "label"),
    [
        ({"content": "note"}, {}, "internal"),
        ({"content": "note"}, {"label": "restricted"}, "restricted"),
        ({"content": "margin"}, {}, "confidential"),
        ({"content": "note", "label": const("confidential")}, {}, "confidential"),
        ({"content": "margin", "label": const("public")}, {}, "confidential"),
    ],
)  # fmt: skip
def test_a_post_carries_the_label_of_all_it_reads(fields, more, label):
    bound = bind(fields, **more)
    assert bound.decode({"note": "x"})["label"] == bound.label == label


def test_types_have_a_closed_list_of_words():
    bound = bind({"type": "note"})
    assert bound.decode({"note": "Article"})["type"] == "Article"
    with pytest.raises(TranslationError, match="not one of Note, Article"):
        bound.decode({"note": "Poll"})
    assert "not one of" in problems({"type": const("Poll")})


def test_decisions_are_encoded_for_the_legacy_system():
    inbox = Stream("answers", (Field("order"), Field("who"), Field("ok"), Field("why")))
    bound = Translator(
        "Decision",
        {
            "type": {"from": "ok", "lookup": {"Y": "Accept", "N": "Reject"}},
            "identity": "who",
            "object": ref("order", "erp/orders"),
            "content": "why",
        },
    ).bind(inbox, "erp/answers")
    decision = {
        "type": "Reject",
        "identity": "ada",
        "object": {"stream": "erp/orders", "id": "4711"},
        "content": "too dear",
    }
    assert bound.encode_new(decision) == {
        "ok": "N", "who": "ada", "order": "4711", "why": "too dear",
    }  # fmt: skip
    assert bound.decode(bound.encode_new(decision)) == decision
