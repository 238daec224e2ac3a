"""What is written first: defaults of the libraries, a request for each record."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from harness.contents import COLUMNS, user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Order = dict[str, Any]
Source = dict[str, Any]


def sql(source: Source, since: int | None) -> Callable[[], Iterator[Any]]:
    """Mappings of SQLAlchemy."""
    from sqlalchemy import create_engine, text

    url = source.get("url", "").replace("postgresql:", "postgresql+psycopg:")
    query = "SELECT * FROM personal" + (" WHERE geaendert > :since" if since else "")

    def read() -> Iterator[Any]:
        engine = create_engine(url or f"sqlite:///{source['path']}")
        with engine.connect() as db:
            yield from db.execute(text(query), {"since": since}).mappings()

    return read


def ldap(source: Source, _since: Any) -> Callable[[], Iterator[Any]]:
    """Entries of ldap3's paged search."""
    import ldap3

    names = source["attributes"]

    def read() -> Iterator[Any]:
        server = ldap3.Server(source["url"], get_info=ldap3.ALL)
        with ldap3.Connection(server, source["who"], source["password"]) as connection:
            for entry in connection.extend.standard.paged_search(
                source["people"], "(objectClass=inetOrgPerson)", attributes=names,
                paged_size=500, generator=True,
            ):  # fmt: skip
                values = entry["attributes"]
                yield dict(
                    zip(COLUMNS, (_first(values[n]) for n in names), strict=True)
                )

    return read


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def sftp(source: Source, _since: Any) -> Callable[[], Iterator[Any]]:
    """Each file fetched to disk with ``get``, then read as dicts."""
    import csv
    import tempfile
    from pathlib import Path

    import paramiko

    def read() -> Iterator[Any]:
        client = paramiko.SSHClient()
        client.load_host_keys(source["known_hosts"])
        client.connect(
            "127.0.0.1", source["port"], source["user"], key_filename=source["key"]
        )
        files = client.open_sftp()
        with tempfile.TemporaryDirectory() as folder:
            for name in sorted(files.listdir(source["folder"])):
                path = Path(folder, name)
                files.get(f"{source['folder']}/{name}", str(path))
                with path.open(newline="") as file:
                    yield from (r for r in csv.DictReader(file) if r["login"])
        client.close()

    return read


def soap(source: Source, _since: Any) -> Callable[[], Iterator[Any]]:
    """What zeep's service call returns."""
    import zeep

    def read() -> Iterator[Any]:
        client = zeep.Client(source["wsdl"])
        service = client.create_service("{urn:example:bench}B", source["url"])
        for person in service.GetPeople(limit=1):
            yield {name: person[name] for name in COLUMNS}

    return read


def _posted(order: Order, method: str, since: int | None = None) -> Callable[[], Order]:
    import requests

    source = order["source"]
    kinds = {"sqlite": sql, "postgres": sql, "ldap": ldap, "sftp": sftp, "soap": soap}
    read = kinds[source["kind"]](source, since)
    headers = {"Authorization": "Bearer benchmark"}

    def run() -> Order:
        with requests.Session() as http:
            for found in islice(read(), order["most"]):
                person = user([found[name] for name in COLUMNS])
                path = "/Users/" + person["userName"] if method == "PUT" else "/Users"
                url = order["sink"] + path
                http.request(
                    method, url, json=person, headers=headers
                ).raise_for_status()
        return {}

    return run


def first(order: Order) -> Callable[[], Order]:
    """All of them."""
    return _posted(order, "POST")


def delta(order: Order) -> Callable[[], Order]:
    """Those that changed since."""
    return _posted(order, "PUT", order["since"])
