"""JSON text by the standard library's encoder, made ready once.

`json.JSONEncoder.encode` builds its C encoder anew for each value: 0.5 of the 2.1 us
that a person costs. The C encoder that it builds is kept here (design 0031).
"""

from __future__ import annotations

import json
from json import encoder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def json_encoder(
    *,
    default: Callable[[Any], Any] | None = None,
    allow_nan: bool = True,
    sort_keys: bool = False,
) -> Callable[[Any], str]:
    """A function from trees of plain data to compact JSON text, not only ASCII.

    Args:
        default: Makes plain data of anything else; None: a `TypeError`.
        allow_nan: Whether numbers that JSON has no word for are written all the same.
        sort_keys: Whether the members of objects are sorted.
    """
    slow = json.JSONEncoder(
        default=default,
        ensure_ascii=False,
        check_circular=False,
        allow_nan=allow_nan,
        sort_keys=sort_keys,
        separators=(",", ":"),
    )
    make, text = getattr(encoder, "c_make_encoder", None), encoder.encode_basestring
    if make is None:  # an interpreter without the C half
        return slow.encode
    skip_keys = False  # a key that is no text is a mistake
    chunks = make(
        None, slow.default, text, None, ":", ",", sort_keys, skip_keys, allow_nan
    )
    return lambda value: "".join(chunks(value, 0))
