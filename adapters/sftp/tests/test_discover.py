"""What the adapter finds out by itself: `discover`, `probe`, `streams`, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.errors import ConfigurationError
from moatbridge_sftp import SftpConfig, SftpStreamConfig
from moatbridge_sftp.pickup.pages import pages, with_last
from moatbridge_sftp.places import matcher, parts_of, within
from moatbridge_sftp.units import octets, seconds
from servers.drop_folder import PEOPLE, Drop

if TYPE_CHECKING:
    from conftest import RemoteDrop

EXPORT = "PERSNR;NAME;VORNAME;MAIL;GEHALT\n" + "".join(
    f"{n:06};Canary{n};Anna;c{n}@example.org;{n}100,50\n" for n in range(1, 40)
)


def found(drop: Drop) -> dict[str, dict[str, Any]]:
    adapter = drop.open({})
    told: dict[str, dict[str, Any]] = {}
    for item in reversed(adapter.discover().items):
        told.setdefault(item.stream or "", {})[item.setting] = item
    return told


def test_discover_proposes_folder_pattern_order_format_and_fields(drop: Drop) -> None:
    for day in ("20260130", "20260131"):
        drop.put(f"HR_EXPORT_{day}.csv", EXPORT)
        drop.put(f"HR_EXPORT_{day}.done", "")
    (stream,) = found(drop).values()
    values = {name: item.value for name, item in stream.items()}
    assert values["folder"] == "in"
    assert values["files"] == "HR_EXPORT_*.csv"
    assert values["order"]["as"] == "date"
    assert values["ripe"] == "done-file"
    assert values["done_file"] == "{stem}.done"
    assert values["format"] == "csv"
    assert values["csv"]["delimiter"] == ";"
    assert set(values["fields"]) == {"PERSNR", "NAME", "VORNAME", "MAIL", "GEHALT"}
    assert values["key"] == ["PERSNR"]
    assert values["entity"] == "Person"
    assert values["translator"]["externalId"] == "PERSNR"
    assert stream["content"].confidence < 0.5, "a person says what the files mean"


def test_what_discover_proposes_is_a_configuration(local: Drop) -> None:
    local.put("HR_EXPORT_20260130.csv", EXPORT)
    (stream,) = found(local).values()
    values = {name: item.value for name, item in stream.items()}
    values.pop("translator")
    config = SftpStreamConfig.model_validate({**values, "ripe": "atomic"})
    from moatbridge.adapter import Partition

    adapter = local.open({"hr": config.model_dump(by_alias=True, exclude_unset=True)})
    (batch,) = adapter.scan("hr", Partition(), None)
    assert batch.complete
    assert len(batch.changes) == 39


def test_discover_shows_no_value_of_the_sample(local: Drop) -> None:
    local.put("a.csv", EXPORT)
    adapter = local.open({})
    assert "Canary" not in repr(adapter.discover())


def test_packed_files_are_named_in_a_warning(local: Drop) -> None:
    import gzip

    local.put("a.csv.gz", gzip.compress(EXPORT.encode()))
    warnings = local.open({}).discover().warnings
    assert any("gzip" in text for text in warnings)


def test_probe_names_product_account_limits_and_the_newest_file(
    remote: RemoteDrop,
) -> None:
    remote.rows("a.csv", (1, "x"), mtime=1_700_000_000)
    probe = remote.open().probe()
    assert "OpenSSH" in probe.product
    assert probe.limits["strict_kex"] is True
    assert probe.limits["newest_file"] == "2023-11-14T22:13:20+00:00"
    assert probe.limits["read"] == 261_120
    other = remote.open(None, remote.as_account("password")).probe()
    assert other.server != probe.server, "another account may see other data"


def test_probe_says_when_a_cut_file_would_not_be_noticed(local: Drop) -> None:
    assert any("cut short" in text for text in local.open().probe().warnings)
    guarded = local.open(controls={"trailer": r"T(?P<count>\d+)"})
    assert not any("cut short" in text for text in guarded.probe().warnings)


def test_streams_say_what_the_core_needs(local: Drop) -> None:
    streams = {
        "people": {
            **PEOPLE,
            "content": "snapshot",
            "fields": {"nr": "text", "vorname": "text", "pay": "decimal"},
        },
        "news": {**PEOPLE, "entity": "Post"},
    }
    people, news = local.open(streams).streams()
    assert people.abilities == {"CanScan", "CanSettle"}
    assert people.snapshot_scan
    assert not people.sees_deletes
    assert people.key == ("nr",)
    assert [field.type for field in people.fields] == ["text", "text", "decimal"]
    assert people.suggested["name.givenName"] == "vorname"
    assert news.abilities == {"CanFollow", "CanSettle"}
    assert news.entity == "Post"
    assert people.query != news.query


def test_a_stream_that_was_not_configured_is_a_typed_error(local: Drop) -> None:
    with pytest.raises(ConfigurationError) as caught:
        list(local.open().changes("other", None))
    assert caught.value.code == "sftp.no-stream"


def test_a_server_is_never_trusted_on_first_use() -> None:
    with pytest.raises(ValueError, match="host_keys"):
        SftpConfig(url="sftp://a@b/c")


def test_secrets_are_references() -> None:
    with pytest.raises(ValueError, match="secret reference"):
        SftpConfig.model_validate(
            {"url": "sftp://a@b/c", "host_keys": ["SHA256:x"], "auth": {"key": "abc"}}
        )


def test_importing_the_adapter_loads_no_ssh_library() -> None:
    import subprocess
    import sys

    code = "import sys, moatbridge_sftp; print('paramiko' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "value"), [(30, 30), ("30 s", 30), ("90d", 90 * 86400), ("1.5h", 5400)]
)
def test_durations_are_seconds(text: Any, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [(7, 7), ("8 MiB", 8 << 20), ("4 GiB", 4 << 30), ("1 kB", 1000)]
)
def test_sizes_are_bytes(text: Any, value: int) -> None:
    assert octets(text) == value


@pytest.mark.parametrize("text", ["soon", "5 parsecs", None, True, "-1 s"])
def test_what_is_no_amount_is_refused(text: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        seconds(text)


def test_paths_of_settings() -> None:
    assert within("in", "/state") == "state"
    assert within("in", "out/x") == "in/out/x"
    assert within(".", ".") == "."
    assert parts_of("a/b.tar.gz") == {
        "name": "a/b.tar.gz",
        "stem": "a/b.tar",
        "ext": "gz",
    }
    assert parts_of("b") == {"name": "b", "stem": "b", "ext": ""}
    assert matcher(["*.csv"])("x/y.csv")
    assert not matcher(["*.csv"])("y.CSV")


def test_nothing_has_no_last_item_and_no_pages() -> None:
    assert list(with_last([])) == []
    assert list(with_last([1, 2])) == [(1, False), (2, True)]
    from moatbridge_sftp.pickup.cursor import Place

    assert list(pages([], Place(), 5)) == []


def test_an_account_that_may_write_where_it_only_reads_is_a_warning(
    drop: Drop,
) -> None:
    drop.folder.chmod(0o777)

    def warned(**people: Any) -> bool:
        found = drop.open(**people).probe().warnings
        return any("an account that can only read is enough" in text for text in found)

    assert warned(claim="none", after="leave")
    assert not warned(claim="none", after="leave", ack_file="acks/{name}.json")
    assert not warned()  # it moves files
