"""``moatbridge plan``: what a manager reads before anything is sent."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

HOSTILE = "Eve\u202e\u2066\u200bgnp.exe"


def test_a_first_plan_asks_to_confirm_and_sends_nothing(world):
    ran = world.cli("plan", "people")
    assert ran.code == 10
    assert "Plan for flow people: hr/people -> social/people" in ran.out
    assert "30 records read, 0 without a change" in ran.out
    assert "Delivery: effectively-once (" in ran.out
    assert "30  create" in ran.out
    assert "Verdict: CONFIRM" in ran.out
    assert "first_run: this plan is the first one and would touch 30 people" in ran.out
    assert "Nothing was sent." in ran.out
    assert world.target() == {}


def test_up_to_three_examples_show_who_and_the_new_values(world):
    out = world.cli("plan", "people").out
    assert out.count("  create u0") == 3
    assert "      name.givenName: Ada" in out
    assert "      emails[type=work].value: u" in out


def test_the_command_that_comes_next_is_exact(world):
    command = world.next_command(world.cli("plan", "people").out)
    assert world.cli(*command).code == 0
    assert len(world.target()) == 30


def test_the_next_command_repeats_the_configuration_file(world):
    moved = world.folder / "other name.toml"
    world.path.rename(moved)
    command = world.next_command(world.cli("--config", moved, "plan", "people").out)
    assert str(moved) in command
    assert world.cli(*command).code == 0


def test_the_configuration_file_may_come_from_the_environment(world, monkeypatch):
    moved = world.path.rename(world.folder / "elsewhere.toml")
    monkeypatch.setenv("MOATBRIDGE_CONFIG", str(moved))
    assert world.cli("plan", "people").code == 10


def test_json_holds_everything_and_progress_stays_off_it(world):
    ran = world.cli("plan", "people", "--json")
    assert ran.code == ran.json["exit_code"] == 10
    assert ran.json["counts"] == {"create": 30}
    assert ran.json["confirm"] == 30
    assert ran.json["guarantee"]["class"] == "effectively-once"
    assert ran.json["examples"]["create"][0]["fields"]["name"]["givenName"] == "Ada"
    assert ran.json["next"] == [
        f"Next: moatbridge apply people {ran.json['digest']} --confirm 30"
    ]
    lines = [json.loads(line) for line in ran.err.splitlines()]
    assert lines[-1] == {"progress": "plan", "flow": "people", "read": 30, "staged": 30}


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_values_and_names_can_be_hidden(world, options):
    world.applied()
    world.put(1, given="Grace")
    world.gone(2)
    shown = world.cli("plan", "people", *options)
    assert "Grace" in shown.out
    assert "u0002" in shown.out
    hidden = world.cli("plan", "people", "--no-values", *options)
    assert hidden.code == shown.code == 0
    for value in ("Grace", "u0001", "u0002", "u1@x.example"):
        assert value not in hidden.out
    assert "name.givenName" in hidden.out


def test_an_unchanged_source_leaves_nothing_to_do(world):
    world.applied()
    ran = world.cli("plan", "people")
    assert ran.code == 0
    assert "30 records read, 30 without a change" in ran.out
    assert "There is nothing to do." in ran.out


def test_changes_are_counted_by_field_and_removals_are_listed_one_by_one(world):
    world.applied()
    world.put(1, 2, family="Married")
    world.put(3, mail=None)
    world.gone(4, 5)
    ran = world.cli("plan", "people")
    assert ran.code == 0
    assert "3  change" in ran.out
    assert "2  name.familyName" in ran.out
    assert "1  emails[type=work].value, 1 of them emptied" in ran.out
    assert "Removals, one by one (2 of 2)" in ran.out
    assert "  disable u0004  (deleted at the source)" in ran.out
    assert "  disable u0005  (deleted at the source)" in ran.out
    assert "emails[type=work].value: (emptied)" in ran.out
    assert "name.familyName: Married" in ran.out


def test_a_mass_removal_asks_for_another_person(world):
    world.applied()
    world.gone(*range(12))
    ran = world.cli("plan", "people")
    assert ran.code == 11
    assert (
        "removals: this plan would remove 12 of 30 people (40.0 %); the limit is 5 (passes at 5)"
        in ran.out
    )
    assert "Next, another person types: moatbridge apply people" in ran.out


def test_a_shrunken_source_is_stopped(world):
    world.applied()
    world.gone(*range(20))
    world.put(25, family="Married")
    ran = world.cli("plan", "people")
    assert ran.code == 12
    assert "Verdict: STOP" in ran.out
    assert "20  disable (taken out: this pass cannot tell who is gone)" in ran.out
    assert (
        "shrink: this plan saw only 10 people where there were 30; at least 15 are needed"
        in ran.out
    )
    assert "two persons each type: moatbridge apply people" in ran.out
    assert "--accept shrink --confirm 21" in ran.out


def test_a_plan_that_may_only_not_remove_offers_nothing_to_accept(world):
    world.applied()
    world.gone(*range(20))
    ran = world.cli("plan", "people")
    assert ran.code == 12
    assert "moatbridge apply" not in ran.out
    assert "Nothing else is in this plan: mend the source" in ran.out


def test_what_is_held_or_rejected_is_counted_with_its_reason(make_world):
    world = make_world(count=5, flow='match = ["userName"]')
    with world.system("social") as social:
        social.put("people", [{"uid": "u0001", "ext": f"old{n}"} for n in range(2)])
    world.put(2, family="line\nbreak")
    ran = world.cli("plan", "people")
    assert "1  held for a person, one by one" in ran.out
    assert "1  held: ambiguous" in ran.out
    assert "1  rejected: translate.line-break (name.familyName)" in ran.out
    found = world.cli("plan", "people", "--json").json
    assert {(w["kind"], w["reason"]) for w in found["waiting"]} == {
        ("held", "ambiguous"),
        ("rejected", "translate.line-break"),
    }


def test_record_data_cannot_steer_the_terminal(make_world):
    world = make_world(count=0)
    world.put(0, family=HOSTILE)
    ran = world.cli("plan", "people")
    assert "Evegnp.exe" in ran.out
    assert all(char.isprintable() for char in ran.out.replace("\n", ""))
    as_json = world.cli("plan", "people", "--json")
    assert as_json.out.isascii()


def test_an_unknown_flow_is_named_with_those_there_are(world):
    ran = world.cli("plan", "peeple")
    assert ran.code == 2
    assert (
        ran.err
        == "moatbridge: flow.unknown: No flow named 'peeple' (configured: people).\n"
    )


def test_an_unreachable_system_means_try_again(world):
    world.fault("hr", "down")
    ran = world.cli("plan", "people")
    assert ran.code == 75
    assert "offline.down: The server does not answer. [hr]" in ran.err
    world.fault("hr", "down", on=False)
    assert world.cli("plan", "people").code == 10


def test_a_reader_that_goes_away_changes_no_exit_code(world):
    reader, writer = os.pipe()
    os.close(reader)
    process = world.process(
        "plan", "people", stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    _out, err = process.communicate(timeout=120)
    assert process.returncode == 10
    assert "BrokenPipe" not in err
