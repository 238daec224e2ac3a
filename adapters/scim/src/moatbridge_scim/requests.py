"""An intent as the requests that carry it out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from moatbridge.entities.scim import (
    BULK_REQUEST,
    PATCH_OP,
    merged,
    patch_bodies,
    patch_operations,
    to_scim,
)
from moatbridge.http import dump_json
from moatbridge_scim.bodies import BodyMaker
from moatbridge_scim.resources import RecordMaker
from moatbridge_scim.schema import Writable, trimmed_to, writable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moatbridge.adapter import Field
    from moatbridge.changes import Intent
    from moatbridge.entities.scim import Kind

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
READ_ONLY: Final = frozenset({"meta", "groups", "schemas"})


class Request(NamedTuple):
    """One write request.

    Args:
        ident: Id of the resource; "" for a create.
        data: Its body, written down once, whether it goes alone or in a bulk.
        version: ETag it must still have; None for any.
    """

    method: Method
    ident: str = ""
    data: bytes | None = None
    version: str | None = None

    def __repr__(self) -> str:
        return f"Request({self.method})"


@dataclass(frozen=True)
class Shape:
    """What writing to one stream needs to know."""

    kind: Kind
    fields: tuple[Field, ...]
    use_patch: bool
    use_etag: bool
    members_per_patch: int
    quick: bool = True

    @cached_property
    def body(self) -> BodyMaker:
        """A record as the resource that a create sends."""
        return BodyMaker(self.fields, self.kind, quick=self.quick)

    @cached_property
    def writable(self) -> Writable:
        """Names that the peer lets us write."""
        return writable(self.fields)

    @cached_property
    def record_of(self) -> RecordMaker:
        """A resource as a record."""
        return RecordMaker(self.fields, self.kind, quick=self.quick)


def create(intent: Intent, shape: Shape) -> tuple[Request, ...]:
    """POST of the whole record."""
    return (Request("POST", "", dump_json(shape.body(intent.record or {}))),)


def update(
    intent: Intent,
    shape: Shape,
    before: Mapping[str, Any],
    version: str | None,
    resource: Mapping[str, Any] | None,
) -> tuple[Request, ...]:
    """PATCH of what differs, or PUT of the merged resource; empty if nothing does.

    Args:
        intent: The update.
        shape: The stream's.
        before: The target's record as it is now.
        version: Its ETag.
        resource: The resource as the peer sent it; needed for a PUT.
    """
    record = trimmed_to(shape.writable, intent.record or {})
    ident = str(intent.ref.id) if intent.ref else ""
    guard = version if shape.use_etag else None
    operations = patch_operations(before, record, intent.owned, shape.kind)
    if not operations:
        return ()
    if shape.use_patch:
        bodies = patch_bodies(operations, shape.members_per_patch)
        return tuple(Request("PATCH", ident, dump_json(b), guard) for b in bodies)
    after = to_scim(merged(before, record, intent.owned, shape.kind), shape.kind)
    body = dump_json(_replaced(resource or {}, after, shape))
    return (Request("PUT", ident, body, guard),)


def disable(ident: str, version: str | None) -> tuple[Request, ...]:
    """PATCH of ``active``; a second time it changes nothing."""
    operations = [{"op": "replace", "path": "active", "value": False}]
    body = {"schemas": [PATCH_OP], "Operations": operations}
    return (Request("PATCH", ident, dump_json(body), version),)


def bulk_body(requests: Sequence[Request], endpoint: str) -> bytes:
    """The body of a bulk request; ``bulkId`` is the position (RFC 7644 3.7)."""
    parts = []
    collection = dump_json(endpoint)
    for position, (method, ident, data, version) in enumerate(requests):
        path = dump_json(f"{endpoint}/{ident}") if ident else collection
        part = b'{"method":"%b","path":%b,"bulkId":"%d"' % (
            method.encode(),
            path,
            position,
        )
        if data is not None:
            part += b',"data":' + data
        if version is not None:
            part += b',"version":' + dump_json(version)
        parts.append(part)
    return b'{"schemas":[%b],"Operations":[%b}]}' % (
        dump_json(BULK_REQUEST),
        b"},".join(parts),
    )


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
