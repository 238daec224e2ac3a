"""WSDL documents: where they come from, how they are shared, which port (soap 3.A)."""

from __future__ import annotations

from moatbridge_soap.wsdl._documents import Description, describe, zeep_settings
from moatbridge_soap.wsdl._ports import Port, choose_port, nearest
from moatbridge_soap.wsdl._transport import PostingTransport

__all__ = [
    "Description",
    "Port",
    "PostingTransport",
    "choose_port",
    "describe",
    "nearest",
    "zeep_settings",
]
