"""From configuration to routes: describe both ends, bind translators, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moatbridge.config.answers import SYSTEM, decider_of
from moatbridge.config.guard import effective
from moatbridge.errors import ConfigurationError
from moatbridge.flow.answering import ANSWERS, INTERNAL, translator_of
from moatbridge.flow.carry import Carry
from moatbridge.flow.filling import check_filled
from moatbridge.flow.guarantee import check_required, guarantee
from moatbridge.flow.owning import owning
from moatbridge.flow.readership import circles
from moatbridge.flow.references import nests
from moatbridge.flow.route import End, Reference, Route
from moatbridge.flow.settings import check_only_reader, settled
from moatbridge.flow.writeback import Writeback, carried, writeback_of
from moatbridge.guard import PathSet, check_route
from moatbridge.guard import Route as GuardRoute
from moatbridge.ledger import flows
from moatbridge.translate import Translator, join_report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moatbridge.adapter import WriteTraits
    from moatbridge.config import BridgeConfig, FlowConfig
    from moatbridge.flow.bridge import Bridge
    from moatbridge.flow.described import Described
    from moatbridge.ledger.flows import FlowRow
    from moatbridge.translate import BoundTranslator

_SHARED: Final = 4
"""Parts that a scan is cut into for processes that share it (scale 2)."""

_ALWAYS: Final = ("externalId", "active")
"""Paths a native target is asked for beyond what the source names: our key, and the
switch that disables."""


def compile_route(bridge: Bridge, name: str) -> Route:
    """Make a flow ready to run.

    Raises:
        ConfigurationError: Whatever a person must change, with the setting's name.
        NotApplied: One of the systems cannot be reached now.
    """
    config = bridge.config
    settings = config.flows[name]
    source, target, traits = _ends(bridge, settings)
    check_only_reader(config.flows, name, source)
    settings = settled(name, settings, source=source, entity=target.bound.entity)
    row = _row(bridge, name, settings)
    shared, lines = _carried(settings, source, target)
    owns = owning(
        config,
        settings,
        name=name,
        side=row.side,
        source=source,
        target=target,
        shared=shared,
    )
    promise = guarantee(
        traits,
        retry_for=settings.retry_for,
        on_unknown=settings.on_unknown,
        can_find=target.can("CanFind"),
    )
    check_required(name, promise, settings.require)
    if settings.decide is None:  # a reply is taken once, whatever the target does
        searched = target.can("CanFind") or target.can("CanScan")
        _check_first_run(name, settings, traits, creates=owns.creates and searched)
    _check_needs(name, source, target)
    if settings.decide is None and owns.creates and traits.creates:
        check_filled(name, source, target, side=row.side)
    rules = effective(config.guard, settings.guard)
    judged = _judged(bridge, name, source, target, shared)
    check_route(judged, rules)
    references = _references(bridge, source, target)
    return Route(
        name=name,
        config=settings,
        row=row,
        source=source,
        target=target,
        traits=traits,
        guarantee=promise,
        express=target.bound.restrict(
            dict.fromkeys((*source.bound.paths, *shared, *_ALWAYS)),
        ),
        carry=owns.carry,
        initial=Carry(shared),
        back=owns.back,
        rules=rules,
        judged=judged,
        seed=bridge.ledger.seed(name, source.probe.server),
        creates=owns.creates,
        parcel=_parcel(config.ledger.parcel, traits),
        partitions=settings.partitions or (_SHARED if _several(bridge) else 1),
        source_named=_named(config, source.address) or nests(source.bound.entity),
        target_named=_named(config, target.address),
        references=references,
        report_lines=lines,
        writeback=_writeback(bridge, name, settings, source, target),
        agreed_by=_agreed_by(bridge, name),
        circles=circles(bridge, source, target, references),
        contested=owns.contested,
        keep_undo=config.ledger.keep_undo,
        keep_payload=config.ledger.keep_payload,
    )


def translated(bridge: Bridge, address: str) -> BoundTranslator:
    """The translator of a stream that belongs to no flow of its own.

    Raises:
        ConfigurationError: ``flow.translator``: it has none, and none can be made.
    """
    described = bridge.describe(address)
    table = _translator(bridge, address, described)
    if table is None:
        names = [f.name for f in described.stream.fields]
        table = _mirror(address, described, described.stream.entity, names)
    return _bind(table, described, address)


def _carried(
    settings: FlowConfig, source: End, target: End
) -> tuple[list[str], tuple[str, ...]]:
    """Entity paths that the flow carries, and a line for each."""
    if settings.decide is not None:
        paths = carried(target)
        return paths, tuple(f"reply -> {path} -> {target.address}" for path in paths)
    joined = join_report(source.bound, target.bound).carried
    lines = tuple(f"{c.source} -> {c.entity} -> {c.target}" for c in joined)
    return _shared(source, target, [c.entity for c in joined]), lines


def _writeback(
    bridge: Bridge, name: str, settings: FlowConfig, source: End, target: End
) -> Writeback | None:
    if settings.decide is None:
        return None
    posts = settings.decide.posts
    row = _row(bridge, posts, bridge.config.flows[posts])
    return writeback_of(bridge, name, source=source, target=target, posts=row)


def _several(bridge: Bridge) -> bool:
    """Whether several processes may work on one scan, as far as settings tell.

    In one process its parts would only fight for the interpreter (design 0033).
    """
    return bridge.config.run.processes > 1 or bridge.ledger.db.kind != "sqlite"


def _agreed_by(bridge: Bridge, name: str) -> int | None:
    """Whoever agreed to a flow that decides agreed to its answers too."""
    decider = decider_of(name)
    if decider is None:
        return None
    return _row(bridge, decider, bridge.config.flows[decider]).flow_id


def _ends(bridge: Bridge, settings: FlowConfig) -> tuple[End, End, WriteTraits]:
    """Describe both streams; a native one without translator mirrors the other."""
    here, there = settings.source, settings.target
    a, b = bridge.describe(here), bridge.describe(there)
    table_a, table_b = _translator(bridge, here, a), _translator(bridge, there, b)
    if table_a is None and (table_b is None or settings.decide is not None):
        names = [f.name for f in a.stream.fields]
        table_a = _mirror(here, a, a.stream.entity, names)
    if table_a is None:
        bound_b = _bind(table_b, b, there)
        table_a = _mirror(here, a, bound_b.entity, bound_b.paths)
    bound_a = _bind(table_a, a, here)
    if table_b is None:
        table_b = _mirror(there, b, bound_a.entity, bound_a.paths)
    bound_b = _bind(table_b, b, there)
    if bound_a.entity != bound_b.entity and settings.decide is None:
        raise ConfigurationError(
            f"{here} is translated to {bound_a.entity} and {there} to "
            f"{bound_b.entity}; both ends of a flow need the same entity.",
            code="flow.entity",
        )
    if b.traits is None:
        raise ConfigurationError(
            f"{there} cannot be written; it can only be the source of a flow.",
            code="flow.target",
            stream=there,
        )
    return _end(bridge, here, a, bound_a), _end(bridge, there, b, bound_b), b.traits


def _end(
    bridge: Bridge, address: str, described: Described, bound: BoundTranslator
) -> End:
    system, _, name = address.partition("/")
    return End(
        address=address,
        system=system,
        name=name,
        config=INTERNAL if system == SYSTEM else bridge.config.systems[system],
        stream=described.stream,
        probe=described.probe,
        bound=bound,
        near=not bridge.is_foreign(system),
    )


def _translator(
    bridge: Bridge, address: str, described: Described
) -> Translator | None:
    if described.probe.product == ANSWERS:
        return translator_of(described.stream)
    entry = bridge.config.streams.get(address)
    given: Any = entry.translator if entry is not None else None
    if isinstance(given, Translator):
        return given
    if given:
        return Translator.from_table(given, entity=described.stream.entity)
    if described.stream.native:
        return None
    raise ConfigurationError(
        f'{address} has no translator. Add [streams."{address}".translator], or let '
        "`moatbridge discover` suggest one.",
        code="flow.translator",
        stream=address,
    )


def _mirror(
    address: str, described: Described, entity: str | None, paths: Iterable[str]
) -> Translator:
    if entity is None:
        raise ConfigurationError(
            f"{address} needs a translator with an `entity`.",
            code="flow.translator",
            stream=address,
        )
    wanted = dict.fromkeys((*paths, *_ALWAYS))
    return Translator.identity(entity, list(wanted), described.stream)


def _bind(
    translator: Translator | None, described: Described, address: str
) -> BoundTranslator:
    assert translator is not None  # noqa: S101 - one of the two ends has a table
    return translator.bind(described.stream, address)


def _shared(source: End, target: End, carried: Iterable[str]) -> list[str]:
    paths = list(dict.fromkeys(carried))
    if "externalId" in target.bound.paths and "externalId" not in paths:
        paths.append("externalId")
    del source
    return paths


def _row(bridge: Bridge, name: str, settings: FlowConfig) -> FlowRow:
    with bridge.ledger.write() as tx:
        return flows.ensure(
            tx, bridge.ledger.scope, name, settings.source, settings.target
        )


def _check_first_run(
    name: str, settings: FlowConfig, traits: WriteTraits, *, creates: bool
) -> None:
    if creates and not settings.match and traits.dedup != "keyed":
        raise ConfigurationError(
            f"Flow {name!r}: the target does not recognise a repeated create, so "
            "existing records must be found first. Set `match`, for example "
            'match = ["externalId"].',
            code="flow.match",
        )


def _check_needs(name: str, source: End, target: End) -> None:
    can = [each for each in ("CanScan", "CanReceive", "CanFollow") if source.can(each)]
    read_by = can[0] if can else "CanScan"
    for end, ability in ((source, read_by), (target, "CanWrite")):
        if not end.can(ability):
            raise ConfigurationError(
                f"Flow {name!r} needs the ability {ability} of {end.address}, which "
                "this server or account does not give.",
                code="flow.ability",
                stream=end.address,
            )


def _judged(
    bridge: Bridge, name: str, source: End, target: End, shared: list[str]
) -> GuardRoute:
    system = target.config
    adapter = bridge.registry.get(system.adapter)
    return GuardRoute(
        flow=name,
        entity_type=target.bound.entity,
        target=target.system,
        owned=PathSet([*shared, "active"]),
        label=source.bound.label,
        stream_label=source.bound.label,
        max_label=system.max_label,
        deny_fields=PathSet(system.deny_fields) if system.deny_fields else None,
        exposure=system.exposure or adapter.exposure,
    )


def _parcel(size: int, traits: WriteTraits) -> int:
    """Parcel size by class of target (delivery 2)."""
    if traits.dedup == "keyed":
        return size
    if traits.dedup == "lookup":
        return min(size, max(traits.max_batch, 50))
    return max(1, min(size, traits.max_batch))


def _named(config: BridgeConfig, address: str) -> bool:
    """Whether some translator may refer to this stream's records (keeps aliases)."""
    return any(
        address in _words(entry.translator)
        for entry in config.streams.values()
        if entry.translator is not None
    )


def _words(translator: Any) -> str:
    if isinstance(translator, Translator):
        return repr([source.identity for source in translator.fields.values()])
    return repr(translator)


def _references(bridge: Bridge, source: End, target: End) -> dict[str, Reference]:
    """How each stream that the source refers to is joined with the target's system."""
    found: dict[str, Reference] = {}
    named = [address for _path, address, _by in source.bound.references]
    if nests(source.bound.entity):
        named.append(source.address)
    for address in named:
        for name, flow in bridge.config.flows.items():
            ends = (flow.source, flow.target)
            for mine, other in (ends, ends[::-1]):
                if mine == address and other.partition("/")[0] == target.system:
                    row = _row(bridge, name, flow)
                    side = row.side if mine == flow.source else 1 - row.side
                    found[address] = Reference(row.pair_id, side, other)
    return found
