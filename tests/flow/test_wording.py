"""What a reply says: pure, whatever people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.flow.wording import Said, said

WORDS = {"approve": "Accept", "genehmigt": "Accept", "reject": "Reject"}


@pytest.mark.parametrize(
    ("text", "kind", "comment"),
    [
        ("approve", "Accept", None),
        ("  @bot @other@x.example, Approve. Fine by me", "Accept", "Fine by me"),
        ("/approve", "Accept", None),
        ("ap\u200bprove", "Accept", None),
        ("REJECT - no budget", "Reject", "no budget"),
        ("reject:\nline one\nline two", "Reject", "line one\nline two"),
    ],
)
def test_the_first_word_decides_and_the_rest_is_the_comment(text, kind, comment):
    assert said(text, WORDS) == Said(kind, comment)


@pytest.mark.parametrize(
    "text",
    [
        "approve?",
        "not approve",
        "approved-ish?",
        "",
        "@bot",
        "> approve",
        "approve@x",
        "thanks",
    ],
)
def test_talk_decides_nothing(text):
    assert said(text, WORDS).kind is None


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error_and_decides_only_by_its_first_word(text):
    found = said(text, WORDS)
    if found.kind:
        assert not found.command


@given(
    st.sampled_from(sorted(WORDS)),
    st.text(st.characters(categories=["L", "Nd"]), max_size=20),
)
def test_a_decision_with_a_comment_gives_both_back(word, comment):
    assert said(f"@bot {word} {comment}", WORDS) == Said(WORDS[word], comment or None)
