"""WS-Addressing 1.0 headers: zeep's three, and what it leaves out (soap 28)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, Literal

from lxml import etree
from zeep import ns
from zeep.plugins import Plugin
from zeep.wsdl.utils import get_or_create_header

if TYPE_CHECKING:
    from moatbridge_soap.config import SoapConfig

ANONYMOUS: Final = f"{ns.WSA}/anonymous"
_NAMES: Final = ("Action", "MessageID", "To", "ReplyTo", "RelatesTo", "FaultTo", "From")
_SPACE: Final = uuid.UUID("6f1dd7a3-95c6-5f1c-9e57-6a2f0f5f7b10")


def message_id(key: str) -> str:
    """The MessageID that stands for an idempotency key: the same on every attempt."""
    return f"urn:uuid:{uuid.uuid5(_SPACE, key)}"


class Addressing(Plugin):
    """Adds or removes the addressing headers of each message.

    Attributes:
        key: Idempotency key of the next message; None makes a random MessageID.
        sent: MessageID of the last message; None if it had none.
    """

    def __init__(self, config: SoapConfig, *, announced: bool) -> None:
        self.key: str | None = None
        self.sent: str | None = None
        self._mode: Literal["auto", "on", "off"] = config.addressing
        self._announced = announced

    def egress(
        self, envelope: Any, http_headers: Any, operation: Any, binding_options: Any
    ) -> tuple[Any, Any]:
        """Hook of zeep for outgoing messages."""
        key, self.key, self.sent = self.key, None, None
        action = operation.abstract.wsa_action
        wanted = self._mode == "on" or key is not None
        wanted = wanted or (self._mode == "auto" and bool(action or self._announced))
        header = envelope.find("{*}Header")
        if header is not None:
            _strip(header)
        if not wanted:
            return envelope, http_headers
        self.sent = message_id(key) if key is not None else f"urn:uuid:{uuid.uuid4()}"
        header = get_or_create_header(envelope)  # type: ignore[no-untyped-call] # zeep is untyped
        address = binding_options["address"]
        _add(header, "Action", action or operation.soapaction or "")
        _add(header, "MessageID", self.sent)
        _add(header, "To", address)
        reply = _add(header, "ReplyTo", None)
        _add(reply, "Address", ANONYMOUS)
        return envelope, http_headers


def _strip(header: Any) -> None:
    for name in _NAMES:
        for found in header.findall(f"{{{ns.WSA}}}{name}"):
            header.remove(found)


def _add(parent: Any, name: str, text: str | None) -> Any:
    element = etree.SubElement(parent, f"{{{ns.WSA}}}{name}", nsmap={"wsa": ns.WSA})
    element.text = text
    return element
