"""``[systems.NAME]``: what the core itself needs to know of every system."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from moatbridge.adapter import Quota, TlsSettings
from moatbridge.config.durations import Duration, Time, between
from moatbridge.config.table import Table as Table  # noqa: PLC0414 - its old place
from moatbridge.config.windows import Window  # noqa: TC001 - pydantic reads it

Label: TypeAlias = Literal["public", "internal", "confidential", "restricted"]

_PIN: Final = re.compile(r"(?:spki|cert)-sha256:[0-9a-f]{64}")
_ENDPOINT: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@\[\]]+):([0-9]{1,5})")
_HIGHEST_PORT: Final = 65535


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        msg = "must be a network such as 10.1.0.0/16"
        raise ValueError(msg) from None


def _endpoint(text: str) -> str:
    found = _ENDPOINT.fullmatch(text)
    if found is None or not 1 <= int(found[1]) <= _HIGHEST_PORT:
        msg = "must be host:port, such as ldap.corp.example:636"
        raise ValueError(msg)
    return text


def _pin(text: str) -> str:
    plain = text.strip().lower()
    if not _PIN.fullmatch(plain):
        msg = "must be spki-sha256: or cert-sha256: and 64 hexadecimal digits"
        raise ValueError(msg)
    return plain


def _beside_config(path: str, info: ValidationInfo) -> str:
    folder = (info.context or {}).get("folder")
    return str(Path(folder, path)) if folder else path


FilePath: TypeAlias = Annotated[str, AfterValidator(_beside_config)]
"""A path; relative ones start at the folder of the configuration file."""


class DeadlineConfig(Table):
    """``deadline``: total times of calls, in seconds (security 10).

    ``connect`` holds for making one connection, ``call`` for one call of the adapter
    (opening included), each 100 ms at least. A call that moves more than
    ``transfer_floor`` bytes a second is prolonged.
    """

    connect: Annotated[Time, between(0.1)] = 10.0
    call: Annotated[Time, between(0.1)] = 30.0
    transfer_floor: float = Field(default=1000.0, gt=0, allow_inf_nan=False)


class TlsConfig(Table):
    """``tls``: see `moatbridge.adapter.TlsSettings`. Nothing switches it off."""

    ca_file: FilePath | None = None
    pin: tuple[Annotated[str, AfterValidator(_pin)], ...] = ()
    pin_only: bool = False
    client_cert: FilePath | None = None
    client_key: FilePath | None = None
    server_name: str | None = None
    min: Literal["1.2", "1.3"] = "1.2"
    strict_x509: bool = True

    @model_validator(mode="after")
    def _agree(self) -> TlsConfig:
        if self.pin_only and not self.pin:
            msg = "pin_only needs at least one pin"
            raise ValueError(msg)
        if self.client_key and not self.client_cert:
            msg = "client_key needs client_cert"
            raise ValueError(msg)
        return self

    def settings(self) -> TlsSettings:
        """The same for an adapter's net."""
        return TlsSettings(**self.model_dump())


class QuotaConfig(Table):
    """A token bucket: ``rate`` requests a second, ``burst`` at once (default: rate)."""

    rate: float = Field(gt=0, allow_inf_nan=False)
    burst: float | None = Field(default=None, ge=1, allow_inf_nan=False)

    def limit(self) -> Quota:
        """The same as plain arithmetic wants it."""
        return Quota(self.rate, self.burst or max(1.0, self.rate))


class SystemConfig(Table):
    """One configured system.

    Args:
        adapter: Name of the adapter that speaks to it.
        deadline: Total times of calls.
        tls: How TLS peers are trusted.
        allow_networks: Networks its hosts may lie in beyond what the adapter's
            ``reach`` permits.
        egress: Complete list of ``host:port`` it may dial; None means the endpoints
            its settings name.
        quota: Class of call -> token bucket, shared by all workers of the ledger;
            unset classes follow the probe.
        in_flight: Connections in use at once, by all workers of the ledger together.
        windows: Times of day at which it may be used; none: always.
        zone: Network zone it can be reached from.
        max_label: Highest label of data it may receive.
        deny_fields: Entity paths that are never sent to it.
        exposure: Whether outsiders see what is written there; None: as the adapter
            says.
        max_idle: Seconds after which an unused connection is replaced.
        settings: The adapter's own settings: an instance of its ``Config``, or the
            plain table if the configuration was read without a registry.
    """

    adapter: str
    deadline: DeadlineConfig = DeadlineConfig()
    tls: TlsConfig = TlsConfig()
    allow_networks: tuple[Annotated[str, AfterValidator(_network)], ...] = ()
    egress: tuple[Annotated[str, AfterValidator(_endpoint)], ...] | None = None
    quota: dict[str, QuotaConfig] = Field(default_factory=dict)
    in_flight: int = Field(default=8, ge=1, le=1000, strict=True)
    windows: tuple[Window, ...] = ()
    zone: str = "default"
    max_label: Label = "internal"
    deny_fields: tuple[str, ...] = ()
    exposure: Literal["internal", "external"] | None = None
    max_idle: Duration = 300.0
    settings: Any = Field(default_factory=dict, repr=False)

    def egress_pairs(self) -> tuple[tuple[str, int], ...] | None:
        """``egress`` as hosts and ports; None if it is not configured."""
        if self.egress is None:
            return None
        split = (entry.rpartition(":") for entry in self.egress)
        return tuple((host.strip("[]"), int(port)) for host, _, port in split)
