"""WSDLs made for one test, and answers to them: no server needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import zeep
from lxml import etree
from zeep.transports import Transport

from moatbridge_soap.decode import (
    DecodeSettings,
    compile_answer,
    note_substitutions,
)
from moatbridge_soap.wsdl._xml import Checked

if TYPE_CHECKING:
    from pathlib import Path

NS = "urn:example:test"
SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
_ENCODING_SCHEMA = f"""<xsd:schema xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns:tns="{ENCODING}" targetNamespace="{ENCODING}">
<xsd:attribute name="arrayType" type="xsd:string"/><xsd:complexType name="Array">
<xsd:sequence><xsd:any minOccurs="0" maxOccurs="unbounded"/></xsd:sequence>
<xsd:attribute ref="tns:arrayType"/></xsd:complexType></xsd:schema>"""
_WSDL = """<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:tns="{ns}"
 xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="{ns}"
 xmlns:xsd="http://www.w3.org/2001/XMLSchema"><wsdl:types>
<xsd:schema targetNamespace="{ns}" elementFormDefault="qualified">{types}
<xsd:element name="Ask"><xsd:complexType/></xsd:element></xsd:schema></wsdl:types>
<wsdl:message name="Ask"><wsdl:part name="p" element="tns:Ask"/></wsdl:message>
<wsdl:message name="Answer"><wsdl:part name="p" element="tns:Answer"/></wsdl:message>
<wsdl:portType name="P"><wsdl:operation name="Ask"><wsdl:input message="tns:Ask"/>
<wsdl:output message="tns:Answer"/></wsdl:operation></wsdl:portType>
<wsdl:binding name="B" type="tns:P">
<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<wsdl:operation name="Ask"><soap:operation soapAction="a"/>
<wsdl:input><soap:body use="literal"/></wsdl:input>
<wsdl:output><soap:body use="literal"/></wsdl:output></wsdl:operation></wsdl:binding>
<wsdl:service name="S"><wsdl:port name="P" binding="tns:B">
<soap:address location="http://127.0.0.1:9/"/></wsdl:port></wsdl:service>
</wsdl:definitions>"""


class LocalTransport(Transport):
    """zeep's transport, with the one document that many WSDLs import from nowhere."""

    def load(self, url: str) -> bytes:
        if url.startswith(ENCODING.rstrip("/")):
            return _ENCODING_SCHEMA.encode()
        return super().load(url)


def client(wsdl: Path, **more) -> zeep.Client:
    """zeep over a local WSDL."""
    return zeep.Client(str(wsdl), transport=LocalTransport(), **more)


def operation_of(wsdl: Path, name: str):
    """zeep's bound operation."""
    return client(wsdl).service._binding._operations[name]


class Schema:
    """One operation ``Ask`` whose answer is described by XSD text.

    Args:
        folder: Where its WSDL is written.
        types: Content of the schema; must hold an element ``Answer``. Its own prefix
            is ``tns``.
    """

    def __init__(self, folder: Path, types: str) -> None:
        file = folder / f"{abs(hash(types))}.wsdl"
        file.write_text(_WSDL.format(ns=NS, types=types))
        self.client = client(file)
        found = Checked(file.read_bytes(), str(file), first=True).substitutions()
        note_substitutions(self.client.wsdl.types, found)
        self.operation = self.client.service._binding._operations["Ask"]

    def decoder(self, *, items="Answer/item", item=None, paths=(), **settings):
        return compile_answer(
            self.operation,
            items=items,
            item=item,
            paths=paths,
            settings=DecodeSettings(**settings),
        )

    def read(self, body: str, *, content_type="text/xml", **options):
        """Decode a whole answer; returns the items and the answer."""
        soap = options.pop("soap", SOAP11)
        answer = self.decoder(**options).read(
            iter([envelope(body, soap=soap).encode()]), content_type=content_type
        )
        return list(answer), answer

    def records(self, body: str, **options):
        """Records of an answer in which nothing may be rejected."""
        items, _ = self.read(body, **options)
        assert [each.reject for each in items if each.reject] == []
        return [each.record for each in items]

    def zeep(self, body: str):
        """What zeep makes of it."""
        return self.operation.process_reply(etree.fromstring(envelope(body)))


def items(types: str, *, more: str = "") -> str:
    """XSD of an answer with repeated ``item`` elements of that content model."""
    return f"""{more}<xsd:element name="Answer"><xsd:complexType><xsd:sequence>
    <xsd:element name="item" minOccurs="0" maxOccurs="unbounded"><xsd:complexType>{types}
    </xsd:complexType></xsd:element>
    <xsd:element name="next" type="xsd:string" minOccurs="0" nillable="true"/>
    <xsd:element name="total" type="xsd:int" minOccurs="0"/>
    </xsd:sequence></xsd:complexType></xsd:element>"""


def envelope(body: str, *, soap: str = SOAP11, header: str = "") -> str:
    """Body content as a whole envelope; default namespace is the schema's."""
    return (
        f'<e:Envelope xmlns:e="{soap}" xmlns="{NS}" xmlns:xsi="{XSI}" '
        f'xmlns:xsd="http://www.w3.org/2001/XMLSchema">{header}'
        f"<e:Body>{body}</e:Body></e:Envelope>"
    )


def leaf(name: str, kind: str, *, optional: bool = True) -> str:
    """XSD of one simple element."""
    low = ' minOccurs="0"' if optional else ""
    return f'<xsd:element name="{name}" type="xsd:{kind}" nillable="true"{low}/>'
