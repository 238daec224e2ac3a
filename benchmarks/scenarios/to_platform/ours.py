"""moatbridge as it comes: ledger with synchronous FULL, guard on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.run import Bridge

Order = dict[str, Any]
LOOSE = "benchmark, nobody, until 2099-01-01"


def config(order: Order) -> dict[str, Any]:
    """What a person would write, with room for a first load of this size."""
    social = {
        "adapter": "scim", "base_url": order["sink"], "auth": {"kind": "bearer", "token": "env:SINK_TOKEN"},
        "insecure_cleartext": True, "allow_networks": ["127.0.0.0/8"], "max_label": "confidential", "exposure": "internal",
    }  # fmt: skip
    target = order.get("target", {"system": social, "stream": {}})
    made = {
        "ledger": {"url": f"sqlite:///{order['folder']}/ledger.db"},
        "guard": {"creates": 10**7, "four_eyes": False, "loosen": {"creates": LOOSE}},
        "systems": {"hr": order["system"], "social": target["system"]},
        "streams": {"hr/people": order["stream"], "social/people": target["stream"]},
        "flows": {"people": {"from": "hr/people", "to": "social/people"}},
    }  # fmt: skip
    if "groups" in order:
        made["streams"] |= {
            "hr/groups": order["groups"],
            "social/groups": {"remove": "delete"},
        }
        made["flows"]["groups"] = {
            "from": "hr/groups", "to": "social/groups", "match": ["externalId"],
        }  # fmt: skip
    return made


def _opening(order: Order) -> Callable[[], Bridge]:
    from importlib import import_module

    from moatbridge.config import parse
    from moatbridge.registry import Registry
    from moatbridge.run import Bridge

    for adapter in ("scim", order["system"]["adapter"]):
        import_module(f"moatbridge_{adapter}")  # so that importing is not measured

    def opened() -> Bridge:
        return Bridge(parse(config(order), Registry()))

    return opened


def first(order: Order) -> Callable[[], Order]:
    """Plan everything, look at it, apply it; then see where following starts."""
    opened = _opening(order)

    def run() -> Order:
        with opened() as bridge:
            states = [applied(bridge, flow) for flow in bridge.config.flows]
            if order["source"]["kind"] == "sftp":  # tells changes only: now they come
                states.append(str(bridge.run("people").outcome))
            elif "cursor_column" in order["stream"]:
                poll(bridge)
        return {"states": states}

    return run


def applied(bridge: Bridge, flow: str) -> str:
    """One flow, planned and applied."""
    plan = bridge.plan(flow)
    result = bridge.apply(plan, confirm=plan.verdict.count)
    return f"{result.state} {result.outcome} {plan.guarantee}"


def poll(bridge: Bridge) -> str:
    """One look at the tail, and delivery of what it told: what a worker does when due."""
    found = bridge._follow("people", lambda _done, _all: None, None)
    return f"{found.state} {found.outcome}"


def delta(order: Order) -> Callable[[], Order]:
    """Open, look at the tail, deliver, close."""
    opened = _opening(order)

    def run() -> Order:
        with opened() as bridge:
            return {"tail": poll(bridge)}

    return run


def delta_resident(order: Order) -> Callable[[], Order]:
    """A worker that is there already: its connections are open."""
    bridge = _opening(order)()
    bridge.route("people")

    def run() -> Order:
        return {"tail": poll(bridge)}

    return run


def compare(order: Order) -> Callable[[], Order]:
    """A full pass; the plan is applied if the guard lets it pass."""
    opened = _opening(order)

    def run() -> Order:
        with opened() as bridge:
            result = bridge.run("people")
        return {"state": result.state, "outcome": result.outcome}

    return run
