"""A first look at each document before zeep sees it: no DTD, the right root."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lxml import etree

from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WSDL: Final = "http://schemas.xmlsoap.org/wsdl/"
XSD: Final = "http://www.w3.org/2001/XMLSchema"
_OLD_XSD: Final = "http://www.w3.org/1999/XMLSchema"
_SCHEMA: Final = frozenset({f"{{{XSD}}}schema", f"{{{_OLD_XSD}}}schema"})
_DEFINITIONS: Final = f"{{{WSDL}}}definitions"
_ADDRESSING: Final = (
    "{http://www.w3.org/2006/05/addressing/wsdl}UsingAddressing",
    "{http://www.w3.org/2007/05/addressing/metadata}Addressing",
)
_IMPORTS: Final = (
    (f"{{{WSDL}}}import", "location"),
    (f"{{{XSD}}}import", "schemaLocation"),
    (f"{{{XSD}}}include", "schemaLocation"),
    (f"{{{XSD}}}redefine", "schemaLocation"),
)


class Checked:
    """One document that may be shown to zeep.

    Args:
        content: Its bytes.
        url: Where it came from, for messages.
        first: True for the WSDL itself: its root must be ``definitions``.
    """

    def __init__(self, content: bytes, url: str, *, first: bool) -> None:
        parser = etree.XMLParser(
            resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
        )
        try:
            self.root = etree.fromstring(content, parser)
        except etree.XMLSyntaxError as error:
            line = error.lineno or 0
            words = "is not well-formed XML (or an HTML page)"
            raise refused(url, f"{words}, line {line}") from None
        if self.root.getroottree().docinfo.doctype:
            raise refused(url, "has a DOCTYPE, which is refused")
        allowed = {_DEFINITIONS} if first else {_DEFINITIONS} | _SCHEMA
        if self.root.tag not in allowed:
            local = etree.QName(self.root).localname
            wanted = "a WSDL" if first else "a WSDL or a schema"
            raise refused(url, f"is not {wanted}: its root element is {local}")
        self._content = content
        self._changed = False

    def imports(self) -> Iterator[str]:
        """Locations that the document names, as written."""
        for tag, attribute in _IMPORTS:
            for node in self.root.iter(tag):
                if location := node.get(attribute):
                    yield location

    def announces_addressing(self) -> bool:
        """True if a policy or an extension asks for WS-Addressing."""
        return next(self.root.iter(*_ADDRESSING), None) is not None

    def substitutions(self) -> Iterator[tuple[str, str]]:
        """Elements that may stand for another: (head, element), ``{namespace}local``.

        XML Schema 1.0 part 1, section 2.2.2.2; zeep forgets them.
        """
        for node in self.root.iter(f"{{{XSD}}}element"):
            heads, name = node.get("substitutionGroup"), node.get("name")
            schema = node.getparent()
            if heads is None or name is None or schema is None:
                continue
            for head in heads.split():
                prefix, _, local = head.rpartition(":")
                yield (
                    _clark(node.nsmap.get(prefix or None), local),
                    _clark(schema.get("targetNamespace"), name.strip()),
                )

    def relocate(self, choose: Callable[[str | None, str | None], str | None]) -> None:
        """Give imports another location.

        Args:
            choose: Namespace and location of a schema import -> the location to use,
                or None to leave it.
        """
        for node in self.root.iter(f"{{{XSD}}}import"):
            chosen = choose(node.get("namespace"), node.get("schemaLocation") or None)
            if chosen is not None:
                node.set("schemaLocation", chosen)
                self._changed = True

    def content(self) -> bytes:
        """The document's bytes, with the changed locations."""
        if not self._changed:
            return self._content
        found: bytes = etree.tostring(self.root, encoding="utf-8", xml_declaration=True)
        return found


def _clark(namespace: str | None, local: str) -> str:
    return f"{{{namespace}}}{local}" if namespace else local


def refused(url: str, words: str) -> ConfigurationError:
    """A document that cannot be used; its content is never told."""
    return ConfigurationError(
        f"The document {shown(url)} {words}. Check wsdl, or give a local copy in "
        "documents.",
        code="soap.wsdl",
    )


def shown(url: str) -> str:
    """A URL without its query."""
    return url.partition("?")[0][:200]
