"""Header blocks of each message: the configured ones, and the login's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lxml import etree

from moatbridge.errors import ConfigurationError
from moatbridge_soap.request import check_text, plain_text
from moatbridge_soap.wsdl import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge_soap.config.system import SoapConfig
    from moatbridge_soap.session import Login
    from moatbridge_soap.wsdl import Port


class Headers:
    """Makes the blocks; static ones are checked against the WSDL at once.

    Args:
        config: The system's settings.
        document: zeep's document.
        port: The chosen port.

    Raises:
        ConfigurationError: ``soap.path``: the WSDL has no such header element.
    """

    def __init__(self, config: SoapConfig, document: Any, port: Port) -> None:
        self._known = _known(document, port)
        self._static = [
            self._block(name, content) for name, content in config.soap_headers.items()
        ]

    def blocks(self, login: Login | None) -> list[Any]:
        """Fresh elements for one message (zeep copies them)."""
        found = list(self._static)
        if login is not None and (header := login.header) is not None:
            name, token = header
            found.append(self._token(name, token))
        return found

    def _block(self, name: str, content: Any) -> Any:
        element = etree.Element(self._resolved(name))
        _fill(element, content, f"soap_headers.{name}")
        return element

    def _token(self, place: str, token: str) -> Any:
        name, _, child = _split(place)
        element = etree.Element(self._resolved(name))
        inner = element
        for step in child.split("/") if child else []:
            inner = etree.SubElement(inner, _below(element, step))
        inner.text = check_text(token, "the login's token")
        return element

    def _resolved(self, name: str) -> str:
        if name.startswith("{"):
            return name
        if name not in self._known:
            raise ConfigurationError(
                f"soap_headers: the WSDL has no element {name!r}"
                f"{nearest(name, self._known)}. Or write {{namespace}}{name}.",
                code="soap.path",
            )
        return self._known[name]


def _known(document: Any, port: Port) -> dict[str, str]:
    """Local name -> tag of the elements that the WSDL declares."""
    del port
    return {
        str(element.name): f"{{{element.qname.namespace}}}{element.name}"
        for element in document.types.elements
    }


def _fill(element: Any, content: Any, where: str) -> None:
    if not isinstance(content, dict):
        element.text = check_text(plain_text(content), where)
        return
    for name, value in content.items():
        if name.startswith("@"):
            element.set(name[1:], check_text(plain_text(value), where))
        elif name == "#text":
            element.text = check_text(plain_text(value), where)
        else:
            for entry in value if isinstance(value, list) else [value]:
                _fill(etree.SubElement(element, _below(element, name)), entry, where)


def _below(element: Any, name: str) -> str:
    namespace: Mapping[str, str] | str | None = etree.QName(element).namespace
    plain = name.startswith("{") or not namespace
    return name if plain else f"{{{namespace}}}{name}"


def _split(place: str) -> tuple[str, str, str]:
    namespace, brace, rest = place.rpartition("}")
    name, slash, child = rest.partition("/")
    return f"{namespace}{brace}{name}", slash, child
