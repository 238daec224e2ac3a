"""From TOML or plain tables to a checked `BridgeConfig`: all problems at once."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from moatbridge.config.answers import with_answers
from moatbridge.config.bridge import BridgeConfig, StreamEntry
from moatbridge.config.flows import FlowConfig
from moatbridge.config.gateway import GatewayConfig
from moatbridge.config.guard import GuardConfig
from moatbridge.config.problems import (
    Problem,
    dotted,
    from_pydantic,
    nearest,
    refuse,
)
from moatbridge.config.references import check_flows, check_guard, check_names
from moatbridge.config.secrets import loose_files
from moatbridge.config.sections import LedgerConfig, RunConfig, SecurityConfig
from moatbridge.config.systems import SystemConfig
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moatbridge.adapter import Adapter, AdapterConfig

M = TypeVar("M", bound=BaseModel)

_TABLES: Final = (
    "systems", "streams", "flows", "ledger", "guard", "security", "run", "gateway"
)  # fmt: skip
_KEYS: Final = (*_TABLES, "adapters")
_ENTRIES: Final = ("systems", "streams", "flows")
_GROUND: Final = ("ledger", "security", "adapters")
_CORE: Final = tuple(name for name in SystemConfig.model_fields if name != "settings")


class AdapterSource(Protocol):
    """What is needed of a `moatbridge.registry.Registry`."""

    def get(self, name: str) -> type[Adapter[Any]]:
        """The adapter class of that name."""


def load(path: str | Path, registry: AdapterSource | None = None) -> BridgeConfig:
    """Read and check a configuration file.

    Args:
        path: A TOML file.
        registry: Where adapters come from. None leaves the adapters' own settings
            unchecked, as plain tables: enough to look at a file, not to run it.

    Raises:
        ConfigurationError: ``config.file``, ``config.toml``, or all that is wrong in
            one error; its text never holds a value.
    """
    table, base, name = _table(path)
    return parse(table, registry, base=base, name=name)


@dataclass(frozen=True, slots=True)
class PartlyRead:
    """What a file says that is not finished.

    Args:
        config: What is right of it; nothing may be sent with it.
        problems: Everything that is wrong.
        systems: Names of all systems in the file.
        streams: Addresses of all streams in it.
        ends: Addresses that its flows name.
    """

    config: BridgeConfig
    problems: tuple[Problem, ...] = ()
    systems: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    ends: frozenset[str] = frozenset()


def load_partly(path: str | Path, registry: AdapterSource) -> PartlyRead:
    """Read what is right of a file that is not finished, to look at systems with it.

    Systems, streams and flows with a problem are left out, and so is what needs them.

    Args:
        path: A TOML file.
        registry: Where adapters come from.

    Raises:
        ConfigurationError: ``config.file``, ``config.toml``, or a part that everything
            stands on is wrong: the ledger, where secrets lie, the allow-list.
    """
    table, base, name = _table(path)
    reader = _Reader(registry, base)
    parts = reader.read(table)
    first = [each for each in reader.problems if each.key.split(".")[0] in _GROUND]
    refuse(first, name)
    flows = [flow for flow in parts["flows"].values() if flow is not None]
    return PartlyRead(
        _standing(parts, reader.problems),
        tuple(reader.problems),
        tuple(parts["systems"]),
        tuple(parts["streams"]),
        frozenset(end for flow in flows for end in (flow.source, flow.target)),
    )


def _standing(parts: dict[str, Any], problems: list[Problem]) -> BridgeConfig:
    """The parts that no problem lies in, and that lack nothing they name."""

    def right(section: str) -> dict[str, Any]:
        return {
            name: part
            for name, part in parts[section].items()
            if part is not None and not _lies_in(problems, dotted(section, name))
        }

    systems = right("systems")
    streams = {a: s for a, s in right("streams").items() if a.split("/")[0] in systems}
    flows = {
        name: flow
        for name, flow in right("flows").items()
        if {flow.source, flow.target} <= streams.keys() and flow.decide is None
    }
    rest = (*_GROUND, "run", "guard")
    known = {key: parts[key] for key in rest if parts.get(key) is not None}
    known |= {"systems": systems, "streams": streams}
    try:
        return BridgeConfig(**known, flows=flows)
    except ConfigurationError:  # they fit only together
        return BridgeConfig(**known)


def _lies_in(problems: list[Problem], key: str) -> bool:
    return any(each.key == key or each.key.startswith(f"{key}.") for each in problems)


def _table(path: str | Path) -> tuple[dict[str, Any], Path, str]:
    """What a file holds, the folder it lies in, and its name."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The file {file} cannot be read ({type(error).__name__})."
        raise ConfigurationError(msg, code="config.file") from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"The file {file} is not valid TOML: {error}"
        raise ConfigurationError(msg, code="config.toml") from None
    return table, file.absolute().parent, file.name


def parse(
    table: Mapping[str, Any],
    registry: AdapterSource | None = None,
    *,
    base: Path | None = None,
    name: str = "the configuration",
) -> BridgeConfig:
    """Check a configuration given as plain tables.

    Args:
        table: Sections by name. Parts that are models already are taken as they are,
            a translator may be an object, a secret a `pydantic.SecretStr`.
        registry: See `load`.
        base: Folder that relative paths start from and that secrets may lie in;
            None: the working directory.
        name: What to call the configuration in messages.

    Raises:
        ConfigurationError: All that is wrong.
    """
    reader = _Reader(registry, base or Path.cwd())
    parts = reader.read(table)
    refuse(reader.problems, name)
    config = with_answers(BridgeConfig(**parts))
    warnings = loose_files(config)
    return config.model_copy(update={"warnings": tuple(warnings)})


class _Reader:
    """Collects parts and problems; one use."""

    def __init__(self, registry: AdapterSource | None, base: Path) -> None:
        self.problems: list[Problem] = []
        self._registry = registry
        self._allowed: tuple[str, ...] | None = None
        self._context: dict[str, Any] = {"folder": base, "secret_dirs": (str(base),)}

    def read(self, table: Mapping[str, Any]) -> dict[str, Any]:
        for key in table:
            if key not in _KEYS:
                words = "unknown section" + nearest(key, _KEYS)
                self._add(dotted(key), words, "config.unknown")
        for key in _TABLES:
            if not isinstance(table.get(key, {}), _kinds(key)):
                self._add(key, "must be a table")
        table = {
            key: table[key]
            for key in _KEYS
            if key in table and isinstance(table[key], _kinds(key))
        }
        parts = self._sections(table)
        parts |= self._entries(table)
        return parts

    def _sections(self, table: Mapping[str, Any]) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        security = self._model(SecurityConfig, table.get("security", {}), "security")
        if security is not None:
            self._context["secret_dirs"] += security.secret_dirs
            parts["security"] = security
        for key, model in (
            ("ledger", LedgerConfig),
            ("guard", GuardConfig),
            ("run", RunConfig),
        ):
            parts[key] = self._model(model, table.get(key, {}), key)
        if "gateway" in table:
            parts["gateway"] = self._model(GatewayConfig, table["gateway"], "gateway")
        self._allowed = parts["adapters"] = self._allow_list(table.get("adapters"))
        return parts

    def _entries(self, table: Mapping[str, Any]) -> dict[str, Any]:
        raw_systems = table.get("systems", {})
        raw_streams = table.get("streams", {})
        raw_flows = table.get("flows", {})
        self.problems += check_names(raw_systems, raw_streams, raw_flows)
        systems = {name: self._system(name, raw) for name, raw in raw_systems.items()}
        streams = {
            address: self._stream(address, raw, raw_systems)
            for address, raw in raw_streams.items()
        }
        flows = {
            name: flow
            for name, raw in raw_flows.items()
            if (flow := self._model(FlowConfig, raw, "flows", name)) is not None
        }
        self.problems += check_flows(
            flows, raw_streams, whole=len(flows) == len(raw_flows)
        )
        guard = self._quiet_guard(table)
        self.problems += check_guard(flows, guard)
        return {"systems": systems, "streams": streams, "flows": flows}

    def _system(self, name: str, raw: Any) -> SystemConfig | None:
        if isinstance(raw, SystemConfig):
            return raw
        if not self._is_table(raw, "systems", name):
            return None
        core = {key: value for key, value in raw.items() if key in _CORE}
        rest: Any = {key: value for key, value in raw.items() if key not in _CORE}
        cls = self._adapter(raw.get("adapter"), "systems", name, "adapter")
        system = self._model(SystemConfig, core, "systems", name)
        if cls is not None:
            rest = self._model(cls.Config, rest, "systems", name, known=_CORE)
        return system and system.model_copy(update={"settings": rest})

    def _stream(
        self, address: str, raw: Any, systems: Mapping[str, Any]
    ) -> StreamEntry | None:
        if isinstance(raw, StreamEntry):
            return raw
        if not self._is_table(raw, "streams", address):
            return None
        rest: Any = {key: value for key, value in raw.items() if key != "translator"}
        cls = self._adapter_of(systems.get(address.partition("/")[0]))
        if cls is not None:
            known = ("translator",)
            rest = self._model(cls.StreamConfig, rest, "streams", address, known=known)
        return StreamEntry(translator=raw.get("translator"), settings=rest)

    def _adapter(self, name: Any, *key: str) -> type[Adapter[Any]] | None:
        """The class of a system's adapter; problems are noted where it is named."""
        if not isinstance(name, str) or self._registry is None:
            return None
        if self._allowed is not None and name not in self._allowed:
            words = f"the adapter `{name}` is not in the allow-list `adapters`"
            words += nearest(name, self._allowed)
            self._add(dotted(*key), words, "registry.forbidden")
            return None
        try:
            return self._registry.get(name)
        except ConfigurationError as error:
            self._add(dotted(*key), error.message, error.code)
            return None

    def _adapter_of(self, system: Any) -> type[Adapter[Any]] | None:
        """The same for a stream, where its problems are known already."""
        known = len(self.problems)
        name = system.get("adapter") if isinstance(system, dict) else None
        if isinstance(system, SystemConfig):
            name = system.adapter
        cls = self._adapter(name, "systems")
        del self.problems[known:]
        return cls

    def _allow_list(self, raw: Any) -> tuple[str, ...] | None:
        if raw is None:
            return None
        if isinstance(raw, (list, tuple)) and all(isinstance(n, str) for n in raw):
            return tuple(raw)
        self._add("adapters", "must be a list of adapter names")
        return None

    def _quiet_guard(self, table: Mapping[str, Any]) -> GuardConfig:
        try:
            return GuardConfig.model_validate(table.get("guard", {}))
        except ValidationError:
            return GuardConfig()  # its own problems are noted already

    def _model(
        self, model: type[M], raw: Any, *key: str, known: tuple[str, ...] = ()
    ) -> M | None:
        try:
            return model.model_validate(raw, context=self._context)
        except ValidationError as error:
            found = from_pydantic(error, *key, model=model, names=known)
            self.problems += found
            return None

    def _is_table(self, raw: Any, *key: str) -> bool:
        if isinstance(raw, dict):
            return True
        self._add(dotted(*key), "must be a table")
        return False

    def _add(self, key: str, words: str, code: str = "config.invalid") -> None:
        self.problems.append(Problem(key, words, code))


def _kinds(key: str) -> tuple[type, ...]:
    if key == "adapters":
        return (object,)
    return (dict,) if key in _ENTRIES else (dict, BaseModel)


def adapter_settings(config: BridgeConfig, system: str) -> AdapterConfig:
    """The adapter's settings of one system.

    Raises:
        ConfigurationError: ``config.unchecked``: the configuration was read without a
            registry.
    """
    settings: Any = config.systems[system].settings
    if isinstance(settings, BaseModel):
        return settings  # type: ignore[return-value] # checked when it was read
    raise ConfigurationError(
        f"The settings of system {system} were read without a registry; pass one to "
        "`load` or `parse`.",
        code="config.unchecked",
        system=system,
    )
