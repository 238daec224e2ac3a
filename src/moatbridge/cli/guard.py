"""``moatbridge guard explain``: every rule of a flow, and where its size comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from moatbridge.cli.opening import opened
from moatbridge.cli.options import ConfigOption, FlowArgument, JsonOption, config_path
from moatbridge.cli.terminal import clean, show, show_json
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moatbridge.config.guard_rules import Rules
    from moatbridge.ledger import Ledger


def explain(
    context: typer.Context,
    flow: FlowArgument,
    *,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Print every rule of a flow: its size and mode, and which table says so.

    Beside it stands what the rule noticed in the last week although it decided nothing
    (it warns, observes or masks), and how often a person called it a false alarm. Asks
    no system.
    """
    from moatbridge.config.guard import effective  # noqa: PLC0415 - --help stays quick

    with opened(config_path(context, config)) as (settings, ledger):
        if flow not in settings.flows:
            known = ", ".join(settings.flows) or "none"
            raise ConfigurationError(
                f"No flow named {flow!r} (configured: {known}).", code="flow.unknown"
            )
        own = settings.flows[flow].guard
        rules = effective(settings.guard, own, flow=flow).at(ledger.now())
        found = _rows(rules, ledger, flow)
    if as_json:
        more = {"four_eyes": rules.four_eyes, "warnings": list(rules.warnings)}
        show_json({"flow": flow, "rules": found, **more})
        return
    show(_lines(flow, rules, found))


def _rows(rules: Rules, ledger: Ledger, flow: str) -> list[dict[str, Any]]:
    from moatbridge.ledger import counts  # noqa: PLC0415 - --help stays quick
    from moatbridge.run.flow_ids import flow_id_of  # noqa: PLC0415

    let_go: dict[str, int] = {}
    wrong: dict[str, int] = {}
    with ledger.read() as tx:
        flow_id = flow_id_of(tx, ledger, flow)
        if flow_id is not None:
            wrong = counts.false_alarms(tx, flow_id)
            for name, number in counts.let_go(tx, flow_id, hours=counts.WEEK).items():
                rule = name.partition(".")[2]
                let_go[rule] = let_go.get(rule, 0) + number
    return [
        {
            "rule": name,
            "is": words,
            "from": origin,
            "let_go": let_go.get(name, 0),
            "false_alarms": wrong.get(name, 0),
        }
        for name, words, origin in rules.explain()
    ]


def _lines(flow: str, rules: Rules, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield f"Guard rules of flow {flow}"
    for row in rows:
        yield f"  {row['rule']:15} {row['is']:42} {clean(row['from'], 200)}"
        if row["let_go"]:
            yield f"  {'':15} found in {row['let_go']:,} changes sent in 7 days"
        if row["false_alarms"]:
            yield f"  {'':15} {row['false_alarms']:,} false alarms"
    yield f"  four eyes: {'on' if rules.four_eyes else 'off'}"
    yield from (f"  note: {clean(words, 400)}" for words in rules.warnings)
