"""One call that compiles resolved leaves to the functions of a translator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbridge.translate.decoders import careful_decode, quick_decode
from moatbridge.translate.encoders import encoder, owning
from moatbridge.translate.leaves import ABSENT
from moatbridge.translate.wholes import finishing

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
    entity: str = "",
) -> Compiled:
    """Compile a translator.

    Args:
        leaves: In the order of the table.
        backs: Of ``back``.
        on_error: What a failed converter does on the way to the entity.
        limit: Characters of one text.
        entity: Name of the entity type; empty for the entries of a list.
    """
    careful = careful_decode(leaves, on_error)
    written = [each for each in leaves if each.write is not None]
    decode = quick_decode(leaves, careful, limit)

    def partial(record: dict[str, Any], incomplete: Sequence[str] = ()) -> Any:
        return careful(record, incomplete, ABSENT)

    finish = finishing(entity, leaves)
    return Compiled(
        decode=_finished(decode, finish) if finish else decode,
        decode_partial=_finished(partial, finish) if finish else partial,
        encode_new=encoder(written, backs, new=True),
        encode=encoder(written, backs, new=False),
        owned_by=owning(written, backs),
    )


def _finished(
    decode: Callable[..., Any], finish: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[..., Any]:
    return lambda record, incomplete=(): finish(decode(record, incomplete))
