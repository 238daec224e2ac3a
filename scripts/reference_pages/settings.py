"""`settings.md`: every setting of `moatbridge.toml`, adapters' own included."""

from __future__ import annotations

import re
import types
import typing
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from moatbridge.adapter import Secret, TlsSettings
from moatbridge.config import (
    FlowConfig,
    FlowGuardConfig,
    GatewayConfig,
    GuardConfig,
    InboxConfig,
    LedgerConfig,
    RunConfig,
    SecurityConfig,
    SystemConfig,
    TlsConfig,
)
from moatbridge.config.decide import DecideConfig
from moatbridge.config.guard_rules import BUILT_IN
from moatbridge.registry import Registry
from reference_pages.text import arguments, description, document, meanings, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

_CORE = (
    ("[ledger]", LedgerConfig),
    ("[run]", RunConfig),
    ("[security]", SecurityConfig),
    ("[guard]", GuardConfig),
    ("[systems.NAME]", SystemConfig),
    ("[flows.NAME]", FlowConfig),
    ("[flows.NAME.guard]", FlowGuardConfig),
    ("[flows.NAME.decide]", DecideConfig),
    ("[gateway]", GatewayConfig),
    ("[gateway.inbox.SYSTEM]", InboxConfig),
)
_SAME: dict[type[BaseModel], tuple[type, ...]] = {TlsConfig: (TlsSettings,)}
"""Where the meaning of the same settings is told."""
_WORDS = {
    str: "text", int: "number", float: "number", bool: "`true`, `false`",
    Secret: "secret",
    type(None): "", Any: "anything",
}  # fmt: skip
_UNITS = {
    "parse_duration": "duration", "seconds": "duration", "_duration": "duration",
    "octets": "size", "_size": "size",
}  # fmt: skip
"""Validators that take numbers with units: the core's and the adapters'."""
_SCALES = {
    "duration": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")),
    "size": ((1 << 30, " GiB"), (1 << 20, " MiB"), (1 << 10, " KiB")),
}
_NONE = re.compile(r"\bNone\b")
"""Python's word for a setting that is not in the file."""
_INTRODUCTION = """\
Everything that `moatbridge.toml` may hold. A table or key that is not here is an
error, and all errors of a file are told at once. `moatbridge config schema` prints
the same as JSON Schema for editors.

A *duration* is a number of seconds or text such as `"30s"`, `"5min"`, `"24h"`,
`"7d"`. A *size* is a number of bytes or text such as `"8 MiB"`. A *secret* is a
reference: `env:NAME`, `file:PATH` or `keyring:NAME`; the secret itself
is refused. Relative paths start at the file's own folder. A setting without a default
is *unset*.

The key `adapters = ["ldap", "scim"]` at the top of the file lists the adapters that
may be used; without it, all that are installed."""


def page() -> str:
    """The whole page."""
    parts = [_INTRODUCTION, ""]
    told: set[type[BaseModel]] = {model for _, model in _CORE}
    for title, model in _CORE:
        parts += section(f"## `{title}`", model, told)
    registry = Registry()
    for name in registry:
        adapter = registry.get(name)
        parts += section(f"## `[systems.NAME]` of `{name}`", adapter.Config, told)
        title = f'## `[streams."SYSTEM/STREAM"]` of `{name}`'
        parts += section(title, adapter.StreamConfig, told)
    parts += [_TRANSLATOR]
    return document("Settings", *parts)


_TRANSLATOR = """\
## `[streams."SYSTEM/STREAM".translator]`

| setting | meaning |
|---|---|
| `entity` | [entity type](entities.md), such as `Person` or `Post` |
| `fields` | table of entity path = source; only what is named here leaves |
| `back` | table of record path = constant or template, for writing only |
| `on_error` | what an inconvertible value does: `reject` (default), `null`, `skip` |
| `label`, `labels` | label of the stream, and of single fields |
| `lower_label` | the reason why a label is lower than the entity type's |
| `max_text` | longest text in characters; longer is a reject, never cut |

A *source* is a record field (`"uid"`), `{ from = "mail", pick = "min" }`,
`{ from = "x", via = "lower" }`, `{ const = "Contractor" }`, `{ template = "{a} {b}" }`,
`{ from = "state", lookup = { N = "new" }, default = "other" }`,
`{ ref = "hr/people", from = "manager", by = "name" }`, `{ each = "member", ... }` or
`{ first = ["mobile", "phone"], back = "mobile" }`.
Converters for `via` are listed in [converters.md](converters.md).

A template holds `{field}`, `{field|converter}` and `{field?}`, which is left out if it
is empty. Its key `blocks` names holes that stand for one line per entry of a list:
`blocks = { lines = { each = "item", template = "{quantity} x {article}", most = 5 } }`
fills `{lines}`. A post needs an `audience`, such as `{ const = { kind = "org" } }`."""


def section(
    title: str,
    model: type[BaseModel],
    told: set[type[BaseModel]],
    *,
    about: Any = None,
) -> list[str]:
    """One table of settings, and below it the tables inside it.

    Args:
        title: Its heading.
        model: The settings.
        told: Tables that the page holds already; what is told here is added.
        about: Whose docstring stands above the table, if not the model's.
    """
    lines = [title, "", description(about or model), "", *_table(model), ""]
    inside = list(_inner(model))
    if known := [f"`{each.__name__}`" for each in inside if each in told]:
        lines += [f"Further up: {', '.join(known)}.", ""]
    for inner in (each for each in inside if each not in told):
        lines += [f"### `{inner.__name__}`", "", *_described(inner), *_table(inner), ""]
    told |= set(inside)
    return lines


def _described(model: type[BaseModel]) -> list[str]:
    text = description(model)
    return [text, ""] if text else []


def _table(model: type[BaseModel]) -> list[str]:
    rows = [
        (f"`{field.alias or name}`", kind(field), _default(field), meaning(model, name))
        for name, field in model.model_fields.items()
        if not set(_keys(model, name)) & set(meanings("filled_in"))
    ]
    heads = ("setting", "type", "default", "meaning")
    return table(heads, rows) if rows else ["No settings of its own."]


def meaning(model: type[BaseModel], name: str) -> str:
    """What a setting means, from the nearest docstring or from `meanings.toml`.

    Raises:
        LookupError: Nobody says.
    """
    known, idle = meanings("settings"), meanings("no_effect")
    keys = _keys(model, name)
    found = next((known[key] for key in keys if key in known), None)
    for owner in (*model.__mro__, *_SAME.get(model, ())):
        if found is None:
            found = arguments(owner).get(name)
    if found is None and name in BUILT_IN:
        found = "size of the [rule](guard-rules.md); unset: as below it"
    if found is not None:
        why = next((idle[key] for key in keys if key in idle), None)
        found = _NONE.sub("unset", found)
        return found if why is None else f"{found} **No effect yet**: {why}."
    raise LookupError(f"meanings.toml lacks settings: {model.__name__}.{name}")


def _keys(model: type[BaseModel], name: str) -> list[str]:
    """What `meanings.toml` may call a setting; the most exact first.

    Two adapters may have a class of one name, so the package may stand before it.
    """
    owners = [(each.__module__.partition(".")[0], each) for each in model.__mro__]
    exact = [f"{package}.{owner.__name__}.{name}" for package, owner in owners]
    return exact + [f"{owner.__name__}.{name}" for _, owner in owners]


def kind(field: FieldInfo) -> str:
    """The type of a setting in words."""
    return _unit(field.metadata) or _kind(field.annotation)


def _unit(metadata: Iterable[Any]) -> str | None:
    names = (getattr(getattr(each, "func", 0), "__name__", "") for each in metadata)
    return next((_UNITS[name] for name in names if name in _UNITS), None)


def _kind(annotation: Any) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is not None:
        return _composed(origin, inner)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table `{annotation.__name__}`"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _composed(origin: Any, inner: tuple[Any, ...]) -> str:
    if origin is typing.Annotated and (unit := _unit(inner[1:])):
        return unit
    if origin is typing.Literal:
        return ", ".join(map(_shown, inner))
    if origin in {typing.Union, types.UnionType}:
        return " or ".join(dict.fromkeys(filter(None, map(_kind, inner))))
    before = {tuple: "list of ", dict: "table of "}.get(origin, "")
    return before + _kind(inner[1] if origin is dict else inner[0])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}, ""):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return _shown(value, kind(field))


def _shown(value: Any, unit: str = "") -> str:
    if isinstance(value, BaseModel):
        given = value.model_dump(exclude_defaults=True)
        return f"`{given}`" if given else "see below"
    if unit in _SCALES:
        return f"`{_scaled(value, unit)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _scaled(value: float, unit: str) -> str:
    for size, word in _SCALES[unit]:
        if value >= size and value % size == 0:
            return f"{value / size:g}{word}"
    return f"{value:g}"


def _inner(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """Tables inside a table, however deep; the core's sections are not entered."""
    known = {each for _, each in _CORE}
    found: list[type[BaseModel]] = []
    waiting = [model]
    while waiting:
        for field in waiting.pop(0).model_fields.values():
            for inner in _models(field.annotation):
                if inner not in found and inner not in known:
                    found.append(inner)
                    waiting.append(inner)
    yield from found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models(inner)
