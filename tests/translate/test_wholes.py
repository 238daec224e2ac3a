"""What holds of a post as a whole: harmless HTML, bounded business data, extensions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Field, Stream
from moatbridge.entities.text import ALLOWED_TAGS, sanitise
from moatbridge.errors import TranslationError
from moatbridge.translate import Translator, const
from moatbridge.translate.wholes import as_plain_text

NOTES = Stream(
    "notes",
    (
        Field("id", required=True),
        Field("text"),
        Field("kind"),
        Field("type"),
        Field("detail", "json"),
    ),
)
HTML = {"content": "text", "mediaType": const("text/html")}
SAID = {"content": "text", "mediaType": "kind"}
BAD = '<p onclick="x">hi</p><script>alert(1)</script><img src=x onerror=y>'


def bind(fields, kind="Post"):
    return Translator(kind, fields).bind(NOTES, "erp/notes")


def code_of(fields, record, kind="Post"):
    with pytest.raises(TranslationError) as caught:
        bind(fields, kind).decode(record)
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("fields", "record"),
    [(HTML, {"text": BAD}), (SAID, {"text": BAD, "kind": "text/html"})],
)
def test_html_is_cleaned_when_it_becomes_a_post(fields, record):
    bound = bind(fields)
    assert bound.decode(record)["content"] == "<p>hi</p>"
    assert bound.decode_partial(record)["content"] == "<p>hi</p>"


def test_a_partial_record_that_leaves_its_type_out_is_not_trusted():
    bound = bind(SAID)
    assert bound.decode_partial({"text": BAD})["content"] == "<p>hi</p>"
    assert bound.decode_partial({"text": "1 < 2 & 3"})["content"] == "1 < 2 & 3"


@pytest.mark.parametrize("kind", ["text/plain", "text/markdown", None])
def test_text_that_is_not_html_stays_as_it_is(kind):
    assert bind(SAID).decode({"text": BAD, "kind": kind})["content"] == BAD
    assert bind({"content": "text"}).decode({"text": BAD})["content"] == BAD


@given(st.text("<>/ abpscript=\"':;&#x\n\t", max_size=60))
def test_the_fingerprint_of_cleaned_html_is_stable(markup):
    bound = bind(HTML)
    once = bound.decode({"text": markup})
    assert set(re.findall(r"</?([a-z0-9]+)", once["content"])) <= ALLOWED_TAGS
    again = bound.decode({"text": once["content"]})
    assert bound.fingerprint(again) == bound.fingerprint(once)
    assert sanitise(once["content"]) == once["content"]


def test_html_for_who_cannot_say_that_it_is_html_is_plain_text():
    markup = '<p>a</p><p>b <a href="https://x.example">x</a></p>'
    post = bind(HTML).decode({"text": markup})
    plain = {"content": "a\n\nb x (https://x.example)", "mediaType": "text/plain"}
    assert as_plain_text(post) == {**post, **plain}
    assert as_plain_text({"content": markup}) == {"content": markup}


BUSINESS = {
    "content": "text",
    "business.type": "type",
    "business.data.detail": "detail",
}


@pytest.mark.parametrize(
    ("record", "refusal"),
    [
        (
            {"type": "com.acme.order", "detail": ["x" * 9000] * 2},
            ("translate.too-large", "business"),
        ),
        (
            {"type": "com.acme.order", "detail": [[[[1]]]]},
            ("translate.too-large", "business.data"),
        ),
        ({"type": "order", "detail": 1}, ("translate.value", "business.type")),
    ],
)
def test_business_data_beyond_its_limits_is_a_reject(record, refusal):
    assert code_of(BUSINESS, record) == refusal


def test_business_data_within_its_limits_flows():
    detail = ["x" * 9000, [[1]]]
    post = bind(BUSINESS).decode({"type": "com.acme.order", "detail": detail})
    assert post["business"]["data"]["detail"] == detail
    assert bind(BUSINESS).decode({})["business"]["type"] is None


@pytest.mark.parametrize("kind", ["Post", "Person"])
def test_extensions_beyond_their_limits_are_a_reject(kind):
    wide = {f'extensions."com.acme.n{i}".a': "kind" for i in range(9)}
    large = {'extensions."com.acme.hr"': "detail"}
    assert code_of(wide, {"kind": "x"}, kind) == ("translate.too-large", "extensions")
    record = {"detail": {"a": ["x" * 9000] * 4}}
    assert code_of(large, record, kind) == ("translate.too-large", "extensions")
