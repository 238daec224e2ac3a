"""The keys that servers show before anybody logs in, for a person to compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moatbridge.errors import MoatbridgeError
from moatbridge.run.checking import Trouble

if TYPE_CHECKING:
    from moatbridge.run.bridge import Bridge


@dataclass(frozen=True, slots=True)
class HostKeys:
    """What one system's server shows.

    Args:
        system: Name.
        keys: Fingerprint and kind of each key.
        problem: Why it could not be asked.
    """

    system: str
    keys: tuple[str, ...] = ()
    problem: Trouble | None = None


def host_keys(bridge: Bridge) -> tuple[HostKeys, ...]:
    """Ask every system whose protocol has host keys; no credential is sent."""
    found = (_of(bridge, name) for name in bridge.config.systems)
    return tuple(each for each in found if each.keys or each.problem)


def _of(bridge: Bridge, name: str) -> HostKeys:
    try:
        return HostKeys(name, tuple(bridge.host_keys(name)))
    except MoatbridgeError as error:
        return HostKeys(name, problem=Trouble(error.code, error.message))
