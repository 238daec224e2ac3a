"""What a server says about itself: root DSE and schema, read once per session."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from moatbridge.errors import ConfigurationError
from moatbridge_ldap import dn as names
from moatbridge_ldap.schema import Schema
from moatbridge_ldap.wire.errors import (
    NO_SUCH_OBJECT,
    RIGHTS,
    SUCCESS,
    search_error,
)
from moatbridge_ldap.wire.filters import EVERYTHING
from moatbridge_ldap.wire.port import BASE, Budget, Done, Entry, SearchRequest

if TYPE_CHECKING:
    from moatbridge_ldap.wire.port import Port

AD_CAPABILITY: Final = "1.2.840.113556.1.4.800"
ASSERTION: Final = "1.3.6.1.1.12"
PAGING: Final = "1.2.840.113556.1.4.319"
POST_READ: Final = "1.3.6.1.1.13.2"
SYNC: Final = "1.3.6.1.4.1.4203.1.9.1.1"
WHO_AM_I: Final = "1.3.6.1.4.1.4203.1.11.3"
ID_ATTRIBUTES: Final = (
    "entryUUID", "nsUniqueId", "ibm-entryUUID", "GUID", "orclGuid",
)  # fmt: skip
ROOT_DSE: Final = (
    "objectClass", "namingContexts", "defaultNamingContext", "supportedControl",
    "supportedCapabilities", "supportedExtension", "subschemaSubentry", "vendorName",
    "vendorVersion", "currentTime", "rootDomainNamingContext",
)  # fmt: skip


@dataclass(frozen=True)
class Directory:
    """A server's root DSE, and its schema when first needed.

    Args:
        port: The session, for the schema.
        facts: Attribute -> values of the root DSE.
    """

    port: Port = field(repr=False)
    facts: dict[str, list[str]] = field(repr=False)

    @cached_property
    def active_directory(self) -> bool:
        """Whether this is Active Directory (or its lightweight sibling)."""
        return AD_CAPABILITY in self.facts.get("supportedCapabilities", ())

    @cached_property
    def openldap(self) -> bool:
        """Whether this is OpenLDAP."""
        return "OpenLDAProotDSE" in self.facts.get("objectClass", ())

    @property
    def product(self) -> str:
        """Human words for the server."""
        if self.active_directory:
            return "Active Directory"
        if self.openldap:
            return "OpenLDAP"
        named = [
            *self.facts.get("vendorName", ()),
            *self.facts.get("vendorVersion", ()),
        ]
        return " ".join(named) or "LDAP directory"

    @property
    def contexts(self) -> tuple[str, ...]:
        """DNs of the naming contexts."""
        return tuple(self.facts.get("namingContexts", ()))

    def supports(self, oid: str) -> bool:
        """Whether a control is advertised; that alone does not prove it works."""
        return oid in self.facts.get("supportedControl", ())

    def extends(self, oid: str) -> bool:
        """Whether an extended operation is advertised."""
        return oid in self.facts.get("supportedExtension", ())

    def context_of(self, dn: str) -> str:
        """The naming context that holds this DN; the DN itself if none does."""
        mine = names.normal(dn)
        holders = [c for c in self.contexts if names.is_under(mine, names.normal(c))]
        return max(holders, key=lambda c: len(names.normal(c)), default=dn)

    @cached_property
    def schema(self) -> Schema:
        """The schema; an unreadable one when the account may not see it."""
        where = self.facts.get("subschemaSubentry") or ["cn=Subschema"]
        wanted = ("attributeTypes", "objectClasses")
        entry = read_entry(self.port, where[0], wanted)
        if entry is None:
            return Schema()
        return Schema.from_values(*(entry.attributes.get(name, ()) for name in wanted))

    def id_attribute(self, configured: str) -> str:
        """Name of the attribute that never changes.

        Raises:
            ConfigurationError: ``ldap.id``: the server has none that we know.
        """
        if configured != "auto":
            return configured
        if self.active_directory:
            return "objectGUID"
        for name in ID_ATTRIBUTES:
            if self.schema.has(name):
                return name
        raise ConfigurationError(
            f"{self.port.server} shows no immutable id attribute ({self.product}); set "
            "id_attribute to one that is unique and never changes.",
            code="ldap.id",
        )

    @cached_property
    def version_attribute(self) -> str | None:
        """Attribute whose value never repeats for one entry."""
        return "entryCSN" if self.schema.has("entryCSN") else None


def read_directory(port: Port) -> Directory:
    """Read the root DSE (RFC 4512 5.1)."""
    entry = read_entry(port, "", ROOT_DSE)
    facts = {} if entry is None else entry.attributes
    return Directory(
        port,
        {
            name: [value.decode("utf-8", "replace") for value in values]
            for name, values in facts.items()
        },
    )


def read_entry(port: Port, dn: str, attributes: tuple[str, ...]) -> Entry | None:
    """One entry by its DN; None if it is not there or hidden.

    Raises:
        NotApplied, ConfigurationError: The search failed for another reason.
    """
    found = None
    request = SearchRequest(dn, EVERYTHING, attributes, BASE)
    for message in port.search(request, Budget(1)):
        if isinstance(message, Entry):
            found = message
        elif isinstance(message, Done) and message.code != SUCCESS:
            if message.code not in {NO_SUCH_OBJECT, RIGHTS}:
                raise search_error(message, port.server, dn)
            return None
    return found
