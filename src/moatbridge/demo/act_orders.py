"""Orders of the ERP system become posts, for the company only, and never a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moatbridge.demo import seed_content
from moatbridge.demo.stage import done, planned

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_FLOW: Final = "orders"


def play(stage: Stage) -> None:
    """Plan, apply, and look at the timeline and at what was held back."""
    tell, world = stage.tell, stage.world
    tell.act("Orders from the ERP system (SOAP) on the company's timeline")
    orders = world.erp.orders()
    shown = len(orders) - 1
    with world.bridge() as bridge:
        plan = stage.plan(bridge, _FLOW)
        tell.expect("posts the plan would publish", f"create {shown}", planned(plan))
        code = stage.refused(bridge, plan)
        tell.confirm("published before anybody agreed: nothing", holds=bool(code))
        result = stage.apply(bridge, plan)
        tell.expect("run of orders ended as", "done", result.state)
        held = bridge.review(_FLOW)
        tell.expect("posts held for a person", 1, len(held))
        tell.say(f"held: {', '.join(f'{w.reason} ({w.detail})' for w in held)}")
        again = stage.plan(bridge, _FLOW, show=False)
        tell.expect("second look at orders", "nothing", planned(again))
    _verify(stage, shown)
    _mended(stage, shown)
    _withdrawn(stage)


def _verify(stage: Stage, shown: int) -> None:
    tell, world = stage.tell, stage.world
    with tell.step("read the timeline over HTTP and compare with the ERP's database"):
        posts = world.posts()
    tell.expect("posts on the timeline", shown, len(posts))
    wrong = [
        number
        for number, row in world.erp.orders().items()
        if number != seed_content.HUSHED_ORDER
        and not _tells(posts.get(number, {}).get("content", ""), row)
    ]
    tell.expect("posts with a wrong title, total or state", [], wrong)
    wide = [n for n, post in posts.items() if post["visibility"] != "private"]
    tell.expect("posts that others than the company can read", [], wide)
    hushed = seed_content.HUSHED_ORDER in posts
    tell.confirm(
        "the order with a password in its title is not there", holds=not hushed
    )
    loud = posts[seed_content.LOUD_ORDER]
    tell.expect("people pinged by '@everyone' in an order", [], loud["mentions"])


def _tells(markup: str, row: dict[str, object]) -> bool:
    total = f"{int(str(row['total_cents'])) / 100:,.2f} EUR"
    title = str(row["title"]).replace("@", "@\u2060")
    return all(part in markup for part in (title, total, f"State: {row['status']}"))


def _mended(stage: Stage, shown: int) -> None:
    """The password is taken out of the title: the newer version needs nobody."""
    tell, world = stage.tell, stage.world
    world.erp.retitle(seed_content.HUSHED_ORDER, "VPN renewal")
    with world.bridge() as bridge:
        tell.expect(
            "after the title was mended", "create 1", done(stage.run(bridge, _FLOW))
        )
        tell.expect("posts held for a person", 0, len(bridge.review(_FLOW)))
    tell.expect("posts on the timeline", shown + 1, len(world.posts()))


def _withdrawn(stage: Stage) -> None:
    """An order disappears from the ERP: its post is retracted."""
    tell, world = stage.tell, stage.world
    world.erp.withdraw(seed_content.LOUD_ORDER)
    with world.bridge() as bridge:
        tell.expect(
            "after an order was withdrawn", "delete 1", done(stage.run(bridge, _FLOW))
        )
    gone = seed_content.LOUD_ORDER not in world.posts()
    tell.confirm("its post is retracted", holds=gone)
