"""``[guard]`` and ``[flows.NAME.guard]``: the sizes of the guard's rules (guard 2).

``[guard]`` sets what holds for all flows, ``[flows.NAME.guard]`` may only tighten it.
Whatever is looser than the layer below it (built in, then ``[guard]``, then the flow)
needs ``loosen = { RULE = "reason, who, until 2027-01-31" }`` in the same table; after
that day the tighter value holds again by itself.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
)

from moatbridge.config.durations import Time  # noqa: TC001 - pydantic reads it
from moatbridge.config.guard_content import (
    ATTACHMENT_TYPES,
    INTERNAL_HOSTS,
    MARKERS,
    ContentTable,
    DetectorLimit,
    PostsLimit,
)
from moatbridge.config.guard_rules import BUILT_IN, Mode, Rule, Rules, loosens
from moatbridge.config.loosening import Loosening, parse_loosening
from moatbridge.config.systems import FilePath  # noqa: TC001 - pydantic reads it
from moatbridge.errors import ConfigurationError

OverLabel: TypeAlias = Literal["hold", "strip"]

_FLOW_ONLY_TIGHTENS: Final = "only [guard] may set it looser"


_SETTING: Final = {"audience": "max_audience"}
"""Rules whose size is set under another name."""


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class CapLimit(_Table):
    """At most ``min(count, max(least, share of the links))`` records.

    Keys that are left out keep the value of the layer below. A plain number in place
    of the table means exactly that number, whatever the share.
    """

    count: int | None = Field(default=None, ge=0, strict=True)
    share: float | None = Field(default=None, ge=0, le=1)
    least: int | None = Field(default=None, ge=0, strict=True)
    mode: Mode | None = None


class RatioLimit(_Table):
    """A ratio, judged from ``least`` records on."""

    share: float | None = Field(default=None, gt=0)
    least: int | None = Field(default=None, ge=1, strict=True)
    mode: Mode | None = None


class FlagMode(_Table):
    """A rule without a number: only its mode can be set."""

    mode: Mode | None = None


def _form(value: Any) -> str:
    return "number" if isinstance(value, int) else "table"


Cap: TypeAlias = Annotated[
    Annotated[int, Field(ge=0, strict=True), Tag("number")]
    | Annotated[CapLimit, Tag("table")],
    Discriminator(_form),
]


class _RuleTable(ContentTable):
    """The rules' sizes, which both tables may set."""

    shrink: RatioLimit | None = None
    identity_churn: RatioLimit | None = None
    removals: Cap | None = None
    creates: Cap | None = None
    updates: Cap | None = None
    field_change: Cap | None = None
    field_blank: Cap | None = None
    same_value: RatioLimit | None = None
    growth: RatioLimit | None = None
    privileged: Cap | None = None
    external: Cap | None = None
    mass_mention: Cap | None = None
    attachments: FlagMode | None = None
    loosen: dict[str, str] = Field(default_factory=dict)

    @field_validator("loosen")
    @classmethod
    def _known_rules(cls, loosen: dict[str, str]) -> dict[str, str]:
        for name in loosen:
            if name not in BUILT_IN:
                near = difflib.get_close_matches(name, BUILT_IN, 1, 0.6)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"there is no guard rule of that name{hint}")
            if BUILT_IN[name].fixed and BUILT_IN[name].kind == "flag":
                raise ValueError(f"the rule {name} is fixed and cannot be loosened")
        return loosen


class GuardConfig(_RuleTable):
    """``[guard]``: what holds for all flows of the bridge.

    Args:
        four_eyes: The approver differs from starter and author. ``False`` turns every
            *approve* into *confirm*, and says so at each start.
        approval_ttl: Seconds after which an item that waits for a person expires.
        quarantine_ttl: The same for quarantined items.
        kill_file: While this file exists nothing is sent; relative to the config.
        sensitive_groups: Patterns (``*`` and ``?``) of group names whose membership
            is a privilege.
        home_domains: Mail domains of the company.
        markers: Words that say "not for everybody"; takes the place of the shipped
            list, which knows more than 12 languages.
        internal_hosts: Patterns of hosts only the company can reach, added to private
            addresses, bare names and ``*.internal`` and its like.
        words: Words and phrases the company does not want to see in posts.
        attachment_types: Media types a post may carry.
        attachment_size: Bytes of one attachment at most.
        over_label: ``hold`` a record above the target's ``max_label``, or ``strip``
            the paths that carry the label.
        loosen: Rule name -> ``"reason, who, until YYYY-MM-DD"``.
    """

    four_eyes: bool = True
    approval_ttl: Time = 72 * 3600.0
    quarantine_ttl: Time = 30 * 86400.0
    kill_file: FilePath = Field(default="moatbridge.kill", validate_default=True)
    sensitive_groups: tuple[str, ...] = ("*admin*",)
    home_domains: tuple[str, ...] = ()
    markers: tuple[str, ...] = MARKERS
    internal_hosts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    attachment_types: tuple[str, ...] = ATTACHMENT_TYPES
    attachment_size: int = Field(default=25_000_000, ge=1, strict=True)
    over_label: OverLabel = "hold"


class FlowGuardConfig(_RuleTable):
    """``[flows.NAME.guard]``: what is tighter for one flow.

    Args:
        four_eyes: Only ``true`` where ``[guard]`` says ``false``.
        approval_ttl: Only shorter than in ``[guard]``.
        sensitive_groups: Patterns added to those of ``[guard]``.
        markers: Added to those of ``[guard]``; so are the next two.
        internal_hosts: See `markers`.
        words: See `markers`.
        over_label: As in ``[guard]``, for this flow.
        loosen: As in ``[guard]``.
    """

    four_eyes: bool | None = None
    approval_ttl: Time | None = None
    sensitive_groups: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()
    internal_hosts: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    over_label: OverLabel | None = None


def effective(
    guard: GuardConfig | None = None,
    flow_guard: FlowGuardConfig | None = None,
    *,
    flow: str = "NAME",
) -> Rules:
    """The rules that judge one flow: built in, then ``[guard]``, then the flow's own.

    Args:
        guard: ``[guard]``; None for the defaults.
        flow_guard: ``[flows.NAME.guard]``, if there is one.
        flow: The flow's name, for messages and `Rules.origin`.

    Raises:
        ConfigurationError: ``guard.loosened``, with all problems at once: a value
            looser than the layer below without a reason, or a fixed rule lowered.
    """
    guard = guard or GuardConfig()
    rules, problems, warnings = dict(BUILT_IN), [], []
    layers: list[tuple[str, _RuleTable]] = [("guard", guard)]
    if flow_guard is not None:
        layers.append((f"flows.{flow}.guard", flow_guard))
    for where, table in layers:
        found, said = _apply(rules, where, table)
        problems += found
        warnings += said
    problems += _widened(guard, flow_guard, flow)
    if problems:
        raise ConfigurationError("\n".join(problems), code="guard.loosened")
    return _rules(rules, guard, flow_guard or FlowGuardConfig(), flow, warnings)


def _apply(
    rules: dict[str, Rule], where: str, table: _RuleTable
) -> tuple[list[str], list[str]]:
    """Lay one table over the rules; returns problems and sentences for the start."""
    problems: list[str] = []
    said: list[str] = []
    for name, below in list(rules.items()):
        setting = _setting(table, name)
        if setting is None:
            if name in table.loosen:
                said.append(f"{where}.loosen.{name} has no effect: nothing is set")
            continue
        key = f"{where}.{_SETTING.get(name, name)}"
        rule = _sized(below, setting, f"[{where}]")
        text = table.loosen.get(name)
        try:
            rules[name] = _settle(key, below, rule, text, said)
        except ValueError as problem:
            problems.append(str(problem))
    return problems, said


def _setting(table: _RuleTable, name: str) -> Any:
    return getattr(table, _SETTING.get(name, name), None)


def _sized(below: Rule, setting: Any, origin: str) -> Rule:
    if isinstance(setting, str):
        return replace(below, level=setting, origin=origin)
    if isinstance(setting, int):
        run = None if below.run is None else setting
        return replace(
            below, count=setting, share=None, least=None, run=run, origin=origin
        )
    changed = setting.model_dump(exclude_none=True)
    if isinstance(setting, PostsLimit) and "day" in changed:
        changed["count"] = changed.pop("day")
    if isinstance(setting, DetectorLimit):
        changed |= _detector(below, changed)
    return replace(below, **changed, origin=origin)


def _detector(below: Rule, changed: dict[str, Any]) -> dict[str, Any]:
    """An action is the rule's decision; a mode holds outside as well."""
    more: dict[str, Any] = {}
    if "action" in changed:
        more["decision"] = changed.pop("action")
    if "mode" in changed:
        more["outside"] = "enforce" if below.fixed_outside else None
    return more


def _settle(
    key: str, below: Rule, rule: Rule, reason: str | None, said: list[str]
) -> Rule:
    if rule.fixed and rule.mode != below.mode:
        raise ValueError(f"{key}.mode: the rule is fixed; it can be sized, not lowered")
    if not loosens(rule, below):
        return rule.under(below)
    if reason is None:
        raise ValueError(
            f"{key}: {rule.words()} is looser than {below.words()} ({below.origin}); "
            f"make it tighter, or say why: "
            f'loosen = {{ {rule.name} = "reason, who, until YYYY-MM-DD" }}'
        )
    loosening: Loosening = parse_loosening(reason, f"{key} (loosen)")
    said.append(
        f"{key} is loosened from {below.words()} to {rule.words()} until "
        f"{loosening.until} by {loosening.who}: {loosening.reason}"
    )
    return replace(
        rule,
        until=loosening.until,
        inherited=below,
        origin=f"{rule.origin}, loosened until {loosening.until}",
    )


def _widened(
    guard: GuardConfig, flow_guard: FlowGuardConfig | None, flow: str
) -> list[str]:
    problems = []
    if flow_guard is None:
        return []
    if guard.four_eyes and flow_guard.four_eyes is False:
        problems.append(f"flows.{flow}.guard.four_eyes: {_FLOW_ONLY_TIGHTENS}")
    if (flow_guard.approval_ttl or 0) > guard.approval_ttl:
        problems.append(f"flows.{flow}.guard.approval_ttl: {_FLOW_ONLY_TIGHTENS}")
    return problems


def _rules(
    rules: dict[str, Rule],
    guard: GuardConfig,
    own: FlowGuardConfig,
    flow: str,
    warnings: list[str],
) -> Rules:
    four_eyes = guard.four_eyes if own.four_eyes is None else own.four_eyes
    if not four_eyes:
        warnings.append(
            "four_eyes is off: whatever needs approval by another person is only "
            "confirmed by the one who starts it"
        )
    origin = {name: rule.origin for name, rule in rules.items()}
    for name in ("four_eyes", "approval_ttl", "over_label", "sensitive_groups"):
        origin[name] = _said_by(name, guard, own, flow)
    for name in ("markers", "internal_hosts", "words"):
        origin[name] = _said_by(name, guard, own, flow)
    for name in ("home_domains", "attachment_types", "attachment_size"):
        origin[name] = _said_by(name, guard, guard, flow)
    return Rules(
        rules=rules,
        four_eyes=four_eyes,
        approval_ttl=own.approval_ttl or guard.approval_ttl,
        quarantine_ttl=guard.quarantine_ttl,
        over_label=own.over_label or guard.over_label,
        sensitive_groups=(*guard.sensitive_groups, *own.sensitive_groups),
        home_domains=guard.home_domains,
        markers=(*guard.markers, *own.markers),
        internal_hosts=(*INTERNAL_HOSTS, *guard.internal_hosts, *own.internal_hosts),
        words=(*guard.words, *own.words),
        attachment_types=guard.attachment_types,
        attachment_size=guard.attachment_size,
        origin=origin,
        warnings=tuple(warnings),
    )


def _said_by(name: str, guard: GuardConfig, own: _RuleTable, flow: str) -> str:
    if isinstance(own, FlowGuardConfig) and name in own.model_fields_set:
        return f"[flows.{flow}.guard]"
    return "[guard]" if name in guard.model_fields_set else "built in"
