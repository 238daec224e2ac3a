"""Requests: placeholders, binding to the input's schema, values (soap 3.E)."""

from __future__ import annotations

from moatbridge_soap.request._binding import Request
from moatbridge_soap.request._lexical import check_text, plain_text
from moatbridge_soap.request._placeholders import MISSING, Text, inside
from moatbridge_soap.request._slots import Slot, slots_of

__all__ = [
    "MISSING",
    "Request",
    "Slot",
    "Text",
    "check_text",
    "inside",
    "plain_text",
    "slots_of",
]
