"""Answers on the timeline become decisions in the ERP system, once and by the right."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from moatbridge.demo import seed_content
from moatbridge.demo.seed_content import BUYER, CLERK, JUNIOR, VISITOR, number_of
from moatbridge.demo.stage import done

if TYPE_CHECKING:
    from moatbridge.demo.stage import Stage

_FLOW: Final = "decisions"
_PATIENCE: Final = 60.0
_LOOK: Final = 0.01
_LATER: Final = tuple(f"PO-2{number:03}" for number in range(1, 9))


def play(stage: Stage) -> None:
    """People answer; look at both sides; then the same through a ``kill -9``."""
    tell = stage.tell
    tell.act("Answers on the timeline, written back to the ERP system")
    with stage.world.bridge() as bridge:
        plan = stage.plan(bridge, _FLOW)
        stage.apply(bridge, plan)
    _answer(stage)
    with stage.world.bridge() as bridge:
        tell.expect("decisions carried", "create 2", done(stage.run(bridge, _FLOW)))
    _verify(stage)
    _told(stage)
    with stage.world.bridge() as bridge:
        tell.expect("run again", "nothing", done(stage.run(bridge, _FLOW)))
    _killed(stage)


def _answer(stage: Stage) -> None:
    tell, town = stage.tell, stage.world.town
    posts = {number: post["id"] for number, post in stage.world.posts().items()}
    with tell.step("six people answer posts about orders"):
        town.reply(BUYER.uid, posts["PO-1001"], "approve, looks good")
        town.reply(BUYER.uid, posts["PO-1004"], "Reject too expensive this quarter")
        town.reply(JUNIOR.uid, posts["PO-1002"], "approve")
        town.reply(CLERK.uid, posts["PO-1002"], "approve")
        town.reply(VISITOR, posts["PO-1002"], "approve")
        town.reply(CLERK.uid, posts["PO-1003"], "how long will they last?")


def _verify(stage: Stage) -> None:
    tell, world = stage.tell, stage.world
    with tell.step("read the ERP's database and the timeline"):
        decisions, posts = world.erp.decisions(), world.posts()
    buyer = number_of(BUYER)
    found = [
        "{order_nr} {decision} {approver}: {comment}".format_map(d) for d in decisions
    ]
    tell.expect(
        "decisions in the ERP's database",
        [
            f"PO-1001 approve {buyer}: looks good",
            f"PO-1004 reject {buyer}: too expensive this quarter",
        ],
        found,
    )
    for number, state in (("PO-1001", "approved"), ("PO-1004", "rejected")):
        post = posts[number]
        tell.confirm(
            f"the post about {number} now says '{state} {buyer}'",
            holds=f"State: {state} {buyer}" in post["content"],
        )
        tell.expect(
            f"versions of the post about {number}",
            2,
            len(world.town.history(post["id"])),
        )


def _told(stage: Stage) -> None:
    """Whoever could not decide reads why, alone and once."""
    tell, town = stage.tell, stage.world.town
    wanted = {
        JUNIOR.uid: "does not accept this decision from you",
        CLERK.uid: "You may not decide this",
        VISITOR: "is not linked to anybody",
    }
    for who, words in wanted.items():
        told = town.inbox(who)
        tell.say(f"{who} reads: {_plain(told)}")
        fits = len(told) == 1 and words in told[0]["content"]
        private = all(each["visibility"] == "direct" for each in told)
        tell.confirm(f"{who} was told why, once and alone", holds=fits and private)


def _plain(told: list[dict[str, Any]]) -> str:
    texts = (each["content"] for each in told)
    return " / ".join(t.removeprefix("<p>").removesuffix("</p>") for t in texts)


def _killed(stage: Stage) -> None:
    """Eight more orders, eight answers, and a kill in the middle of carrying them."""
    tell, world = stage.tell, stage.world
    world.erp.add([seed_content.later_order(number) for number in _LATER])
    with world.bridge() as bridge:
        tell.expect(
            "further orders posted",
            f"create {len(_LATER)}",
            done(stage.run(bridge, "orders")),
        )
    posts, before = world.posts(), len(world.erp.decisions())
    for number in _LATER:
        world.town.reply(BUYER.uid, posts[number]["id"], f"approve for {number}")
    with tell.step("moatbridge run decisions, killed as soon as one is in the ERP"):
        process = world.command("run", _FLOW, "--once")
        ends = time.monotonic() + _PATIENCE
        while len(world.erp.decisions()) == before and time.monotonic() < ends:
            if process.poll() is not None:
                break
            time.sleep(_LOOK)
        process.kill()
        signal = max(0, -process.wait())
    there = len(world.erp.decisions()) - before
    tell.expect("the process ended by signal", 9, signal)
    tell.say(f"{there} of {len(_LATER)} decisions had arrived")
    time.sleep(world.lease)  # the dead process's lease ends by itself
    with world.bridge() as bridge:
        stage.run(bridge, _FLOW)
    made = [d["order_nr"] for d in world.erp.decisions()[before:]]
    tell.expect("decisions lost", [], sorted(set(_LATER) - set(made)))
    tell.expect("decisions doubled", 0, len(made) - len(set(made)))
    journal = [each["order_nr"] for each in world.erp.journal()]
    tell.expect("effects in the ERP's journal", before + len(_LATER), len(journal))
