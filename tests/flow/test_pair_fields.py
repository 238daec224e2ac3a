"""Who owns a field of a pair, and what becomes of edits on both sides (delivery 46-48)."""

from __future__ import annotations

import pytest

from flow.pairs_world import PairWorld
from moatbridge.errors import ConfigurationError

OWNED = {"*": "hr/people", "phoneNumbers": "social/people"}


@pytest.fixture
def pairs(tmp_path, at_once):
    made = []

    def make(owner=None, **settings):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        settings = {"count": 3, **settings}
        made.append(PairWorld(folder, owner=owner or OWNED, **settings))
        return made[-1]

    yield make
    for world in made:
        world.bridge.close()


# --- what each side owns ------------------------------------------------------------


@pytest.mark.parametrize("first", ["out", "back"])
def test_edits_of_both_sides_in_fields_of_their_own_both_arrive(pairs, first):
    """Found here: what was written to a record hid what had just been edited there."""
    world = pairs().begin()
    world.edit_there("u0001", phone="+49 555")
    world.put(1, family="Hopper")
    world.go(first)
    world.both(2)
    for record in (world.here()["u0001"], world.there()["u0001"]):
        assert (record["family"], record["phone"]) == ("Hopper", "+49 555")
    before = world.effects()
    world.both(2)
    assert world.effects() == before


def test_an_echo_is_known_after_each_write_and_costs_nothing(pairs):
    world = pairs().begin()
    for number in range(4):
        world.edit_here(f"u{number % 3:04}", family=f"F{number}")
        world.edit_there(f"u{(number + 1) % 3:04}", phone=f"+{number}")
        before = world.effects()
        world.both()
        world.go("out")
        assert world.effects() == (before[0] + 1, before[1] + 1)


def test_a_drift_is_counted_and_left_alone(pairs):
    world = pairs().begin()
    world.edit_there("u0001", family="Drifted")
    before = world.effects()
    world.both(2)
    assert world.there()["u0001"]["family"] == "Drifted"
    assert world.here()["u0001"]["family"] == "L1"
    assert world.effects() == before
    seen = world.value("SELECT sum(n) FROM guard_count WHERE rule='seen.drift'")
    assert seen == 1


@pytest.mark.parametrize("own", [{}, {"phone": "+49 777"}])
def test_a_drift_is_undone_where_the_flow_says_so(pairs, own):
    """Also when the same edit changed something that this side does own."""
    world = pairs(back={"on_drift": "restore"}).begin()
    world.edit_there("u0001", family="Drifted", **own)
    world.both(2)
    assert world.there()["u0001"]["family"] == "L1"
    for name, value in own.items():
        assert world.here()["u0001"][name] == value
        assert world.there()["u0001"][name] == value
    before = world.effects()
    world.both(3)
    assert world.effects() == before


def test_the_same_drift_is_undone_every_time(pairs):
    """The repeat is a wanted effect of its own: the target must not swallow it."""
    world = pairs(back={"on_drift": "restore"}).begin()
    for _ in range(3):
        world.edit_there("u0001", family="Drifted")
        world.both(2)
        assert world.there()["u0001"]["family"] == "L1"


def test_who_exists_is_decided_by_the_owner_of_existence_alone(pairs):
    world = pairs(owner={"*": "hr/people", ".": "hr/people"}).begin()
    world.social.put("people", [{"uid": "u0009", "given": "X", "family": "Y"}])
    gone = next(r for r in world.social.all("people") if r.data["uid"] == "u0002")
    world.social.delete("people", [gone.ref])
    world.both(2)
    assert set(world.here()) == {"u0000", "u0001", "u0002"}
    world.remove(1)
    world.both(2)
    assert world.there()["u0001"]["active"] is False


def test_the_platform_may_own_existence(pairs):
    owner = {"*": "hr/people", ".": "social/people"}
    world = pairs(owner=owner, count=0)
    world.social.put(
        "people",
        [
            {
                "uid": "u0001",
                "given": "Ada",
                "family": "L1",
                "ext": "u0001",
                "active": True,
            }
        ],
    )
    world.both(2)
    assert set(world.here()) == {"u0001"}
    world.put(7)
    world.both(2)
    assert set(world.there()) == {"u0001"}


# --- fields of nobody: a person decides ------------------------------------------------

HOLD = {"*": "hr/people", "name.familyName": "hold", "title": "social/people"}


@pytest.mark.parametrize("side", ["here", "there"])
def test_a_contested_field_travels_from_the_side_that_changed_it(pairs, side):
    world = pairs(HOLD).begin()
    (world.edit_here if side == "here" else world.edit_there)("u0001", family="New")
    world.both(2)
    assert world.here()["u0001"]["family"] == world.there()["u0001"]["family"] == "New"
    before = world.effects()
    world.both(2)
    assert world.effects() == before


def test_two_edits_of_one_contested_field_wait_for_a_person_with_both_versions(pairs):
    world = pairs(HOLD).begin()
    world.edit_here("u0001", family="Ours", mail="new@x.example")
    world.edit_there("u0001", family="Theirs")
    before = world.effects()
    world.both(2)
    assert world.items() == [
        ("out", "held", "conflict", "owner: name.familyName"),
        ("back", "held", "conflict", "owner: name.familyName"),
    ]
    assert world.effects() == before
    (item,) = world.bridge.review("out")
    assert item.entity["name"]["familyName"] == "Ours"
    assert item.before["name"]["familyName"] == "Theirs"


@pytest.mark.parametrize(("flow", "wins"), [("out", "Ours"), ("back", "Theirs")])
def test_whom_the_person_approves_wins_on_both_sides(pairs, flow, wins):
    world = pairs(HOLD).begin()
    world.edit_here("u0001", family="Ours")
    world.edit_there("u0001", family="Theirs")
    world.both(2)
    world.decide(flow, "approve")
    world.drain(flow=flow)
    world.both(2)
    assert world.here()["u0001"]["family"] == wins
    assert world.there()["u0001"]["family"] == wins
    assert world.items() == []
    before = world.effects()
    world.both(2)
    assert world.effects() == before


def test_the_same_edit_on_both_sides_is_no_conflict(pairs):
    world = pairs(HOLD).begin()
    world.edit_here("u0001", family="Same")
    world.edit_there("u0001", family="Same")
    before = world.effects()
    world.both(2)
    assert world.items() == []
    assert world.effects() == before


def test_an_edit_does_not_carry_back_what_the_other_side_changed_beside_it(pairs):
    """Two contested fields, one changed on each side: both changes live on."""
    owner = {"*": "hr/people", "name.familyName": "hold", "name.givenName": "hold"}
    world = pairs(owner).begin()
    world.edit_here("u0001", family="Hopper")
    world.edit_there("u0001", given="Grace")
    world.both(3)
    for record in (world.here()["u0001"], world.there()["u0001"]):
        assert (record["given"], record["family"]) == ("Grace", "Hopper")
    assert world.items() == []


def test_a_field_that_the_target_writes_differently_is_no_conflict(pairs):
    """Each side is compared with what it held itself when both agreed."""
    world = pairs(HOLD, count=0)
    world.social.set("people", lower=("family",))
    world.put(1, family="Hopper")
    world.begin()
    assert world.there()["u0001"]["family"] == "hopper"
    before = world.effects()
    world.both(3)
    assert world.effects() == before, "the other spelling is not sent back"
    world.edit_here("u0001", family="Lovelace")
    world.both(2)
    assert world.there()["u0001"]["family"] == "lovelace"
    assert world.items() == []


# --- fields of nobody: the later edit counts ---------------------------------------------

LATEST = {"*": "hr/people", "name.familyName": "latest"}


@pytest.mark.parametrize(
    ("here", "there", "wins"),
    [
        ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "Ours"),
        ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "Theirs"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "Ours"),  # a tie is a's
        ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:01Z", "Theirs"),
    ],
)
@pytest.mark.parametrize("first", ["out", "back"])
def test_the_later_of_two_edits_wins(pairs, here, there, wins, first):
    world = pairs(LATEST, stamped=True).begin()
    world.edit_here("u0001", family="Ours", stamp=here)
    world.edit_there("u0001", family="Theirs", stamp=there)
    world.go(first)
    world.both(3)
    assert world.here()["u0001"]["family"] == wins
    assert world.there()["u0001"]["family"] == wins
    assert world.items() == []


@pytest.mark.parametrize("stamp", [None, "yesterday"])
def test_without_a_timestamp_a_person_decides(pairs, stamp):
    world = pairs(LATEST, stamped=True).begin()
    world.edit_here("u0001", family="Ours", stamp=stamp)
    world.edit_there("u0001", family="Theirs", stamp="2026-01-01T00:00:00Z")
    world.both(2)
    assert [reason for _flow, _kind, reason, _detail in world.items()] == [
        "conflict"
    ] * 2


def test_the_latest_edit_needs_timestamps_of_both_streams(pairs):
    world = pairs(LATEST)
    with pytest.raises(ConfigurationError) as caught:
        world.bridge.route("out")
    assert caught.value.code == "flow.owner"
    assert "updated" in caught.value.message


def test_contested_fields_need_streams_that_can_be_looked_at(pairs):
    from moatbridge.testing import MemoryAdapter

    class Blind(MemoryAdapter):
        def streams(self):
            from dataclasses import replace

            return [
                replace(s, abilities=s.abilities - {"CanFetch"})
                for s in super().streams()
            ]

    world = pairs(HOLD, target=Blind)
    with pytest.raises(ConfigurationError) as caught:
        world.bridge.route("out")
    assert caught.value.code == "flow.owner"
    assert "social/people" in caught.value.message
