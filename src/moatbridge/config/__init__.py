"""The configuration of a bridge: TOML or Python objects, checked as a whole.

`load` and `parse` make a `BridgeConfig`; everything wrong is told at once, and no
message ever holds a value. Secrets are references and are resolved only when used.
"""

from __future__ import annotations

from moatbridge.config.bridge import BridgeConfig, StreamEntry
from moatbridge.config.flows import FlowConfig, RejectLimit
from moatbridge.config.gateway import GatewayConfig, InboxConfig
from moatbridge.config.guard import FlowGuardConfig, GuardConfig
from moatbridge.config.reading import (
    AdapterSource,
    PartlyRead,
    adapter_settings,
    load,
    load_partly,
    parse,
)
from moatbridge.config.redaction import RedactionFilter, Redactor, hold_driver_loggers
from moatbridge.config.schema import json_schema, settings_schema
from moatbridge.config.sections import LedgerConfig, RunConfig, SecurityConfig
from moatbridge.config.systems import (
    DeadlineConfig,
    Label,
    QuotaConfig,
    SystemConfig,
    TlsConfig,
)

__all__ = [
    "AdapterSource",
    "BridgeConfig",
    "DeadlineConfig",
    "FlowConfig",
    "FlowGuardConfig",
    "GatewayConfig",
    "GuardConfig",
    "InboxConfig",
    "Label",
    "LedgerConfig",
    "PartlyRead",
    "QuotaConfig",
    "RedactionFilter",
    "Redactor",
    "RejectLimit",
    "RunConfig",
    "SecurityConfig",
    "StreamEntry",
    "SystemConfig",
    "TlsConfig",
    "adapter_settings",
    "hold_driver_loggers",
    "json_schema",
    "load",
    "load_partly",
    "parse",
    "settings_schema",
]
