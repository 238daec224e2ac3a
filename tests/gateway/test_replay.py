"""Dead letters that were pushed are told again, from the inbox (gateway 44)."""

from __future__ import annotations

import pytest

from gateway.sending import deliver, person
from moatbridge.changes import Receipt
from moatbridge.errors import ConfigurationError
from moatbridge.ledger import inbox
from moatbridge.run.status import expired
from moatbridge.testing import MemoryAdapter

PLACE = "inbox/1/change 0"


@pytest.fixture
def agreed(world):
    world.agree()
    return world


@pytest.fixture
def gateway(agreed, gateway):
    """Keeps deliveries; nobody works on them but the test."""
    return gateway


def run(world, *replays):
    """Work everything off, after these dead letters were replayed."""
    with world.bridge() as bridge:
        for item in replays:
            bridge.decide("people", item, "replay", actor="boss")
        bridge.run("people")
        return [w.item for w in bridge.review("people")]


def tidied(world):
    """Forget whatever may be forgotten."""
    with world.bridge() as bridge, bridge.ledger.write() as tx:
        inbox.prune(tx, bridge.ledger.scope, "hooks", read_to=99, keep_ids=0)


def locations(world):
    return world.rows("SELECT location FROM reject")


def uids(world):
    return sorted(row["uid"] for row in world.target())


def test_what_could_not_be_translated_is_replayed_when_the_translator_can(
    world, gateway
):
    deliver(gateway.port, "m1", person("ada", given="x" * 10_001))
    deliver(gateway.port, "m2", person("bob"))
    [item] = run(world)
    tidied(world)
    assert (uids(world), locations(world)) == (["bob"], [(PLACE,)])
    path = world.folder / "moatbridge.toml"
    path.write_text(
        path.read_text().replace(
            'entity = "Person"\nfields = { userName',
            'entity = "Person"\nmax_text = 20000\nfields = { userName',
        )
    )
    assert run(world, item) == []
    assert uids(world) == ["ada", "bob"]
    assert len(world.effects()) == 2


def test_what_cannot_be_translated_still_is_a_dead_letter_again(world, gateway):
    deliver(gateway.port, "m1", person("ada", given="x" * 10_001))
    [item] = run(world)
    [again] = run(world, item)
    assert again
    assert locations(world) == [("inbox/2/change 0",)]


def test_what_the_target_refused_is_replayed_from_the_inbox(
    world, gateway, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(
            MemoryAdapter,
            "write",
            lambda _self, _stream, intents: [
                Receipt("rejected", code="memory.data") for _ in intents
            ],
        )
        deliver(gateway.port, "m1", person("ada"))
        [item] = run(world)
    tidied(world)
    assert (uids(world), locations(world)) == ([], [(PLACE,)])
    assert run(world, item) == []
    assert (uids(world), len(world.effects())) == (["ada"], 1)


def test_an_update_that_the_target_refused_is_sent_under_another_key(
    world, gateway, monkeypatch
):
    deliver(gateway.port, "m1", person("ada"))
    run(world)
    keys = []

    def refusing(_self, _stream, intents):
        keys.extend(intent.key for intent in intents)
        return [Receipt("rejected", code="memory.data") for _ in intents]

    with monkeypatch.context() as patch:
        patch.setattr(MemoryAdapter, "write", refusing)
        deliver(gateway.port, "m2", person("ada", given="Augusta"))
        [item] = run(world)
    assert run(world, item) == []
    assert [row["given"] for row in world.target()] == ["Augusta"]
    assert not set(keys) & set(world.effects())


def test_an_event_that_nobody_could_read_is_let_go(world, gateway):
    deliver(gateway.port, "m1", {"type": "person.created", "data": {"id": None}})
    [item] = run(world)
    assert run(world, item) == []
    assert len(world.inbox()) == 1


def test_a_dead_letter_that_was_mended_by_a_newer_delivery_is_gone(world, gateway):
    deliver(gateway.port, "m1", person("ada", given="x" * 10_001))
    run(world)
    deliver(gateway.port, "m2", person("ada", given="Augusta"))
    assert run(world) == []


def lapsed(world):
    """Nobody decided about what is held; the next run tidies up."""
    with world.bridge() as bridge:
        [item] = bridge.review("people")
        with bridge.ledger.write() as tx:
            tx.run("UPDATE hold SET expires=? WHERE decided IS NULL", tx.now() - 1)
        bridge.plan("people")
        assert [each.item for each in expired(bridge.ledger, "people")] == [item.item]
        return item.item


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_pushed_and_expired_is_replayed_while_the_inbox_keeps_it(
    world, gateway, kept
):
    path = world.folder / "moatbridge.toml"
    guard = "[flows.people.guard]\ncreates = 0\n[gateway]\n"
    path.write_text(path.read_text().replace("[gateway]\n", guard))
    deliver(gateway.port, "m1", person("ada"))
    run(world)
    item = lapsed(world)
    if not kept:
        tidied(world)
        with pytest.raises(ConfigurationError) as refused:
            run(world, item)
        assert refused.value.code == "review.told-once"
        assert run(world) == []
        return
    [again] = run(world, item)
    assert again != item
    with world.bridge() as bridge:
        bridge.decide("people", again, "approve", actor="boss")
    assert run(world) == []
    assert uids(world) == ["ada"]


# --- the first agreement ------------------------------------------------------------------


def question(world):
    with world.bridge() as bridge:
        plan = bridge.plan("people")
        return plan.verdict.decision, plan.verdict.findings[0].sentence


def another_sender(world):
    with world.bridge() as bridge, bridge.ledger.write() as tx:
        tx.run(
            "UPDATE partition SET cursor=json_set(cursor, '$.server', 'another') "
            "WHERE kind='live'"
        )


def test_another_sender_is_agreed_to_again_and_nothing_acknowledged_is_lost(
    world, gateway
):
    deliver(gateway.port, "m1", person("ada"))
    run(world)
    another_sender(world)
    deliver(gateway.port, "m2", person("bob"))
    run(world)
    assert uids(world) == ["ada"]
    decision, sentence = question(world)
    assert decision == "confirm"
    assert "1 deliveries that wait in the inbox" in sentence
    world.agree()
    run(world)
    assert uids(world) == ["ada", "bob"]
    assert len(world.effects()) == 2
