"""Canonical people and groups: SCIM's field names over plain JSON types.

Run time sees ordinary dicts; type checkers see the keys. Sources: RFC 7643 sections
4.1-4.3. The enterprise extension is called ``enterprise`` here, without its URN. Any
value may also be None ("known to be empty") or its key absent ("says nothing"); a
list is never None.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required, TypedDict

from moatbridge.entities.shapes import Attribute, describe


class Reference(TypedDict, total=False):
    """Names another record: by ``id`` (a ref's key) or by ``name`` (DN, login).

    ``stream`` is the address of the stream the id or name belongs to: the source's
    when decoded, the target's once the flow has resolved it.
    """

    stream: Required[str]
    id: str
    name: str


class Name(TypedDict, total=False):
    """The parts of a person's name."""

    formatted: str | None
    familyName: str | None
    givenName: str | None
    middleName: str | None
    honorificPrefix: str | None
    honorificSuffix: str | None


class Entry(TypedDict, total=False):
    """One entry of a multi-valued attribute (RFC 7643 section 2.4)."""

    value: str | None
    type: str | None
    primary: bool | None
    display: str | None


class Address(TypedDict, total=False):
    """One postal address."""

    formatted: Annotated[str | None, Attribute(multiline=True)]
    streetAddress: Annotated[str | None, Attribute(multiline=True)]
    locality: str | None
    region: str | None
    postalCode: str | None
    country: str | None
    type: str | None
    primary: bool | None


class Enterprise(TypedDict, total=False):
    """RFC 7643 section 4.3."""

    employeeNumber: str | None
    costCenter: str | None
    organization: str | None
    division: str | None
    department: str | None
    manager: Annotated[Reference | None, Attribute(ref=("Person",))]


Entries = Annotated[list[Entry], Attribute(unordered=True)]


class Person(TypedDict, total=False):
    """A person. Never holds a password, hash, key or certificate."""

    userName: Required[Annotated[str, Attribute(identifier=True)]]
    externalId: str | None
    name: Name
    displayName: str | None
    nickName: str | None
    profileUrl: str | None
    title: str | None
    userType: str | None
    preferredLanguage: str | None
    locale: str | None
    timezone: str | None
    active: bool | None
    emails: Entries
    phoneNumbers: Entries
    ims: Entries
    photos: Entries
    entitlements: Entries
    roles: Entries
    addresses: Annotated[list[Address], Attribute(unordered=True)]
    groups: Annotated[list[Entry], Attribute(unordered=True, read_only=True)]
    enterprise: Enterprise
    created: str | None
    updated: str | None
    extensions: dict[str, dict[str, Any]]


class Member(TypedDict, total=False):
    """One member of a group."""

    value: Required[Annotated[Reference, Attribute(ref=("Person", "Group"))]]
    type: Literal["Person", "Group"]
    display: str | None


class Group(TypedDict, total=False):
    """A group; its ``members`` are always the complete membership."""

    displayName: Required[str]
    externalId: str | None
    members: Annotated[list[Member], Attribute(unordered=True, delta=True)]
    description: Annotated[str | None, Attribute(multiline=True)]
    created: str | None
    updated: str | None
    extensions: dict[str, dict[str, Any]]


PERSON: Final = describe("Person", Person, label="confidential")
GROUP: Final = describe("Group", Group, label="confidential")
