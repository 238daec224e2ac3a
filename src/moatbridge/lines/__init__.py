"""The floor under adapters that speak lines of text over TCP.

`LineProtocol` declares how a system speaks, `LineClient` asks it, `Columns` puts a
record into one line and takes it out again. Everything is dialled through
`moatbridge.adapter.Net` and ends at the core's deadline.
"""

from __future__ import annotations

from moatbridge.lines.client import Answer, LineClient
from moatbridge.lines.columns import Columns
from moatbridge.lines.protocol import LineProtocol, Meaning
from moatbridge.lines.settings import LineConfig

__all__ = [
    "Answer",
    "Columns",
    "LineClient",
    "LineConfig",
    "LineProtocol",
    "Meaning",
]
