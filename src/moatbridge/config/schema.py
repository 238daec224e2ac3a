"""JSON Schema of a whole file, for editors, and of one part of it, for forms."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from moatbridge.config.flows import FlowConfig
from moatbridge.config.gateway import GatewayConfig
from moatbridge.config.guard import GuardConfig
from moatbridge.config.sections import LedgerConfig, RunConfig, SecurityConfig
from moatbridge.config.systems import SystemConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic_core import core_schema

    from moatbridge.adapter import Adapter

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_SECTION: Final = re.compile(r"^(Args|Returns|Raises|Class attributes):$")
_ARGUMENT: Final = re.compile(r"^    (\w+): (.*)$")
_MARKUP: Final = re.compile(r"`+")


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


def settings_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Describe the settings of one adapter, or of one of its streams, for a form.

    Args:
        model: An adapter's ``Config`` or ``StreamConfig``.

    Returns:
        JSON Schema (2020-12). ``description`` of each setting is what the model's
        docstring says of it, as plain text; a secret is ``writeOnly``: never show its
        value again, keep it where a reference can name it.
    """
    return model.model_json_schema(by_alias=True, schema_generator=_WithHelp)


class _WithHelp(GenerateJsonSchema):
    """Takes the help for each setting from its model's docstring."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made = super().model_schema(schema)
        help_for = _arguments(schema["cls"])
        fields = schema["cls"].model_fields
        for name, field in fields.items():
            described = made.get("properties", {}).get(field.alias or name)
            if described is not None and name in help_for:
                described.setdefault("description", help_for[name])
        return made


def _arguments(model: type[Any]) -> dict[str, str]:
    """The section ``Args`` of a docstring as plain text: name -> words."""
    found: dict[str, str] = {}
    name, inside = "", False
    for line in (inspect.getdoc(model) or "").splitlines():
        if section := _SECTION.match(line):
            inside = section[1] == "Args"
        elif inside and (start := _ARGUMENT.match(line)):
            name = start[1]
            found[name] = start[2]
        elif inside and name and line.startswith("        "):
            found[name] += " " + line.strip()
    return {name: _MARKUP.sub("", words) for name, words in found.items()}


class _Book:
    """Collects definitions under names that cannot clash."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}

    def add(self, name: str, model: type[BaseModel]) -> dict[str, Any]:
        template = f"#/$defs/{name}.{{model}}"
        schema = model.model_json_schema(
            by_alias=True, ref_template=template, schema_generator=_WithHelp
        )
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
