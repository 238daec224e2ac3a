from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from config.adapters import DirectoryConfig, DirectoryStream, registry
from moatbridge.adapter import TlsSettings
from moatbridge.config import BridgeConfig, FlowConfig, SystemConfig, load, parse
from moatbridge.errors import ConfigurationError, MoatbridgeError

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
adapters = ["directory", "platform"]

[ledger]
url = "sqlite:///bridge.db"
keep_undo = "3d"

[guard]
creates = 100

[security]
secret_dirs = ["/run/secrets", "more-secrets"]

[run]
slots = 2
drain = "90s"

[systems.hr]
adapter = "directory"
urls = ["ldaps://dc1.corp.example"]
auth = { bind_dn = "cn=moatbridge", password = "env:HR_PASSWORD" }
tls = { ca_file = "corp-ca.pem", min = "1.3" }
deadline = { call = 20 }
allow_networks = ["10.1.0.0/16"]
egress = ["dc1.corp.example:636", "[fd00::1]:636"]
quota = { read = { rate = 20, burst = 40 } }

[systems.social]
adapter = "platform"
base_url = "https://api.social.example"
max_label = "confidential"

[streams."hr/people"]
base = "ou=people"
[streams."hr/people".translator.fields]
userName = "uid"

[streams."social/people"]

[flows.hr-to-social]
from = "hr/people"
to = "social/people"
match = ["externalId", "userName"]
require = "effectively-once"
retry_for = "48h"
reject_limit = "2%"
guard = { creates = 50 }

[flows.social-to-hr]
from = "social/people"
to = "hr/people"
owner = { "*" = "hr/people", photos = "social/people", title = "latest" }
"""


def whole() -> dict[str, Any]:
    return tomllib.loads(WHOLE)


def refused(table: dict[str, Any], **more: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        parse(table, registry(), **more)
    assert caught.value.__cause__ is None
    return caught.value


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "moatbridge.toml"
    path.write_text(WHOLE)
    config = load(path, registry())
    hr = config.systems["hr"]
    assert isinstance(hr.settings, DirectoryConfig)
    assert hr.settings.urls == ("ldaps://dc1.corp.example",)
    assert hr.settings.auth.password.reference == "env:HR_PASSWORD"
    assert hr.deadline.call == 20
    assert hr.deadline.connect == 10
    assert hr.quota["read"].limit().burst == 40
    assert hr.egress_pairs() == (("dc1.corp.example", 636), ("fd00::1", 636))
    assert hr.tls.settings() == TlsSettings(
        ca_file=str(tmp_path / "corp-ca.pem"), min="1.3"
    )
    assert config.systems["social"].max_label == "confidential"
    assert config.systems["social"].in_flight == 8
    people = config.streams["hr/people"]
    assert people.settings == DirectoryStream(base="ou=people")
    assert people.translator == {"fields": {"userName": "uid"}}
    flow = config.flows["hr-to-social"]
    assert (flow.source, flow.target) == ("hr/people", "social/people")
    assert flow.retry_for == 48 * 3600
    assert flow.undo_window == 7 * 86400
    assert flow.reject_limit.of(1000) == 20
    assert flow.guard.creates == 50
    assert config.flows["social-to-hr"].reject_limit.of(1000) == 100
    assert config.ledger.url == f"sqlite:///{tmp_path}/bridge.db"
    assert config.ledger.keep_undo == 3 * 86400
    assert config.run.drain == 90
    assert config.security.secret_dirs[1] == str(tmp_path / "more-secrets")
    assert config.adapters == ("directory", "platform")
    assert config.streams_of("hr") == {"people": people.settings}
    assert config.warnings == ()


def test_the_same_as_python_objects() -> None:
    config = BridgeConfig(
        systems={
            "hr": SystemConfig(
                adapter="directory",
                settings=DirectoryConfig(
                    urls=("ldaps://x",),
                    auth={"bind_dn": "cn=x", "password": SecretStr("s3cret!")},
                ),
            )
        },
        streams={"hr/people": {"translator": object()}, "hr/more": {}},
        flows={"people": FlowConfig(source="hr/people", target="hr/more")},
    )
    password = config.systems["hr"].settings.auth.password
    assert password.get_secret_value() == "s3cret!"
    assert "s3cret" not in repr(config)
    again = parse(
        {"systems": config.systems, "streams": config.streams, "flows": config.flows},
        registry(),
    )
    assert again.systems == config.systems


def test_python_objects_are_checked_as_well() -> None:
    with pytest.raises(ConfigurationError) as caught:
        BridgeConfig(flows={"people": FlowConfig(source="hr/people", target="b/c")})
    assert "flows.people.from" in str(caught.value)


def test_without_a_registry_settings_stay_tables() -> None:
    table = whole()
    table["systems"]["hr"]["adapter"] = "unheard-of"
    config = parse({k: v for k, v in table.items() if k != "adapters"})
    assert config.systems["hr"].settings["urls"] == ["ldaps://dc1.corp.example"]


# One row per kind of setting: where, what is written, what the error must say.
ROWS: list[tuple[str, Any, str, str]] = [
    ("sytems", {}, "sytems: unknown section; did you mean `systems`?", "config.unknown"),
    ("systems", [], "systems: must be a table", "config.invalid"),
    ("systems.HR", {}, "systems.HR: must be one lower-case word", ""),
    ("systems.hr.adapter", "directry", "did you mean `directory`?", "registry.forbidden"),
    ("systems.hr.adapter", "soap", "not in the allow-list", "registry.forbidden"),
    ("systems.hr.timout", 5, "systems.hr.timout: unknown setting", "config.unknown"),
    ("systems.hr.ulrs", [], "did you mean `urls`?", "config.unknown"),
    ("systems.hr.in_fligth", 3, "did you mean `in_flight`?", "config.unknown"),
    ("systems.hr.deadline.cal", 5, "did you mean `call`?", "config.unknown"),
    ("systems.hr.deadline.call", -1, "systems.hr.deadline.call: input should be", ""),
    ("systems.hr.deadline.call", "soon", "must be seconds or text such as", ""),
    ("systems.hr.deadline.call", True, "must be seconds or text such as", ""),
    ("systems.hr.deadline.transfer_floor", 0, "greater than 0", ""),
    ("systems.hr.tls.verify", False, "tls.verify: unknown setting", "config.unknown"),
    ("systems.hr.tls.pin", ["sha1:aa"], "must be spki-sha256:", ""),
    ("systems.hr.tls.min", "1.0", "input should be '1.2' or '1.3'", ""),
    ("systems.hr.tls.pin_only", True, "needs at least one pin", ""),
    ("systems.hr.tls.client_key", "k.pem", "client_key needs client_cert", ""),
    ("systems.hr.allow_networks", ["10.0.0.1/8"], "must be a network", ""),
    ("systems.hr.egress", ["dc1"], "must be host:port", ""),
    ("systems.hr.egress", ["dc1:99999"], "must be host:port", ""),
    ("systems.hr.quota.read.rate", 0, "systems.hr.quota.read.rate", ""),
    ("systems.hr.quota.read.brust", 1, "did you mean `burst`?", "config.unknown"),
    ("systems.hr.in_flight", 0, "greater than or equal to 1", ""),
    ("systems.hr.in_flight", "8", "valid integer", ""),
    ("systems.hr.max_label", "secret", "input should be 'public'", ""),
    ("systems.hr.exposure", "world", "'internal' or 'external'", ""),
    ("systems.hr.max_idle", "5 parsecs", "must be seconds or text", ""),
    ("systems.hr.page_size", "many", "systems.hr.page_size", ""),
    ("systems.hr.auth.bind_nd", "x", "did you mean `bind_dn`?", "config.unknown"),
    ("systems.hr.auth.password", "hunter2hunter2", "must be a secret reference", "secret.literal"),
    ("systems.hr.auth.password", "file:/etc/passwd", "security.secret_dirs", "secret.outside"),
    ("systems.social.base_url", None, "systems.social.base_url", ""),
    ("streams.people", {}, "must be SYSTEM/STREAM in quotes", ""),
    ("streams.hp/people", {}, 'streams."hp/people": there is no system `hp`', ""),
    ("streams.hr/people.bsae", "x", 'streams."hr/people".bsae', "config.unknown"),
    ("streams.hr/people.translatr", {}, "did you mean `translator`?", "config.unknown"),
    ("flows.hr-to-social.from", "hr/poeple", "did you mean `hr/people`?", ""),
    ("flows.hr-to-social.to", "hr/people", "is the same stream as `from`", ""),
    ("flows.hr-to-social.form", "x", "did you mean `from`?", "config.unknown"),
    ("flows.hr-to-social.deletes", "drop", "flows.hr-to-social.deletes", ""),
    ("flows.hr-to-social.deletes", "remove", "deletes are final", ""),
    ("flows.hr-to-social.require", "exactly-once", "'effectively-once'", ""),
    ("flows.hr-to-social.every", 0, "greater than 0", ""),
    ("flows.hr-to-social.retry_for", "1 month", "must be seconds or text", ""),
    ("flows.hr-to-social.lanes", 0, "flows.hr-to-social.lanes", ""),
    ("flows.hr-to-social.priority", 6, "less than or equal to 5", ""),
    ("flows.hr-to-social.reject_limit", "many", "a share such as '5%'", ""),
    ("flows.hr-to-social.guard.craetes", 1, "flows.hr-to-social.guard.craetes", "config.unknown"),
    ("flows.hr-to-social.owner", {"*": "hr/people"}, "say it on one flow of the pair", "flow.owner"),
    ("flows.social-to-hr.owner", {}, "are a pair: say who owns what", "flow.owner"),
    ("flows.social-to-hr.owner.photos", "erp/people", "must be `hr/people`", "flow.owner"),
    ("flows.social-to-hr.owner", {".": "latest"}, 'flows.social-to-hr.owner."."', "flow.owner"),
    ("flows.again", {"from": "hr/people", "to": "social/people"}, "carries the same as", ""),
    ("ledger.url", "mysql://x/y", "must be sqlite:///PATH", ""),
    ("ledger.url", "postgresql+psycopg://db", "must be postgresql+psycopg://USER@HOST", ""),
    ("ledger.url", "postgresql://db/led", "must be sqlite:///PATH", ""),
    ("ledger.url", "postgresql+psycopg://u:hunter2hunter2@h/d", "use ledger.password", ""),
    ("ledger.url", "postgresql+psycopg://mb:hunter2/x@db/led", "use ledger.password", ""),
    ("ledger.url", "postgresql+psycopg://mb@db/led?password=hunter2&sslmode=disable", "no other options than host", ""),
    ("ledger.url", "sqlite+pysqlite:///a.db", "must be sqlite:///PATH", ""),
    ("ledger.url", "sqlite:///a.db?password=hunter2", "must be sqlite:///PATH", ""),
    ("ledger.url", "sqlite:///file:a.db", "must be sqlite:///PATH", ""),
    ("ledger.url", "sqlite:///:memory:", "must be sqlite:///PATH", ""),
    ("ledger.url", "sqlite:///", "must be sqlite:///PATH", ""),
    ("ledger.password", "env:LEDGER_PASSWORD", "a SQLite file has no password", ""),
    ("ledger.password", "hunter2", "must be a secret reference", ""),
    ("ledger.parcel", 0, "ledger.parcel", ""),
    ("ledger.durability", "none", "'full' or 'normal'", ""),
    ("ledger.checkpoint.record", 5, "did you mean `records`?", "config.unknown"),
    ("guard.removals", -1, "guard.removals", ""),
    ("guard.creates", 100000, "guard.creates", "guard.loosened"),
    ("security.secret_dir", [], "did you mean `secret_dirs`?", "config.unknown"),
    ("run.slot", 1, "did you mean `slots`?", "config.unknown"),
    ("run.runner", "cron", "input should be 'local'", ""),
    ("run.zones", [], "run.zones", ""),
    ("adapters", "directory", "adapters: must be a list", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "words", "code"), ROWS, ids=[f"{r[0]}={r[1]}"[:60] for r in ROWS]
)
def test_each_kind_of_setting(key: str, value: Any, words: str, code: str) -> None:
    table = whole()
    place: Any = table
    *path, last = key.split(".")
    for part in path:
        place = place.setdefault(part, {})
    place[last] = value
    error = refused(table)
    assert words in str(error)
    assert error.code == (code or error.code)
    assert "hunter2" not in repr(error) + str(vars(error))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://ledger@db.example:5432/led",
        "postgresql+psycopg://db.example/led?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql+psycopg://ledger@/led?host=/run/postgresql",
    ],
)
def test_a_ledger_may_lie_on_a_server(url: str) -> None:
    table = whole()
    table["ledger"] = {"url": url, "password": "env:LEDGER_PASSWORD"}
    ledger = parse(table, registry()).ledger
    assert ledger.url == url
    assert ledger.password is not None
    assert ledger.password.reference == "env:LEDGER_PASSWORD"
    assert "db.example" not in repr(ledger)


def test_an_unknown_adapter_is_told() -> None:
    table = whole()
    del table["adapters"]
    table["systems"]["hr"]["adapter"] = "directry"
    error = refused(table)
    assert error.code == "registry.not-found"
    assert "systems.hr.adapter" in str(error)
    assert "did you mean 'directory'?" in str(error)


def test_one_way_flows_have_no_owner() -> None:
    table = whole()
    del table["flows"]["social-to-hr"]
    table["flows"]["hr-to-social"]["owner"] = {"*": "hr/people"}
    assert "there is no flow the other way" in str(refused(table))


def test_removing_with_the_words_is_permitted() -> None:
    table = whole()
    table["flows"]["hr-to-social"] |= {
        "deletes": "remove",
        "i_know": "deletes are final",
    }
    assert parse(table, registry()).flows["hr-to-social"].deletes == "remove"


def test_all_problems_are_told_at_once() -> None:
    table = whole()
    table["systems"]["hr"]["timout"] = 5
    table["systems"]["social"]["in_flight"] = 0
    table["flows"]["hr-to-social"]["from"] = "hr/poeple"
    table["run"]["slots"] = "two"
    error = refused(table, name="moatbridge.toml")
    assert "4 problems in moatbridge.toml" in str(error)
    assert error.code == "config.invalid"
    assert [key for key, _ in error.details["problems"]] == [
        "run.slots",
        "systems.hr.timout",
        "systems.social.in_flight",
        "flows.hr-to-social.from",
    ]


def test_a_required_setting_is_told() -> None:
    table = whole()
    del table["systems"]["hr"]["urls"]
    error = refused(table)
    assert error.code == "config.missing"
    assert "systems.hr.urls: is required" in str(error)


def test_an_adapters_own_words_lose_the_input_they_repeat_6() -> None:
    table = whole()
    table["systems"]["hr"]["urls"] = ["https://user:canary77@host"]
    error = refused(table)
    assert "systems.hr.urls: ... is no LDAP URL" in str(error)
    assert "canary77" not in str(error)


def test_a_file_that_is_not_there_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "moatbridge.toml")
    assert caught.value.code == "config.file"
    (tmp_path / "bad.toml").write_text("[systems.hr\npassword = 'hunter2hunter2'")
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "bad.toml")
    assert caught.value.code == "config.toml"
    assert "line 1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_with_fields_fills_what_was_not_given() -> None:
    config = parse(whole(), registry())
    filled = config.with_fields(
        {"hr/people": ("uid", "mail"), "social/people": ("userName",)}
    )
    assert filled.streams["hr/people"].settings == DirectoryStream(
        base="ou=people", fields=("uid", "mail")
    )
    assert filled.streams["social/people"] == config.streams["social/people"]
    again = filled.with_fields({"hr/people": ("other",)})
    assert again.streams["hr/people"].settings.fields == ("uid", "mail")


def test_frozen() -> None:
    config = parse(whole(), registry())
    with pytest.raises(ValueError, match="frozen"):
        config.systems["hr"].zone = "x"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.sampled_from([row[0] for row in ROWS]), json_values)
def test_whatever_is_written_the_answer_is_a_config_or_our_error(
    key: str, value: Any
) -> None:
    table = whole()
    place: Any = table
    *path, last = key.split(".")
    for part in path:
        place = place.setdefault(part, {})
    place[last] = value
    try:
        assert isinstance(parse(table, registry()), BridgeConfig)
    except MoatbridgeError as error:
        assert isinstance(error, ConfigurationError)  # noqa: PT017 - either end is right
