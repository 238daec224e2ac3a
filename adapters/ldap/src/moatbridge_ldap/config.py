"""Settings of the adapter and of its streams."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field as Setting
from pydantic import field_validator, model_validator

from moatbridge.adapter import (
    AdapterConfig,
    FieldType,
    Secret,
)
from moatbridge.errors import ConfigurationError
from moatbridge_ldap import dn as names
from moatbridge_ldap.wire import filters

PORTS = {"ldap": 389, "ldaps": 636, "ldapi": 0}
Scope = Literal["base", "one", "subtree"]
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*")
_FIELD = re.compile(r"\{([^{}]*)\}")


class Url(NamedTuple):
    """One server: scheme, host (or path of a local socket) and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        if self.scheme == "ldapi":
            return "ldapi://"
        return f"{self.scheme}://{self.host}:{self.port}"


class Auth(AdapterConfig):
    r"""``auth``: who we are. ``anonymous`` must be written out.

    ``simple`` needs ``bind_dn`` and ``password``; the others take neither.

    Args:
        kind: ``simple`` is name and password, ``external`` the TLS client certificate.
        bind_dn: The account: a DN, on Active Directory also ``user@domain`` or
            ``DOMAIN\user``.
        password: Its password.
    """

    kind: Literal["simple", "external", "anonymous"] = "simple"
    bind_dn: str | None = None
    password: Secret | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (bool(self.bind_dn), self.password is not None)
        if given != ((self.kind == "simple"),) * 2:
            raise ValueError(
                'auth.kind = "simple" needs bind_dn and password; the others take none'
            )
        return self


class LdapConfig(AdapterConfig):
    """``[systems.NAME]`` with ``adapter = "ldap"``.

    Args:
        urls: ``ldaps://host[:636]``, ``ldap://host[:389]``, ``ldapi://PATH``; the first
            that answers is used.
        starttls: What ``ldap://`` does first; a refusal is an error.
        insecure_cleartext: Allow a bind without TLS.
        auth: See `Auth`.
        page_size: Upper bound of a page; shrinks by itself where the server says so.
        follow: How changes are followed; ``auto`` chooses by what the server offers.
        referrals: What an unknown reference in a search means.
        id_attribute: Immutable id; ``auto`` takes the server's own.
        fast_reader: Learn how the entries of a scan look, and read those that look
            alike by one generated pattern. ``false`` reads each by the general way,
            which gives the same records at 2.1 times the CPU.
    """

    urls: Annotated[tuple[str, ...], Setting(min_length=1)]
    starttls: Literal["required", "off"] = "required"
    insecure_cleartext: bool = False
    auth: Auth
    page_size: Annotated[int, Setting(ge=1, le=5000)] = 500
    follow: Literal["auto", "syncrepl", "timestamp", "none"] = "auto"
    referrals: Literal["known", "ignore", "fail"] = "known"
    id_attribute: str = "auto"
    fast_reader: bool = True

    @field_validator("urls")
    @classmethod
    def _readable(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            parse_url(url)
        return urls

    @cached_property
    def parsed_urls(self) -> tuple[Url, ...]:
        """The urls, taken apart."""
        return tuple(map(parse_url, self.urls))


class Base(AdapterConfig):
    """One place where a stream's entries live."""

    dn: str
    scope: Scope = "subtree"
    filter: str | None = None

    @field_validator("dn")
    @classmethod
    def _dn(cls, value: str) -> str:
        return _valid_dn(value)

    @field_validator("filter")
    @classmethod
    def _filter(cls, value: str | None) -> str | None:
        return None if value is None else _valid_filter(value)


class FieldSpec(AdapterConfig):
    """A field whose shape overrides the schema's.

    ``type = "reference"`` with ``to`` says that the values are DNs of another stream's
    records.
    """

    attribute: str
    type: FieldType | Literal["guid", "sid", "filetime"] | None = None
    multi: bool | None = None
    to: str | None = None

    @field_validator("attribute")
    @classmethod
    def _attribute(cls, value: str) -> str:
        if not _ATTRIBUTE.fullmatch(value):
            raise ValueError("must be the name of an attribute")
        return value


class Create(AdapterConfig):
    """``create``: how a new entry is named, and what it is.

    ``dn`` is a template: ``uid={uid},ou=people,dc=corp,dc=example``. What stands in
    braces is a field of the record; its value is escaped.
    """

    dn: str
    object_classes: Annotated[tuple[str, ...], Setting(min_length=1)]

    @field_validator("dn")
    @classmethod
    def _template(cls, value: str) -> str:
        _valid_dn(_FIELD.sub("x", value))
        if not _FIELD.search(value.partition(",")[0]):
            raise ValueError("the first part must hold a {field}")
        return value

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that the template uses."""
        return tuple(_FIELD.findall(self.dn))

    def name(self, values: dict[str, str]) -> str:
        """The DN for these values (lower-case field name -> text)."""
        return _FIELD.sub(
            lambda found: names.escape(values[found.group(1).lower()]), self.dn
        )


class LdapStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]`` of an LDAP system.

    Args:
        bases: Where the entries live.
        exclude: DNs whose subtrees are left out, after reading.
        filter: RFC 4515 text that all bases share.
        fields: Attributes to read; never everything. ``dn`` is a pseudo field.
        external_id: Attribute that holds our key.
        create: Needed to create entries.
        remove: What a delete does; see ``move_to``.
        move_to: DN of the container for ``remove = "move"``.
        empty_group_member: DN that stands in a group without members.
        overlap: Seconds that a ``timestamp`` follow looks back.
    """

    bases: Annotated[tuple[Base, ...], Setting(min_length=1)]
    exclude: tuple[str, ...] = ()
    filter: str = "(objectClass=*)"
    fields: Annotated[tuple[str | FieldSpec, ...], Setting(min_length=1)]
    external_id: str | None = None
    create: Create | None = None
    remove: Literal["refuse", "move", "delete"] = "refuse"
    move_to: str | None = None
    empty_group_member: str | None = None
    overlap: Annotated[int, Setting(ge=0, le=86400)] = 120

    @field_validator("filter")
    @classmethod
    def _filter(cls, value: str) -> str:
        return _valid_filter(value)

    @field_validator("exclude")
    @classmethod
    def _exclude(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_valid_dn, value))

    @field_validator("move_to", "empty_group_member")
    @classmethod
    def _dn(cls, value: str | None) -> str | None:
        return None if value is None else _valid_dn(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.remove == "move") != (self.move_to is not None):
            raise ValueError('remove = "move" and move_to belong together')
        given = [spec.attribute.lower() for spec in self.specs]
        if len(set(given)) < len(given):
            raise ValueError("fields: an attribute is named twice")
        wanted = self.create.fields if self.create else ()
        missing = {name.lower() for name in wanted} - set(given)
        if self.external_id is not None:
            missing |= {self.external_id.lower()} - set(given)
        if missing:
            raise ValueError(f"fields lacks {', '.join(sorted(missing))}")
        return self

    @cached_property
    def specs(self) -> tuple[FieldSpec, ...]:
        """The fields, all in table form."""
        return tuple(
            FieldSpec(attribute=item) if isinstance(item, str) else item
            for item in self.fields
        )


def parse_url(text: str) -> Url:
    """Take an LDAP url apart.

    Raises:
        ValueError: Not ``ldaps://``, ``ldap://`` or ``ldapi://``, or it holds more than
            a host and a port.
    """
    parts = urlsplit(text)
    if parts.scheme == "ldapi":
        path = unquote(parts.netloc) + parts.path
        return Url("ldapi", path, 0)
    plain = not (parts.path.strip("/") or parts.query or parts.fragment)
    if parts.scheme not in PORTS or not parts.hostname or "@" in text or not plain:
        raise ValueError("urls are ldaps://host[:port], ldap://host or ldapi://path")
    return Url(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme])


def _valid_dn(value: str) -> str:
    try:
        names.parse(value)
    except ConfigurationError as error:
        raise ValueError(error.message) from None
    return value


def _valid_filter(value: str) -> str:
    try:
        filters.parse(value)
    except ConfigurationError as error:
        raise ValueError(error.message) from None
    return value
