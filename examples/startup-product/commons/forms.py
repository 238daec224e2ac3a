"""A form from an adapter's own description: JSON Schema -> inputs -> settings.

Nothing here knows an adapter: one that is registered tomorrow has its form today.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREFIX = "systems.company."
_WORDS = {"dn": "DN", "url": "URL", "urls": "URLs", "id": "ID", "tls": "TLS"}
_KINDS = {
    "string": "text", "integer": "number", "number": "number", "boolean": "checkbox",
}  # fmt: skip


@dataclass(frozen=True)
class Input:
    """One input of the form.

    Args:
        name: Dotted name of the setting (``auth.password``).
        label: What people call it.
        kind: ``text``, ``number``, ``checkbox``, ``select``, ``list`` or ``secret``.
        help: A sentence.
        required: The form is not sent without it.
        basic: It is asked for at once, not under "more settings".
        default: What holds if nothing is said.
        choices: Of a ``select``.
        least: Smallest number.
        most: Largest number.
    """

    name: str
    label: str
    kind: str
    help: str = ""
    required: bool = False
    basic: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None

    @property
    def id(self) -> str:
        """For the label's ``for``."""
        return f"setting-{self.name.replace('.', '-')}"


def inputs(schema: Mapping[str, Any]) -> list[Input]:
    """One input for each setting that a form can hold, the basic ones first.

    Args:
        schema: What `moatbridge.config.settings_schema` returns.
    """
    found = list(_of_table(schema, schema.get("$defs", {}), "", needed=True))
    return sorted(found, key=lambda each: not each.basic)


def settings(
    asked: list[Input], form: Mapping[str, str], kept: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What was filled in: plain settings, and apart from them the secrets.

    Args:
        asked: The inputs.
        form: What was sent.
        kept: Settings as they are; their secrets stay unless new ones are typed.

    Returns:
        Settings that differ from their defaults, secrets as references; and name ->
        value of each secret that was typed.
    """
    plain: dict[str, Any] = {}
    secrets: dict[str, str] = {}
    for each in asked:
        typed = form.get(each.name, "")
        if each.kind == "secret":
            if typed:
                secrets[each.name] = typed
            reference = f"file:secrets/{each.name}"
            value = reference if typed or value_of(kept, each.name) else None
        else:
            value = _read(each, typed)
        if value is not None and value != each.default:
            _put(plain, each.name, value)
    return plain, secrets


def wrong_settings(message: str) -> dict[str, str]:
    """Setting -> what is wrong with it; ``""`` holds what belongs to none.

    Args:
        message: Of a `ConfigurationError`: a line for each problem, after the first.
    """
    wrong: dict[str, str] = {}
    for line in message.splitlines()[1:]:
        name, _, words = line.strip().removeprefix(_PREFIX).partition(": ")
        wrong[name] = words
    return wrong or {"": message}


def value_of(table: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name; None if it is not there."""
    found: Any = table
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _of_table(
    table: Mapping[str, Any], known: Mapping[str, Any], prefix: str, *, needed: bool
) -> Iterator[Input]:
    for name, told in table.get("properties", {}).items():
        if told.get("const") is not None:
            continue
        must = needed and name in table.get("required", ())
        inner = _resolved(told, known)
        if inner.get("type") == "object":
            yield from _of_table(inner, known, f"{prefix}{name}.", needed=must)
            continue
        one = _input(f"{prefix}{name}", inner, told, must=must)
        if one is not None:
            # What lies in a required table is asked for too: a login without which
            # nothing works may be optional by itself.
            basic = must or one.kind == "secret" or bool(prefix and needed)
            yield Input(**{**vars(one), "basic": basic})


def _resolved(told: Mapping[str, Any], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without references, and without "or nothing"."""
    choices = [each for each in told.get("anyOf", ()) if each.get("type") != "null"]
    inner = choices[0] if len(choices) == 1 else told
    reference = inner.get("$ref", "")
    return known[reference.rpartition("/")[2]] if reference else inner


def _input(
    name: str, inner: Mapping[str, Any], told: Mapping[str, Any], *, must: bool
) -> Input | None:
    default = told.get("default")
    choices = tuple(map(str, inner.get("enum", ()))) or _alternatives(inner)
    kind = "select" if choices else _KINDS.get(str(inner.get("type")), "")
    if inner.get("writeOnly"):
        kind = "secret"
    elif inner.get("type") == "array" and inner["items"].get("type") == "string":
        kind, default = "list", tuple(default or ())
    if not kind:
        return None  # a list of tables: such a setting stays as it is
    label = " ".join(_WORDS.get(w, w) for w in name.rpartition(".")[2].split("_"))
    return Input(
        name=name,
        label=label[:1].upper() + label[1:],
        kind=kind,
        help=str(told.get("description") or inner.get("description") or ""),
        required=must and kind != "checkbox",
        default=default,
        choices=choices,
        least=inner.get("minimum", inner.get("exclusiveMinimum")),
        most=inner.get("maximum"),
    )


def _alternatives(inner: Mapping[str, Any]) -> tuple[str, ...]:
    """``true``, ``false`` or a word: as one choice."""
    found: list[str] = []
    for each in inner.get("anyOf", ()):
        found += ["true", "false"] if each.get("type") == "boolean" else []
        found += [str(each["const"])] if "const" in each else []
    return tuple(found)


def _read(asked: Input, typed: str) -> Any:  # noqa: PLR0911 - one for each kind
    typed = typed.strip()
    if asked.kind == "checkbox":
        return bool(typed)
    if asked.kind == "list":
        return tuple(typed.replace(",", " ").split())
    if not typed:
        return None
    if asked.kind == "select" and typed in {"true", "false"}:
        return typed == "true"
    if asked.kind == "number":
        try:
            return float(typed) if "." in typed else int(typed)
        except ValueError:
            return typed  # the adapter's own check says what is wrong
    return typed


def _put(table: dict[str, Any], name: str, value: Any) -> None:
    *tables, last = name.split(".")
    for part in tables:
        table = table.setdefault(part, {})
    table[last] = list(value) if isinstance(value, tuple) else value
