"""Publishing: a consumer never sees half a file, nor the same batch twice."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from moatbridge.changes import Intent, Ref
from moatbridge.errors import ConfigurationError, NotApplied
from moatbridge_sftp import SftpStreamConfig
from moatbridge_sftp.storage import StorageFault
from servers.drop_folder import PEOPLE, Drop, Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from conftest import RemoteDrop
    from moatbridge_sftp import SftpAdapter

OUT: dict[str, Any] = {
    "folder": "out",
    "content": "delta",
    "publish": True,
    "format": "csv",
    "key": ["nr"],
    "fields": ["nr", "name", "kz"],
    "action": {"field": "kz", "upsert": "U", "delete": "D"},
}


def opened(drop: Drop, **more: Any) -> SftpAdapter:
    folder = drop.base / "out"
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o777)
    system = more.pop("system", None)
    return drop.open({"out": {**OUT, **more}}, system)


def create(number: int, name: str = "x", **more: Any) -> Intent:
    record = {"nr": str(number), "name": name, **more}
    return Intent(f"key{number:023}", "create", None, record)


def published(drop: Drop, folder: str = "out") -> list[str]:
    return sorted(
        path.name for path in (drop.base / folder).iterdir() if path.is_file()
    )


def text(drop: Drop) -> str:
    (name,) = published(drop)
    return (drop.base / "out" / name).read_text()


def outcomes(receipts: Sequence[Any]) -> list[str]:
    return [receipt.outcome for receipt in receipts]


def test_a_batch_becomes_one_file_with_deletes_as_actions(drop: Drop) -> None:
    adapter = opened(drop)
    delete = Intent("k" * 26, "delete", Ref("9"), None)
    receipts = adapter.write("out", [create(1), create(2, "ü"), delete])
    assert outcomes(receipts) == ["applied"] * 3
    assert [r.ref and r.ref.id for r in receipts] == ["1", "2", "9"]
    assert text(drop).splitlines() == ["nr,name,kz", "1,x,U", "2,ü,U", "9,,D"]


def test_a_repeat_of_the_batch_has_no_second_effect(drop: Drop) -> None:
    intents = [create(1), create(2)]
    first = opened(drop).write("out", intents)
    again = opened(drop).write("out", intents)
    assert first == again
    assert len(published(drop)) == 1


def test_a_repeat_after_the_consumer_took_the_file_publishes_nothing(
    drop: Drop,
) -> None:
    adapter = opened(drop, publish_done=True)
    adapter.write("out", [create(1)])
    assert [name.rpartition(".")[2] for name in published(drop)] == ["csv", "done"]
    for name in published(drop):
        (drop.base / "out" / name).unlink()
    assert outcomes(adapter.write("out", [create(1)])) == ["applied"]
    assert published(drop) == []


def test_another_batch_is_another_file(drop: Drop) -> None:
    adapter = opened(drop)
    adapter.write("out", [create(1)])
    adapter.write("out", [create(2)])
    assert len(published(drop)) == 2


@pytest.mark.parametrize("step", ["create", "rename", "done"])
@pytest.mark.parametrize("effect", [True, False])
def test_a_batch_that_broke_off_anywhere_is_published_once(
    drop: Drop, step: str, *, effect: bool
) -> None:
    """The answer to each step in turn is lost, before and after it took effect."""
    for broken in range(6):
        adapter = opened(drop, publish_done=True)
        storage = adapter._storage
        name = "rename" if step == "done" else step
        original = getattr(storage, name)
        calls = [0]

        def lost(
            *args: Any,
            calls: list[int] = calls,
            broken: int = broken,
            original: Any = original,
        ) -> Any:
            calls[0] += 1
            if calls[0] - 1 != broken:
                return original(*args)
            if effect:
                original(*args)
            raise NotApplied("the line broke", code="sftp.unreachable")

        setattr(storage, name, lost)
        intents = [create(100 * broken + n) for n in range(3)]
        try:
            seen = outcomes(adapter.write("out", intents))
        except NotApplied:
            seen = ["not_applied"]
        if "not_applied" in seen:
            assert not any(f"{broken}00," in body for body in _bodies(drop))
        delattr(storage, name)
        again = opened(drop, publish_done=True).write("out", intents)
        assert outcomes(again) == ["applied"] * 3
        assert sum(f"\n{100 * broken + 1},x" in body for body in _bodies(drop)) == 1
    data = [name for name in published(drop) if name.endswith(".csv")]
    done = [name for name in published(drop) if name.endswith(".done")]
    assert len(data) == len(done) == 6


def _bodies(drop: Drop) -> list[str]:
    files = (drop.base / "out" / name for name in published(drop))
    return [path.read_text() for path in files]


def test_two_workers_with_one_batch_publish_it_once(drop: Drop) -> None:
    intents = [create(n) for n in range(5)]
    adapters = [opened(drop) for _ in range(4)]
    gate = threading.Barrier(4)

    def work(adapter: SftpAdapter) -> list[str]:
        gate.wait(60)
        return outcomes(adapter.write("out", intents))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, adapters)) == [["applied"] * 5] * 4
    assert len(published(drop)) == 1


def test_an_unknown_outcome_is_called_so(drop: Drop) -> None:
    adapter = opened(drop)
    storage = adapter._storage
    assert storage is not None
    rename = storage.rename

    def lost(old: str, new: str) -> None:
        if old.endswith(".part"):
            raise NotApplied("the line broke", code="sftp.unreachable")
        rename(old, new)

    storage.rename = lost  # type: ignore[method-assign]
    assert outcomes(adapter.write("out", [create(1)])) == ["unknown"]


def test_a_name_that_is_taken_is_rejected_and_the_other_file_stays(local: Drop) -> None:
    adapter = opened(local, file_name="{key}.csv")
    adapter.write("out", [create(1)])
    (name,) = published(local)
    for receipt in (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir():
        receipt.unlink()
    (local.base / "out" / name).write_text("somebody else's")
    receipts = adapter.write("out", [create(1)])
    assert [(r.outcome, r.reason) for r in receipts] == [("rejected", "conflict")]
    assert text(local) == "somebody else's"


def test_what_cannot_be_written_is_rejected_alone(local: Drop) -> None:
    adapter = opened(local, csv={"encoding": "latin-1"})
    receipts = adapter.write("out", [create(1), create(2, "€"), create(3)])
    assert outcomes(receipts) == ["applied", "rejected", "applied"]
    assert receipts[1].code == "sftp.value.data"
    assert "2" not in text(local)


@pytest.mark.parametrize(
    ("intent", "code"),
    [
        (Intent("k" * 26, "delete", Ref("9"), None), "sftp.no-delete.data"),
        (Intent("k" * 26, "create", None, {"name": "x"}), "sftp.no-key.data"),
        (create(1, hobby="y"), "sftp.unknown-field.data"),
        (Intent("k" * 26, "update", Ref("1"), {}), "sftp.partial.data"),
        (Intent("k" * 26, "create", None, None), "sftp.record.data"),
    ],
)
def test_an_intent_that_makes_no_row_says_why(
    local: Drop, intent: Intent, code: str
) -> None:
    adapter = opened(local, action=None, fields=["nr", "name"])
    (receipt,) = adapter.write("out", [intent])
    assert (receipt.outcome, receipt.code) == ("rejected", code)
    assert published(local) == []


def test_an_update_carries_over_what_it_does_not_mention(local: Drop) -> None:
    update = Intent(
        "k" * 26, "update", Ref("1"), {"name": "new"}, before={"nr": "1", "kz": "U"}
    )
    assert outcomes(opened(local).write("out", [update])) == ["applied"]
    assert text(local).splitlines()[1] == "1,new,U"


def test_header_and_trailer_lines_hold_the_controls(local: Drop) -> None:
    adapter = opened(
        local,
        fields={"nr": "text", "pay": {"type": "decimal", "decimal_sep": ","}},
        action=None,
        header_line="HDR;{count}",
        trailer_line="TRL;{count};{sum_pay}",
    )
    rows = [{"nr": "1", "pay": "1.50"}, {"nr": "2", "pay": "2.25"}]
    from decimal import Decimal

    intents = [
        Intent(f"k{n:025}", "create", None, {**row, "pay": Decimal(row["pay"])})
        for n, row in enumerate(rows)
    ]
    assert outcomes(adapter.write("out", intents)) == ["applied"] * 2
    assert text(local).split() == [
        "HDR;2", "nr,pay", '1,"1,50"', '2,"2,25"', "TRL;2;3,75"
    ]  # fmt: skip
    back = Reader(
        local.open(
            folder="out",
            fields={"nr": "text", "pay": {"type": "decimal", "decimal_sep": ","}},
            controls={
                "header": r"HDR;(?P<count>\d+)",
                "trailer": r"TRL;(?P<count>\d+);(?P<sum_pay>.+)",
            },
        )
    )
    assert [c.data["pay"] for c in back.poll() if c.data] == [
        Decimal("1.50"),
        Decimal("2.25"),
    ]


def test_formulas_are_guarded_and_read_back(local: Drop) -> None:
    names = ["=1+1", "@x", "-ok", "'=x", "+49 (0) 1", "-5", "plain"]
    adapter = opened(local, action=None, fields=["nr", "name"])
    adapter.write("out", [create(n, name) for n, name in enumerate(names)])
    cells = [line.partition(",")[2] for line in text(local).splitlines()[1:]]
    assert not any(cell.startswith(("=", "@")) for cell in cells)
    back = Reader(local.open(folder="out", formula_guard="escape")).poll()
    assert [c.data["name"] for c in back if c.data] == names


def test_a_state_folder_elsewhere_is_tested_with_a_rename(local: Drop) -> None:
    adapter = opened(local, system={"state_folder": "/state"})
    adapter.write("out", [create(1)])
    assert not (local.base / "out" / ".moatbridge").exists()
    assert (local.base / "state" / "out" / "sent").is_dir()
    assert len(published(local)) == 1


def test_a_state_folder_on_another_file_system_is_refused(local: Drop) -> None:
    adapter = local.make({"out": {**OUT}}, {"state_folder": "/state"})
    (local.base / "out").mkdir()
    from moatbridge_sftp.storage.local import LocalStorage

    def other(self: Any, old: str, new: str) -> None:
        raise StorageFault("failure")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStorage, "rename", other)
        with pytest.raises(ConfigurationError) as caught:
            adapter.open()
    assert caught.value.code == "sftp.other-file-system"


def test_old_receipts_and_lost_parts_are_swept(local: Drop) -> None:
    import os
    import time

    opened(local).write("out", [create(1)])
    state = local.base / "out" / ".moatbridge" / "out"
    (receipt,) = (state / "sent").iterdir()
    lost = state / "out" / "0123456789abcdef.ffff.part"
    lost.write_text("half")
    fresh = state / "out" / "0123456789abcdee.ffff.part"
    fresh.write_text("half")
    old = time.time() - 31 * 86400
    os.utime(receipt, (old, old))
    os.utime(lost, (old, old))
    opened(local).write("out", [create(2)])
    assert [path.name for path in (state / "out").iterdir()] == [fresh.name]
    assert len(list((state / "sent").iterdir())) == 1
    assert not receipt.exists()


def test_a_receipt_nobody_can_read_asks_for_a_person(local: Drop) -> None:
    opened(local).write("out", [create(1)])
    (receipt,) = (local.base / "out" / ".moatbridge" / "out" / "sent").iterdir()
    receipt.write_text(json.dumps({"part": "x"}))
    with pytest.raises(ConfigurationError) as caught:
        opened(local).write("out", [create(1)])
    assert caught.value.code == "sftp.receipt"


def test_an_account_that_may_not_write_is_a_configuration_error(
    remote: RemoteDrop,
) -> None:
    adapter = opened(remote, system=remote.as_account("reader"))
    with pytest.raises(ConfigurationError) as caught:
        adapter.write("out", [create(1)])
    assert caught.value.code == "sftp.permission"


def test_traits_say_keyed_for_as_long_as_receipts_are_kept(local: Drop) -> None:
    traits = opened(local, receipt_days=7, rows_per_file=50).traits("out")
    assert (traits.dedup, traits.key_scope, traits.key_ttl) == (
        "keyed", "request", 7 * 86400.0,
    )  # fmt: skip
    assert (traits.max_batch, traits.atomic_batch) == (50, True)


def test_a_stream_that_publishes_is_only_written(local: Drop) -> None:
    adapter = opened(local)
    (stream,) = adapter.streams()
    assert stream.abilities == {"CanWrite"}
    with pytest.raises(ConfigurationError, match=r"sftp\.ability"):
        list(adapter.changes("out", None))
    reading = local.open()
    with pytest.raises(ConfigurationError, match=r"sftp\.ability"):
        reading.write("people", [create(1)])


@pytest.mark.parametrize("name", ["{stream}.csv", "{key}/x.csv", "{key}{secret}"])
def test_a_file_name_that_cannot_work_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="file_name"):
        SftpStreamConfig.model_validate({**PEOPLE, "file_name": name})
