"""A canned SOAP service in a process of its own: ``soap_service.py COUNT WSDL OPERATIONS``.

Every POST below ``/all`` is answered with so many people, below ``/one`` with one; the
WSDL is written to a file. A GET is answered with how many POSTs there were. Ends when its
standard input does.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

if not __package__:  # a program of its own: found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from harness.contents import COLUMNS, row

NS = "urn:example:bench"
MORE = {"aktiv": ("boolean", "true"), "gehalt": ("decimal", "5000.25"), "eintritt": ("date", "2020-01-15"), "stand": ("dateTime", "2026-03-01T08:00:00Z")}  # fmt: skip
"""Leaves that nobody carries further: an answer has more than is wanted."""


def wsdl(operations: int = 1) -> str:
    """Document/literal; operations but the first are there to be read, with their types."""
    kinds = {name: "int" if name == "pers_nr" else "string" for name in COLUMNS}
    kinds |= {name: kind for name, (kind, _) in MORE.items()}
    leaves = "".join(f'<x:element name="{n}" type="x:{k}"/>' for n, k in kinds.items())
    body = '<s:body use="literal"/>'
    names = ["GetPeople", *(f"GetOther{n}" for n in range(1, operations))]
    types = "".join(
        f'<x:complexType name="Of{n}"><x:sequence>{leaves}</x:sequence></x:complexType>'
        f'<x:element name="{n}"><x:complexType><x:sequence><x:element name="limit" type="x:int"/></x:sequence></x:complexType></x:element>'
        f'<x:element name="{n}Response"><x:complexType><x:sequence><x:element name="person" type="t:Of{n}" minOccurs="0" maxOccurs="unbounded"/></x:sequence></x:complexType></x:element>'
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
    bound = "".join(
        f'<w:operation name="{n}"><s:operation soapAction="{n}"/><w:input>{body}</w:input><w:output>{body}</w:output></w:operation>'
        for n in names
    )
    return (
        f'<w:definitions xmlns:w="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:t="{NS}" targetNamespace="{NS}">'
        f'<w:types><x:schema targetNamespace="{NS}" elementFormDefault="qualified">{types}</x:schema></w:types>{messages}'
        f'<w:portType name="P">{port}</w:portType><w:binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/>{bound}</w:binding>'
        '<w:service name="S"><w:port name="P" binding="t:B"><s:address location="ADDRESS"/></w:port></w:service></w:definitions>'
    )


def answer(count: int) -> bytes:
    """That many people."""
    more = "".join(f"<{name}>{text}</{name}>" for name, (_, text) in MORE.items())

    def one(number: int) -> str:
        values = zip(COLUMNS, row(number), strict=True)
        return f"<person>{''.join(f'<{n}>{v}</{n}>' for n, v in values)}{more}</person>"

    items = "".join(map(one, range(count)))
    return f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><GetPeopleResponse xmlns="{NS}">{items}</GetPeopleResponse></e:Body></e:Envelope>'.encode()


class Canned(BaseHTTPRequestHandler):
    """Answers that were made before."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and small body: or the client waits for Nagle
    disable_nagle_algorithm = True
    answers: ClassVar[dict[str, bytes]] = {}
    calls: ClassVar[int] = 0
    counting: ClassVar[threading.Lock] = threading.Lock()

    def log_message(self, *args: object) -> None:
        """Silent."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.counting:
            Canned.calls += 1
        self._say("text/xml", self.answers[self.path])

    def do_GET(self) -> None:
        self._say("application/json", json.dumps(self.calls).encode())

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    Path(sys.argv[2]).write_text(wsdl(int(sys.argv[3])))
    Canned.answers = {"/all": answer(int(sys.argv[1])), "/one": answer(1)}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Canned)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/all"
    print(json.dumps({"url": url}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
