"""From one bridge's webhook out to another bridge's inbox: the whole circle."""

from __future__ import annotations

from flow_world import PERSON
from moatbridge.config import parse
from moatbridge.registry import Registry
from moatbridge.run import Bridge
from moatbridge.testing import HUB, MemoryAdapter, MemoryStream, MemorySystem
from moatbridge_webhook import WebhookAdapter
from servers.gateway import GatewayProcess
from servers.scripted_http import Answer, ScriptedHttp

HERE = {"userName": "uid", "name.givenName": "given", "name.familyName": "family"}


def sender(folder, social):
    """A bridge from a directory in memory to whatever ``social`` is."""
    name = f"hr-{folder.name}"
    directory = HUB.register(
        MemorySystem([MemoryStream("people", PERSON, key=("uid",))], name=name)
    )
    for uid in ("ada", "bob", "eve"):
        directory.put("people", [{"uid": uid, "given": uid.title(), "family": "X"}])
    registry = Registry(discover=False)
    registry.register("memory", MemoryAdapter)
    registry.register("webhook", WebhookAdapter)
    config = {
        "ledger": {"url": f"sqlite:///{folder}/sender.db"},
        "systems": {
            "hr": {"adapter": "memory", "system": name},
            "social": {
                "adapter": "webhook", "insecure_cleartext": True, "allow_networks": ["127.0.0.0/8"],
                "exposure": "internal", "max_label": "confidential", **social,
            },
        },
        "streams": {
            "hr/people": {"translator": {"entity": "Person", "fields": HERE}},
            "social/people": {"entity": "Person"},
        },
        "flows": {"out": {"from": "hr/people", "to": "social/people"}},
    }  # fmt: skip
    return directory, Bridge(parse(config, registry), registry=registry)


def carry(bridge):
    plan = bridge.plan("out")
    return bridge.apply(plan, confirm=plan.verdict.count)


def test_records_go_out_as_signed_events_and_come_in_as_records(world):
    path = world.folder / "moatbridge.toml"
    path.write_text(
        path.read_text()
        .replace('"name.given"', '"name.givenName"')
        .replace('"name.family"', '"name.familyName"')
    )
    world.agree()
    with GatewayProcess(world.folder, "--flows") as gateway:
        social = {
            "base_url": f"http://127.0.0.1:{gateway.port}/in/hooks",
            "signing_keys": ["env:MB_TEST_HOOK_KEY"],
            "key_ttl": 86400,
        }
        directory, bridge = sender(world.folder, social)
        with bridge:
            assert bridge.route("out").guarantee.name == "effectively-once"
            assert carry(bridge).delivered == 3
            assert sorted(row["given"] for row in world.landed().values()) == [
                "Ada",
                "Bob",
                "Eve",
            ]
            directory.put("people", [{"uid": "ada", "given": "Augusta", "family": "X"}])
            carry(bridge)
            assert sorted(row["given"] for row in world.landed().values()) == [
                "Augusta",
                "Bob",
                "Eve",
            ]


def test_a_chat_that_cannot_be_searched_can_be_the_target_of_a_flow(world):
    with ScriptedHttp(lambda _asked: Answer(200)) as peer:
        _directory, bridge = sender(
            world.folder, {"base_url": peer.base_url, "format": "slack"}
        )
        with bridge:
            assert bridge.route("out").guarantee.name == "at-most-once"
            result = carry(bridge)
    assert result.outcome["create"] == {"REJECTED": 3}  # a person is no message
