"""The core's cursor envelope: what an adapter's position is worth (DESIGN 10.11)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from moatbridge.errors import ConfigurationError, CursorTooOld

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """A position, bound to the server's identity and the stream's query.

    Args:
        at: The adapter's own JSON; None means "from the beginning".
        server: ``Probe.server`` of the system that gave it.
        query: ``Stream.query``.
        seq: Partition sequence at which ``at`` last moved: parcels staged later
            rest on records that a restart would read again.
        seen: Records read up to ``at``.
        whole: The pass has ended here: whoever resumes it reads nothing more. A source
            that is asked once more at its end may begin something newer.
    """

    at: Any
    server: str
    query: str
    seq: int = 0
    seen: int = 0
    whole: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON for the ledger."""
        return {"v": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, value: dict[str, Any] | None, server: str, query: str) -> Self:
        """Read an envelope back, and check that it still means something.

        Raises:
            ConfigurationError: ``cursor.version``: written by another version.
            CursorTooOld: Another server, or the stream's query changed.
        """
        if value is None:
            return cls(None, server, query)
        if value.get("v") != VERSION:
            raise ConfigurationError(
                f"The ledger holds a cursor of format {value.get('v')}; this version "
                f"knows {VERSION}. Upgrade moatbridge.",
                code="cursor.version",
            )
        found = cls(**{name: value[name] for name in value if name != "v"})
        if found.server != server:
            raise CursorTooOld(
                "another server answers now, or its adapter's probe calls it by "
                "another name",
                reason="other-server",
            )
        if found.query != query:
            raise CursorTooOld("the stream's definition changed", reason="other-query")
        return found
