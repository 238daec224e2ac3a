"""The target side's mark: what the opposite flow must recognise as agreed already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moatbridge.errors import MoatbridgeError
from moatbridge.flow.deciding import out_fingerprint
from moatbridge.ledger.keys import key_hash

if TYPE_CHECKING:
    from moatbridge.changes import Data, Ref
    from moatbridge.flow.route import Route


def echo_mark(
    route: Route, ref: Ref, stored: Data | None
) -> tuple[bytes, bytes | None, bytes | None]:
    """The target side's mark: what the opposite flow must recognise as our own echo."""
    k = key_hash(ref.key)
    if route.back is None or stored is None:
        return k, None, None
    bound = route.target.bound
    try:
        fp = route.target_fingerprint(ref.key, ref.name, bound.project(stored))
        out_fp = out_fingerprint(bound, route.back.cut(bound.decode(stored)))
    except (MoatbridgeError, KeyError, TypeError, ValueError):
        return k, None, None
    return k, fp, out_fp
