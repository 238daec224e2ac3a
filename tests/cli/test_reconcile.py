"""``moatbridge reconcile``: what a manager reads, what a machine reads, and what comes next."""

from __future__ import annotations

import json
import re

import pytest


@pytest.fixture
def spoilt(world):
    """Delivered; then somebody worked at the target directly."""
    world.applied()
    with world.system("social") as social:
        stream = social.stream("people")
        rows = {row.data["uid"]: row for row in social.all("people")}
        social.delete("people", [rows["u0001"].ref])
        with social.store.transaction():
            social.save(stream, rows["u0002"].ref, {**rows["u0002"].data, "mail": "x"})
            new = {**stream.blank(), "uid": "local-admin"}
            social.save(stream, social.ref_of(stream, new), new)
    return world


def lines(ran):
    return [json.loads(line) for line in ran.out.splitlines()]


def test_nothing_diverges_after_a_run(world):
    world.applied()
    ran = world.cli("reconcile", "people")
    assert ran.code == 0
    assert "30 records read there, 30 compared" in ran.out
    assert "nothing: every record is as it should be" in ran.out
    assert "Nothing was changed." in ran.out


def test_what_diverges_is_told_in_words_and_the_exit_code_says_so(spoilt):
    ran = spoilt.cli("reconcile", "people")
    assert ran.code == 1
    assert "1  missing: delivered, but no longer there" in ran.out
    assert "1  changed there, in fields that this flow owns" in ran.out
    assert "1  emails[type=work].value" in ran.out
    assert "  missing u0001" in ran.out
    assert "  changed u0002: emails[type=work].value" in ran.out
    assert "1  at the target only, and none of this flow's" in ran.out
    assert "Next: moatbridge reconcile people --repair" in ran.out
    assert len(spoilt.target()) == 30


def test_names_can_be_hidden_and_the_list_be_cut(spoilt):
    ran = spoilt.cli("reconcile", "people", "--no-values")
    assert "u0001" not in ran.out
    assert re.search(r"missing \(link \d+\)", ran.out)
    ran = spoilt.cli("reconcile", "people", "--limit", "0")
    assert "u0001" not in ran.out
    assert "... and" not in ran.out


def test_json_is_a_line_for_each_divergence_and_one_of_counts(spoilt):
    ran = spoilt.cli("reconcile", "people", "--json", "--limit", "0")
    assert ran.code == 1
    first, second, last = lines(ran)
    assert {first["divergence"], second["divergence"]} == {"missing", "changed"}
    assert {first["who"], second["who"]} == {"u0001", "u0002"}
    assert last["counts"] == {"missing": 1, "changed": 1, "duplicate": 0, "extra": 0}
    assert last["fields"] == {"emails[type=work].value": 1}
    assert (last["unmanaged"], last["read"], last["compared"]) == (1, 30, 29)
    hidden = lines(spoilt.cli("reconcile", "people", "--json", "--no-values"))
    assert all("who" not in line for line in hidden)


def test_a_repair_is_shown_as_a_plan_and_applied_like_one(spoilt):
    ran = spoilt.cli("reconcile", "people", "--repair")
    assert "The repair" in ran.out
    assert "1  create" in ran.out
    assert "1  change" in ran.out
    assert "Nothing was sent." in ran.out
    assert spoilt.target()["u0002"]["mail"] == "x"
    done = spoilt.cli(*spoilt.next_command(ran.out))
    assert done.code == 0
    assert spoilt.target()["u0002"]["mail"] == "u2@x.example"
    assert "u0001" in spoilt.target()
    assert spoilt.cli("reconcile", "people").code == 0


def test_an_unreachable_target_is_code_75_and_never_everything_missing(spoilt):
    spoilt.fault("social", "down")
    ran = spoilt.cli("reconcile", "people", "--repair")
    assert ran.code == 75
    assert "missing" not in ran.out
    spoilt.fault("social", "down", on=False)
    spoilt.fault("social", "breaks")
    ran = spoilt.cli("reconcile", "people", "--repair", "--json")
    assert ran.code == 75
    assert ran.out == ""
    assert json.loads(ran.err.splitlines()[-1])["error"]["code"] == "offline.broke"


def test_progress_is_told_on_standard_error(spoilt):
    ran = spoilt.cli("reconcile", "people")
    last = json.loads(ran.err.splitlines()[-1])
    assert last == {
        "progress": "reconcile",
        "flow": "people",
        "read": 30,
        "compared": 29,
    }


def test_a_lost_ledger_sends_nothing_before_a_person_agreed(make_world):
    """Without `match` nothing tells whose the records there are; with it none is made twice."""
    world = make_world(flow='match = ["externalId"]')
    world.applied()
    for file in world.folder.glob("ledger.db*"):
        file.unlink()
    found = world.cli("reconcile", "people")
    assert "30  extra: ours by its external id, but linked to nothing" in found.out
    ran = world.cli("plan", "people")
    assert ran.code == 10
    assert "30  change" in ran.out
    assert world.cli(*world.next_command(ran.out)).code == 0
    assert len(world.target()) == 30
    assert world.cli("reconcile", "people").code == 0
