"""``moatbridge apply``: nothing is sent before somebody agreed to exactly this plan."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import time

import pytest


def planned(world):
    return world.cli("plan", "people", "--json").json


def agreements(world):
    with sqlite3.connect(world.folder / "ledger.db") as ledger:
        rows = ledger.execute(
            "SELECT body FROM audit_in WHERE kind='agreement'"
        ).fetchall()
    ledger.close()
    return [json.loads(body) for (body,) in rows]


def test_without_a_number_nothing_is_sent(world):
    plan = planned(world)
    ran = world.cli("apply", "people", plan["digest"])
    assert ran.code == 10
    assert "guard.first_run" in ran.err
    assert "Nothing was sent" in ran.err
    assert world.target() == {}


def test_a_wrong_number_sends_nothing(world):
    plan = planned(world)
    ran = world.cli("apply", "people", plan["digest"], "--confirm", 29)
    assert ran.code == 10
    assert "confirmed by typing the number of records shown (30)" in ran.err
    assert world.target() == {}


def test_the_right_number_sends_everything_once(world):
    plan = planned(world)
    ran = world.cli("apply", "people", plan["digest"], "--confirm", 30)
    assert ran.code == 0
    assert "people: done" in ran.out
    assert [line.split() for line in ran.out.splitlines()][2] == ["create", "30"]
    assert len(world.target()) == 30
    with world.system("social") as social:
        assert social.doubled() == []


def test_the_result_as_json(world):
    planned(world)
    ran = world.cli("apply", "people", "--confirm", 30, "--json")
    assert ran.json["outcome"] == {"create": {"done": 30}}
    assert ran.json["delivered"] == 30
    assert ran.json["exit_code"] == ran.code == 0
    assert json.loads(ran.err.splitlines()[-1]) == {
        "progress": "apply",
        "flow": "people",
        "delivered": 30,
        "all": 30,
    }


def test_a_plan_that_was_replaced_is_refused(world):
    old = planned(world)["digest"]
    world.put(99)
    new = planned(world)["digest"]
    ran = world.cli("apply", "people", old, "--confirm", 30)
    assert ran.code == 2
    assert f"The plan {old} of flow 'people' was replaced by {new}" in ran.err
    assert world.target() == {}


def test_without_a_plan_it_says_how_to_make_one(world):
    ran = world.cli("apply", "people")
    assert ran.code == 2
    assert "plan.none" in ran.err
    assert "moatbridge plan people" in ran.err


def test_approval_takes_another_person(world):
    world.applied()
    world.gone(*range(12))
    plan = planned(world)
    assert plan["decision"] == "approve"
    alone = world.cli("apply", "people", plan["digest"], "--confirm", plan["confirm"])
    assert alone.code == 11
    assert "another person than the one who started it" in alone.err
    assert all(row["active"] is not False for row in world.target().values())
    with world.login("anna"):
        assert world.cli("apply", "people", plan["digest"]).code == 0
    assert sum(row["active"] is False for row in world.target().values()) == 12
    assert agreements(world)[-1]["actor"].startswith("anna@")


@pytest.mark.parametrize(("gone", "code"), [(12, 11), (20, 12)])
def test_a_name_that_is_only_typed_is_no_second_person(world, gone, code):
    world.applied()
    world.gone(*range(gone))
    world.put(25, family="Married")
    plan = planned(world)
    accept = ["--accept", "shrink"] if code == 12 else []
    before = agreements(world)
    ran = world.cli(
        "apply",
        "people",
        plan["digest"],
        *accept,
        "--confirm",
        plan["confirm"],
        "--as",
        "anna@corp",
    )
    assert ran.code == code
    assert "--as does not stand for one" in ran.err
    assert agreements(world) == before
    assert world.target()["u0025"]["family"] == "L25"


def test_a_confirmation_may_be_given_in_anothers_name_and_both_are_audited(world):
    plan = planned(world)
    assert (
        world.cli(
            "apply", "people", plan["digest"], "--confirm", 30, "--as", "anna@corp"
        ).code
        == 0
    )
    said = agreements(world)[-1]
    assert said["actor"] == "anna@corp"
    assert said["typed_by"] != "anna@corp"


def test_a_stopped_plan_takes_two_persons_and_the_first_is_not_forgotten(world):
    world.applied()
    world.gone(*range(20))
    world.put(25, family="Married")
    plan = planned(world)
    assert plan["decision"] == "stop"
    accept = (
        "apply",
        "people",
        plan["digest"],
        "--accept",
        "shrink",
        "--confirm",
        plan["confirm"],
    )
    first = world.cli(*accept)
    assert first.code == 12
    assert "1 did so far" in first.err
    assert world.target()["u0025"]["family"] == "L25"
    with world.login("anna"):
        assert world.cli(*accept).code == 0
    found = world.target()
    assert found["u0025"]["family"] == "Married"
    gone = [uid for uid, row in found.items() if row["active"] is False]
    assert gone == []  # a shrunken pass removes nobody


def test_an_emptied_source_can_be_accepted_by_nobody_to_remove_people(world):
    world.applied()
    world.gone(*range(30))
    plan = planned(world)
    assert plan["exit_code"] == 12
    accept = ("--accept", "shrink", "--confirm", plan["confirm"])
    for who in ("anna", "bob"):
        with world.login(who):
            world.cli("apply", "people", plan["digest"], *accept)
    assert all(row["active"] is not False for row in world.target().values())


def test_rejected_items_wait_for_a_person(world):
    world.fault("social", "refuses")
    planned(world)
    ran = world.cli("apply", "people", "--confirm", 30)
    assert ran.code == 20
    assert "1  waiting for a person: rejected" in ran.out
    assert "Next: moatbridge review people" in ran.out
    assert len(world.target()) == 29


def test_unknown_outcomes_are_parked(unkeyed):
    planned(unkeyed)
    unkeyed.fault("social", "loses")
    ran = unkeyed.cli("apply", "people", "--confirm", 3)
    assert ran.code == 20
    assert "waiting for a person: parked" in ran.out


def test_an_unreachable_target_means_try_again_and_the_same_command_goes_on(world):
    plan = planned(world)
    world.fault("social", "down")
    command = ("apply", "people", plan["digest"], "--confirm", 30)
    assert world.cli(*command).code == 75
    assert world.target() == {}
    world.fault("social", "down", on=False)
    assert world.cli(*command).code == 0
    assert len(world.target()) == 30


def test_a_kill_switch_sends_nothing_and_says_who_pulled_it(world):
    planned(world)
    assert world.cli("kill", "system:social", "wrong mapping").code == 0
    ran = world.cli("apply", "people", "--confirm", 30)
    assert ran.code == 75
    assert "guard.kill-switch" in ran.err
    assert "wrong mapping" in ran.err
    assert world.target() == {}
    assert world.cli("resume", "system:social", "mended").code == 0
    assert world.cli("apply", "people").code == 0
    assert len(world.target()) == 30


def typed_at_terminal(world, answer, *args):
    """Run the program on a terminal of its own and type an answer to its question."""
    leader, follower = pty.openpty()
    process = world.process(*args, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    seen, typed, deadline = b"", False, time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            try:
                chunk = os.read(leader, 4096)
            except OSError:  # Linux: the other side is closed
                break
            if not chunk:
                break
            seen += chunk
            if not typed and b"type the number of records concerned" in seen:
                os.write(leader, answer)
                typed = True
        code = process.wait(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)
    return code, seen.decode()


@pytest.mark.parametrize(
    ("answer", "code", "sent"), [(b"30\n", 0, 30), (b"3\n", 10, 0)]
)
def test_on_a_terminal_it_asks_for_the_number(world, answer, code, sent):
    plan = planned(world)
    ended, seen = typed_at_terminal(world, answer, "apply", "people", plan["digest"])
    assert ended == code, seen
    assert "first_run: this plan is the first one and would touch 30 people" in seen
    assert len(world.target()) == sent


def test_on_a_terminal_progress_is_a_line_and_no_json(world):
    _code, seen = typed_at_terminal(world, b"", "plan", "people")
    assert "records read" in seen
    assert '"progress"' not in seen
