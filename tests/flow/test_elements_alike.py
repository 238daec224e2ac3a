"""Elements that look alike at the other side, and the first merge of an older pair."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow.test_elements import Sides, by_content, three_way
from moatbridge.flow.elements import Ours, content, merge, presumed

WORK, HOME = {"type": "work", "value": "x"}, {"type": "home", "value": "x"}
PLAIN = {"value": "x"}
"""How a side without types shows either."""


def plainly(element):
    return {k: v for k, v in element.items() if k != "type"}


class Typeless:
    """Two sides, of which one knows no types, and what they agreed on.

    The rich side holds (type, value), the poor one values.
    """

    def __init__(self, first):
        self.first = first
        """The rich side is side a."""
        self.rich, self.poor, self.agreed = [], [], []
        self.base = set()

    def edit(self, key):
        """Add it if it is not there, remove it if it is."""
        kind, value = key
        held = self.poor if kind == "poor" else self.rich
        entry = {"value": value} if kind == "poor" else {"type": kind, "value": value}
        if entry in held:
            held.remove(entry)
        else:
            held.append(entry)

    def down(self):
        """From the rich side to the poor one."""
        should = self.values_wanted()
        ours = [Ours(content(e), plainly(e)) for e in self.rich]
        done = merge(ours, self.poor, self.agreed, first=self.first)
        self.agreed, self.poor = sorted(set(done.agreed)), done.elements
        self.base = keys(self.rich)
        assert sorted(e["value"] for e in self.poor) == sorted(should)

    def up(self):
        """From the poor side to the rich one."""
        should = self.keys_wanted()
        ours = [Ours(content(e), e) for e in self.poor]
        turned = [(b, a) for a, b in self.agreed]
        done = merge(ours, self.rich, turned, first=not self.first)
        self.agreed = sorted((b, a) for a, b in set(done.agreed))
        self.rich = done.elements
        values = {e["value"] for e in self.poor}
        self.base = {key for key in self.base if key[1] in values}
        self.base |= {(None, v) for v in values if (None, v) in keys(self.rich)}
        assert sorted(keys(self.rich), key=str) == sorted(should, key=str)
        assert len(self.rich) == len(should), "each stands there once"

    def values_wanted(self):
        """Removed: all that looks so is gone there. Added: one that is new suffices."""
        here, base = keys(self.rich), self.base
        old = {value for _kind, value in base}
        stay = {v for e in self.poor if (v := e["value"]) not in old}
        stay |= {
            v
            for e in self.poor
            if (v := e["value"]) in old and any(w == v for _kind, w in here)
        }
        return stay | {value for _kind, value in here - base}

    def keys_wanted(self):
        """What was agreed stays with its value; what is new on either side stays."""
        values, old = {e["value"] for e in self.poor}, {v for _kind, v in self.base}
        stay = {
            key for key in keys(self.rich) if key not in self.base or key[1] in values
        }
        return stay | {(None, value) for value in values - old}


def keys(elements):
    return {(each.get("type"), each["value"]) for each in elements}


KEYS = st.tuples(st.sampled_from(["work", "home", "poor"]), st.sampled_from("xy"))


@given(st.booleans(), st.lists(st.one_of(KEYS, KEYS, st.sampled_from(["down", "up"]))))
@settings(max_examples=300, deadline=None)
def test_elements_that_look_alike_live_and_die_by_themselves(first, steps):
    sides = Typeless(first)
    for step in steps:
        if isinstance(step, str):
            getattr(sides, step)()
        else:
            sides.edit(step)
    for step in ("down", "up", "down", "up"):
        getattr(sides, step)()
    assert {v for _kind, v in keys(sides.rich)} == {e["value"] for e in sides.poor}
    before = by_content(sides.rich), by_content(sides.poor)
    sides.down()
    sides.up()
    assert (by_content(sides.rich), by_content(sides.poor)) == before


def ours(*elements, view=plainly):
    return [Ours(content(each), view(each)) for each in elements]


def turned(pairs):
    return [(there, here) for here, there in pairs]


@pytest.mark.parametrize("left", [WORK, HOME])
def test_one_of_two_that_look_alike_is_removed_without_the_other(left):
    both = merge(ours(WORK, HOME), [], [], first=True)
    assert both.elements == [PLAIN]
    done = merge(ours(left), [PLAIN], both.agreed, first=True)
    assert done.elements == [PLAIN]
    back = merge(
        ours(*done.elements, view=dict), [left], turned(done.agreed), first=False
    )
    assert back.elements == [left]


def test_what_the_other_side_removed_goes_with_all_that_looks_like_it():
    both = merge(ours(WORK, HOME), [], [], first=True)
    assert merge([], [WORK, HOME], turned(both.agreed), first=False).elements == []


def test_one_that_comes_to_look_like_another_one_is_not_written_twice():
    one = merge(ours(WORK), [], [], first=True)
    both = merge(ours(WORK, HOME), one.elements, one.agreed, first=True)
    assert both.elements == [PLAIN]
    back = merge(ours(PLAIN, view=dict), [WORK, HOME], turned(both.agreed), first=False)
    assert back.elements == [WORK, HOME]
    assert turned(back.agreed) == both.agreed, "and both are known from then on"


@pytest.mark.parametrize("first", [True, False])
def test_two_that_differ_in_more_than_the_other_side_can_tell_apart_both_stay(first):
    """The last one is shown; the way back does not take the other one for removed."""
    here = [{**WORK, "display": "Desk"}, {**HOME, "display": "Sofa"}]
    done = merge(ours(*here), [], [], first=first)
    assert done.elements == [{**PLAIN, "display": "Sofa"}]
    back = merge(
        ours(*done.elements, view=dict), here, turned(done.agreed), first=not first
    )
    assert back.elements == here
    changed = [{**here[0], "display": "Chair"}, here[1]]
    done = merge(ours(*changed), done.elements, done.agreed, first=first)
    assert done.elements == [{**PLAIN, "display": "Chair"}]
    back = merge(
        ours(*done.elements, view=dict), changed, turned(done.agreed), first=not first
    )
    assert back.elements == changed


# --- the first merge of a pair whose list was compared as a whole so far -------------------


class Older(Sides):
    """Both sides agreed on the whole list, and forgot nothing but its elements."""

    def __init__(self, entries):
        super().__init__()
        for key, display in entries.items():
            self.edit("a", key, display)
        self.carry("a")
        self.base = dict(self.plain["a"])
        self.whole = {side: by_content(self.lists[side]) for side in "ab"}
        self.agreed = None

    def merged(self, target, ours, theirs, says):
        source = "b" if target == "a" else "a"
        if self.agreed is not None:
            return super().merged(target, ours, theirs, says)
        same = {side: by_content(self.lists[side]) == self.whole[side] for side in "ab"}
        if not any(same.values()):
            self.base = {}  # nobody knows who did what: nothing is lost
        pairs = presumed(ours, theirs, same_here=same[source], same_there=same[target])
        return merge(ours, theirs, pairs, first=source == "a", says=says)


HELD = st.tuples(st.sampled_from(["work", "other"]), st.sampled_from("xyz"))
TEXT = st.sampled_from(["one", "two"])
EDIT = st.tuples(st.sampled_from("ab"), HELD, st.one_of(TEXT, st.none(), st.none()))


@given(
    st.dictionaries(HELD, TEXT),
    st.lists(EDIT, max_size=6),
    st.sampled_from(["abab", "baba"]),
)
@settings(max_examples=300, deadline=None)
def test_the_first_merge_of_an_older_pair_follows_the_plain_model(held, edits, passes):
    sides = Older(held)
    for edit in edits:
        sides.edit(*edit)
    should = sides.plain["a"], sides.plain["b"]
    edited = [side != held for side in should]
    should = three_way({} if all(edited) else held, *should)
    for source in passes:
        sides.carry(source)
    assert sides.plain == {"a": should, "b": should}
    writes = sides.writes
    for source in passes:
        sides.carry(source)
    assert sides.writes == writes


@pytest.mark.parametrize("source_removed", [True, False])
def test_all_that_was_removed_before_the_first_merge_is_removed(source_removed):
    a, b, c = ({"value": value} for value in "abc")
    here, there = ([a], [a, b, c]) if source_removed else ([a, b, c], [a])
    pairs = presumed(
        ours(*here, view=dict),
        there,
        same_here=not source_removed,
        same_there=source_removed,
    )
    done = merge(ours(*here, view=dict), there, pairs, first=True)
    assert done.elements == [a]
    back = merge(ours(a, view=dict), here, turned(done.agreed), first=False)
    assert back.elements == [a]


@pytest.mark.parametrize("here", [True, False])
def test_what_one_side_changed_before_the_first_merge_reaches_the_other(here):
    old, new = {**WORK, "display": "old"}, {**WORK, "display": "new"}
    mine, theirs = (new, old) if here else (old, new)
    pairs = presumed(
        ours(mine, view=dict), [theirs], same_here=not here, same_there=here
    )
    done = merge(ours(mine, view=dict), [theirs], pairs, first=True)
    back = merge(
        ours(*done.elements, view=dict), [mine], turned(done.agreed), first=False
    )
    assert done.elements == back.elements == [new]


def test_what_only_the_target_holds_outlives_a_first_merge_that_changes_nothing():
    shown = {"type": "work", "value": "X"}
    pairs = presumed(
        ours(WORK, view=dict), [shown, HOME], same_here=True, same_there=True
    )
    done = merge(ours(WORK, view=dict), [shown, HOME], pairs, first=True)
    assert done.elements == [shown, HOME], "nor is another spelling a change"
