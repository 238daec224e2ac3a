"""`BridgeConfig`: the whole configuration of one bridge, checked."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from moatbridge.adapter import AdapterConfig
from moatbridge.config.flows import FlowConfig  # noqa: TC001 - pydantic reads it
from moatbridge.config.gateway import GatewayConfig  # noqa: TC001 - pydantic reads it
from moatbridge.config.guard import GuardConfig
from moatbridge.config.problems import from_pydantic, refuse
from moatbridge.config.references import check_flows, check_guard, check_names
from moatbridge.config.sections import LedgerConfig, RunConfig, SecurityConfig
from moatbridge.config.systems import SystemConfig, Table


class StreamEntry(Table):
    """``[streams."SYSTEM/STREAM"]``.

    Args:
        translator: The table as written, or a translator object given in Python.
        settings: An instance of the adapter's ``StreamConfig``, or the plain table if
            the configuration was read without a registry.
    """

    translator: Any = None
    settings: Any = Field(default_factory=dict, repr=False)

    def with_fields(self, names: tuple[str, ...]) -> StreamEntry:
        """The same entry, reading these record fields if nothing was configured.

        Without effect if the adapter's ``StreamConfig`` has no setting ``fields``, or
        if it was given.

        Raises:
            ConfigurationError: The adapter refuses these fields.
        """
        settings = self.settings
        if not isinstance(settings, AdapterConfig):
            return self
        if "fields" not in type(settings).model_fields:
            return self
        if "fields" in settings.model_fields_set:
            return self
        return self.model_copy(update={"settings": _refilled(settings, names)})


class BridgeConfig(Table):
    """Everything one bridge needs to know.

    Built by `moatbridge.config.load` or `parse`, or in Python from its parts.

    Args:
        systems: Name -> system.
        streams: Address (``hr/people``) -> stream.
        flows: Name -> flow.
        ledger: Where the durable memory lies.
        guard: Rules that hold for all flows.
        security: Where secrets may lie.
        run: How slices are run.
        gateway: What the world may call; None: nothing.
        adapters: Names of adapters that may be used; None means all.
        warnings: Sentences for ``check``.

    Raises:
        ConfigurationError: The parts do not fit together; all problems at once.
    """

    systems: dict[str, SystemConfig] = Field(default_factory=dict)
    streams: dict[str, StreamEntry] = Field(default_factory=dict)
    flows: dict[str, FlowConfig] = Field(default_factory=dict)
    ledger: LedgerConfig = LedgerConfig()
    guard: GuardConfig = GuardConfig()
    security: SecurityConfig = SecurityConfig()
    run: RunConfig = RunConfig()
    gateway: GatewayConfig | None = None
    adapters: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        refuse(
            [
                *check_names(self.systems, self.streams, self.flows),
                *check_flows(self.flows, self.streams),
                *check_guard(self.flows, self.guard),
            ],
            "the configuration",
        )
        return self

    def streams_of(self, system: str) -> dict[str, Any]:
        """Local stream name -> the adapter's stream settings, of one system."""
        return {
            address.partition("/")[2]: entry.settings
            for address, entry in self.streams.items()
            if address.partition("/")[0] == system
        }

    def with_fields(self, fields: dict[str, tuple[str, ...]]) -> BridgeConfig:
        """The same configuration after `StreamEntry.with_fields` of some streams.

        Args:
            fields: Stream address -> record fields that its translator reads.
        """
        streams = {
            address: entry.with_fields(fields[address]) if address in fields else entry
            for address, entry in self.streams.items()
        }
        return self.model_copy(update={"streams": streams})


def _refilled(settings: AdapterConfig, names: tuple[str, ...]) -> AdapterConfig:
    from pydantic import ValidationError  # noqa: PLC0415 - only for the rare failure

    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    try:
        return type(settings).model_validate({**given, "fields": list(names)})
    except ValidationError as error:
        refuse(from_pydantic(error, model=type(settings)), "the stream's settings")
        raise
