"""Settings that every adapter of a text protocol shares."""

from __future__ import annotations

from pydantic import Field

from moatbridge.adapter import AdapterConfig


class LineConfig(AdapterConfig):
    """Base of ``[systems.NAME]`` for adapters that speak lines of text over TCP.

    Args:
        host: Name or address of the server.
        port: Its TCP port.
        insecure_cleartext: Speak without TLS: whoever stands on the way reads and
            changes everything.
        max_line: Bytes of one line of an answer.
        max_lines: Lines of one answer.
    """

    host: str = Field(min_length=1)
    port: int = Field(ge=1, le=65_535)
    insecure_cleartext: bool = False
    max_line: int = Field(default=8192, ge=64, le=1024 * 1024)
    max_lines: int = Field(default=10_000, ge=1, le=1_000_000)

    @property
    def dialled(self) -> tuple[str, int]:
        """The one address that is dialled."""
        return self.host, self.port
