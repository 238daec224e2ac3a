import html
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities.media import media_type_of
from moatbridge.entities.text import (
    ALLOWED_TAGS,
    WORD_JOINER,
    neutralise,
    plain_text,
    sanitise,
    text_of_html,
)

pieces = st.sampled_from([
    *"ab@<>!#.-_ \n/:&\"'=\uff20\ufe6b\u200b\u2060é", "ada", "http://", "<br>", "@all",
])  # fmt: skip
hostile = st.lists(pieces | st.text(max_size=3), max_size=30).map("".join)
PING = re.compile(r"[@\uff20\ufe6b][\w.\-]|<[!@#]")


@given(hostile)
def test_nothing_pings_after_neutralising(text):
    assert PING.search(neutralise(text)) is None


@given(hostile, st.lists(st.sampled_from(["ada", "@bob", "a.b"]), max_size=2))
def test_neutralising_twice_is_neutralising_once(text, mentions):
    once = neutralise(text, mentions)
    assert neutralise(once, mentions) == once


@given(hostile)
def test_neutralising_only_adds_word_joiners(text):
    assert neutralise(text).replace(WORD_JOINER, "") == text.replace(WORD_JOINER, "")


@pytest.mark.parametrize(
    "text",
    ["@room", "@everyone!", "hi @channel", "<!here>", "<@U024BE7LH>", "<!subteam^S1>",
     "@user:server.example", "\uff20all", "@ada@evil.example", "x@ada"],
)  # fmt: skip
def test_every_form_of_a_mention_is_neutralised(text):
    assert WORD_JOINER in neutralise(text)


def test_a_resolved_mention_stays_and_its_neighbours_do_not():
    assert neutralise("@Ada, @adam and @ada@evil.example", ["@ada"]) == (
        f"@Ada, @{WORD_JOINER}adam and @{WORD_JOINER}ada@{WORD_JOINER}evil.example"
    )


@given(hostile)
def test_escaped_text_reads_as_it_was(text):
    markup = f"<p>{html.escape(text)}</p>"
    squeezed = re.sub(r"\s+", "", text)
    assert re.sub(r"\s+", "", text_of_html(markup)) == squeezed


@given(
    st.text(
        st.sampled_from(list("<>/ abpscript=\"':;&#x\n")) | st.characters(codec="utf-8")
    )
)
def test_strangers_html_holds_only_what_is_allowed(markup):
    cleaned = sanitise(markup)
    assert set(re.findall(r"</?([a-z0-9]+)", cleaned)) <= ALLOWED_TAGS
    assert sanitise(cleaned) == cleaned


def test_attributes_scripts_and_odd_schemes_go():
    cleaned = sanitise(
        '<p onclick="x">a</p><script>alert(1)</script><b>b</b><img src="x">'
        '<a href="javascript:x">c</a><a href="https://x.example" target="_top">d</a>'
    )
    assert cleaned == (
        '<p>a</p><strong>b</strong><a rel="nofollow noopener">c</a>'
        '<a href="https://x.example" rel="nofollow noopener">d</a>'
    )


def test_lines_and_link_targets_survive_as_text():
    post = {
        "mediaType": "text/html",
        "content": '<p>a</p><p>b <a href="https://x.example">x</a></p>',
    }
    assert plain_text(post) == "a\n\nb x (https://x.example)"
    assert plain_text({"content": "<p>"}) == "<p>"


def test_nh3_is_imported_only_where_html_is_met():
    script = (
        "import sys; import moatbridge.entities.text as t; t.neutralise('@a'); "
        "t.text_of_html('x'); assert 'nh3' not in sys.modules; t.sanitise('<p>'); "
        "assert 'nh3' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"%PDF-1.7", "application/pdf"),
        (b"MZ\x90", "application/x-msdownload"),
        (b"plain words\n", "text/plain"),
        (b"\xef\xbb\xbf <!DOCTYPE HTML>", "text/html"),
        (b"<?xml version='1.0'?><svg onload=x>", "image/svg+xml"),
        (b"\0\1\2", None),
        (b"", None),
    ],
)
def test_a_file_is_what_its_first_bytes_say(head, media):
    assert media_type_of(head) == media


@given(st.binary(max_size=64))
def test_any_bytes_have_a_type_or_none(head):
    assert media_type_of(head) is None or "/" in str(media_type_of(head))


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (
            "<blockquote><p>approve</p></blockquote><p>who wrote this?</p>",
            "> approve\n\nwho wrote this?",
        ),
        (
            "<blockquote>a<blockquote>b</blockquote>c</blockquote>d",
            "> a\n> > b\n> c\nd",
        ),
        ("<p><del>approve</del> wait</p>", "~~approve~~ wait"),
        ("<p><s>approve</s> reject</p>", "~~approve~~ reject"),
    ],
)
def test_quoted_and_struck_words_are_marked_as_such(markup, text):
    assert text_of_html(markup) == text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("a<!-- b <p> c -->d<!-->e<!-- f", "ade"),
        ("<!DOCTYPE html><?x y?>a<![if x]>b<![endif]>", "ab"),
        ("1 < 2 <b and <i>3</i>", "1 < 2 <b and 3"),
        (
            '<a href="https://a.example">x<a href="https://b.example">y</a>',
            "xy (https://b.example)",
        ),
    ],
)
def test_what_is_no_markup_is_text(markup, text):
    assert text_of_html(markup) == text


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", '<a x="', "<![CDATA[", "<a href=x>y", "<blockquote><br>x"]
)
def test_unclosed_markup_is_read_in_linear_time(piece):
    """50 kB of them took 17 seconds."""
    started = time.process_time()
    text_of_html(piece * 16_000)
    assert time.process_time() - started < 2.0
