"""Ways to fetch files over SSH and to read CSV: paramiko and csv as one uses them, ours."""

from __future__ import annotations

from contextlib import contextmanager
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


def _fetching(
    order: Order, opened: Callable[[], Any], fetch: Callable[[Any, Path], None]
) -> Callable[[], Order]:
    """Open, then `fetch` with what is open, and where files go."""
    into = _into(order)

    def run() -> Order:
        with opened() as files:
            fetch(files, into)
        return {"fetched": str(into)}

    return run


def _by_paramiko(
    order: Order, one: Callable[[Any, str, Path], object]
) -> Callable[[], Order]:
    """``one`` for each file of the folder."""
    source = order["source"]

    @contextmanager
    def opened() -> Iterator[Any]:
        with ssh(source) as client, client.open_sftp() as files:
            yield files

    def fetch(files: Any, into: Path) -> None:
        for name in files.listdir(source["folder"]):
            one(files, f"{source['folder']}/{name}", into / name)

    return _fetching(order, opened, fetch)


def paramiko_small(order: Order) -> Callable[[], Order]:
    """File by file."""

    def one(files: Any, path: str, target: Path) -> None:
        with files.open(path, "rb") as file:
            target.write_bytes(file.read())

    return _by_paramiko(order, one)


def paramiko_large(order: Order) -> Callable[[], Order]:
    """``get`` with its defaults."""
    return _by_paramiko(order, lambda files, path, to: files.get(path, str(to)))


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


def _listed(order: Order, storage: Any) -> list[tuple[str, int]]:
    """Path and size of each file of the folder."""
    folder = Path(order["source"]["folder"]).name
    entries, _skipped = storage.list(folder, limit=10**6)
    return [(f"{folder}/{each.name}", each.size) for each in entries]


def small(order: Order) -> Callable[[], Order]:
    """Up to 32 files on their way at once."""

    def fetch(storage: Any, into: Path) -> None:
        for path, content in storage.read_small(_listed(order, storage)):
            (into / Path(path).name).write_bytes(content)

    return _fetching(order, _storage(order), fetch)


def large(order: Order) -> Callable[[], Order]:
    """Some MiB asked for ahead."""

    def fetch(storage: Any, into: Path) -> None:
        ((path, size),) = _listed(order, storage)
        with (into / Path(path).name).open("wb") as file:
            for piece in storage.read(path, size=size):
                file.write(piece)

    return _fetching(order, _storage(order), fetch)


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
