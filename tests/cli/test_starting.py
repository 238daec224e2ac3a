"""``init``, ``check``, ``discover``, ``config``, ``adapters``, ``demo``: before the first plan."""

from __future__ import annotations

import gc
import itertools
import json
import stat
import tomllib

import pytest

from moatbridge import cli
from moatbridge.cli.starter import LABELS, LEGACY, PLATFORMS, starter
from moatbridge.config import parse
from moatbridge.ledger.checkpoints import has_race
from moatbridge.registry import Registry

SECRET = "hunter2-and-more"  # a value that must appear nowhere


@pytest.mark.parametrize(
    ("legacy", "platform", "label"),
    list(itertools.product(LEGACY, PLATFORMS, (None, *LABELS))),
)
def test_init_writes_a_file_that_is_valid_with_the_real_adapters(
    world, legacy, platform, label
):
    path = world.folder / "new.toml"
    options = [] if label is None else ["--max-label", label]
    ran = world.cli(
        "init", "--legacy", legacy, "--platform", platform, "--path", path, *options
    )
    assert ran.code == 0
    assert "moatbridge check" in ran.out
    found = parse(tomllib.loads(path.read_text()), Registry())
    assert found.flows["people"].source == "hr/people"
    assert found.systems["social"].max_label == (label or "internal")


def test_init_leaves_open_what_a_company_must_decide():
    text = starter()
    assert '# max_label = "confidential"' in text
    assert "max_label" not in tomllib.loads(text)["systems"]["social"]
    assert tomllib.loads(starter(home_domains=["corp.example"]))["guard"][
        "home_domains"
    ] == ["corp.example"]


def test_init_never_overwrites(world):
    before = world.path.read_text()
    ran = world.cli("init")
    assert ran.code == 2
    assert "moatbridge.toml exists already and is left as it is" in ran.err
    assert world.path.read_text() == before
    (world.folder / "link.toml").symlink_to(world.folder / "nowhere")
    assert world.cli("init", "--path", "link.toml").code == 2


@pytest.mark.parametrize(
    "options", [("--legacy", "fax"), ("--platform", "pigeon"), ("--max-label", "loud")]
)
def test_init_refuses_what_it_does_not_know(world, options):
    ran = world.cli("init", "--path", "new.toml", *options)
    assert ran.code == 2
    assert "is none of" in ran.err
    assert not (world.folder / "new.toml").exists()


def test_a_missing_file_says_how_to_start(site, world):
    world.path.unlink()
    for command in (("check",), ("plan", "people"), ("status",), ("config", "show")):
        ran = world.cli(*command)
        assert ran.code == 2
        assert (
            "There is no file moatbridge.toml. `moatbridge init` writes one" in ran.err
        )


def test_a_wrong_configuration_tells_all_problems_at_once_and_no_value(world):
    text = world.path.read_text().replace('to = "social/people"', 'to = "socal/people"')
    text = text.replace('adapter = "offline"', 'adapter = "offline"\npasword = "x"', 1)
    world.path.write_text(
        text.replace('max_label = "confidential"', f'max_label = "{SECRET}"')
    )
    ran = world.cli("check")
    assert ran.code == 2
    assert "3 problems in moatbridge.toml:" in ran.err
    assert (
        "flows.people.to: there is no stream `socal/people`; did you mean `social/people`?"
        in ran.err
    )
    assert "systems.hr.pasword: unknown setting; did you mean `password`?" in ran.err
    assert "systems.social.max_label" in ran.err
    assert SECRET not in ran.out + ran.err


def test_errors_are_json_where_json_was_asked_for(world):
    ran = world.cli("plan", "nobody", "--json")
    assert ran.code == 2
    assert json.loads(ran.err)["error"]["code"] == "flow.unknown"


def test_check_shows_who_we_are_and_what_leaves(world):
    ran = world.cli("check")
    assert ran.code == 0
    assert "System hr (offline): ok" in ran.out
    assert "we are    cn=reader" in ran.out
    assert "deadline  10 s to connect, 30 s a call" in ran.out
    assert "Flow people: hr/people -> social/people: ok" in ran.out
    assert "delivery  effectively-once: the target recognises" in ran.out
    assert "mail -> emails[type=work].value -> mail" in ran.out
    assert "0 problems" in ran.out


def test_check_says_what_stays_and_what_is_lost(world):
    text = world.path.read_text().replace('"name.familyName" = "family"\n', "", 1)
    world.path.write_text(text)
    found = world.cli("check", "--json").json["flows"][0]
    assert found["stays"] == ["family"]
    assert "family" not in " ".join(found["carried"])


def test_check_reports_every_broken_system_and_flow(world):
    world.fault("hr", "denied")
    world.fault("social", "down")
    ran = world.cli("check")
    assert ran.code == 1
    assert "PROBLEM   offline.auth: The server refuses this account." in ran.out
    assert "PROBLEM   offline.down: The server does not answer." in ran.out
    assert (
        "PROBLEM   check.system: Not looked at: system hr, social cannot be used."
        in ran.out
    )
    assert "3 problems" in ran.out


def test_check_reports_a_stream_that_is_not_there(world):
    text = world.path.read_text() + '\n[streams."hr/peopel"]\n'
    world.path.write_text(text)
    ran = world.cli("check")
    assert ran.code == 1
    assert (
        "check.stream: The system has no stream peopel (there are: people)." in ran.out
    )


def test_check_reports_a_flow_whose_data_the_target_may_not_have(world):
    world.path.write_text(
        world.path.read_text().replace('max_label = "confidential"', "")
    )
    ran = world.cli("check")
    assert ran.code == 1
    assert "guard.label" in ran.out
    assert 'add max_label = "confidential" under [systems.social]' in ran.out


def test_check_strict_turns_warnings_into_failures(world):
    world.fault("hr", "warns")
    loose = world.cli("check")
    assert loose.code == 0
    assert "warning   This account may do anything." in loose.out
    assert world.cli("check", "--strict").code == 1
    assert world.cli("check", "--strict", "--json").json["warned"] >= 1


@pytest.mark.parametrize(
    ("version", "race"),
    [
        ((3, 40, 1), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 44, 6), False),
        ((3, 44, 5), True),
        ((3, 50, 7), False),
        ((3, 52, 0), False),
    ],
)
def test_check_knows_the_sqlite_versions_with_the_wal_race(version, race):
    assert has_race(version) is race


def test_discover_prints_toml_and_comments_what_is_uncertain(world):
    ran = world.cli("discover", "hr")
    assert ran.code == 0
    assert '# entity = "Person"  # 50%: by name' in ran.out
    assert tomllib.loads(ran.out)["streams"]["hr/people"] == {"translator": {}}
    found = world.cli("discover", "hr", "--json").json
    assert found["suggestions"][0]["setting"] == "translator.entity"


def test_discover_of_an_unknown_system(world):
    ran = world.cli("discover", "payroll")
    assert ran.code == 2
    assert "There is no system 'payroll'" in ran.err


def test_config_show_prints_references_and_never_secrets(make_world, monkeypatch):
    monkeypatch.setenv("HR_PASSWORD", SECRET)
    world = make_world(hr='password = "env:HR_PASSWORD"')
    ran = world.cli("config", "show")
    assert ran.code == 0
    shown = tomllib.loads(ran.out)
    assert shown["systems"]["hr"]["password"] == "env:HR_PASSWORD"
    assert shown["flows"]["people"]["from"] == "hr/people"
    as_json = world.cli("config", "show", "--json").json
    assert as_json["systems"]["hr"]["settings"]["password"] == "env:HR_PASSWORD"


def test_no_command_prints_a_secret(make_world, monkeypatch):
    monkeypatch.setenv("HR_PASSWORD", SECRET)
    world = make_world(count=3, hr='password = "env:HR_PASSWORD"')
    commands = [
        ("check",), ("discover", "hr"), ("plan", "people"), ("apply", "people", "--confirm", 3), ("run", "--once"),
        ("status",), ("review",), ("adapters",), ("config", "show"), ("config", "schema"), ("kill", "all", "x"),
    ]  # fmt: skip
    for command in commands:
        ran = world.cli(*command)
        assert SECRET not in ran.out + ran.err
    assert len(world.target()) == 3  # the password was really used
    monkeypatch.setenv("HR_PASSWORD", "short")
    ran = world.cli("check")
    assert ran.code == 1
    assert "secret.short: Secret env:HR_PASSWORD has under 6 characters." in ran.out


def test_what_config_show_prints_is_a_configuration(world):
    shown = tomllib.loads(world.cli("config", "show").out)
    before = world.cli("config", "show", "--json").json
    (world.folder / "copy.toml").write_text(world.cli("config", "show").out)
    assert world.cli("config", "show", "--json", "--config", "copy.toml").json == before
    assert shown["systems"]["hr"]["adapter"] == "offline"


def test_config_schema_describes_every_installed_adapter(world):
    found = world.cli("config", "schema").json
    kinds = {
        entry["properties"]["adapter"]["const"]
        for entry in found["properties"]["systems"]["additionalProperties"]["anyOf"]
    }
    assert {"offline", "ldap", "scim", "sql"} <= kinds


def test_adapters_lists_name_distribution_version_and_abilities(world):
    ran = world.cli("adapters")
    assert ran.code == 0
    assert "offline      cli-offline 1.2.3" in ran.out
    found = {each["name"]: each for each in world.cli("adapters", "--json").json}
    assert "CanScan" in found["offline"]["abilities"]
    assert found["ldap"]["distribution"] == "moatbridge-ldap"


def second_distribution(site, entries):
    info = site / "site" / "rival-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[moatbridge.adapters]\n{entries}\n")


def test_adapters_reports_a_name_that_two_distributions_claim(world, site):
    second_distribution(site, "offline = cli.offline:OfflineMemory")
    ran = world.cli("adapters")
    assert ran.code == 1
    assert (
        "PROBLEM registry.twice: Two distributions claim the adapter name 'offline': cli-offline and rival"
        in ran.out
    )


def test_adapters_reports_one_that_cannot_be_imported(world, site):
    second_distribution(site, "other = no_such_package:Adapter")
    ran = world.cli("adapters", "--json")
    assert ran.code == 1
    broken = next(each for each in ran.json if each["name"] == "other")
    assert broken["problem"]["code"] == "registry.import"


def test_an_error_nobody_foresaw_shows_no_traceback_and_no_value(world, monkeypatch):
    world.fault("hr", "bug")
    ran = world.cli("plan", "people")
    assert ran.code in {70, 75}
    assert "Traceback" not in ran.err
    assert "Lovelace" not in ran.out + ran.err
    monkeypatch.setenv("MOATBRIDGE_TRACE", "1")
    assert "Traceback" in world.cli("plan", "people").err


def test_the_ledger_is_only_for_its_owner(world):
    world.applied()
    assert stat.S_IMODE((world.folder / "ledger.db").stat().st_mode) == 0o600


def test_garbage_is_left_to_the_settings_once_they_are_read(monkeypatch):
    usual, seen = (700, 10, 10), []

    def run(_arguments):
        seen.append(gc.get_threshold())
        cli.collect_as_usual()
        seen.append(gc.get_threshold())
        return 0

    before = gc.get_threshold()
    gc.set_threshold(*usual)
    monkeypatch.setattr("moatbridge.cli.app.run", run)
    try:
        with pytest.raises(SystemExit):
            cli.main()
    finally:
        gc.set_threshold(*before)
    assert seen == [(20_000, 20, 20), usual]
