"""The ERP's WSDL in its four flavours, from one schema."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import Final, Literal

Flavour = Literal["erp", "erp12", "erp-rpc", "erp-encoded"]
FLAVOURS: Final[tuple[Flavour, ...]] = ("erp", "erp12", "erp-rpc", "erp-encoded")
NAMESPACE: Final = "urn:example:erp:orders:1"
_ENCODING: Final = "http://schemas.xmlsoap.org/soap/encoding/"
_OPERATIONS: Final = {
    "ListOrders": ("ListRequest", "OrderPage"),
    "GetOrder": ("OrderKey", "OneOrder"),
    "CreateOrder": ("NewOrder", "Stored"),
    "UpdateOrder": ("ChangedOrder", "Stored"),
    "CancelOrder": ("Cancellation", "Stored"),
    "DecideOrder": ("DecisionRequest", "Decided"),
    "ListDecisions": ("ListRequest", "DecisionPage"),
    "GetDecision": ("DecisionKey", "OneDecision"),
}
_LIST: Final = """<xsd:complexType name="OrderList"><xsd:sequence>
    <xsd:element name="order" type="tns:Order" minOccurs="0" maxOccurs="unbounded"/>
  </xsd:sequence></xsd:complexType>"""
_ARRAY: Final = """<xsd:complexType name="OrderList"><xsd:complexContent>
    <xsd:restriction base="soapenc:Array"
      xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/">
      <xsd:attribute ref="soapenc:arrayType" wsdl:arrayType="tns:Order[]"
        xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"/>
    </xsd:restriction></xsd:complexContent></xsd:complexType>"""
_WSDL: Final = """<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="Orders" targetNamespace="$ns" xmlns:tns="$ns"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="$soap"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<wsdl:types>
$types
</wsdl:types>
<wsdl:message name="OrderFault">
<wsdl:part name="fault" element="tns:OrderFault"/></wsdl:message>
$messages
<wsdl:portType name="Orders">
$operations
</wsdl:portType>
<wsdl:binding name="Orders" type="tns:Orders">
<soap:binding style="$style" transport="http://schemas.xmlsoap.org/soap/http"/>
$bound
</wsdl:binding>
<wsdl:service name="Orders"><wsdl:port name="Orders" binding="tns:Orders">
<soap:address location="$location"/></wsdl:port></wsdl:service>
</wsdl:definitions>
"""
_OPERATION: Final = """<wsdl:operation name="$name">
<wsdl:input message="tns:$name"/><wsdl:output message="tns:${name}Response"/>
<wsdl:fault name="OrderFault" message="tns:OrderFault"/></wsdl:operation>"""
_BOUND: Final = """<wsdl:operation name="$name"><soap:operation soapAction="$ns#$name"/>
<wsdl:input>$body</wsdl:input><wsdl:output>$body</wsdl:output>
<wsdl:fault name="OrderFault"><soap:fault name="OrderFault" use="literal"/></wsdl:fault>
</wsdl:operation>"""


def wsdl(flavour: Flavour, location: str) -> str:
    """One flavour's WSDL, complete in one document.

    Args:
        flavour: ``erp`` document/literal and SOAP 1.1, ``erp12`` SOAP 1.2, ``erp-rpc``
            rpc/literal, ``erp-encoded`` rpc/encoded with a SOAP array.
        location: The address it advertises.
    """
    rpc = flavour in {"erp-rpc", "erp-encoded"}
    soap12 = "soap12/" if flavour == "erp12" else "soap/"
    values = {
        "ns": NAMESPACE,
        "soap": f"http://schemas.xmlsoap.org/wsdl/{soap12}",
        "types": _types(flavour, rpc=rpc),
        "messages": "\n".join(_message(name, rpc=rpc) for name in _OPERATIONS),
        "operations": _each(_OPERATION),
        "style": "rpc" if rpc else "document",
        "bound": _each(Template(_BOUND).safe_substitute(body=_body(flavour))),
        "location": location,
    }
    return Template(_WSDL).substitute(values)


def _types(flavour: Flavour, *, rpc: bool) -> str:
    text = resources.files(__package__).joinpath("types.xsd").read_text()
    encoded = flavour == "erp-encoded"
    elements = "".join(
        f'<xsd:element name="{name}" type="tns:{asked}"/>'
        f'<xsd:element name="{name}Response" type="tns:{given}"/>\n'
        for name, (asked, given) in _OPERATIONS.items()
    )
    return Template(text).substitute(
        form="unqualified" if rpc else "qualified",
        imports=f'<xsd:import namespace="{_ENCODING}"/>' if encoded else "",
        order_list=_ARRAY if encoded else _LIST,
        elements="" if rpc else elements,
    )


def _message(name: str, *, rpc: bool) -> str:
    asked, given = _OPERATIONS[name]
    if rpc:
        first = f'<wsdl:part name="request" type="tns:{asked}"/>'
        second = f'<wsdl:part name="return" type="tns:{given}"/>'
    else:
        first = f'<wsdl:part name="parameters" element="tns:{name}"/>'
        second = f'<wsdl:part name="parameters" element="tns:{name}Response"/>'
    return (
        f'<wsdl:message name="{name}">{first}</wsdl:message>'
        f'<wsdl:message name="{name}Response">{second}</wsdl:message>'
    )


def _each(text: str) -> str:
    template = Template(text)
    return "\n".join(
        template.substitute(name=name, ns=NAMESPACE) for name in _OPERATIONS
    )


def _body(flavour: Flavour) -> str:
    if flavour == "erp-rpc":
        return f'<soap:body use="literal" namespace="{NAMESPACE}"/>'
    if flavour == "erp-encoded":
        return (
            f'<soap:body use="encoded" namespace="{NAMESPACE}" '
            f'encodingStyle="{_ENCODING}"/>'
        )
    return '<soap:body use="literal"/>'
