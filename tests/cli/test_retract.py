"""``moatbridge retract``: shown like a plan, confirmed, carried out, reported."""

from __future__ import annotations

import shlex

import pytest


def run_of(world):
    status = world.cli("status", "--json").json
    return status["flows"][0]["last_pass"]["run"]


@pytest.fixture
def changed(world):
    """A world in which the second run changed three people, and one was edited since."""
    world.applied()
    world.put(1, 2, 3, family="Changed")
    assert world.cli("run", "people", "--once").code == 0
    with world.system("social") as social:
        row = next(r for r in social.all("people") if r.data["uid"] == "u0002")
        with social.store.transaction():
            social.save(
                social.stream("people"), row.ref, {**row.data, "family": "By hand"}
            )
    return world


def test_the_whole_way_from_dry_to_report(changed):
    run = run_of(changed)
    dry = changed.cli("retract", run, "--dry")
    assert dry.code == 10
    assert "2  to do: put back as it was" in dry.out
    assert "1  changed since: somebody changed the record" in dry.out
    assert changed.target()["u0001"]["family"] == "Changed"
    line = next(line for line in dry.out.splitlines() if line.startswith("Next: "))
    done = changed.cli(*shlex.split(line)[2:])
    assert done.code == 20
    assert "2  undone: put back as it was" in done.out
    assert "u0002: changed since" in done.out
    families = {uid: row["family"] for uid, row in changed.target().items()}
    assert families["u0001"] == "L1"
    assert families["u0002"] == "By hand"
    status = changed.cli("status").out
    assert "takes back run" in status
    assert "2 undone, 1 not (changed since)" in status


def test_without_a_number_nothing_is_sent(changed):
    ran = changed.cli("retract", run_of(changed))
    assert ran.code == 10
    assert "Nothing was sent" in ran.out
    assert changed.target()["u0001"]["family"] == "Changed"


def test_a_wrong_number_sends_nothing(changed):
    ran = changed.cli("retract", run_of(changed), "--confirm", 7)
    assert ran.code == 10
    assert changed.target()["u0001"]["family"] == "Changed"


def test_json_names_reasons_and_only_on_request_people(changed):
    run = run_of(changed)
    done = changed.cli("retract", run, "--confirm", 2, "--json", "--no-values")
    assert done.code == done.json["exit_code"] == 20
    assert done.json["undone"] == {"update": 2}
    assert done.json["not_undone"] == {"changed-since": 1}
    assert "u0002" not in done.out
    shown = changed.cli("retract", run, "--dry", "--json").json
    assert shown["left"][0]["who"] == "u0002"


def test_all_undone_is_exit_code_0_and_limits_take_a_second_person(world):
    world.applied()
    first = world.cli("retract", run_of(world), "--confirm", 30)
    assert first.code == 11  # thirty of thirty is above the limit of removals
    with world.login("somebody"):
        done = world.cli("retract", run_of(world), "--confirm", 30)
    assert done.code == 0, done
    assert {row["active"] for row in world.target().values()} == {False}
    plan = world.cli("plan", "people", "--json").json
    assert plan["counts"] == {}


def test_some_records_by_name_and_time(changed):
    run = run_of(changed)
    one = changed.cli("retract", run, "--links", "u0003", "--since", "1h", "--dry")
    assert "1  to do" in one.out
    assert "--links u0003" in one.out
    assert "--since 1h" in one.out


WRONG = (
    (("--since", "soon"), "takes how long ago"),
    (("--since", "0001-01-01T00:00"), "takes how long ago"),
    (("--since", "2999-01-01", "--dry"), "no time of the past"),
    (("--links", "u0001", "--links", "nobody"), "nothing to do with nobody"),
    (("--dry", "--confirm", 2), "nothing to --confirm"),
)


def test_what_cannot_be_meant_ends_with_2_and_nothing_is_done(changed):
    run = run_of(changed)
    for wrong, said in WRONG:
        ran = changed.cli("retract", run, *wrong)
        assert ran.code == 2, wrong
        assert said in " ".join(ran.err.replace("│", " ").split())
    assert "takes back run" not in changed.cli("status").out


def test_an_unknown_run_is_named(world):
    world.applied()
    ran = world.cli("retract", 999)
    assert ran.code == 2
    assert "no run 999" in ran.err
