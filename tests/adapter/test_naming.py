"""What the names of fields say: one list of words for every suggestion."""

from __future__ import annotations

import pytest

from moatbridge.adapter import (
    Field,
    Stream,
    named_paths,
    suggested_by_names,
    suggested_for,
)


def fields(*names):
    return [Field(name) for name in names]


def test_german_and_english_names_are_known_whatever_their_spelling():
    found = named_paths(
        [*fields("VORNAME", "Last-Name", "E-Mail", "aktiv"), Field("enabled", "bool")]
    )
    assert found == {
        "name.givenName": "VORNAME",
        "name.familyName": "Last-Name",
        "emails[type=work].value": "E-Mail",
        "active": "enabled",  # `aktiv` is a text
    }


def test_a_name_beside_a_given_name_is_a_family_name():
    assert named_paths(fields("Vorname", "Name"))["name.familyName"] == "Name"
    assert named_paths(fields("login", "name"))["displayName"] == "name"
    both = named_paths(fields("name", "vorname", "nachname"))
    assert (both["displayName"], both["name.familyName"]) == ("name", "nachname")


@pytest.mark.parametrize(
    ("names", "entity"),
    [
        (("login", "name", "email"), "Person"),
        (("benutzer", "vorname"), "Person"),
        (("first_name", "last_name"), "Person"),
        (("name", "email", "phone"), None),  # a company has these as well
        (("betrag", "email"), None),
        (("name",), None),
        ((), None),
    ],
)
def test_a_table_is_of_people_only_where_its_names_say_so(names, entity):
    found, table = suggested_for(fields(*names))
    assert found == entity
    assert bool(table) == (entity is not None)


def test_what_is_doubtful_is_never_switched_on_by_pasting():
    stream = Stream("firms", tuple(fields("name", "email")), abilities={"CanScan"})
    told = list(suggested_by_names(stream))
    assert {each.setting for each in told} == {"entity", "translator"}
    assert max(each.confidence for each in told) < 0.8
