"""The platform of all scenarios: a SCIM-shaped sink in a process of its own.

Run: ``python benchmarks/harness/sink.py``; prints its port. As cheap as it can be, so
that the two cores are the client's; still it keeps every record, answers each operation
of a bulk request with a status and a location, and counts what came twice. Ids are the
names (``userName``, ``displayName``), so that a client without any memory can PUT.

Beside RFC 7644: ``POST /-/clear``, ``/-/save`` and ``/-/load`` (body: a path), and
``GET /-/stats`` with counts and a digest of all contents that does not mind their order,
``/-/names`` with all names of people.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

if not __package__:  # a program of its own: found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from orjson import dumps, loads

from harness.contents import ENTERPRISE, digest

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
MESSAGE = "urn:ietf:params:scim:api:messages:2.0:"
CONFIG: dict[str, Any] = {
    "schemas": [CORE + "ServiceProviderConfig"],
    "patch": {"supported": True},
    "bulk": {"supported": True, "maxOperations": 100, "maxPayloadSize": 4_000_000},
    "filter": {"supported": True, "maxResults": 200},
    "etag": {"supported": False},
    "sort": {"supported": False},
    "changePassword": {"supported": False},
    "authenticationSchemes": [],
}
NAMED_BY = {"/Users": "userName", "/Groups": "displayName"}
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
TERM = re.compile(r'(externalId|userName|displayName|id) eq "([^"]*)"')
ENTRY = re.compile(r'(\w+)\[type eq "(\w+)"\]\.(\w+)')
REASONS = {200: b"OK", 201: b"Created", 204: b"No Content", 404: b"Not Found", 409: b"Conflict"}  # fmt: skip


class Store:
    """The resources of one endpoint, by name and by external id."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.field = NAMED_BY[endpoint]
        self.records: dict[str, dict[str, Any]] = {}
        self.externals: dict[str, str] = {}
        self.repeats = 0

    def create(self, data: dict[str, Any]) -> tuple[int, str]:
        name, external = data[self.field], data.get("externalId")
        if name in self.records or external in self.externals:
            self.repeats += 1
            return 409, ""
        self.records[name] = data
        if external:
            self.externals[external] = name
        return 201, name

    def change(self, method: str, name: str, data: dict[str, Any]) -> tuple[int, str]:
        if method == "PUT":
            self.records[name] = {**data, "id": name}
            return 200, name
        if name not in self.records:
            return 404, ""
        if method == "DELETE":
            del self.records[name]
        else:
            for operation in data["Operations"]:
                patch(self.records[name], operation)
        return 200, name

    def find(self, field: str, value: str) -> dict[str, Any] | None:
        name = self.externals.get(value) if field == "externalId" else value
        found = self.records.get(name or "")
        return found and {**found, "id": name}

    def page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        start = int(query.get("startIndex", ["1"])[0])
        count = min(int(query.get("count", ["200"])[0]), CONFIG["filter"]["maxResults"])
        some = islice(self.records.items(), start - 1, start - 1 + count)
        hits = [{**record, "id": name} for name, record in some]
        return listed(hits, len(self.records), start)


def listed(hits: list[dict[str, Any]], total: int, start: int) -> dict[str, Any]:
    """RFC 7644 3.4.2."""
    return {
        "schemas": [MESSAGE + "ListResponse"],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(hits),
        "Resources": hits,
    }


def patch(record: dict[str, Any], operation: dict[str, Any]) -> None:
    """One operation of RFC 7644 3.5.2, as far as a client here needs it."""
    path, value = operation.get("path"), operation.get("value")
    if not path:
        record.update(value)
    elif operation["op"].lower() == "add" and isinstance(record.get(path), list):
        record[path] = record[path] + value
    elif entry := ENTRY.fullmatch(path):
        field, kind, part = entry.groups()
        entries = [e for e in record.get(field, ()) if e.get("type") != kind]
        record[field] = [*entries, {"type": kind, part: value}]
    elif path.startswith(ENTERPRISE + ":"):
        record.setdefault(ENTERPRISE, {})[path[len(ENTERPRISE) + 1 :]] = value
    else:
        *outer, last = path.split(".")
        for name in outer:
            record = record.setdefault(name, {})
        record[last] = value


class Sink:
    """Everything that arrived."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.stores = {endpoint: Store(endpoint) for endpoint in NAMED_BY}
        self.requests = self.operations = 0

    def save(self, path: str) -> None:
        kept = {e: (s.records, s.externals) for e, s in self.stores.items()}
        Path(path).write_bytes(dumps(kept))

    def load(self, path: str) -> None:
        self.clear()
        for endpoint, (records, externals) in loads(Path(path).read_bytes()).items():
            self.stores[endpoint].records = records
            self.stores[endpoint].externals = externals

    def stats(self) -> dict[str, Any]:
        people = self.stores["/Users"].records
        groups = self.stores["/Groups"].records.values()
        return {
            "requests": self.requests,
            "operations": self.operations,
            "repeats": sum(store.repeats for store in self.stores.values()),
            "records": len(people),
            "digest": digest(people.values()),
            "groups": len(groups),
            "members": sum(len(group.get("members", ())) for group in groups),
        }

    def handle(self, method: str, target: str, body: bytes) -> tuple[int, Any]:
        if target.startswith("/-/"):
            return self.control(target[3:], body.decode())
        self.requests += 1
        if target == "/Bulk":
            return 200, {
                "schemas": [MESSAGE + "BulkResponse"],
                "Operations": [self.operate(o) for o in loads(body)["Operations"]],
            }
        if method == "GET":
            return self.get(target)
        status, name, store = self.one(method, target, loads(body) if body else {})
        return status, {**store.records.get(name, {}), "id": name} if name else {}

    def control(self, what: str, path: str) -> tuple[int, Any]:
        if what == "stats":
            return 200, self.stats()
        if what == "names":
            return 200, list(self.stores["/Users"].records)
        {"clear": lambda _path: self.clear(), "save": self.save, "load": self.load}[
            what
        ](path)
        gc.collect()
        gc.freeze()
        return 200, {}

    def one(self, method: str, path: str, data: Any) -> tuple[int, str, Store]:
        self.operations += 1
        _, endpoint, *ident = path.split("/")
        store = self.stores["/" + endpoint]
        if method == "POST":
            return *store.create(data), store
        return *store.change(method, ident[0], data), store

    def operate(self, operation: dict[str, Any]) -> dict[str, Any]:
        method = operation["method"]
        status, name, store = self.one(method, operation["path"], operation.get("data"))
        answer = {"method": method, "status": str(status)}
        if "bulkId" in operation:
            answer["bulkId"] = operation["bulkId"]
        if name:
            answer["location"] = f"{store.endpoint}/{name}"
        return answer

    def get(self, target: str) -> tuple[int, Any]:
        parts = urlsplit(target)
        if parts.path == "/ServiceProviderConfig":
            return 200, CONFIG
        endpoint, _, ident = parts.path[1:].partition("/")
        store = self.stores.get("/" + endpoint)
        if store is None:
            return 404, {}
        if ident:
            found = store.find("id", ident)
            return (200, found) if found else (404, {})
        query = parse_qs(parts.query)
        if "filter" not in query:
            return 200, store.page(query)
        terms = TERM.findall(query["filter"][0])
        hits = [hit for field, value in terms if (hit := store.find(field, value))]
        return 200, listed(hits, len(hits), 1)


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive: requests with a length, one after the other."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.pieces = bytearray()
        self.wanted = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces += data
        while len(self.pieces) >= self.wanted and self.request():
            pass

    def request(self) -> bool:
        """Answer the first request, if it is there as a whole."""
        end = self.pieces.find(b"\r\n\r\n") + 4
        if end < 4:
            return False
        head = bytes(self.pieces[:end])
        length = LENGTH.search(head)
        self.wanted = end + (int(length[1]) if length else 0)
        if len(self.pieces) < self.wanted:
            return False
        body = bytes(self.pieces[end : self.wanted])
        del self.pieces[: self.wanted]
        self.wanted = 0
        method, target, _ = head.split(b" ", 2)
        status, value = self.sink.handle(method.decode(), target.decode(), body)
        raw = dumps(value)
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/scim+json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (status, REASONS[status], len(raw), raw)
        )
        return True


async def serve() -> None:
    sink = Sink()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(sink), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)  # ends with the harness
    server.close()


if __name__ == "__main__":
    gc.disable()
    asyncio.run(serve())
