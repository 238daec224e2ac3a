from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.entities import paths
from moatbridge.entities.paths import Every, Segment, Slot
from moatbridge.errors import ConfigurationError

NAMES = st.text(min_size=1, max_size=8).filter(
    lambda t: t.isprintable()
) | st.sampled_from(["a.b", "cn;lang-de", "[", "]", '"', "\\", "x y", "$ref", "ä", "1"])
SELECTORS = st.none() | st.builds(Every) | st.builds(Slot, NAMES, NAMES)
PATHS = st.lists(st.builds(Segment, NAMES, SELECTORS), min_size=1, max_size=6).map(
    tuple
)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("uid", (Segment("uid"),)),
        ("cn;lang-de", (Segment("cn;lang-de"),)),
        ("name.givenName", (Segment("name"), Segment("givenName"))),
        ("emails[]", (Segment("emails", Every()),)),
        (
            "emails[type=work].value",
            (Segment("emails", Slot("type", "work")), Segment("value")),
        ),
        ('"a.b"', (Segment("a.b"),)),
        ('x["t y"="a]b"]', (Segment("x", Slot("t y", "a]b")),)),
    ],
)
def test_grammar(text, path):
    assert paths.parse(text) == path
    assert paths.parse(paths.show(path)) == path


def test_only_record_paths_have_positions():
    assert paths.parse("mail[0]", record=True) == (Segment("mail", 0),)
    with pytest.raises(ConfigurationError, match="character 7"):
        paths.parse("mail[0]")


@pytest.mark.parametrize(
    "text",
    ["", ".", "a.", "a..b", "a b", "a[", "a[type]", "a[type=", "a[=x]", '"', '""', '"\x00"',
     "a[]]", "a[b=c", "a.b.c.d.e.f.g.h.i", "x" * 513, "a{b}", "a!r"],
)  # fmt: skip
def test_what_is_no_path_is_refused_with_a_reason(text):
    with pytest.raises(ConfigurationError) as caught:
        paths.parse(text)
    assert caught.value.code == "path.syntax"


@given(PATHS)
def test_parse_and_show_are_inverse(path):
    if len(paths.show(path)) <= paths.MAX_LENGTH:
        assert paths.parse(paths.show(path)) == path


@given(PATHS.filter(lambda p: len(p) < 5))
def test_show_is_stable(path):
    text = paths.show(path)
    assert paths.show(paths.parse(text)) == text


def test_fuzzed_text_gives_a_path_or_a_typed_error_quickly():
    source = random.Random(7)
    alphabet = 'ab.[]="\\$-;_ 01{}\x00\ud800é\n'
    slowest, codes = 0.0, set()
    for _ in range(50_000):
        text = "".join(source.choices(alphabet, k=source.randrange(40)))
        start = time.process_time()
        try:
            path = paths.parse(text, record=True)
        except ConfigurationError as error:
            codes.add(error.code)
            str(error).encode()  # printable: no lone surrogate in a message
        else:
            assert paths.parse(paths.show(path), record=True) == path
        slowest = max(slowest, time.process_time() - start)
    assert codes == {"path.syntax"}
    assert slowest < 0.5  # a runaway pattern would take minutes


def test_the_longest_path_is_no_runaway():
    for text in ('"' + "\\" * 511, "[" * 512, "a[" * 256, '"a' * 256):
        with pytest.raises(ConfigurationError):
            paths.parse(text)
