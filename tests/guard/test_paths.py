import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moatbridge.errors import ConfigurationError
from moatbridge.guard import PathSet

ENTITY = {
    "userName": "u",
    "name": {"givenName": "a", "familyName": "b"},
    "emails": [
        {"type": "work", "value": "w", "primary": True},
        {"type": "home", "value": "h"},
    ],
    "members": {"add": [{"value": {"id": "1"}, "display": "x"}], "remove": []},
    "enterprise": {"manager": {"stream": "s/p", "id": "1"}, "costCenter": None},
}


@pytest.mark.parametrize(
    ("paths", "outside"),
    [
        (["userName", "name", "emails", "members", "enterprise"], ()),
        (["userName", "name", "emails", "members"], ("enterprise",)),
        (
            ["userName", "name.givenName", "emails", "members", "enterprise"],
            ("name.familyName",),
        ),
        (
            ["userName", "name", "emails[type=work]", "members", "enterprise"],
            ("emails[]",),
        ),
        (
            [
                "userName",
                "name",
                "emails.value",
                "emails.type",
                "members",
                "enterprise",
            ],
            ("emails[].primary",),
        ),
        (
            ["userName", "name", "emails", "members.value", "enterprise.manager"],
            ("members.display", "enterprise.costCenter"),
        ),
    ],
)
def test_outside(paths, outside):
    found = PathSet(paths).outside(ENTITY)
    assert {p.replace("[]", "") for p in found} == {
        p.replace("[]", "") for p in outside
    }


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("userName", {k: v for k, v in ENTITY.items() if k != "userName"}),
        ("name.givenName", ENTITY | {"name": {"familyName": "b"}}),
        ("emails[type=home]", ENTITY | {"emails": ENTITY["emails"][:1]}),
        ("emails[type=home].value", ENTITY | {"emails": ENTITY["emails"][:1]}),
        ("emails.value", {k: v for k, v in ENTITY.items() if k != "emails"}),
        (
            "members.display",
            ENTITY | {"members": {"add": [{"value": {"id": "1"}}], "remove": []}},
        ),
        ("enterprise.manager", ENTITY | {"enterprise": {"costCenter": None}}),
    ],
)
def test_removed(path, rest):
    kept = copy.deepcopy(ENTITY)
    found, removed = PathSet([path]).removed_from(ENTITY)
    assert found == rest
    assert removed == (path,)
    assert kept == ENTITY


def test_what_was_empty_before_stays_as_it_is():
    entity = {"emails": [], "name": {}}
    assert PathSet(["emails[type=x]", "name.x"]).removed_from(entity) == (entity, ())


def test_what_is_left_empty_says_nothing_instead_of_clearing():
    rest, _ = PathSet(["name.a", "emails[type=x]"]).removed_from(
        {"name": {"a": 1}, "emails": [{"type": "x", "value": "1"}]}
    )
    assert rest == {}


def test_a_wrong_path_is_refused():
    with pytest.raises(ConfigurationError) as refused:
        PathSet(["emails[type"])
    assert refused.value.code == "path.syntax"


names = st.sampled_from(["a", "b", "c"])
values = st.sampled_from(["x", "y"])
entries = st.dictionaries(names, values, max_size=3)
entities = st.dictionaries(
    names,
    values | st.dictionaries(names, values, max_size=3) | st.lists(entries, max_size=3),
    max_size=3,
)
paths = st.lists(
    st.builds("{}".format, names)
    | st.builds("{}.{}".format, names, names)
    | st.builds("{}[{}={}]".format, names, names, values)
    | st.builds("{}[{}={}].{}".format, names, names, values, names),
    max_size=4,
)


def leaves(entity):
    """(path, selectors that hold for its entry, member) of every value, slowly."""
    for name, value in entity.items():
        if isinstance(value, str):
            yield name, (), None
        elif isinstance(value, dict):
            yield from ((name, (), member) for member in value)
        else:
            for entry in value:
                held = tuple(f"{name}[{k}={v}]" for k, v in entry.items())
                yield from ((name, held, member) for member in entry)


def covered(leaf, chosen):
    name, held, member = leaf
    exact = {name, *held}
    if member is not None:
        exact |= {f"{each}.{member}" for each in (name, *held)}
    return bool(exact & set(chosen))


@given(entities, paths)
def test_nothing_named_is_left_after_removal(entity, chosen):
    rest, removed = PathSet(chosen).removed_from(entity)
    assert set(removed) <= set(chosen)
    # A slot is gone as a whole once the member that selects it was taken out.
    assert not [leaf for leaf in leaves(rest) if covered(leaf, chosen)]


plain = st.lists(names | st.builds("{}.{}".format, names, names), max_size=6)


@given(entities, plain)
def test_what_lies_inside_is_never_told_as_outside(entity, chosen):
    covers_all = all(covered(leaf, chosen) for leaf in leaves(entity))
    named = {path.partition(".")[0] for path in chosen}
    told = PathSet(chosen).outside(entity)
    assert (told == ()) == (covers_all and entity.keys() <= named)


@given(entities, paths)
def test_an_empty_set_covers_nothing_and_the_top_members_cover_all(entity, chosen):
    assert set(PathSet().outside(entity)) == set(entity)
    assert PathSet([*entity, *chosen]).outside(entity) == ()


def test_the_quick_look_sees_what_lies_inside():
    entity = {"name": {"given": "A"}, "emails": [{"type": "work", "value": "a@b"}]}
    named = ["name.given", "emails[type=work].value"]
    assert PathSet(named)._inside(entity)
    assert not PathSet(named)._inside(entity | {"title": "x"})
    assert not PathSet(named)._inside({"emails": [{"type": "home", "value": "a@b"}]})
    assert not PathSet(named)._inside({"emails": [{"type": "work", "kind": "a@b"}]})


@given(entities, paths)
def test_what_the_quick_look_lets_pass_the_careful_one_does_too(entity, chosen):
    quick, careful = PathSet(chosen), PathSet(chosen)
    careful._inside = lambda _entity: False
    assert quick.outside(entity) == careful.outside(entity)


@given(entities, paths)
def test_an_uncovered_value_is_always_told(entity, chosen):
    outside = [leaf for leaf in leaves(entity) if not covered(leaf, chosen)]
    selecting = {
        p.partition("]")[0].partition("[")[2].partition("=")[0]
        for p in chosen
        if "[" in p
    }
    told = PathSet(chosen).outside(entity)
    for name, _, member in outside:
        if member not in selecting:
            assert any(p.partition(".")[0].removesuffix("[]") == name for p in told)
