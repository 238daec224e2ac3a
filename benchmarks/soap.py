"""The soap adapter beside plain zeep: ratios of medians, interleaved, one process each.

    uv run python benchmarks/soap.py [ROUNDS]

A canned HTTP server in a process of its own answers every POST; only the client's CPU
seconds count. Prints the rows of the adapter's speed table.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

RECORDS = 10_000
CALLS = 300
NS = "urn:example:bench"
FIELDS = {
    "id": ("int", "{n}"), "login": ("string", "user{n}"), "given": ("string", "Ada"), "family": ("string", "Lovelace {n}"),
    "email": ("string", "user{n}@corp.example"), "dept": ("string", "R&amp;D"), "title": ("string", "Engineer"),
    "active": ("boolean", "true"), "salary": ("decimal", "5{n}.25"), "hired": ("date", "2020-01-15"), "updated": ("dateTime", "2026-03-01T08:00:00Z"),
}  # fmt: skip
ADDRESS = {"street": "Main St. {n}", "city": "Berlin", "zip": "10115"}


def wsdl(operations: int = 1) -> str:
    leaves = "".join(
        f'<x:element name="{n}" type="x:{t}"/>' for n, (t, _) in FIELDS.items()
    )
    address = "".join(f'<x:element name="{n}" type="x:string"/>' for n in ADDRESS)
    names = ["GetEmployees", *(f"Other{n}" for n in range(operations - 1))]
    types = "".join(
        f'<x:complexType name="Employee{n}"><x:sequence>{leaves}<x:element name="address"><x:complexType><x:sequence>{address}</x:sequence></x:complexType></x:element></x:sequence></x:complexType>'
        f'<x:element name="{n}"><x:complexType><x:sequence><x:element name="limit" type="x:int"/></x:sequence></x:complexType></x:element>'
        f'<x:element name="{n}Response"><x:complexType><x:sequence><x:element name="employee" type="t:Employee{n}" minOccurs="0" maxOccurs="unbounded"/></x:sequence></x:complexType></x:element>'
        for n in names
    )
    messages = "".join(
        f'<w:message name="{n}{end}"><w:part name="p" element="t:{n}{end}"/></w:message>'
        for n in names
        for end in ("", "Response")
    )
    port = "".join(
        f'<w:operation name="{n}"><w:input message="t:{n}"/><w:output message="t:{n}Response"/></w:operation>'
        for n in names
    )
    body = '<s:body use="literal"/>'
    bound = "".join(
        f'<w:operation name="{n}"><s:operation soapAction="{n}"/><w:input>{body}</w:input><w:output>{body}</w:output></w:operation>'
        for n in names
    )
    return (
        f'<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="{NS}" targetNamespace="{NS}">'
        f'<w:types><x:schema targetNamespace="{NS}" elementFormDefault="qualified">{types}</x:schema></w:types>{messages}'
        f'<w:portType name="P">{port}</w:portType><w:binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</w:binding>'
        f'<w:service name="S"><w:port name="P" binding="t:B"><s:address location="ADDRESS"/></w:port></w:service></w:definitions>'
    )


def answer(count: int) -> bytes:
    def one(n: int) -> str:
        leaves = "".join(
            f"<{name}>{text.format(n=n)}</{name}>" for name, (_, text) in FIELDS.items()
        )
        address = "".join(
            f"<{name}>{text.format(n=n)}</{name}>" for name, text in ADDRESS.items()
        )
        return f"<employee>{leaves}<address>{address}</address></employee>"

    items = "".join(map(one, range(count)))
    return f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><GetEmployeesResponse xmlns="{NS}">{items}</GetEmployeesResponse></e:Body></e:Envelope>'.encode()


class Canned(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and small body: or the client waits for Nagle
    disable_nagle_algorithm = True
    answers: ClassVar[dict[str, bytes]] = {}

    def log_message(self, *args) -> None:
        """Silent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = self.answers[self.path]
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve() -> None:
    Canned.answers = {"/big": answer(RECORDS), "/small": answer(1)}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


def memory(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return 0.0


def ours(path: str, url: str):
    from moatbridge.testing import net
    from moatbridge_soap import SoapAdapter, SoapConfig, SoapStreamConfig

    table = {
        "operation": "GetEmployees",
        "items": "GetEmployeesResponse/employee",
        "request": {"limit": 1},
    }
    config = SoapConfig(wsdl=path, endpoint=url)
    adapter = SoapAdapter(config, {"people": SoapStreamConfig(key=["id"], list=table)})
    adapter.net = net(SoapAdapter.endpoints(config))
    return adapter


def ours_read(adapter) -> int:
    from moatbridge.adapter import Partition

    return sum(
        len(batch.changes) for batch in adapter.scan("people", Partition(), None)
    )


def theirs(path: str, url: str):
    import zeep

    client = zeep.Client(
        path,
        transport=zeep.Transport(cache=None),
        settings=zeep.Settings(xml_huge_tree=True),
    )
    return client.create_service(f"{{{NS}}}B", url)


def theirs_read(service) -> int:
    from zeep.helpers import serialize_object

    return len(serialize_object(service.GetEmployees(limit=1), dict))


def one(variant: str, folder: str, port: str) -> dict:
    what, who = variant.split("-")
    path = f"{folder}/{'big300' if what == 'open' else 'one'}.wsdl"
    url = f"http://127.0.0.1:{port}/{'big' if what == 'big' else 'small'}"
    if what == "open":
        return opening(path, url)
    if who == "ours":
        client = ours(path, url)
        client.open()
        read = ours_read
    else:
        client, read = theirs(path, url), theirs_read
    if what == "small":
        read(client)
    base, begun = memory("VmRSS"), time.process_time()
    count = CALLS if what == "small" else 1
    for _ in range(count):
        assert read(client) == (RECORDS if what == "big" else 1)
    cpu = time.process_time() - begun
    return {
        "cpu": cpu / (count if what == "small" else RECORDS),
        "memory": memory("VmHWM") - base,
    }


def opening(path: str, url: str) -> dict:
    times = []
    adapters = []
    for _ in range(2):
        adapter = ours(path, url)
        begun = time.perf_counter()
        adapter.open()
        times.append(time.perf_counter() - begun)
        adapters.append(adapter)
    for adapter in adapters:
        adapter.close()
    return {"first": times[0], "second": times[1]}


VARIANTS = ["big-zeep", "big-ours", "small-zeep", "small-ours", "open-ours"]


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "one.wsdl").write_text(wsdl())
        Path(folder, "big300.wsdl").write_text(wsdl(300))
        server = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = server.stdout.readline().strip()
            found: dict[str, list[dict]] = {name: [] for name in VARIANTS}
            for number in range(rounds):
                for name in VARIANTS if number % 2 == 0 else reversed(VARIANTS):
                    command = [sys.executable, __file__, "--one", name, folder, port]
                    done = subprocess.run(
                        command, capture_output=True, text=True, check=True
                    )
                    found[name].append(json.loads(done.stdout))
        finally:
            server.stdin.close()
            server.wait(10)
    show(found)


def show(found: dict[str, list[dict]]) -> None:
    def median(name: str, value: str) -> float:
        return statistics.median(run[value] for run in found[name])

    big, other = median("big-ours", "cpu"), median("big-zeep", "cpu")
    print(
        f"big answer, 14 leaves, CPU a record: {big * 1e6:.1f} us, zeep {other * 1e6:.1f} us: 1/{other / big:.1f} (goal <= 1/6)"
    )
    print(
        f"peak memory over the idle client: +{median('big-ours', 'memory'):.1f} MiB, zeep +{median('big-zeep', 'memory'):.1f} MiB (goal <= +8)"
    )
    small, plain = median("small-ours", "cpu"), median("small-zeep", "cpu")
    print(
        f"small call, CPU: {small * 1e6:.0f} us, zeep {plain * 1e6:.0f} us: {small / plain:.2f} (goal <= 0.5)"
    )
    first, second = median("open-ours", "first"), median("open-ours", "second")
    print(
        f"opening a WSDL of 300 operations: {first * 1e3:.0f} ms, a second time {second * 1e3:.1f} ms (goal <= 5)"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve()
    elif sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(*sys.argv[2:5])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
