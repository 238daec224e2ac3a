"""An intent as the requests that carry it out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from moatbridge.entities.scim import (
    BULK_REQUEST,
    PATCH_OP,
    merged,
    patch_bodies,
    patch_operations,
    to_scim,
)
from moatbridge_scim.schema import trimmed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Field
    from moatbridge.changes import Intent
    from moatbridge.entities.scim import Kind

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
READ_ONLY: Final = frozenset({"meta", "groups", "schemas"})


@dataclass(frozen=True, slots=True)
class Request:
    """One write request.

    Args:
        ident: Id of the resource; "" for a create.
        version: ETag it must still have; None for any.
    """

    method: Method
    ident: str = ""
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What writing to one stream needs to know."""

    kind: Kind
    fields: tuple[Field, ...]
    use_patch: bool
    use_etag: bool
    members_per_patch: int


def create(intent: Intent, shape: Shape) -> list[Request]:
    """POST of the whole record."""
    record = trimmed(intent.record or {}, shape.fields)
    return [Request("POST", body=to_scim(record, shape.kind))]


def update(
    intent: Intent,
    shape: Shape,
    before: Mapping[str, Any],
    version: str | None,
    resource: Mapping[str, Any] | None,
) -> list[Request]:
    """PATCH of what differs, or PUT of the merged resource; empty if nothing does.

    Args:
        intent: The update.
        shape: The stream's.
        before: The target's record as it is now.
        version: Its ETag.
        resource: The resource as the peer sent it; needed for a PUT.
    """
    record = trimmed(intent.record or {}, shape.fields)
    ident = str(intent.ref.id) if intent.ref else ""
    guard = version if shape.use_etag else None
    operations = patch_operations(before, record, intent.owned, shape.kind)
    if not operations:
        return []
    if shape.use_patch:
        bodies = patch_bodies(operations, shape.members_per_patch)
        return [Request("PATCH", ident, body, guard) for body in bodies]
    after = to_scim(merged(before, record, intent.owned, shape.kind), shape.kind)
    return [Request("PUT", ident, _replaced(resource or {}, after, shape), guard)]


def disable(ident: str, version: str | None) -> list[Request]:
    """PATCH of ``active``; a second time it changes nothing."""
    operations = [{"op": "replace", "path": "active", "value": False}]
    body = {"schemas": [PATCH_OP], "Operations": operations}
    return [Request("PATCH", ident, body, version)]


def bulk_body(requests: Sequence[Request], endpoint: str) -> dict[str, Any]:
    """The body of a bulk request; ``bulkId`` is the position (RFC 7644 3.7)."""
    operations = []
    for position, request in enumerate(requests):
        path = f"{endpoint}/{request.ident}" if request.ident else endpoint
        operation: dict[str, Any] = {
            "method": request.method,
            "path": path,
            "bulkId": str(position),
        }
        if request.body is not None:
            operation["data"] = request.body
        if request.version is not None:
            operation["version"] = request.version
        operations.append(operation)
    return {"schemas": [BULK_REQUEST], "Operations": operations}


def _replaced(
    resource: Mapping[str, Any], after: Mapping[str, Any], shape: Shape
) -> dict[str, Any]:
    """The resource with our fields replaced and everything unknown to us kept."""
    ours = {field.name.lower() for field in shape.fields} | READ_ONLY
    kept = {
        name: value
        for name, value in resource.items()
        if name.lower() not in ours and name not in after
    }
    return {
        **kept,
        **after,
        "schemas": [
            *after["schemas"],
            *(n for n in kept if n.startswith("urn:") and isinstance(kept[n], dict)),
        ],
    }
