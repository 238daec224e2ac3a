"""One call that compiles resolved leaves to the functions of a translator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.translate.decoders import careful_decode, quick_decode
from moatbridge.translate.encoders import encoder, owning
from moatbridge.translate.leaves import ABSENT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.translate.guarded import OnError
    from moatbridge.translate.leaves import Back, Leaf


@dataclass(frozen=True, slots=True)
class Compiled:
    """The functions of one translator (see `BoundTranslator` for their meaning)."""

    decode: Callable[..., dict[str, Any]]
    decode_partial: Callable[..., dict[str, Any]]
    encode_new: Callable[..., dict[str, Any]]
    encode: Callable[..., dict[str, Any]]
    owned_by: Callable[..., tuple[str, ...]]


def compile_leaves(
    leaves: Sequence[Leaf],
    backs: Sequence[Back] = (),
    *,
    on_error: OnError = "reject",
    limit: int = 10_000,
) -> Compiled:
    """Compile a translator.

    Args:
        leaves: In the order of the table.
        backs: Of ``back``.
        on_error: What a failed converter does on the way to the entity.
        limit: Characters of one text.
    """
    careful = careful_decode(leaves, on_error)
    written = [each for each in leaves if each.write is not None]
    return Compiled(
        decode=quick_decode(leaves, careful, limit),
        decode_partial=lambda record, incomplete=(): careful(
            record, incomplete, ABSENT
        ),
        encode_new=encoder(written, backs, new=True),
        encode=encoder(written, backs, new=False),
        owned_by=owning(written, backs),
    )
