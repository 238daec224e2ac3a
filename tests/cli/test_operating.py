"""``status``, ``review``, ``kill`` and ``resume``: they need the ledger and nothing else."""

from __future__ import annotations

import pytest

FIELDS = """
userName = "uid"
"name.givenName" = "given"
"emails[type=work].value" = "mail"
"""
HOSTILE = "\x1b[2J\x1b]0;pwned\x07evil\nline"


@pytest.fixture
def ambiguous(make_world):
    """One record that two accounts match: held; one that the source spoils: rejected."""
    world = make_world(count=5, flow='match = ["userName"]')
    with world.system("social") as social:
        social.put("people", [{"uid": "u0001", "ext": f"old{n}"} for n in range(2)])
    world.put(2, family="line\nbreak")
    world.cli("plan", "people")
    return world


def items(world, *options):
    return {
        item["kind"]: item
        for item in world.cli("review", "people", "--json", *options).json
    }


def test_status_of_a_flow_that_never_ran(world):
    ran = world.cli("status")
    assert ran.code == 0
    assert "Flow people: hr/people -> social/people" in ran.out
    assert "last pass never" in ran.out


def test_status_tells_the_last_pass_links_and_partitions(world):
    world.applied()
    ran = world.cli("status")
    assert "last pass run 1" in ran.out
    assert "done, verdict confirm" in ran.out
    assert "linked    30 records on both sides" in ran.out
    assert "part      control: ready, nobody, fence" in ran.out
    found = world.cli("status", "--json").json["flows"][0]
    assert found["links"] == 30
    assert found["last_pass"]["counts"] == {"create": 30}
    assert found["last_pass"]["outcome"] == {"create": {"DONE": 30}}
    assert {"control", "lane/0", "live"} == {
        part["name"] for part in found["partitions"]
    }


def test_status_tells_what_is_planned_and_how_long_people_are_waited_for(ambiguous):
    found = ambiguous.cli("status", "--json").json["flows"][0]
    assert found["open"] == {"planned": 3, "held": 1}
    assert found["waiting"] == {"held": 1, "rejected": 1}
    assert 0 <= found["oldest_waiting"] < 60
    assert "1 held, 1 rejected, the oldest for" in ambiguous.cli("status").out


def test_status_names_errors_and_the_next_time(world):
    world.fault("hr", "breaks")
    assert world.cli("plan", "people").code == 75
    found = world.cli("status", "--json").json["flows"][0]
    broken = [
        part for part in found["partitions"] if part["kind"] == "scan" and part["error"]
    ]
    assert (
        "offline.broke"
        in {part["error"] for part in broken}
        <= {"offline.broke", "breaker.open"}
    )
    assert all(part["next"] > 0 for part in broken)
    tried = [part for part in broken if part["error"] == "offline.broke"]
    assert all(part["tries"] >= 1 for part in tried)
    assert found["last_pass"]["state"] == "scanning"
    assert "error offline.broke, " in world.cli("status").out


def test_status_and_review_work_without_systems_and_adapters(world, monkeypatch):
    world.applied()
    for name in ("hr", "social"):
        world.fault(name, "down")
    text = world.path.read_text().replace(
        'adapter = "offline"', 'adapter = "not-installed-here"'
    )
    world.path.write_text(text)
    assert world.cli("status").code == 0
    assert world.cli("review").code == 0
    assert world.cli("kill", "all", "fire drill").code == 0


def test_review_lists_items_masked_with_what_can_be_done(ambiguous):
    ran = ambiguous.cli("review")
    assert ran.code == 0
    assert "Flow people: 2 waiting (--show says who)" in ran.out
    assert "held: create record" in ran.out
    assert "moatbridge review people h1 approve | refuse" in ran.out
    assert "rejected: read record" in ran.out
    assert "translate.line-break (name.familyName)" in ran.out
    for value in ("u0001", "u0002", "Ada", "x.example"):
        assert value not in ran.out
        assert value not in ambiguous.cli("review", "--json").out


def test_review_shows_values_on_request(ambiguous):
    ran = ambiguous.cli("review", "people", "--show")
    assert "held: create u0001" in ran.out
    assert "--show" not in ran.out
    assert "name.givenName: Ada" in ran.out
    assert items(ambiguous, "--show")["held"]["entity"]["userName"] == "u0001"


def test_a_refused_item_waits_no_longer(ambiguous):
    item = items(ambiguous)["held"]["item"]
    ran = ambiguous.cli("review", "people", item, "refuse", "--reason", "two accounts")
    assert ran.code == 0
    assert "Next: moatbridge run people --once" in ran.out
    assert "held" not in items(ambiguous)


@pytest.fixture
def privileged(make_world):
    """Three people who would get a role: each waits for an approval."""
    world = make_world(count=3)
    world.configure(fields=FIELDS.replace("emails", "roles"))
    world.cli("plan", "people")
    assert world.cli("apply", "people").code == 20
    assert world.target() == {}
    waiting = world.cli("review", "--json").json
    assert {(w["kind"], w["reason"]) for w in waiting} == {("held", "approval")}
    return world


def test_an_approved_item_is_sent_by_the_next_run(privileged):
    item = items(privileged)["held"]["item"]
    with privileged.login("anna"):
        decided = privileged.cli(
            "review", "people", item, "approve", "--reason", "known"
        )
    assert decided.code == 0
    assert privileged.cli("run", "people", "--once").code == 20
    assert len(privileged.target()) == 1


@pytest.mark.parametrize("options", [(), ("--as", "anna@corp")])
def test_nobody_approves_what_their_own_run_would_do(privileged, options):
    item = items(privileged)["held"]["item"]
    ran = privileged.cli("review", "people", item, "approve", *options)
    assert ran.code == 11
    assert "must be approved by another person" in ran.err
    assert len(privileged.cli("review", "--json").json) == 3
    assert privileged.cli("review", "people", item, "refuse").code == 0


def test_without_four_eyes_one_person_approves(privileged):
    text = privileged.path.read_text() + "\n[guard]\nfour_eyes = false\n"
    privileged.path.write_text(text)
    item = items(privileged)["held"]["item"]
    assert privileged.cli("review", "people", item, "approve").code == 0


def test_a_second_decision_is_told_who_was_faster(ambiguous):
    item = items(ambiguous)["held"]["item"]
    ambiguous.cli("review", "people", item, "refuse", "--as", "anna@corp")
    again = ambiguous.cli("review", "people", item, "refuse")
    assert again.code == 20
    assert "was decided by anna@corp already" in again.err


def test_a_repaired_record_is_replayed(world):
    world.put(4, family="line\nbreak")
    world.cli("plan", "people")
    world.cli("apply", "people", "--confirm", 29)
    world.put(4, family="Better")
    item = items(world)["rejected"]["item"]
    assert world.cli("review", "people", item, "replay").code == 0
    assert world.cli("run", "people", "--once").code == 0
    assert world.target()["u0004"]["family"] == "Better"


def test_a_parked_item_that_arrived_is_settled_by_a_person(unkeyed):
    unkeyed.cli("plan", "people")
    unkeyed.fault("social", "loses")
    assert unkeyed.cli("apply", "people", "--confirm", 3).code == 20
    unkeyed.fault("social", "loses", on=False)
    waiting = unkeyed.cli("review", "--json").json
    assert {item["kind"] for item in waiting} == {"parked"}
    for item in waiting:
        assert unkeyed.cli("review", "people", item["item"], "arrived").code == 0
    assert unkeyed.cli("review", "--json").json == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("people", "h1"), "ITEM needs an ACTION"),
        (
            ("people", "h1", "replay"),
            "is not possible here (possible: approve, refuse)",
        ),
        (("people", "h99", "refuse"), "No waiting item 'h99'"),
        (("nobody",), "No flow named 'nobody' (configured: people)"),
    ],
)
def test_wrong_decisions_are_explained(ambiguous, args, words):
    ran = ambiguous.cli("review", *args)
    assert ran.code == 2
    assert words in ran.err


def test_the_kill_switch_is_shown_with_reason_and_lifted(world):
    assert world.cli("kill", "flow:people", "wrong people").code == 0
    assert "SWITCHED OFF: flow:people, by " in world.cli("status").out
    assert world.cli("status", "--json").json["kills"][0]["reason"] == "wrong people"
    lifted = world.cli("resume", "flow:people", "mended", "--json")
    assert lifted.code == 0
    assert lifted.json == []
    assert world.cli("status", "--json").json["kills"] == []


def test_lifting_one_switch_shows_those_that_are_left(world):
    world.cli("kill", "all", "stop everything")
    world.cli("kill", "system:social", "and this one")
    ran = world.cli("resume", "system:social", "fine again")
    assert "  off: all, by " in ran.out


def test_the_environment_switches_off_too(world, monkeypatch):
    monkeypatch.setenv("MOATBRIDGE_KILL", "1")
    assert world.cli("status", "--json").json["kills"][0]["actor"] == "environment"


@pytest.mark.parametrize(
    "scope", ["everything", "flow:nobody", "system:", "flow", "planet:people"]
)
def test_an_unknown_scope_switches_nothing_off_and_says_so(world, scope):
    ran = world.cli("kill", scope, "why")
    assert ran.code == 2
    assert "NOTHING WAS SWITCHED OFF" in ran.err
    assert "there are: all, flow:people, system:hr, system:social" in ran.err


def test_a_reason_cannot_steer_the_terminal(world):
    world.cli("kill", "all", HOSTILE)
    out = world.cli("status").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "SWITCHED OFF: all" in out.splitlines()[0]
    assert "evil line" in out.splitlines()[0]
