from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from guard.counting import NOON, RULES
from moatbridge.errors import Rejected
from moatbridge.guard import (
    HeldItem,
    decide,
    expire,
    expires_at,
    item_digest,
    still_approved,
)


def digest(content, **more):
    settings = {
        "target": "social",
        "op": "update",
        "fingerprint": bytes([content] * 32),
    }
    return item_digest(**(settings | more))


def item(**more):
    settings = {
        "item_id": 7,
        "version": 3,
        "reason": "approval",
        "digest": digest(1),
        "created": NOON,
        "expires": NOON + 100,
        "authors": frozenset({"sam"}),
    }
    return HeldItem(**(settings | more))


def deciding(held, principal="eve", **more):
    settings = {"version": held.version, "action": "approve", "now": NOON + 1}
    return decide(held, principal=principal, **(settings | more))


def test_another_person_approves():
    done = deciding(item(), reason="looks\u200b right\x00")
    assert (done.state, done.decided_by, done.version) == ("approved", "eve", 4)
    assert done.note == "looks right"
    assert still_approved(done, digest(1))


@pytest.mark.parametrize("principal", ["sam", "Sam ", "\uff33\uff21\uff2d"])
def test_nobody_approves_their_own(principal):
    with pytest.raises(Rejected) as refused:
        deciding(item(), principal)
    assert (refused.value.code, refused.value.kind) == ("guard.approval", "rights")
    assert deciding(item(), principal, action="refuse").state == "refused"
    assert deciding(item(), principal, four_eyes=False).state == "approved"


def test_a_decider_has_a_name():
    with pytest.raises(Rejected, match="named person"):
        deciding(item(), " ", four_eyes=False)


def test_two_reviewers_and_double_clicks():
    done = deciding(item())
    for version in (3, 4):
        with pytest.raises(Rejected, match="already decided by eve"):
            deciding(done, "bob", version=version)


def test_a_newer_version_must_be_looked_at_again():
    with pytest.raises(Rejected, match="look again"):
        deciding(item(version=4), version=3)


def test_an_expired_item_is_never_sent():
    with pytest.raises(Rejected, match="expired"):
        deciding(item(), now=NOON + 100)
    assert expire(item(), NOON + 99) == item()
    late = expire(item(), NOON + 100)
    assert (late.state, late.version) == ("expired", 4)
    assert not still_approved(late, digest(1))


@pytest.mark.parametrize("reason", ["quiet", "budget", "digest"])
def test_what_waits_for_nobody_does_not_expire(reason):
    held = item(reason=reason)
    assert expire(held, NOON + 1_000) == held
    assert expires_at(reason, RULES, NOON) is None


def test_how_long_items_wait():
    assert expires_at("approval", RULES, 0) == 72 * 3600
    assert expires_at("quarantine", RULES, 0) == 30 * 86_400


def test_a_false_alarm_approves_and_is_counted():
    done = deciding(item(), action="false-alarm")
    assert (done.state, done.false_alarm) == ("approved", True)


@pytest.mark.parametrize(
    "other",
    [
        {"target": "other"},
        {"op": "create"},
        {"fingerprint": bytes([2] * 32)},
        {"audience": ["g1"]},
        {"attachments": [b"x"]},
        {"not_before": 1.0},
        {"not_after": 1.0},
    ],
)
def test_an_approval_binds_to_everything_that_would_be_sent(other):
    done = deciding(item())
    assert not still_approved(done, digest(1, **other))


def test_the_order_of_an_audience_means_nothing():
    assert digest(1, audience=["a", "b"]) == digest(1, audience=["b", "a"])


class Approvals(RuleBasedStateMachine):
    """Edits, decisions, lateness and stale clicks in any order."""

    def __init__(self):
        super().__init__()
        self.now, self.content = NOON, 1
        self.item, self.agreed = item(), None

    @rule(content=st.integers(1, 3))
    def edit(self, content):
        """A newer version replaces the item: it is held anew."""
        self.content = content
        self.item = replace(
            self.item,
            version=self.item.version + 1,
            digest=digest(content),
            state="held",
        )
        self.agreed = None

    @rule(
        who=st.sampled_from(["sam", "eve", "bob", ""]),
        stale=st.integers(0, 2),
        action=st.sampled_from(["approve", "refuse", "false-alarm"]),
    )
    def click(self, who, stale, action):
        shown = self.item
        try:
            self.item = deciding(
                shown, who, version=shown.version - stale, action=action, now=self.now
            )
        except Rejected:
            assert self.item is shown
        else:
            assert who not in {"", "sam"} or action == "refuse"
            assert stale == 0
            self.agreed = self.content if action != "refuse" else None

    @rule(seconds=st.integers(1, 80))
    def wait(self, seconds):
        self.now += seconds
        self.item = expire(self.item, self.now)

    @invariant()
    def only_what_was_agreed_to_is_sent(self):
        for content in (1, 2, 3):
            sends = still_approved(self.item, digest(content))
            assert sends == (self.agreed == content)


TestApprovals = Approvals.TestCase
