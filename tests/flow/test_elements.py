"""Three-way merges of lists, element by element, against a plain model (delivery 49)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from moatbridge.flow.elements import (
    NOWHERE,
    Ours,
    content,
    merge,
    presumed,
    respelled,
    shown,
)

HELD_BY_ONE = "home"
"""The type of entries that side a cannot hold."""


def three_way(base, a, b):
    """The plain model, of identity -> display name; a's word counts in doubt."""
    found = {}
    for key in [*a, *b]:
        was, here, there = base.get(key), a.get(key), b.get(key)
        if here == was:
            kept = there
        elif there == was or there is None:
            kept = here
        else:
            kept = there if here is None else here
        if kept is not None:
            found[key] = kept
    return found


class Sides:
    """Two systems that spell everything differently, and what they agreed on.

    Side b names values by ids of its own, and fills a member that side a knows nothing
    of. What is true of the lists stands in plain dictionaries beside them.
    """

    def __init__(self):
        self.plain = {"a": {}, "b": {}}
        self.lists = {"a": [], "b": []}
        self.agreed, self.base = [], {}
        self.writes = 0

    def edit(self, side, key, display):
        if side == "a" and key[0] == HELD_BY_ONE:
            return
        if display is None:
            self.plain[side].pop(key, None)
        else:
            self.plain[side][key] = display
        by_key = {key_of(each): each for each in self.lists[side]}
        self.lists[side] = [
            {**by_key[key], "display": text} if key in by_key else made(side, key, text)
            for key, text in self.plain[side].items()
        ]

    def carry(self, source):
        """One flow of the pair: merge what the source says into the target's list."""
        target = "b" if source == "a" else "a"
        mine, theirs = self.lists[source], self.lists[target]
        views = shown([turned(each) for each in mine], lambda es: held(target, es))
        ours = [Ours(content(e), v) for e, v in zip(mine, views, strict=True)]
        says = frozenset({"type", "value", "display"}) if source == "a" else None
        done = self.merged(target, ours, theirs, says)
        agreed = done.agreed
        if by_content(done.elements) != by_content(theirs):
            self.writes += 1
            self.lists[target] = [stored(target, each) for each in done.elements]
            spelled = respelled(done.elements, self.lists[target])
            agreed = [(s, spelled.get(t, t)) for s, t in agreed]
        self.agreed = agreed if source == "a" else [(b, a) for a, b in agreed]
        self.expect(source, target)

    def merged(self, target, ours, theirs, says):
        source = "b" if target == "a" else "a"
        return merge(
            ours, theirs, self.oriented(source), first=source == "a", says=says
        )

    def oriented(self, source):
        return self.agreed if source == "a" else [(b, a) for a, b in self.agreed]

    def expect(self, source, target):
        a, b = self.plain["a"], self.plain["b"]
        should = three_way(self.base, a, b)
        if target == "a":
            should = {k: v for k, v in should.items() if k[0] != HELD_BY_ONE}
        self.base = dict(self.plain[source])
        if source == "b":
            self.base = {k: v for k, v in self.base.items() if k[0] != HELD_BY_ONE}
        self.plain[target] = should
        assert plain(self.lists[target]) == should


def made(side, key, display):
    kind, value = key
    return stored(side, {"type": kind, "value": f"{side}:{value}", "display": display})


def turned(element):
    side, _, value = element["value"].partition(":")
    return {**element, "value": f"{'b' if side == 'a' else 'a'}:{value}"}


def held(side, elements):
    """Through the target's translator and back."""
    if side == "b":
        return elements
    known = [e for e in elements if e["type"] != HELD_BY_ONE]
    return [{k: v for k, v in e.items() if k != "made_by"} for e in known]


def stored(side, element):
    return {**element, "made_by": "b"} if side == "b" else element


def key_of(element):
    return element["type"], element["value"].partition(":")[2]


def plain(elements):
    return {key_of(each): each["display"] for each in elements}


def by_content(elements):
    return sorted(content(each) for each in elements)


KEYS = st.tuples(st.sampled_from(["work", "other", "home"]), st.sampled_from("xyz"))
EDIT = st.tuples(
    st.sampled_from("ab"), KEYS, st.sampled_from(["one", "two", "three", None])
)


@given(st.lists(st.one_of(EDIT, EDIT, st.sampled_from("ab")), max_size=40))
@settings(max_examples=300, deadline=None)
def test_lists_merge_as_the_plain_three_way_model_says_and_come_to_rest(steps):
    sides = Sides()
    for step in steps:
        if isinstance(step, str):
            sides.carry(step)
        else:
            sides.edit(*step)
    for source in "abab":
        sides.carry(source)
    everywhere = {k: v for k, v in sides.plain["b"].items() if k[0] != HELD_BY_ONE}
    assert sides.plain["a"] == everywhere
    writes = sides.writes
    for source in "abab":
        sides.carry(source)
    assert sides.writes == writes, "nothing goes to and fro once both are quiet"


WORK = {"type": "work", "value": "x@x.example"}
HOME = {"type": "home", "value": "y@x.example"}


def ours(*elements):
    return [Ours(content(each), each) for each in elements]


def agreed(*elements):
    return [(content(each), content(each)) for each in elements]


def test_a_removal_wins_over_an_element_that_the_other_side_did_not_change():
    assert merge(ours(HOME), [WORK, HOME], agreed(WORK, HOME), first=True).elements == [
        HOME
    ]


def test_a_removal_loses_to_a_change_of_the_same_element():
    changed = {**WORK, "display": "Desk"}
    done = merge(ours(HOME), [changed, HOME], agreed(WORK, HOME), first=True)
    assert done.elements == [changed, HOME]


def test_an_element_that_both_sides_added_stands_there_once():
    done = merge(ours(WORK), [WORK], [], first=False)
    assert done.elements == [WORK]


def test_one_element_alone_stays_primary_where_both_sides_chose_another_one():
    """A SCIM server refuses two (RFC 7643 section 2.4)."""
    here = ours({**WORK, "primary": True}, HOME)
    there = [WORK, {**HOME, "primary": True}]
    for first, wins in ((True, WORK), (False, HOME)):
        done = merge(here, there, agreed(WORK, HOME), first=first)
        assert [e["value"] for e in done.elements if e.get("primary")] == [
            wins["value"]
        ]


def test_what_the_target_spells_its_own_way_is_still_known_as_the_same():
    written = [
        {"type": "work", "value": "Ada@X.example"},
        {"type": "mobile", "value": "0049 30 1"},
        {"type": "fax", "value": "7"},
    ]
    kept = [
        {"type": "mobile", "value": "+49301"},
        {"type": "work", "value": "ada@x.example", "primary": True},
    ]
    mail, mobile, fax = (content(each) for each in written)
    assert respelled(written, kept) == {
        mail: content(kept[1]),
        mobile: content(kept[0]),
        fax: NOWHERE,
    }


def test_what_the_target_did_not_keep_is_no_removal_by_the_target():
    fax = {"type": "fax", "value": "7"}
    pairs = [*agreed(WORK), (content(fax), NOWHERE)]
    back = [(there, here) for here, there in pairs]
    assert merge(ours(WORK), [WORK, fax], back, first=False).elements == [WORK, fax]


def test_what_only_the_target_can_hold_is_remembered_so_that_it_is_looked_at_once():
    alone = [(NOWHERE, content(HOME))]
    assert merge(ours(), [HOME], alone, first=True).agreed == alone
    assert merge(ours(), [], alone, first=True).agreed == []


def test_what_was_agreed_as_a_whole_list_tells_who_removed_what():
    pairs = presumed(ours(HOME), [WORK, HOME], same_here=False, same_there=True)
    assert merge(ours(HOME), [WORK, HOME], pairs, first=True).elements == [HOME]
    pairs = presumed(ours(WORK, HOME), [HOME], same_here=True, same_there=False)
    assert merge(ours(WORK, HOME), [HOME], pairs, first=True).elements == [HOME]
    pairs = presumed(ours(WORK), [HOME], same_here=False, same_there=False)
    both = merge(ours(WORK), [HOME], pairs, first=True).elements
    assert both == [HOME, WORK], "nobody knows: nothing is lost"
