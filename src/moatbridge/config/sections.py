"""``[ledger]``, ``[security]`` and ``[run]``."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from moatbridge.config.durations import Duration, Time  # noqa: TC001 - pydantic reads it
from moatbridge.config.systems import FilePath, Table

_SQLITE: Final = "sqlite:///"


class CheckpointConfig(Table):
    """Longest stretch of unchanged records without a commit."""

    records: int = Field(default=10_000, ge=1, strict=True)
    seconds: Time = 5.0


class LedgerConfig(Table):
    """``[ledger]`` (delivery 2).

    Args:
        url: ``sqlite:///PATH`` of a file on a local disk, and nothing else.
        durability: ``full``, or ``normal`` (may lose the last commits on power loss).
        parcel: Intents one parcel holds at most.
        checkpoint: Longest stretch of unchanged records without a commit.
        keep_payload: How long content of delivered intents is kept, in seconds.
        keep_undo: How long before-images are kept.
        keep_history: How long rows without content and the audit are kept.
    """

    url: str = "sqlite:///moatbridge.db"
    durability: Literal["full", "normal"] = "full"
    parcel: int = Field(default=500, ge=1, le=1000, strict=True)
    checkpoint: CheckpointConfig = CheckpointConfig()
    keep_payload: Duration = 0.0
    keep_undo: Duration = 7 * 86400.0
    keep_history: Duration = 400 * 86400.0

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str, info: ValidationInfo) -> str:
        path = url.removeprefix(_SQLITE)
        if path in {url, ""} or path.startswith((":memory:", "file:")) or "?" in path:
            kind = "ledger_url"
            raise PydanticCustomError(
                kind,
                "must be sqlite:///PATH: this version's ledger is a SQLite file on a "
                "local disk, without server, password or options",
            )
        return _beside(url, (info.context or {}).get("folder"))


def _beside(url: str, folder: Any) -> str:
    path = url.removeprefix(_SQLITE)
    relative = not path.startswith("/")
    return f"{_SQLITE}{folder}/{path}" if relative and folder else url


class SecurityConfig(Table):
    """``[security]``.

    Args:
        secret_dirs: Folders that ``file:`` secrets may lie in, beside the
            configuration's own folder.
    """

    secret_dirs: tuple[FilePath, ...] = ("/run/secrets",)


class RunConfig(Table):
    """``[run]`` (scale 2): how slices are run. Times are seconds.

    Args:
        runner: What carries slices; ``local`` is threads and processes of one host.
        slots: Slices at once per process.
        processes: Worker processes.
        slice: A slice ends at the first batch boundary after this.
        ttl: Lease time.
        drain: From the stop signal to giving leases back by force.
        zones: Network zones this worker serves.
    """

    runner: Literal["local"] = "local"
    slots: int = Field(default=8, ge=1, le=256, strict=True)
    processes: int = Field(default=1, ge=1, le=64, strict=True)
    slice: Time = 30.0
    ttl: Time = 30.0
    drain: Time = 60.0
    zones: tuple[str, ...] = Field(default=("default",), min_length=1)
