"""``[ledger]``, ``[security]`` and ``[run]``."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from moatbridge.adapter import Secret  # noqa: TC001 - pydantic reads it
from moatbridge.config.durations import Duration, Time, between
from moatbridge.config.systems import FilePath, Table

_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = "postgresql+psycopg://"
_OPTIONS: Final = frozenset(
    {"host", "sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
)


def _several(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


class CheckpointConfig(Table):
    """Longest stretch of unchanged records without a commit."""

    records: int = Field(default=10_000, ge=1, strict=True)
    seconds: Time = 5.0


class LedgerConfig(Table):
    """``[ledger]`` (delivery 2).

    Args:
        url: ``sqlite:///PATH`` of a file on a local disk (one host), or
            ``postgresql+psycopg://USER@HOST:PORT/DATABASE`` (many hosts), without a
            password. Over a network TLS with a checked certificate is used unless
            ``?sslmode=`` says otherwise.
        password: Where PostgreSQL's password is; ``env:NAME``, ``file:PATH`` or
            ``keyring:NAME``.
        durability: ``full``, or ``normal`` (may lose the last commits on power loss).
            PostgreSQL is always used with ``full``.
        parcel: Intents one parcel holds at most.
        checkpoint: Longest stretch of unchanged records without a commit.
        keep_payload: How long content of delivered intents is kept, in seconds.
        keep_undo: How long before-images are kept.
        keep_history: How long rows without content and the audit are kept.
        key_file: Where the key is that content in the ledger is encrypted with: 32
            random bytes in base64 (``openssl rand -base64 32``). A list rotates it: the
            first key encrypts, all of them decrypt. Needs ``moatbridge[crypto]``.
    """

    url: str = Field(default="sqlite:///moatbridge.db", repr=False)
    password: Secret | None = None
    durability: Literal["full", "normal"] = "full"
    parcel: int = Field(default=500, ge=1, le=1000, strict=True)
    checkpoint: CheckpointConfig = CheckpointConfig()
    keep_payload: Duration = 0.0
    keep_undo: Duration = 7 * 86400.0
    keep_history: Duration = 400 * 86400.0
    key_file: Annotated[tuple[Secret, ...], BeforeValidator(_several)] = ()

    @field_validator("url")
    @classmethod
    def _usable(cls, url: str, info: ValidationInfo) -> str:
        if url.startswith(_POSTGRESQL):
            return _checked(url)
        path = url.removeprefix(_SQLITE)
        if path in {url, ""} or path.startswith((":memory:", "file:")) or "?" in path:
            kind = "ledger_url"
            raise PydanticCustomError(
                kind,
                "must be sqlite:///PATH of a file on a local disk, or "
                "postgresql+psycopg://USER@HOST:PORT/DATABASE without a password",
            )
        return _beside(url, (info.context or {}).get("folder"))

    @model_validator(mode="after")
    def _consistent(self) -> LedgerConfig:
        if self.url.startswith(_SQLITE) and self.password is not None:
            raise ValueError("a SQLite file has no password")
        return self


def _checked(url: str) -> str:
    """A PostgreSQL URL without a password, as far as its text shows."""
    account, at, rest = url.removeprefix(_POSTGRESQL).partition("@")
    if not at:
        account, rest = "", account
    name, _, query = rest.partition("/")[2].partition("?")
    if ":" in account or "@" in rest:
        kind, words = (
            "ledger_url_password",
            ("holds a password; use ledger.password = 'env:NAME' instead"),
        )
        raise PydanticCustomError(kind, words)
    unknown = {part.partition("=")[0] for part in query.split("&") if part}
    if not name or unknown - _OPTIONS:
        kind, words = (
            "ledger_url",
            (
                "must be postgresql+psycopg://USER@HOST:PORT/DATABASE, with no other "
                f"options than {', '.join(sorted(_OPTIONS))}"
            ),
        )
        raise PydanticCustomError(kind, words)
    return url


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
        slice: A slice ends at the first batch boundary after this; 100 ms at least.
        ttl: Lease time, 1 s to 1 h: a worker that was killed keeps its work for so
            long, and one whose host dawdles for longer loses it.
        drain: From the stop signal to giving leases back by force.
        zones: Network zones this worker serves.
        collect_after: New objects after which Python's collector of cycles looks for
            garbage while slices work; 0 leaves the process's own threshold.
    """

    runner: Literal["local"] = "local"
    slots: int = Field(default=8, ge=1, le=256, strict=True)
    processes: int = Field(default=1, ge=1, le=64, strict=True)
    slice: Annotated[Time, between(0.1)] = 30.0
    ttl: Annotated[Time, between(1, 3600)] = 30.0
    drain: Time = 60.0
    zones: tuple[str, ...] = Field(default=("default",), min_length=1)
    collect_after: int = Field(default=20_000, ge=0, strict=True)
