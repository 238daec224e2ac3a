"""The handle on a folder of files works without the adapter, whatever was spoilt."""

from __future__ import annotations

import json

from moatbridge.adapter import (
    Field,
    Folder,
    FolderConfig,
    Partition,
    make_adapter,
    record_files,
)
from moatbridge.testing import FolderHarness, net


def parse(data):
    row = json.loads(data)
    return {"login": row["login"]}


Cards = make_adapter(
    "cards",
    FolderConfig,
    record_files(
        name="people",
        key="id",
        fields=["id", Field("login", required=True)],
        suffix=".card",
        parse=parse,
        key_in_name=True,
    ),
    connect=Folder,
    probe=Folder.identity,
)


class CardsHarness(FolderHarness):
    adapter = Cards
    suffix = ".card"
    unique = "login"
    settings = {"max_file": 100}  # noqa: RUF012 - as an author writes it

    def file(self, record):
        return json.dumps(record).encode()

    def record(self, data):
        return json.loads(data)


def test_a_record_that_was_spoilt_is_still_known_and_can_be_removed(tmp_path):
    harness = CardsHarness(tmp_path)
    samples = harness.sample(3)
    harness.seed(samples)
    logins = [each["login"] for each in samples]
    harness.spoil(logins[1])
    assert sorted(each["login"] for each in harness.read_all()) == sorted(logins)
    [spoilt] = [p for p, r in harness.files().items() if r["login"] == logins[1]]
    assert spoilt.parent == tmp_path
    assert spoilt.read_bytes().endswith(harness.damage)
    harness.remove(logins[:2])
    assert [each["login"] for each in harness.read_all()] == logins[2:]
    assert not spoilt.exists()


def test_the_adapter_is_made_with_the_settings_and_meets_what_was_spoilt(tmp_path):
    harness = CardsHarness(tmp_path)
    [sound, spoilt] = harness.sample(2)
    harness.seed([sound, spoilt])
    harness.spoil(spoilt["login"])
    adapter = harness.make()
    assert adapter.config.max_file == 100
    adapter.net = net([])
    with adapter:
        [batch] = adapter.scan("people", Partition(), None)
    assert [each.data["login"] for each in batch.changes] == [sound["login"]]
    assert [each.reason for each in batch.rejects] == ["files.value"]


def test_a_stream_without_a_field_to_clear_has_samples_all_the_same(tmp_path):
    harness = CardsHarness(tmp_path)
    assert [list(each) for each in harness.sample(2)] == [["login"]] * 2
    assert harness.broken() == {"login": None}
