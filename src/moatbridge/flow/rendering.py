"""What a flow makes of a source record: the entity, before anything judges it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moatbridge.translate.wholes import MEDIA_TYPE, as_plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moatbridge.changes import Data
    from moatbridge.flow.route import Route


def rendered(
    route: Route,
    key: str,
    data: Data,
    incomplete: Sequence[str] = (),
    *,
    partial: bool = False,
) -> dict[str, Any]:
    """The entity of a record, with what the flow itself adds.

    Args:
        route: The flow.
        key: The record's key.
        data: The record.
        incomplete: Fields that were read only in part.
        partial: Only some fields are known.

    Raises:
        TranslationError: The record cannot be translated.
    """
    bound = route.source.bound
    decode = bound.decode_partial if partial else bound.decode
    entity = decode(data, incomplete)
    if MEDIA_TYPE in bound.paths and MEDIA_TYPE not in route.target.bound.paths:
        entity = as_plain_text(entity)  # the target cannot say that it is HTML
    if "label" in route.initial.paths and route.entity == "Post":
        entity.setdefault("label", bound.label)
    if "externalId" in route.initial.paths and route.row.side == 0:
        entity.setdefault("externalId", key)
    return entity
