"""Ways to fetch files over SSH and to read CSV: paramiko and csv as one uses them, ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from scenarios.to_platform.readers import ssh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = dict[str, Any]
DATE = "eintritt"
NUMBER = "pers_nr"


def _into(order: Order) -> Path:
    folder = Path(order["into"], "fetched")
    folder.mkdir()
    return folder


def paramiko_small(order: Order) -> Callable[[], Order]:
    """File by file."""
    source, into = order["source"], _into(order)

    def run() -> Order:
        with ssh(source) as client, client.open_sftp() as files:
            for name in files.listdir(source["folder"]):
                with files.open(f"{source['folder']}/{name}", "rb") as file:
                    (into / name).write_bytes(file.read())
        return {"fetched": str(into)}

    return run


def paramiko_large(order: Order) -> Callable[[], Order]:
    """``get`` with its defaults."""
    source, into = order["source"], _into(order)

    def run() -> Order:
        with ssh(source) as client, client.open_sftp() as files:
            for name in files.listdir(source["folder"]):
                files.get(f"{source['folder']}/{name}", str(into / name))
        return {"fetched": str(into)}

    return run


def _storage(order: Order) -> Callable[[], Any]:
    """Opens ours."""
    from pydantic import SecretStr

    from moatbridge.adapter import Secret
    from moatbridge.testing import net
    from moatbridge_sftp.storage import SshAuth, SshSettings, endpoints, open_storage

    key = Secret("(held in memory)", SecretStr(order["key"]))
    ssh = SshSettings(
        host_keys=tuple(order["system"]["host_keys"]), auth=SshAuth(key=key)
    )
    url = order["system"]["url"]

    def opened() -> Any:
        return open_storage(url, net=net(endpoints(url), deadline=3600), ssh=ssh)

    return opened


def small(order: Order) -> Callable[[], Order]:
    """Up to 32 files on their way at once."""
    opened, into = _storage(order), _into(order)
    folder = Path(order["source"]["folder"]).name

    def run() -> Order:
        with opened() as storage:
            entries, _skipped = storage.list(folder, limit=10**6)
            names = [(f"{folder}/{each.name}", each.size) for each in entries]
            for path, content in storage.read_small(names):
                (into / Path(path).name).write_bytes(content)
        return {"fetched": str(into)}

    return run


def large(order: Order) -> Callable[[], Order]:
    """Some MiB asked for ahead."""
    opened, into = _storage(order), _into(order)
    folder = Path(order["source"]["folder"]).name

    def run() -> Order:
        with opened() as storage:
            (entry,), _skipped = storage.list(folder, limit=10**6)
            with (into / entry.name).open("wb") as file:
                for piece in storage.read(f"{folder}/{entry.name}", size=entry.size):
                    file.write(piece)
        return {"fetched": str(into)}

    return run


def csv_by_hand(order: Order) -> Callable[[], Order]:
    """What everybody writes."""
    import csv

    def run() -> Order:
        seen, record = 0, {}
        with Path(order["path"]).open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            names = next(lines)
            for values in lines:
                record = dict(zip(names, values, strict=False))
                seen += 1
        return {"seen": seen, "last": list(record.values())}

    return run


def csv_by_hand_typed(order: Order) -> Callable[[], Order]:
    """The same, and two columns are no texts."""
    import csv
    from datetime import date

    def run() -> Order:
        seen, record = 0, {}
        with Path(order["path"]).open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            names = next(lines)
            for values in lines:
                record = dict(zip(names, values, strict=False))
                record[NUMBER] = int(record[NUMBER])
                record[DATE] = date.fromisoformat(record[DATE])
                seen += 1
        return {"seen": seen, "last": [str(each) for each in record.values()]}

    return run


def _csv(order: Order, **typed: Any) -> Callable[[], Order]:
    from moatbridge_sftp.formats import field_table, format_class, settings

    kind = format_class("csv")
    path = Path(order["path"])
    with path.open() as file:
        names = file.readline().strip().split(",")
    fields = field_table({name: typed.get(name, "text") for name in names})

    def chunks() -> Iterator[Any]:
        with path.open("rb") as file:
            yield from kind().read(file, fields, settings(kind, {}))

    def run() -> Order:
        seen, record = 0, {}
        for chunk in chunks():
            assert not chunk.bad, chunk.bad[:1]
            seen += len(chunk.records)
            record = chunk.records[-1]
        return {"seen": seen, "last": [str(each) for each in record.values()]}

    return run


def csv_texts(order: Order) -> Callable[[], Order]:
    """Every cell a text."""
    return _csv(order)


def csv_typed(order: Order) -> Callable[[], Order]:
    """A whole number and a date."""
    return _csv(order, **{NUMBER: "integer", DATE: "date"})
