"""``[systems.NAME]`` and ``[streams."SYSTEM/STREAM"]`` with ``adapter = "soap"``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from moatbridge.adapter import AdapterConfig
from moatbridge_soap.config._units import GIB, MIB, PathOrUrl, Size
from moatbridge_soap.config.auth import CLEARTEXT_SECRETS, Auth, NoAuth
from moatbridge_soap.config.operations import (  # noqa: TC001 - pydantic reads them
    ChangesConfig,
    DeletesConfig,
    FindConfig,
    GetConfig,
    ListConfig,
    WriteConfig,
)

_CACHE: Final = ".moatbridge/wsdl"
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_PORTS: Final = {"http": 80, "https": 443}
_FIELD: Final = re.compile(r"[^\s/.{}]+(?:\.[^\s/.{}]+)*")


def parts_of(url: str) -> SplitResult:
    """A checked http or https URL, taken apart.

    Raises:
        ValueError: Not such a URL, or with user information or a fragment.
    """
    parts = urlsplit(url)
    odd = parts.username is not None or parts.fragment or re.search(r"[\s\x00]", url)
    if parts.scheme not in _PORTS or not parts.hostname or odd:
        msg = "must be an https URL without user information and fragment"
        raise ValueError(msg)
    if parts.port == 0:
        msg = "the port must be 1 to 65535"
        raise ValueError(msg)
    return parts


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host in lower case, and port of a URL."""
    parts = parts_of(url)
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, host, parts.port or _PORTS[parts.scheme]


def is_cleartext(url: str) -> bool:
    """True for ``http://`` to a host that is not loopback."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in _LOOPBACK


def _url(url: str) -> str:
    parts_of(url)
    return url


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        msg = "is not an IANA time zone such as Europe/Berlin"
        raise ValueError(msg) from None
    return name


def _field_path(path: str) -> str:
    if path != "*" and not _FIELD.fullmatch(path):
        msg = "must be a field path such as person.first or person.@id"
        raise ValueError(msg)
    return path


Url = Annotated[str, AfterValidator(_url)]
FieldPath = Annotated[str, AfterValidator(_field_path)]


class MaxWsdl(AdapterConfig):
    """Limits of all documents of a WSDL together."""

    size: Size = 16 * MIB
    documents: int = Field(default=200, ge=1)
    depth: int = Field(default=20, ge=1)


class SoapConfig(AdapterConfig):
    """``[systems.NAME]``.

    Args:
        wsdl: Path beside the configuration file, or https URL.
        endpoint: Where messages go; ``soap:address`` is only compared with it.
        service: Local name in the WSDL; None if there is only one.
        port: Local name in the WSDL; None if there is only one.
        documents: URL or namespace -> local copy of an imported document.
        import_origins: Further origins that imports may come from.
        cache: Folder that keeps copies of downloaded documents, so that a process can
            start while their server is down; False keeps none, None means the folder
            ``.moatbridge/wsdl`` beside the configuration file, where there is one.
        auth: One way to show who we are, or a list of them.
        addressing: WS-Addressing headers; ``auto`` follows the WSDL.
        soap_headers: Static header blocks: element name -> its content.
        ping: A read operation without effects that proves the credentials when the
            connection opens: ``{ operation, request }``.
        insecure_cleartext: Allow ``http://`` to other hosts than loopback.
        proxy: ``http://host:port`` of a forward proxy.
        timezone: Zone of ``dateTime`` values that carry none.
        tolerance: What a deviation from the schema means to a record.
        max_record: Bytes of one record.
        max_response: Bytes of one streamed answer, after inflating.
        max_buffered: Bytes of an answer that must be held whole.
        max_records: Records in one answer.
        max_wsdl: Limits of the WSDL's documents.
    """

    wsdl: PathOrUrl
    endpoint: Url
    service: str | None = None
    port: str | None = None
    documents: dict[str, PathOrUrl] = Field(default_factory=dict)
    import_origins: tuple[Url, ...] = ()
    cache: PathOrUrl | Literal[False] | None = Field(None, validate_default=True)
    auth: Auth | tuple[Auth, ...] = NoAuth()
    addressing: Literal["auto", "on", "off"] = "auto"
    soap_headers: dict[str, Any] = Field(default_factory=dict)
    ping: FindConfig | None = None
    insecure_cleartext: bool = False
    proxy: Url | None = None
    timezone: Annotated[str, AfterValidator(_zone)] | None = None
    tolerance: Literal["report", "strict"] = "report"
    max_record: Size = 4 * MIB
    max_response: Size = GIB
    max_buffered: Size = 32 * MIB
    max_records: int = Field(default=5_000_000, ge=1)
    max_wsdl: MaxWsdl = MaxWsdl()

    @field_validator("cache", mode="before")
    @classmethod
    def _beside_the_file(cls, value: Any, info: ValidationInfo) -> Any:
        in_file = bool((info.context or {}).get("folder"))
        return _CACHE if value is None and in_file else value

    @field_validator("wsdl")
    @classmethod
    def _wsdl_url(cls, value: str) -> str:
        if value.startswith("http"):
            parts_of(value)
        elif "://" in value:
            msg = "must be a path or an https URL"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _encrypted(self) -> SoapConfig:
        if self.insecure_cleartext:
            return self
        urls = [self.endpoint, *self.import_origins]
        urls += [self.wsdl] if self.wsdl.startswith("http") else []
        if any(is_cleartext(url) for url in urls):
            msg = "http:// is not encrypted: use https, or set insecure_cleartext"
            raise ValueError(msg)
        return self

    @property
    def auths(self) -> tuple[Auth, ...]:
        """All configured kinds."""
        return self.auth if isinstance(self.auth, tuple) else (self.auth,)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port of the endpoint."""
        return origin_of(self.endpoint)

    @property
    def shows_secrets(self) -> bool:
        """True if a password would cross a network readable by others."""
        kinds = {auth.kind for auth in self.auths}
        return is_cleartext(self.endpoint) and bool(kinds & CLEARTEXT_SECRETS)


class SoapStreamConfig(AdapterConfig):
    """``[streams."SYSTEM/STREAM"]``.

    Args:
        key: Field paths of the immutable identity; compound allowed.
        name: Field path of the mutable name.
        version: Field path of the version, for compare-and-set.
        modified: Field path of the time of the last change.
        fields: Field paths that are decoded; None or ``["*"]``: all leaves.
        nulls: Field -> texts that mean "no value".
        true: Field -> further spellings of true.
        false: Field -> further spellings of false.
        only: Field -> values of the records that belong to this stream.
        entity: Canonical type that fits (``Person``), if any.
        list: A complete pass.
        get: One record by key.
        find: Records by another field.
        changes: What changed since.
        deletes: Keys deleted since.
        create: Make a record.
        update: Change one.
        upsert: Make or change one.
        delete: Remove one.
    """

    key: tuple[FieldPath, ...] = Field(min_length=1)
    name: FieldPath | None = None
    version: FieldPath | None = None
    modified: FieldPath | None = None
    fields: tuple[FieldPath, ...] | None = None
    nulls: dict[FieldPath, tuple[str, ...]] = Field(default_factory=dict)
    true: dict[FieldPath, tuple[str, ...]] = Field(default_factory=dict)
    false: dict[FieldPath, tuple[str, ...]] = Field(default_factory=dict)
    only: dict[FieldPath, tuple[str | int | bool, ...]] = Field(default_factory=dict)
    entity: str | None = None
    list: ListConfig | None = None
    get: GetConfig | None = None
    find: FindConfig | None = None
    changes: ChangesConfig | None = None
    deletes: DeletesConfig | None = None
    create: WriteConfig | None = None
    update: WriteConfig | None = None
    upsert: WriteConfig | None = None
    delete: WriteConfig | None = None

    @model_validator(mode="after")
    def _some_operation(self) -> SoapStreamConfig:
        if not (self.list or self.get or self.changes or self.writes):
            msg = "needs at least one operation: list, get, changes or a write"
            raise ValueError(msg)
        if self.deletes and not self.changes:
            msg = "deletes goes with changes"
            raise ValueError(msg)
        return self

    @property
    def writes(self) -> dict[str, WriteConfig]:
        """The write tables that are configured, by name."""
        names = ("create", "update", "upsert", "delete")
        found = {name: getattr(self, name) for name in names}
        return {name: table for name, table in found.items() if table is not None}
