"""Which port of the WSDL we speak to, and what it advertises."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lxml import etree
from zeep.wsdl.bindings.soap import Soap11Binding, SoapBinding

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moatbridge_soap.config import SoapConfig


@dataclass(frozen=True, slots=True)
class Port:
    """One chosen port.

    Args:
        qname: ``{namespace}port``.
        binding: zeep's binding.
        address: What the WSDL advertises; only ever compared.
    """

    qname: str
    binding: Any
    address: str | None

    @property
    def version(self) -> Literal["1.1", "1.2"]:
        """Version of SOAP."""
        return "1.1" if isinstance(self.binding, Soap11Binding) else "1.2"

    @property
    def operations(self) -> Mapping[str, Any]:
        """Bound operations of zeep by name."""
        found: Mapping[str, Any] = self.binding._operations  # noqa: SLF001 - zeep has no public list
        return found

    def operation(self, name: str, where: str) -> Any:
        """The operation of that name.

        Raises:
            ConfigurationError: ``soap.path``, with the nearest name.
        """
        found = self.operations.get(name)
        if found is None:
            raise ConfigurationError(
                f"{where}: the port has no operation {name!r}"
                f"{nearest(name, self.operations)}.",
                code="soap.path",
            )
        return found


def choose_port(document: Any, config: SoapConfig) -> Port:
    """The configured port, or the only one that speaks SOAP.

    Raises:
        ConfigurationError: ``soap.wsdl``, ``soap.unsupported``.
    """
    found = [
        (service, port)
        for service in document.services.values()
        for port in service.ports.values()
        if isinstance(port.binding, SoapBinding)
    ]
    named = [
        (service, port)
        for service, port in found
        if config.service in {None, service.name} and config.port in {None, port.name}
    ]
    if len(named) != 1:
        raise _choice(found, named)
    port = named[0][1]
    address = (port.binding_options or {}).get("address")
    namespace = etree.QName(port.binding.name).namespace
    return Port(f"{{{namespace}}}{port.name}", port.binding, address)


def _choice(found: list[Any], named: list[Any]) -> ConfigurationError:
    names = ", ".join(f"{service.name}/{port.name}" for service, port in found[:20])
    if not found:
        words = "The WSDL has no port that speaks SOAP over HTTP"
        return ConfigurationError(f"{words}.", code="soap.unsupported")
    what = "several ports fit" if named else "no port has that name"
    words = f"Set service and port: {what}; the WSDL has {names}"
    return ConfigurationError(f"{words}.", code="soap.wsdl")


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean X?`` or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names[:12]) or 'none'}"
