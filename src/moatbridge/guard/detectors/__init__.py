"""What must not stand in free text: detectors over normalised text (guard 24-28).

A detector is a pure function ``find(text, lists) -> spans``; text is normalised
first, and spans are mapped back to where the value really stands. All of them are
linear in the length of the text: bounded patterns only, checksums before verdicts.

Not found, and said in the documentation: values in base64, or split by a line break.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from moatbridge.guard.detectors.addresses import email, internal_url, phone
from moatbridge.guard.detectors.credentials import credential
from moatbridge.guard.detectors.identities import national_id
from moatbridge.guard.detectors.lists import Lists, marker, word
from moatbridge.guard.detectors.normalise import Normalised, normalise
from moatbridge.guard.detectors.numbers import card, iban
from moatbridge.guard.detectors.span import Span

Detector: TypeAlias = Callable[[str, Lists], Iterable[Span]]

DETECTORS: Final[Mapping[str, Detector]] = MappingProxyType({
    "credential": credential,
    "card": card,
    "iban": iban,
    "national_id": national_id,
    "email": email,
    "phone": phone,
    "marker": marker,
    "internal_url": internal_url,
    "word": word,
})  # fmt: skip
"""Every detector by the name of its rule."""

__all__ = ["DETECTORS", "Detector", "Lists", "Normalised", "Span", "normalise"]
