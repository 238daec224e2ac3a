"""How long a held item waits, and what is counted of the guard (guard 6, 8, 34)."""

from __future__ import annotations

import json
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from ledger.ground import Ground
from moatbridge.errors import ConfigurationError, Rejected
from moatbridge.ledger import counts, holds, retention, review
from moatbridge.ledger.keys import key_hash
from moatbridge.ledger.staging import Stager
from moatbridge.ledger.states import State

FOREVER = retention.Keep(1e9, 1e9, 1e9)


def stage(ground, *keys, waits=100.0, reason="approval", fp=b"1" * 16):
    items = [ground.item(key, fp=fp, hold=(reason, "card, label", "")) for key in keys]
    with ground.ledger.write() as tx:
        Stager(
            tx, flow_id=ground.row.flow_id, run_id=ground.run_id,
            seed=ground.ledger.seed("people", "srv"), part="g1/all", upto=1, size=500,
            waits=lambda why: waits if why == "approval" else None,
        ).stage(items)  # fmt: skip


def late(ground, *, older=1e9):
    """Which items expire now."""
    with ground.ledger.write() as tx:
        holds.expire_holds(tx, ground.row.flow_id, older=older, lasting={"quiet"})
        return [w.item for w in review.expired(tx, ground.row.flow_id)]


def test_an_item_expires_when_its_own_time_is_over(ground):
    stage(ground, "slow", waits=100.0)
    stage(ground, "quick", waits=-1.0)
    stage(ground, "never", reason="quiet")
    expires = ground.all("SELECT expires IS NULL FROM hold ORDER BY hold_id")
    assert [bool(row[0]) for row in expires] == [False, False, True]
    assert late(ground) == ["h2"]
    assert ground.value("SELECT payload FROM intent WHERE parcel_id=2") is None


@pytest.mark.parametrize(("reason", "over"), [("quiet", []), ("approval", ["h1"])])
def test_of_what_has_no_time_only_what_waits_for_a_person_expires(ground, reason, over):
    """Former versions held without a time; what ends by itself never has one."""
    stage(ground, "u1", waits=None, reason=reason)
    assert late(ground, older=-1.0) == over


def test_what_expired_before_anybody_noted_when_is_asked_about_again(ground):
    """Found in review: the record could not be read any more."""
    stage(ground, "u1", waits=-1.0)
    with ground.ledger.write() as tx:
        tx.run("UPDATE hold SET decided='expire', expires=NULL")
    stage(ground, "u1")
    assert ground.all("SELECT hold_id, decided FROM hold") == [(2, None)]


def test_what_expired_is_not_held_again_but_something_newer_is(ground):
    stage(ground, "u1", waits=-1.0)
    assert late(ground) == ["h1"]
    stage(ground, "u1")
    assert late(ground) == ["h1"]
    stage(ground, "u1", fp=b"2" * 16)
    assert ground.all("SELECT hold_id, decided FROM hold") == [(2, None)]


def test_what_expired_is_asked_about_again_when_it_is_no_longer_listed(ground):
    stage(ground, "u1", waits=-1.0)
    assert late(ground) == ["h1"]
    with ground.ledger.write() as tx:
        tx.run("UPDATE hold SET expires=expires-?", 30 * 86_400)
    stage(ground, "u1")
    assert late(ground) == []
    assert ground.all("SELECT hold_id, decided FROM hold") == [(2, None)]


def test_an_item_whose_time_is_over_is_not_approved_before_anybody_tidies_up(ground):
    stage(ground, "u1", "u2", waits=-1.0)
    with ground.ledger.write() as tx:
        with pytest.raises(Rejected) as over:
            review.decide(tx, ground.row.flow_id, "h1", "approve", actor="boss")
        review.decide(tx, ground.row.flow_id, "h2", "refuse", actor="boss")
    assert over.value.code == "review.decided"
    assert late(ground) == ["h1"]


def test_what_expired_is_over_when_the_record_is_let_go(ground):
    stage(ground, "u1", waits=-1.0)
    assert late(ground) == ["h1"]
    ground.stage(ground.item("u1", fp=b"3" * 16))
    assert ground.value("SELECT count(*) FROM hold") == 0


def test_when_an_item_was_approved_is_known_until_it_is_sent(ground):
    stage(ground, "u1", "u2")
    with ground.ledger.write() as tx:
        review.decide(tx, ground.row.flow_id, "h1", "approve", actor="boss")
        known = holds.agreed_at(
            tx, ground.row.flow_id, [key_hash("u1"), key_hash("u2")]
        )
    at = ground.value("SELECT created FROM run WHERE kind='review'")
    assert known == {key_hash("u1"): at}


def test_what_is_let_go_is_counted_by_run_and_by_hour(ground):
    flow_id = ground.row.flow_id
    with ground.ledger.write() as tx:
        counts.add_noticed(tx, flow_id, 1, {("warn", "card"): 2, ("mask", "iban"): 1})
        counts.add_noticed(tx, flow_id, 2, {("warn", "card"): 3})
        counts.add(tx, flow_id, {("creates", ""): 9, ("seen.drift", ""): 9})
    with ground.ledger.read() as tx:
        assert counts.let_go(tx, flow_id) == {"mask.iban": 1, "warn.card": 5}
        assert counts.let_go(tx, flow_id, run_id=2) == {"warn.card": 3}
    with ground.ledger.write() as tx:
        tx.run("UPDATE guard_count SET hour=hour-30 WHERE key='1'")
        assert counts.let_go(tx, flow_id, hours=24) == {"warn.card": 3}


def test_false_alarms_are_kept_when_the_windows_are_swept(ground):
    stage(ground, "u1")
    flow_id = ground.row.flow_id
    with ground.ledger.write() as tx:
        review.decide(
            tx, flow_id, "h1", "approve", actor="boss", false_alarm=True,
            reason="no\x1b card",
        )  # fmt: skip
        counts.add(tx, flow_id, {("creates", ""): 1})
        tx.run("UPDATE guard_count SET hour=1")
        assert retention.counters(tx, flow_id, FOREVER) == 1
        assert counts.false_alarms(tx, flow_id) == {"card": 1, "label": 1}
    body = json.loads(ground.value("SELECT body FROM audit_in WHERE kind='decision'"))
    assert (body["false_alarm"], body["reason"]) == (["card", "label"], "no card")


class Approvals(RuleBasedStateMachine):
    """Edits, decisions, lateness and stale clicks in any order (guard 35)."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.ground = Ground(self.folder.name)
        self.shown, self.agreed = {}, None

    def teardown(self):
        self.ground.close()
        self.folder.cleanup()

    @rule(content=st.integers(1, 3))
    def edit(self, content):
        """The record is read: what is new about it is held, and voids what was agreed."""
        stage(self.ground, "u1", fp=bytes([content]) * 16)
        [(item, fp)] = self.ground.all("SELECT hold_id, out_fp FROM hold")
        self.shown[f"h{item}"] = fp[0]
        if self.agreed != content:
            self.agreed = None

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), action=st.sampled_from(["approve", "refuse", "replay"]))
    def click(self, data, action):
        """On anything that was ever shown, however stale."""
        item = data.draw(st.sampled_from(sorted(self.shown)))
        try:
            with self.ground.ledger.write() as tx:
                review.decide(tx, self.ground.row.flow_id, item, action, actor="eve")
        except (Rejected, ConfigurationError):
            return
        if action == "approve":
            assert self.agreed is None
            self.agreed = self.shown[item]

    @rule(tidied=st.booleans())
    def wait(self, tidied):
        with self.ground.ledger.write() as tx:
            tx.run("UPDATE hold SET expires=1 WHERE decided IS NULL")
            if tidied:
                holds.expire_holds(
                    tx, self.ground.row.flow_id, older=1e9, lasting={"quiet"}
                )

    @invariant()
    def only_what_was_agreed_to_can_leave(self):
        rows = self.ground.all(
            "SELECT i.out_fp FROM intent i JOIN parcel p ON p.parcel_id=i.parcel_id "
            "WHERE p.state=?",
            State.PLANNED,
        )
        agreed = [] if self.agreed is None else [self.agreed]
        assert [fp[0] for (fp,) in rows] == agreed


TestApprovals = Approvals.TestCase
TestApprovals.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
