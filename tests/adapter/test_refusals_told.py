"""Who is refused learns why and for which field, and nobody learns a value."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from adapter.files_world import CardsConfig, keys, opened, put, rejects, scan, write
from moatbridge.adapter import (
    AdapterConfig,
    Field,
    Folder,
    StreamFunctions,
    make_adapter,
    record_files,
)
from moatbridge.changes import Absent, Receipt, Ref
from moatbridge.errors import Rejected
from moatbridge.testing import net
from moatbridge.testing.stage import intent

SECRET = "mrs-secret"


def told(receipt):
    assert receipt.outcome == "rejected"
    assert receipt.reason == receipt.code.rpartition(".")[2]
    assert SECRET not in repr(receipt)
    return receipt.code, receipt.field


@pytest.mark.parametrize(
    ("op", "record", "why", "field"),
    [
        ("create", {"mail": SECRET}, "required", "name"),
        ("create", {"name": None}, "required", "name"),
        ("update", {"name": None}, "required", "name"),
        ("create", {"name": SECRET, "more": "x"}, "no-field", "more"),
        ("update", {"id": SECRET}, "read-only", "id"),
        ("create", {"name": SECRET, "age": SECRET}, "type", "age"),
    ],
)
def test_what_does_not_fit_its_field_is_refused_by_name_and_reason(
    op, record, why, field
):
    functions = StreamFunctions(
        name="people",
        key="id",
        fields=["id", Field("name", required=True), "mail", Field("age", "int")],
        create=lambda *_: "1",
        update=lambda *_: None,
    )
    made = make_adapter(
        "box", AdapterConfig, functions, connect=lambda *_: None, probe=lambda _: "box"
    )
    adapter = made(AdapterConfig(), {})
    adapter.net = net([])
    with adapter:
        ref = Ref("1") if op == "update" else None
        [receipt] = adapter.write("people", [intent(op, ref, record)])
    assert told(receipt) == (f"box.{why}.data", field)
    assert repr(receipt).startswith(f"Receipt(rejected box.{why}.data field={field} ")


def test_an_error_of_the_author_carries_its_field_along():
    def create(*_):
        raise Rejected("Taken.", code="box.taken.conflict", field="mail")

    functions = StreamFunctions(
        name="people", key="id", fields=["id", "mail"], create=create
    )
    made = make_adapter(
        "box", AdapterConfig, functions, connect=lambda *_: None, probe=lambda _: "box"
    )
    adapter = made(AdapterConfig(), {})
    adapter.net = net([])
    with adapter:
        [receipt] = adapter.write("people", [intent("create", None, {"mail": SECRET})])
    assert told(receipt) == ("box.taken.conflict", "mail")


def test_a_receipt_without_a_field_looks_as_before():
    receipt = Receipt("rejected", Ref("1"), code="x.data")
    assert repr(receipt) == f"Receipt(rejected x.data {Ref('1')!r})"


def test_what_does_not_read_back_is_refused_by_the_name_of_its_field(tmp_path):
    adapter = opened(tmp_path, "lines")
    ref = write(adapter, "create", None, {"login": "ada", "mail": "a@b"}).ref.id
    two = write(adapter, "update", ref, {"mail": f"{SECRET}\nlogin: {SECRET}"})
    assert told(two) == ("files.read-back.data", "mail")
    other = write(adapter, "update", ref, {"login": f"eve\nmail: {SECRET}"})
    assert told(other) == ("files.read-back.data", "login")
    none = write(adapter, "update", ref, {"mail": f"{SECRET}\nno line of a record"})
    assert told(none) == ("files.read-back.data", None)
    late = write(adapter, "create", None, {"login": "x", "mail": f"{SECRET}\n;: y"})
    assert told(late) == ("files.read-back.data", "mail")


def test_a_field_that_would_change_though_not_named_is_named(tmp_path):
    put(tmp_path, "a.json", "k1", SECRET, mail="old")
    adapter = opened(tmp_path, "forgetful")
    receipt = write(adapter, "update", "k1", {"mail": "new"})
    assert told(receipt) == ("files.not-named.data", "login")


def test_what_render_refuses_and_what_is_taken_is_told_apart(tmp_path):
    def render(old, record):
        if record.get("mail") == SECRET:
            raise ValueError(SECRET)
        return json.dumps({**json.loads(old or b"{}"), **record}).encode()

    functions = record_files(
        name="people",
        key="id",
        fields=["id", Field("login", required=True, unique=True), "mail"],
        suffix=".json",
        parse=lambda data: {"mail": None, **json.loads(data)},
        render=render,
    )
    made = make_adapter(
        "cards", CardsConfig, functions, connect=Folder, probe=Folder.identity
    )
    adapter = made(CardsConfig(folder=tmp_path, max_file=200), {})
    adapter.net = net([])
    with adapter:
        assert write(adapter, "create", None, {"login": SECRET}).outcome == "applied"
        refused = write(adapter, "create", None, {"login": "b", "mail": SECRET})
        assert told(refused) == ("files.render.data", None)
        taken = write(adapter, "create", None, {"login": SECRET})
        assert told(taken) == ("cards.conflict", "login")
        large = write(adapter, "create", None, {"login": "c", "mail": "x" * 300})
        assert told(large) == ("files.large.data", None)
        empty = write(adapter, "create", None, {"login": ""})
        assert told(empty) == ("files.read-back.data", "login")


def test_a_file_without_a_required_value_is_a_reject_that_keeps_its_record(tmp_path):
    put(tmp_path, "a.json", "k1")
    put(tmp_path, "b.json", "k2")
    adapter = opened(tmp_path)
    assert keys(scan(adapter)) == ["k1", "k2"]
    for value in (None, ""):
        path = tmp_path / "a.json"
        path.write_text(json.dumps({"id": "k1", "login": value, "mail": SECRET}))
        batches = scan(opened(tmp_path))
        [reject] = rejects(batches)
        place = (reject.reason, reject.location, reject.ref, reject.field)
        assert place == ("files.required", "file a.json", Ref("k1"), "login")
        assert keys(batches) == ["k2"]
        with pytest.raises(Rejected):  # never `Absent`: the record is not gone
            adapter.fetch("people", [Ref("k1")])
        refused = write(adapter, "update", "k1", {"login": "new"})
        assert told(refused) == ("files.unreadable.data", "login")
    put(tmp_path, "a.json", "k1", "mended")
    assert keys(scan(adapter)) == ["k1", "k2"]
    assert isinstance(adapter.fetch("people", [Ref("k3")])[0], Absent)


def test_a_key_that_a_file_without_a_required_value_has_too_is_carried_by_neither(
    tmp_path,
):
    put(tmp_path, "a.json", "k1")
    (tmp_path / "b.json").write_text(json.dumps({"id": "k1", "login": None}))
    batches = scan(opened(tmp_path))
    assert keys(batches) == []
    assert [r.reason for r in rejects(batches)] == ["files.twice"] * 2
    receipt = write(opened(tmp_path), "delete", "k1", None)
    assert told(replace(receipt, ref=None)) == ("cards.conflict", "id")
