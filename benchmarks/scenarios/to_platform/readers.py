"""The best way to read each source by hand: batches of tuples in the order of `COLUMNS`.

Imports stand on top of each ``open_...``: it runs before anything is measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.contents import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Rows = list[tuple[Any, ...]]
Source = dict[str, Any]
BATCH = 100
SELECT = f"SELECT {', '.join(COLUMNS)} FROM personal"
ENVELOPE = (
    '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    '<GetPeople xmlns="urn:example:bench"><limit>1</limit></GetPeople></e:Body></e:Envelope>'
)
CHANGED = SELECT + " WHERE geaendert > {since} ORDER BY geaendert"


def batched(rows: Iterable[tuple[Any, ...]]) -> Iterator[Rows]:
    """Lists of `BATCH`."""
    batch: Rows = []
    for one in rows:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def sqlite(source: Source, query: str = SELECT) -> Callable[[], Iterator[Rows]]:
    """Raw rows."""
    import sqlite3

    def read() -> Iterator[Rows]:
        db = sqlite3.connect(source["path"])
        cursor = db.execute(query)
        while batch := cursor.fetchmany(BATCH):
            yield batch
        db.close()

    return read


def postgres(source: Source) -> Callable[[], Iterator[Rows]]:
    """Tuples of a binary server-side cursor."""
    import psycopg

    def read() -> Iterator[Rows]:
        with (
            psycopg.connect(source["url"]) as db,
            db.cursor("s", binary=True) as cursor,
        ):
            cursor.itersize = 2000
            cursor.execute(SELECT)
            while batch := cursor.fetchmany(2000):
                for at in range(0, len(batch), BATCH):
                    yield batch[at : at + BATCH]

    return read


def ldap(source: Source) -> Callable[[], Iterator[Rows]]:
    """ldap3's paged search without its schema checks and decoding."""
    import ldap3

    names = source["attributes"]

    def found() -> Iterator[tuple[Any, ...]]:
        server = ldap3.Server(source["url"], get_info=ldap3.NONE)
        connection = ldap3.Connection(
            server, source["who"], source["password"], auto_bind=True,
            check_names=False, return_empty_attributes=False,
        )  # fmt: skip
        entries = connection.extend.standard.paged_search(
            source["people"], "(objectClass=inetOrgPerson)", attributes=names,
            paged_size=1000, generator=True,
        )  # fmt: skip
        for entry in entries:
            raw = entry["raw_attributes"]
            yield tuple(raw[name][0].decode() for name in names)
        connection.unbind()

    return lambda: batched(found())


def ssh(source: Source) -> Any:
    """A client of paramiko, connected."""
    import paramiko

    client = paramiko.SSHClient()
    client.load_host_keys(source["known_hosts"])
    client.connect(
        "127.0.0.1", source["port"], source["user"], key_filename=source["key"],
        allow_agent=False, look_for_keys=False,
    )  # fmt: skip
    return client


def sftp(source: Source) -> Callable[[], Iterator[Rows]]:
    """paramiko with prefetch, each file parsed while it arrives."""
    import csv
    import io

    def found() -> Iterator[tuple[Any, ...]]:
        client = ssh(source)
        files = client.open_sftp()
        for name in sorted(files.listdir(source["folder"])):
            with files.open(f"{source['folder']}/{name}", "rb") as file:
                file.prefetch()
                lines = csv.reader(io.TextIOWrapper(file, "utf-8", newline=""))
                next(lines)
                for values in lines:
                    if len(values) == len(COLUMNS):
                        yield tuple(values)
        client.close()

    return lambda: batched(found())


def soap(source: Source) -> Callable[[], Iterator[Rows]]:
    """The envelope as a text, the answer through lxml's iterparse."""
    import urllib3
    from lxml import etree

    def found() -> Iterator[tuple[Any, ...]]:
        answer = urllib3.PoolManager().request(
            "POST", source["url"], body=ENVELOPE, preload_content=False,
            headers={"Content-Type": "text/xml", "SOAPAction": '"GetPeople"'},
        )  # fmt: skip
        tag = "{urn:example:bench}person"
        for _event, person in etree.iterparse(answer, tag=tag):
            yield tuple(leaf.text for leaf in person)
            person.clear()
            while person.getprevious() is not None:
                del person.getparent()[0]

    return lambda: batched(found())


def reader(source: Source, since: int | None = None) -> Callable[[], Iterator[Rows]]:
    """The reader of a source, imports done."""
    if since is not None:
        return sqlite(source, CHANGED.format(since=since))
    kinds = {
        "sqlite": sqlite,
        "postgres": postgres,
        "ldap": ldap,
        "sftp": sftp,
        "soap": soap,
    }
    return kinds[source["kind"]](source)
