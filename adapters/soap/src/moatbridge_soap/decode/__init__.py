"""Answers as plain records: streamed, typed, bounded.

`compile_answer` turns zeep's description of an operation into an `AnswerDecoder` once;
`AnswerDecoder.read` gives an `Answer` that yields items while the bytes arrive. Nothing
here opens a connection, and zeep's own deserialiser is never called.
"""

from __future__ import annotations

from moatbridge_soap.decode.answer import Answer
from moatbridge_soap.decode.decoder import AnswerDecoder, compile_answer
from moatbridge_soap.decode.describe import field_types
from moatbridge_soap.decode.faults import cleaned
from moatbridge_soap.decode.parts import Detail, Fault, Item, ItemReject
from moatbridge_soap.decode.settings import DecodeSettings
from moatbridge_soap.decode.shape import note_substitutions
from moatbridge_soap.decode.tally import is_naive, no_zone

__all__ = [
    "Answer",
    "AnswerDecoder",
    "DecodeSettings",
    "Detail",
    "Fault",
    "Item",
    "ItemReject",
    "cleaned",
    "compile_answer",
    "field_types",
    "is_naive",
    "no_zone",
    "note_substitutions",
]
