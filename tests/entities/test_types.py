from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import pytest

from moatbridge.entities import (
    GROUP,
    PERSON,
    Attribute,
    EntityTypes,
    Person,
    Reference,
    check,
    entity_type,
    highest,
    label,
    rank,
)
from moatbridge.errors import ConfigurationError


class Line(TypedDict, total=False):
    sku: Required[str]
    count: int


class Order(TypedDict):
    number: str
    lines: NotRequired[Annotated[list[Line], Attribute(unordered=True)]]
    buyer: NotRequired[Annotated[Reference | None, Attribute(ref=("Person",))]]
    state: NotRequired[Literal["open", "closed"]]
    data: NotRequired[dict[str, Any]]


class Priced(TypedDict):
    price: float
    when: NotRequired[bytes]
    either: NotRequired[str | int]


class L7(TypedDict):
    x: str


class L6(TypedDict):
    x: L7


class L5(TypedDict):
    x: L6


class L4(TypedDict):
    x: L5


class L3(TypedDict):
    x: L4


class L2(TypedDict):
    x: L3


class L1(TypedDict):
    x: L2


def test_person_and_group_have_scims_names():
    person = PERSON.shape.members
    assert person["userName"].required
    assert not person["displayName"].required
    assert person["name"].members["givenName"].kind == "text"
    assert person["emails"].item is not None
    assert set(person["emails"].item.members) == {"value", "type", "primary", "display"}
    assert person["enterprise"].members["manager"].kind == "reference"
    assert person["groups"].attribute.read_only
    assert "password" not in person
    members = GROUP.shape.members["members"]
    assert members.attribute.delta
    assert members.attribute.unordered
    assert PERSON.label == GROUP.label == "confidential"
    assert entity_type(Person) is PERSON


def test_a_product_registers_its_own_type():
    types = EntityTypes()

    @types.entity("com.acme.Order", label="restricted")
    class Registered(Order):
        pass

    described = types.get("com.acme.Order")
    assert described.label == "restricted"
    assert described.shape.members["number"].required
    assert described.shape.members["lines"].item.members["sku"].required
    assert not described.shape.members["lines"].item.members["count"].required
    assert described.shape.members["buyer"].kind == "reference"
    assert described.shape.members["state"].kind == "text"
    assert described.shape.members["data"].kind == "map"
    assert "com.acme.Order" in list(types)
    assert Registered.__name__ == "Registered"


@pytest.mark.parametrize("name", ["Person", "Order", "com.acme", "com.Acme.O r"])
def test_built_in_and_local_names_are_refused(name):
    with pytest.raises(ConfigurationError) as caught:
        EntityTypes().entity(name)(Order)
    assert caught.value.code == "entity.name"


def test_a_name_is_taken_once():
    types = EntityTypes()
    types.entity("com.acme.Order")(Order)
    with pytest.raises(ConfigurationError, match="already"):
        types.entity("com.acme.Order")(Order)


def test_all_problems_of_a_type_at_once():
    with pytest.raises(ConfigurationError) as caught:
        EntityTypes().entity("com.acme.Priced")(Priced)
    assert len(caught.value.details["problems"]) == 3
    assert "decimals are strings" in caught.value.message


def test_nesting_deeper_than_six_is_refused():
    EntityTypes().entity("com.acme.Deep")(L2)
    with pytest.raises(ConfigurationError, match="nests deeper than 6"):
        EntityTypes().entity("com.acme.Deep")(L1)


def test_an_unknown_type_gets_a_suggestion():
    with pytest.raises(ConfigurationError, match="did you mean 'Person'"):
        entity_type("Persn")


def test_labels_are_ordered():
    assert [rank(each) for each in ("public", "internal", "confidential", "restricted")] == [
        0, 1, 2, 3,
    ]  # fmt: skip
    assert highest("internal", None, "restricted", "public") == "restricted"
    assert highest() == "public"
    with pytest.raises(ConfigurationError, match="secret"):
        label("secret")


def test_a_valid_person_has_no_problems():
    person = {
        "userName": "ada",
        "name": {"givenName": "Ada"},
        "emails": [{"type": "work", "value": None}],
        "addresses": [{"formatted": "Street 1\nTown"}],
        "active": True,
        "enterprise": {"manager": {"stream": "hr/people", "id": "7"}},
        "extensions": {"com.acme.hr": {"badge": "17"}},
        "title": None,
    }
    assert check(person, "Person") == []


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"userName": None}, "userName", "missing"),
        ({"emails": None}, "emails", "kind"),
        ({"emails": {}}, "emails", "kind"),
        ({"emails": [{"value": 3}]}, "emails[0].value", "kind"),
        ({"nickname": "x"}, "nickname", "unknown"),
        ({"groups": []}, "groups", "read-only"),
        ({"active": "yes"}, "active", "kind"),
        ({"displayName": "bad\x00"}, "displayName", "text"),
        ({"displayName": "two\nlines"}, "displayName", "text"),
        ({"displayName": 1.5}, "displayName", "kind"),
        ({"name": []}, "name", "kind"),
        ({"enterprise": {"manager": {"id": "7"}}}, "enterprise.manager", "kind"),
        ({"extensions": {"nodots": {}}}, "extensions", "unknown"),
        ({"extensions": {f"a.{n}": {} for n in range(9)}}, "extensions", "too-large"),
        (
            {"extensions": {"a.b": {f"k{n}": "y" * 9000 for n in range(5)}}},
            "extensions",
            "too-large",
        ),
        ({"extensions": {"a.b": {"price": 1.5}}}, 'extensions."a.b".price', "kind"),
    ],
)
def test_check_names_path_and_code_and_never_the_value(change, path, code):
    problems = check({"userName": "ada", **change}, "Person")
    assert [(p.path, p.code) for p in problems] == [(path, code)]
    assert "bad" not in repr(problems)


def test_a_group_may_hold_its_members_as_a_delta():
    member = {"value": {"stream": "hr/people", "id": "1"}, "type": "Person"}
    assert check({"displayName": "G", "members": [member]}, "Group") == []
    assert (
        check({"displayName": "G", "members": {"add": [member], "remove": []}}, "Group")
        == []
    )
    wrong = check({"displayName": "G", "members": {"put": [member]}}, "Group")
    assert [each.code for each in wrong] == ["kind"]


def test_importing_entities_and_translate_stays_cheap():
    script = (
        "import sys; import moatbridge.entities, moatbridge.translate;"
        "bad = {'importlib.metadata', 'sqlalchemy', 'hypothesis', 'nh3'} & set(sys.modules);"
        "print(sorted(bad))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
