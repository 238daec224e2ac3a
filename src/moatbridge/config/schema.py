"""JSON Schema of a whole configuration file, for editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from moatbridge.config.flows import FlowConfig
from moatbridge.config.gateway import GatewayConfig
from moatbridge.config.guard import GuardConfig
from moatbridge.config.sections import LedgerConfig, RunConfig, SecurityConfig
from moatbridge.config.systems import SystemConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from moatbridge.adapter import Adapter

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class NamedAdapters(Protocol):
    """What is needed of a `moatbridge.registry.Registry`."""

    def __iter__(self) -> Iterator[str]:
        """Names of all adapters."""

    def get(self, name: str) -> type[Adapter[Any]]:
        """The adapter class of that name."""


def json_schema(registry: NamedAdapters) -> dict[str, Any]:
    """Describe ``moatbridge.toml`` with the settings of every installed adapter.

    Args:
        registry: The adapters; each is imported.

    Raises:
        ConfigurationError: An adapter cannot be imported.
    """
    book = _Book()
    adapters = {name: registry.get(name) for name in registry}
    systems = [book.system(name, cls.Config) for name, cls in adapters.items()]
    streams = [book.stream(name, cls.StreamConfig) for name, cls in adapters.items()]
    properties: dict[str, Any] = {
        "adapters": {"type": "array", "items": {"type": "string"}},
        "systems": _by_name(systems),
        "streams": _by_name(streams),
        "flows": _by_name([book.add("flow", FlowConfig)]),
        "ledger": book.add("ledger", LedgerConfig),
        "guard": book.add("guard", GuardConfig),
        "security": book.add("security", SecurityConfig),
        "run": book.add("run", RunConfig),
        "gateway": book.add("gateway", GatewayConfig),
    }
    return {
        "$schema": DIALECT,
        "title": "moatbridge.toml",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": book.definitions,
    }


class _Book:
    """Collects definitions under names that cannot clash."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def add(self, name: str, model: type[BaseModel]) -> dict[str, Any]:
        template = f"#/$defs/{name}.{{model}}"
        schema = model.model_json_schema(by_alias=True, ref_template=template)
        for inner, definition in schema.pop("$defs", {}).items():
            self.definitions[f"{name}.{inner}"] = definition
        return schema

    def system(self, name: str, model: type[BaseModel]) -> dict[str, Any]:
        core = self.add("system", SystemConfig)
        own = self.add(f"{name}.system", model)
        properties = {**own.get("properties", {}), **core["properties"]}
        properties.pop("settings", None)
        properties["adapter"] = {"const": name}
        required = ["adapter", *own.get("required", [])]
        return _table(f"a {name} system", properties, required)

    def stream(self, name: str, model: type[BaseModel]) -> dict[str, Any]:
        own = self.add(f"{name}.stream", model)
        properties = {**own.get("properties", {}), "translator": {"type": "object"}}
        return _table(f"a stream of {name}", properties, own.get("required", []))


def _table(
    title: str, properties: dict[str, Any], required: list[str]
) -> dict[str, Any]:
    return {
        "title": title,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _by_name(choices: list[dict[str, Any]]) -> dict[str, Any]:
    choice: Any = choices[0] if len(choices) == 1 else {"anyOf": choices}
    return {"type": "object", "additionalProperties": choice if choices else {}}
