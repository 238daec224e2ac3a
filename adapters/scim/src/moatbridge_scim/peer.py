"""Discovery: what the peer can do and which resources it has (RFC 7644 section 4)."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from moatbridge.errors import ConfigurationError
from moatbridge.http import check_read
from moatbridge_scim import standard
from moatbridge_scim.schema import KINDS, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Field
    from moatbridge.entities.scim import Kind
    from moatbridge.http import BaseUrl, HttpClient, Response

_ENDPOINT: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_MISSING: Final = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_IMPLEMENTED}
)
MAX_OPERATIONS: Final = 100
"""Operations of one bulk request, also where the peer would take more."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """The parts of ServiceProviderConfig that matter here (RFC 7643 section 5).

    Args:
        bulk: Operations in one bulk request; 0 where there is none.
        bulk_bytes: Largest bulk body.
        max_results: Largest page that the peer announces; 0 where it says nothing.
    """

    patch: bool = False
    etag: bool = False
    filter: bool = False
    sort: bool = False
    cursor: bool = False
    bulk: int = 0
    bulk_bytes: int = 0
    max_results: int = 0


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One kind of resource and where it lives."""

    name: str
    endpoint: str
    kind: Kind
    schema: Mapping[str, Any]
    extensions: tuple[tuple[str, Mapping[str, Any]], ...]

    def fields(self, people: str) -> tuple[Field, ...]:
        """Entity-shaped fields; see `fields_of`."""
        return fields_of(self.schema, self.extensions, people)


@dataclass(frozen=True, slots=True)
class Peer:
    """Everything discovery told."""

    abilities: Abilities
    types: Mapping[str, ResourceType]
    identity: str
    warnings: tuple[str, ...] = ()


def read_peer(client: HttpClient) -> Peer:
    """Ask the three discovery endpoints; three requests."""
    warnings: list[str] = []
    config = _document(client, "/ServiceProviderConfig", warnings)
    types = _resources(_document(client, "/ResourceTypes", warnings))
    schemas = _resources(_document(client, "/Schemas", warnings))
    by_urn = {str(schema.get("id", "")).lower(): schema for schema in schemas}
    abilities = abilities_of(config) if config else Abilities(patch=True, filter=True)
    found = resource_types(types or standard.RESOURCE_TYPES, by_urn, client.base)
    return Peer(
        abilities, found, _identity(client.base.text, config or {}), tuple(warnings)
    )


def abilities_of(config: Mapping[str, Any]) -> Abilities:
    """Read a ServiceProviderConfig; what it does not say is not there."""
    bulk = _part(config, "bulk")
    filters = _part(config, "filter")
    has_bulk = bulk.get("supported") is True
    return Abilities(
        patch=_part(config, "patch").get("supported") is True,
        etag=_part(config, "etag").get("supported") is True,
        filter=filters.get("supported") is True,
        sort=_part(config, "sort").get("supported") is True,
        cursor=_part(config, "pagination").get("cursor") is True,
        bulk=min(_count(bulk, "maxOperations"), MAX_OPERATIONS) if has_bulk else 0,
        bulk_bytes=_count(bulk, "maxPayloadSize"),
        max_results=_count(filters, "maxResults"),
    )


def resource_types(
    documents: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, Mapping[str, Any]],
    base: BaseUrl,
) -> dict[str, ResourceType]:
    """The resource types that are people or groups, by name."""
    found = {}
    for document in documents:
        urn = str(document.get("schema", "")).lower()
        name, kind = document.get("name"), KINDS.get(urn)
        if kind is None or not isinstance(name, str):
            continue
        found[name] = ResourceType(
            name,
            _endpoint(str(document.get("endpoint", "")), base),
            kind,
            schemas.get(urn) or standard.SCHEMAS[urn],
            tuple(_extensions(document, schemas)),
        )
    return found


def _extensions(
    document: Mapping[str, Any], schemas: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    found = []
    for extension in document.get("schemaExtensions") or ():
        urn = str(extension.get("schema", "")) if isinstance(extension, dict) else ""
        schema = schemas.get(urn.lower()) or standard.SCHEMAS.get(urn.lower())
        if schema is not None:
            found.append((urn, schema))
    return found


def _endpoint(text: str, base: BaseUrl) -> str:
    below = base.accept(text) if "://" in text else "/" + text.strip("/")
    dots = {".", ".."} & set(below.split("/"))
    if dots or not _ENDPOINT.fullmatch(below):
        message = "A resource type's endpoint is not a plain path below base_url."
        raise ConfigurationError(message, code="scim.endpoint")
    return below


def _document(
    client: HttpClient, path: str, warnings: list[str]
) -> dict[str, Any] | None:
    response = client.request("GET", path)
    if response.status in _MISSING:
        warnings.append(
            f"{path} is not served ({response.status}); RFC 7643 is assumed"
        )
        return None
    check_read(response, area="scim")
    return _object(response)


def _object(response: Response) -> dict[str, Any]:
    # A bare array stands for a list response with several products.
    if isinstance(response.body, list):
        return {"Resources": response.body}
    return response.mapping


def _resources(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    found = (document or {}).get("Resources")
    return [r for r in found if isinstance(r, dict)] if isinstance(found, list) else []


def _part(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = config.get(name)
    return found if isinstance(found, dict) else {}


def _count(part: Mapping[str, Any], name: str) -> int:
    found = part.get(name)
    plain = isinstance(found, int) and not isinstance(found, bool)
    return max(0, found) if plain and found is not None else 0


def _identity(base: str, config: Mapping[str, Any]) -> str:
    stable = {k: v for k, v in config.items() if k not in {"meta", "documentationUri"}}
    text = base + json.dumps(stable, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
