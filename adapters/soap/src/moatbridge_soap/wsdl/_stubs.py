"""Small schemas of our own for namespaces that services import without a location."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

NAMESPACES: Final = {
    "http://schemas.xmlsoap.org/soap/encoding/": "encoding.xsd",
    "http://www.w3.org/XML/1998/namespace": "xml.xsd",
    "http://www.w3.org/2004/11/xmlmime": "xmlmime-2004-11.xsd",
    "http://www.w3.org/2005/05/xmlmime": "xmlmime-2005-05.xsd",
    "http://www.w3.org/2004/08/xop/include": "xop.xsd",
    "http://www.w3.org/2005/08/addressing": "addressing.xsd",
    "http://schemas.microsoft.com/2003/10/Serialization/": "serialization.xsd",
}
_BASE: Final = "https://stubs.invalid/"
_KNOWN: Final = {
    "https://www.w3.org/2001/xml.xsd": "xml.xsd",
    "http://www.w3.org/2001/xml.xsd": "xml.xsd",
    "http://www.w3.org/2001/03/xml.xsd": "xml.xsd",
    "http://www.w3.org/2006/03/addressing/ws-addr.xsd": "addressing.xsd",
    **NAMESPACES,
}


def location_of(namespace: str) -> str | None:
    """A location that `stub` knows; None if there is no stub for the namespace."""
    name = NAMESPACES.get(namespace)
    return None if name is None else _BASE + name


def stub(url: str) -> bytes | None:
    """The stub that stands for a URL; None if it must come from elsewhere."""
    name = url.removeprefix(_BASE) if url.startswith(_BASE) else _KNOWN.get(url)
    if name is None or name not in NAMESPACES.values():
        return None
    return files("moatbridge_soap.wsdl").joinpath("stubs", name).read_bytes()
