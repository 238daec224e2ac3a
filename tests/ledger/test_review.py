"""A person's decision, for every kind of item and every action (guard 35)."""

from __future__ import annotations

import pytest

from ledger.test_admission import mark, settle
from moatbridge.errors import ConfigurationError, Rejected
from moatbridge.ledger import review, settlement
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.settlement import Policy
from moatbridge.ledger.states import LinkState, State


def held(ground):
    ground.stage(ground.item("u1", hold=("limit", "creates", "")))


def parked(ground):
    ground.stage(ground.item("u1"))
    parcel = ground.next()
    ground.admit(parcel)
    settle(ground, parcel, State.UNKNOWN, policy=Policy(unknown=State.PARKED))


def rejected(ground):
    with ground.ledger.write() as tx:
        settlement.reject(
            tx,
            ground.row.flow_id,
            [(key_hash("u1"), '["u1", null]', "source", "record.shape", None)],
        )


KINDS = {"held": held, "parked": parked, "rejected": rejected}
AFTER = {
    ("held", "approve"): "PLANNED",
    ("held", "refuse"): "CANCELLED",
    ("parked", "resend"): "READY",
    ("parked", "arrived"): "DONE",
    ("parked", "give-up"): "CANCELLED",
    ("rejected", "replay"): None,
}
ACTIONS = ("approve", "refuse", "resend", "arrived", "give-up", "replay", "nonsense")


def waiting(ground):
    with ground.ledger.read() as tx:
        return review.waiting(tx, ground.row.flow_id)


def decide(ground, item, action):
    with ground.ledger.write() as tx:
        review.decide(
            tx, ground.row.flow_id, item, action, actor="ada", reason="because"
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_does_what_it_says_or_is_refused(ground, kind, action):
    KINDS[kind](ground)
    [item] = waiting(ground)
    assert item.kind == kind
    if (kind, action) not in AFTER:
        with pytest.raises(ConfigurationError) as error:
            decide(ground, item.item, action)
        assert error.value.code == "review.item"
        assert waiting(ground) == [item]
        return
    decide(ground, item.item, action)
    assert waiting(ground) == []
    if AFTER[kind, action]:
        state = ground.value(
            "SELECT coalesce(i.state, p.state) FROM intent i JOIN parcel p USING(parcel_id)"
        )
        assert State(state).name == AFTER[kind, action]
    assert (
        ground.value("SELECT kind FROM audit_in ORDER BY event_id DESC") == "decision"
    )


@pytest.mark.parametrize(("kind", "action"), AFTER)
def test_a_second_click_is_harmless(ground, kind, action):
    KINDS[kind](ground)
    [item] = waiting(ground)
    decide(ground, item.item, action)
    with pytest.raises((Rejected, ConfigurationError)) as error:
        decide(ground, item.item, action)
    assert error.value.code in {"review.decided", "review.item"}


def test_an_approved_item_is_applied_by_a_run_of_its_own(ground):
    held(ground)
    decide(ground, waiting(ground)[0].item, "approve")
    assert ground.all(
        "SELECT kind, state, actor FROM run ORDER BY run_id DESC LIMIT 1"
    ) == [("review", "applying", "ada")]
    assert ground.next().state is State.PLANNED


def test_giving_up_frees_the_link_and_the_next_pass_sees_the_record_again(ground):
    parked(ground)
    decide(ground, waiting(ground)[0].item, "give-up")
    assert ground.value("SELECT count(*) FROM open") == 0
    assert mark(ground).fp is None


def test_arrived_remembers_that_the_record_is_there_and_has_it_looked_for(ground):
    parked(ground)
    decide(ground, waiting(ground)[0].item, "arrived")
    assert (mark(ground).fp, ground.value("SELECT state FROM link")) == (
        None,
        LinkState.LIVE,
    )
    assert ground.value("SELECT count(*) FROM open") == 0


def test_a_refused_item_is_not_held_again_with_the_same_content_but_with_another(
    ground,
):
    held(ground)
    decide(ground, waiting(ground)[0].item, "refuse")
    held(ground)
    assert waiting(ground) == []
    ground.stage(ground.item("u1", fp=b"2" * 16, hold=("limit", "creates", "")))
    assert len(waiting(ground)) == 1


@pytest.mark.parametrize(
    "item", ["", "h", "h99", "p1", "p9.9", "px.y", "r99", "rx", "z1"]
)
def test_what_does_not_wait_cannot_be_decided(ground, item):
    with pytest.raises(ConfigurationError) as error:
        decide(ground, item, {"p": "resend", "r": "replay"}.get(item[:1], "approve"))
    assert error.value.code == "review.item"


def test_nothing_personal_is_shown(ground):
    held(ground)
    assert "u1" not in repr(waiting(ground))
