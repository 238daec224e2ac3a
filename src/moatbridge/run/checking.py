"""`check`: opens every system and every flow, and tells everything that is wrong.

Reads and asks, never writes at a system. One system or flow that fails keeps no other
from being looked at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from moatbridge.config import adapter_settings
from moatbridge.errors import MoatbridgeError, NotApplied
from moatbridge.flow.filling import given
from moatbridge.flow.grounds import unchecked
from moatbridge.translate import join_report

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from moatbridge.adapter import Probe, Stream
    from moatbridge.changes import Batch
    from moatbridge.config import SystemConfig
    from moatbridge.flow.route import Route
    from moatbridge.resilience import Session
    from moatbridge.run.bridge import Bridge

_AT_ONCE: Final = 8
_NAMELESS: Final = (
    "This system does not say whose data it holds (the server of its adapter's probe "
    "is empty), so another server in its place would go unnoticed. Its adapter should "
    "take an id of the system, or a setting that names the installation."
)
_READ: Final = frozenset({"CanScan", "CanSettle"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a part cannot be used: a stable code and a sentence."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SystemCheck:
    """What an open connection told about one system.

    Args:
        system: Name.
        adapter: Its adapter.
        endpoints: ``host:port`` that it may dial.
        product: What the server says it is.
        account: Who we are there.
        streams: Stream -> abilities that this server and account really give.
        read: Stream -> records in the first batch of a pass, where that was tried.
        tls: TLS settings in force.
        deadline: Total times in force, in seconds.
        facts: What was found out about the server (`Probe.limits`).
        warnings: Sentences.
        problem: Why it cannot be used.
    """

    system: str
    adapter: str
    endpoints: tuple[str, ...] = ()
    product: str = ""
    account: str | None = None
    streams: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)
    tls: dict[str, Any] = field(default_factory=dict)
    deadline: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    problem: Trouble | None = None


@dataclass(frozen=True, slots=True)
class FlowCheck:
    """What one flow carries and promises.

    Args:
        flow: Name.
        source: Address it reads.
        target: Address it writes.
        guarantee: Its class.
        reason: Why it is that class.
        carried: Lines: source field -> entity path -> target field.
        stays: Fields of the source that no line names: they never leave.
        lost: Entity paths that the target cannot take.
        unfed: Fields that the target requires and nothing fills, of a flow that creates
            no records; of any other they are its problem.
        warnings: Sentences.
        problem: Why it cannot run.
    """

    flow: str
    source: str
    target: str
    guarantee: str = ""
    reason: str = ""
    carried: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unfed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: Trouble | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """Everything that `check` found.

    Args:
        systems: One entry a system.
        flows: One entry a flow.
        warnings: Sentences about the bridge as a whole.
        ledger: Why its ledger cannot be relied on.
    """

    systems: tuple[SystemCheck, ...]
    flows: tuple[FlowCheck, ...]
    warnings: tuple[str, ...] = ()
    ledger: tuple[Trouble, ...] = ()

    @property
    def problems(self) -> int:
        """How many systems and flows cannot be used, and what is wrong beside them."""
        systems = sum(each.problem is not None for each in self.systems)
        flows = sum(each.problem is not None for each in self.flows)
        return len(self.ledger) + systems + flows

    @property
    def warned(self) -> int:
        """How many warnings there are in all."""
        systems = sum(len(each.warnings) for each in self.systems)
        flows = sum(len(each.warnings) for each in self.flows)
        return len(self.warnings) + systems + flows

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "problems": self.problems, "warned": self.warned}


def check(bridge: Bridge, *, whole: bool = True) -> Checked:
    """Open every system, make every flow ready to run, and tell what was found.

    Args:
        bridge: An open bridge.
        whole: It is all that is configured. Else (`moatbridge.config.load_partly`)
            only its systems are looked at, for flows may be missing.
    """
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="moatbridge-check") as pool:
        systems = tuple(
            pool.map(lambda n: _system(bridge, n, whole), bridge.config.systems)
        )
    if not whole:
        return Checked(systems, ())
    down = {each.system for each in systems if each.problem is not None}
    flows = tuple(_flow(bridge, name, down) for name in bridge.config.flows)
    wrong, doubtful = bridge.ledger.db.problems()
    return Checked(
        systems,
        flows,
        (*_warnings(bridge), *doubtful),
        tuple(Trouble(code, words) for code, words in wrong),
    )


def _warnings(bridge: Bridge) -> Iterator[str]:
    config = bridge.config
    yield from config.warnings
    if config.ledger.durability != "full" and bridge.ledger.db.kind == "sqlite":
        yield (
            'ledger.durability = "normal": the last commits may be lost when the power '
            "fails."
        )
    if not config.ledger.key_file:
        yield (
            "The ledger keeps what waits to be sent as plain text; ledger.key_file "
            "encrypts it."
        )
    if not config.flows:
        yield "No flow is configured; `moatbridge discover SYSTEM` suggests streams."


def _system(bridge: Bridge, name: str, whole: bool) -> SystemCheck:
    config = bridge.config.systems[name]
    base: dict[str, Any] = {
        "system": name,
        "adapter": config.adapter,
        "tls": _tls(config),
        "deadline": {"connect": config.deadline.connect, "call": config.deadline.call},
    }
    try:
        base["endpoints"] = _endpoints(bridge, name)
        with bridge.examined(name) as session:
            probe, streams = session.probe(), session.streams()
            base |= {
                "product": probe.product,
                "account": probe.account,
                "facts": dict(probe.limits),
                "streams": {
                    s.name: tuple(sorted(_abilities(probe, s))) for s in streams
                },
                "warnings": (
                    *probe.warnings,
                    *([] if probe.server.strip() else [_NAMELESS]),
                    *(_excess(bridge, name, probe, streams) if whole else ()),
                ),
            }
            base["read"] = _tried(bridge, session, streams)
    except MoatbridgeError as error:
        words = f"{error.message}{_placeholder(base.get('endpoints', ()), error)}"
        return SystemCheck(**base, problem=Trouble(error.code, words))
    return SystemCheck(**base, problem=_absent(bridge, name, streams))


def _tried(
    bridge: Bridge, session: Session, streams: Iterable[Stream]
) -> dict[str, int]:
    """Read the first batch of each source: that it may be read is seen no other way.

    Drop folders are left alone: what is taken out of one may not come again.
    """
    written = {flow.target for flow in bridge.config.flows.values()}
    sources = {flow.source for flow in bridge.config.flows.values()}
    found = {}
    for stream in streams:
        address = f"{session.system}/{stream.name}"
        wanted = address in sources or address not in written
        if wanted and _READ & stream.abilities == {"CanScan"}:
            partitions = session.split(stream.name, 1)
            if not partitions:
                found[stream.name] = 0
                continue
            batches = cast("Generator[Batch]", session.scan(stream.name, partitions[0]))
            with closing(batches):
                first = next(batches, None)
            found[stream.name] = len(first.changes) if first else 0
    return found


def _placeholder(endpoints: Iterable[str], error: MoatbridgeError) -> str:
    """What to say where a host of the first configuration was left as it was."""
    hosts = (address.rpartition(":")[0] for address in endpoints)
    left = sorted({host for host in hosts if host.endswith(".example")})
    if not left or not isinstance(error, NotApplied):
        return ""
    return f" {', '.join(left)} is a placeholder: put the real address in its place."


def _tls(config: SystemConfig) -> dict[str, Any]:
    tls = config.tls
    return {
        "min": tls.min,
        "authorities": tls.ca_file or "of the operating system",
        "pins": len(tls.pin),
        "client_certificate": tls.client_cert is not None,
    }


def _endpoints(bridge: Bridge, name: str) -> tuple[str, ...]:
    config = bridge.config.systems[name]
    cls = bridge.registry.get(config.adapter)
    pairs = config.egress_pairs()
    if pairs is None:
        pairs = tuple(cls.endpoints(adapter_settings(bridge.config, name)))
    return tuple(f"{host}:{port}" for host, port in pairs)


def _abilities(probe: Probe, stream: Stream) -> frozenset[str]:
    return probe.abilities.get(stream.name, stream.abilities) & stream.abilities


def _excess(bridge: Bridge, name: str, probe: Probe, streams: Any) -> Iterator[str]:
    """Rights beyond the need: what was found out at run time, not what could be."""
    written = {flow.target for flow in bridge.config.flows.values()}
    for stream in streams:
        address = f"{name}/{stream.name}"
        told = probe.abilities.get(stream.name, frozenset())
        if "CanWrite" in told and address not in written:
            yield (
                f"This account may write {address}, and no flow does: an account that "
                "can only read is enough."
            )
    if getattr(adapter_settings(bridge.config, name), "insecure_cleartext", False):
        yield "insecure_cleartext is set: all of it, passwords too, may go unencrypted."


def _absent(bridge: Bridge, name: str, streams: Any) -> Trouble | None:
    there = {stream.name for stream in streams}
    gone = sorted(bridge.config.streams_of(name).keys() - there)
    if not gone:
        return None
    known = ", ".join(sorted(there)) or "none"
    return Trouble(
        "check.stream",
        f"The system has no stream {', '.join(gone)} (there are: {known}).",
    )


def _flow(bridge: Bridge, name: str, down: set[str]) -> FlowCheck:
    config = bridge.config.flows[name]
    ends = {address.partition("/")[0] for address in (config.source, config.target)}
    if broken := sorted(ends & down):
        words = f"Not looked at: system {', '.join(broken)} cannot be used."
        trouble = Trouble("check.system", words)
        return FlowCheck(name, config.source, config.target, problem=trouble)
    try:
        return _described(bridge.route(name), _unchecked(bridge, name))
    except MoatbridgeError as error:
        trouble = Trouble(error.code, error.message)
        return FlowCheck(name, config.source, config.target, problem=trouble)


def _unchecked(bridge: Bridge, name: str) -> tuple[str, ...]:
    """What a flow that decides cannot see before a reply decides."""
    decide = bridge.config.flows[name].decide
    return tuple(unchecked(bridge, bridge.route(decide.posts))) if decide else ()


def _described(route: Route, more: tuple[str, ...]) -> FlowCheck:
    alone = given(route.target, route.row.side)
    joined = join_report(route.source.bound, route.target.bound, alone)
    return FlowCheck(
        flow=route.name,
        source=route.source.address,
        target=route.target.address,
        guarantee=route.guarantee.name,
        reason=route.guarantee.reason,
        carried=route.report_lines,
        stays=route.source.bound.report().lost,
        lost=joined.lost,
        unfed=joined.unfed,
        warnings=(*joined.warnings, *route.rules.warnings, *more),
    )
