"""The pure parts: text for terminals, TOML, suggestions, exit codes."""

from __future__ import annotations

import tomllib
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.adapter import Stream, Suggestion, Suggestions
from moatbridge.cli import exit_codes
from moatbridge.cli.show_status import ago
from moatbridge.cli.show_suggestions import suggestion_lines
from moatbridge.cli.show_values import leaves
from moatbridge.cli.terminal import clean
from moatbridge.cli.toml_text import document, key, value
from moatbridge.errors import (
    ConfigurationError,
    CursorTooOld,
    GuardStopped,
    LeaseLost,
    NotApplied,
    OutcomeUnknown,
    Rejected,
)
from moatbridge.run import RunResult
from moatbridge.run.suggesting import from_streams

PLAIN = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3
        )
    ),
    max_leaves=8,
)
HOSTILE = st.text(
    st.sampled_from("\x1b\x9b\x07\x00\r\n\t\u202e\u2028\ud800[]0;31mHJ abc"),
    max_size=60,
)


@given(st.text() | HOSTILE)
def test_cleaned_text_is_one_printable_line(text):
    found = clean(text)
    assert all(
        unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
        for char in found
    )
    assert len(found.splitlines()) <= 1
    assert len(found) <= 200


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=200))
def test_harmless_text_stays_as_it_is(text):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b2Jgone", "gone"),
        ("\x1b]0;title\x07Ada", " ]0;title Ada"),
        ("a\r\nb\tc", "a  b c"),
        ("Ada\u202eecalevoL", "AdaecalevoL"),
        ("\u017d\u00fcrich \u6771\u4eac", "\u017d\u00fcrich \u6771\u4eac"),
    ],
)
def test_terminal_sequences_are_taken_out(hostile, shown):
    assert clean(hostile) == shown


@given(PLAIN)
def test_toml_reads_back_as_it_was(plain):
    assert tomllib.loads(f"x = {value(plain)}") == {"x": plain}


@given(st.text(st.characters(exclude_categories=["Cs"])), PLAIN)
def test_toml_keys_read_back(name, plain):
    assert tomllib.loads(f"{key(name)} = {value(plain)}") == {name: plain}


@given(st.text())
def test_toml_text_never_steers_a_terminal(text):
    assert value(text).isprintable()


def test_a_document_reads_back_and_leaves_none_out():
    table = {
        "a": 1,
        "gone": None,
        "systems": {"hr": {"adapter": "x", "tls": {"min": "1.2"}}},
        "empty": {},
    }
    assert tomllib.loads("\n".join(document(table))) == {
        "a": 1, "systems": {"hr": {"adapter": "x", "tls": {"min": "1.2"}}}, "empty": {},
    }  # fmt: skip


def test_what_toml_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="TOML cannot hold a object"):
        value(object())


def test_suggestions_become_sections_with_their_reasons():
    found = Suggestions(
        [
            Suggestion("page_size", 500, 0.9, "the server's limit"),
            Suggestion("page_size", 50, 0.9, "another guess"),
            Suggestion(
                "bases",
                [{"dn": "ou=people\x1b[2J"}],
                0.9,
                "50 entries\nlie there",
                "people",
            ),
            Suggestion("entity", "Person", 1.0, "names", "people"),
            Suggestion(
                "translator",
                {"userName": "uid", "name.givenName": "givenName"},
                0.9,
                "names",
                "people",
            ),
            Suggestion("lookups.dept", {"table": "d"}, 0.4, "foreign key", "people"),
        ],
        ("This directory can be read anonymously.",),
    )
    lines = list(suggestion_lines("hr", found))
    assert lines[0] == "# warning: This directory can be read anonymously."
    assert "# page_size = 50  # 90%: another guess" in lines
    assert '# lookups.dept = { table = "d" }  # 40%: foreign key' in lines
    parsed = tomllib.loads("\n".join(lines))
    assert parsed["systems"] == {"hr": {"page_size": 500}}
    people = parsed["streams"]["hr/people"]
    assert people["bases"] == [{"dn": "ou=people\x1b[2J"}]
    assert people["translator"] == {
        "entity": "Person",
        "fields": {"userName": "uid", "name.givenName": "givenName"},
    }
    assert all(line.isprintable() for line in lines)


def test_a_configured_streams_own_translator_is_suggested():
    stream = Stream("people", (), entity="Person", suggested={"userName": "uid"})
    found = Suggestions(tuple(from_streams([stream], Suggestions())))
    parsed = tomllib.loads("\n".join(suggestion_lines("hr", found, [stream])))
    assert parsed["streams"]["hr/people"]["translator"] == {
        "entity": "Person",
        "fields": {"userName": "uid"},
    }


def test_nothing_to_suggest_is_said():
    assert list(suggestion_lines("hr", Suggestions())) == [
        "# The system hr suggests nothing more."
    ]


@pytest.mark.parametrize(
    ("path", "whole", "found"),
    [
        ("userName", "ada", [("userName", "ada")]),
        (
            "name.givenName",
            {"givenName": "Ada", "familyName": "L"},
            [("name.givenName", "Ada")],
        ),
        ("name.givenName", None, [("name.givenName", None)]),
        (
            "emails[type=work].value",
            [{"type": "home", "value": "h"}, {"type": "work", "value": "w"}],
            [("emails[type=work].value", "w")],
        ),
        ("emails[type=work].value", [], [("emails[type=work].value", None)]),
        (
            "emails",
            [{"type": "work", "value": "w"}, {"value": "x"}],
            [("emails[type=work].value", "w"), ("emails[1].value", "x")],
        ),
        ("urn:ietf:params:User", {"a": 1}, [("urn:ietf:params:User.a", 1)]),
        ("emails", [], [("emails", [])]),
    ],
)
def test_values_are_taken_apart_by_path(path, whole, found):
    assert list(leaves(path, whole)) == found


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (61, "1 min"),
        (7200, "2 h"),
        (200000, "2 d"),
        (-5, "0 s"),
    ],
)
def test_ages_are_said_in_whole_units(seconds, words):
    assert ago(seconds) == words


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (NotApplied("x"), 75),
        (OutcomeUnknown("x"), 75),
        (LeaseLost("x"), 75),
        (CursorTooOld("x"), 75),
        (Rejected("x"), 20),
        (GuardStopped("x"), 12),
        (GuardStopped("x", exit_code=10), 10),
        (GuardStopped("x", exit_code=11), 11),
    ],
)
def test_each_group_of_errors_has_its_exit_code(error, code):
    assert exit_codes.of_error(error) == code
    assert code in exit_codes.EXIT_CODES


@pytest.mark.parametrize(
    ("state", "waiting", "code"),
    [
        ("done", {}, 0),
        ("done", {"held": 1}, 20),
        ("applying", {}, 75),
        ("applying", {"parked": 1}, 75),
        ("scanning", {}, 75),
    ],
)
def test_each_end_of_a_run_has_its_exit_code(state, waiting, code):
    assert exit_codes.of_result(RunResult("people", 1, state, {}, waiting)) == code


@pytest.mark.parametrize(
    ("codes", "worst"),
    [
        ([], 0),
        ([0, 20], 20),
        ([20, 75], 75),
        ([75, 10, 12], 12),
        ([12, 2], 2),
        ([0, 11, 10], 11),
    ],
)
def test_several_flows_exit_with_what_most_needs_somebody(codes, worst):
    assert exit_codes.worst(codes) == worst


def test_help_documents_every_exit_code(world):
    ran = world.cli("--help")
    assert ran.code == 0
    for code, words in exit_codes.EXIT_CODES.items():
        assert f"{code:>4}  {words}" in ran.out


@pytest.mark.parametrize(
    "command",
    [
        "init",
        "check",
        "discover",
        "plan",
        "apply",
        "run",
        "status",
        "review",
        "kill",
        "resume",
        "adapters",
        "demo",
        "config",
    ],
)
def test_every_command_explains_itself(world, command):
    ran = world.cli(command, "--help")
    assert ran.code == 0
    assert f"Usage: moatbridge {command}" in ran.out
    assert len(ran.out.splitlines()) > 6
