"""A flow made ready to run: streams described, translators bound, promises known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from moatbridge.flow.carry import Carry, carrying
from moatbridge.ledger.keys import fingerprinter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moatbridge.adapter import Probe, Stream, WriteTraits
    from moatbridge.config import FlowConfig, SystemConfig
    from moatbridge.config.guard_rules import Rules
    from moatbridge.flow.guarantee import Guarantee
    from moatbridge.flow.writeback import Writeback
    from moatbridge.guard import Route as GuardRoute
    from moatbridge.ledger import KeySeed
    from moatbridge.ledger.flows import FlowRow
    from moatbridge.translate import BoundTranslator


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow: a stream of a system, described and translated.

    ``near`` says whether this process reaches the system at all (its zone is served).
    """

    address: str
    system: str
    name: str
    config: SystemConfig
    stream: Stream
    probe: Probe
    bound: BoundTranslator
    near: bool = True

    def can(self, ability: str) -> bool:
        """Whether stream, server and account really have this ability."""
        allowed = self.probe.abilities.get(self.name, self.stream.abilities)
        return ability in allowed and ability in self.stream.abilities


@dataclass(frozen=True, slots=True)
class Route:
    """Everything that the slices of one flow share. Immutable.

    Args:
        name: The flow's name.
        config: Its settings.
        row: Its ids in the ledger.
        source: Where changes come from.
        target: Where they go.
        traits: What the target promises.
        guarantee: The flow's class.
        express: Cuts a resolved entity down to what the target can hold.
        carry: Entity paths that updates carry (owned by the source), as a cutter.
        initial: Paths that a create carries: all that both ends can express.
        back: For a pair: what the opposite flow carries; None for a one-way flow.
        rules: Guard rules in force.
        judged: What the guard needs to know of the flow.
        seed: Common part of the idempotency keys.
        creates: The source owns existence: unknown records are created.
        parcel: Intents a parcel holds at most.
        partitions: Into how many parts a scan is cut, if its source can be.
        source_named: Some translator refers to source records by name.
        target_named: Some translator refers to target records by name.
        references: Source stream address -> (side id, by which end) of the pair that
            resolves references to it.
        report_lines: What leaves, one line per field; a new line needs approval.
        writeback: How replies become decisions; None for any other flow.
        agreed_by: Flow whose first run is this one's too; None: its own.
        circles: Streams at the target that tell who reads its posts: address ->
            translator.
        contested: Of a pair: entity paths that both sides may change -> ``latest``,
            ``hold`` or ``merge``.
        keep_undo: Seconds for which is kept what an intent overwrites; 0: not at all.
        keep_payload: Seconds for which content of delivered intents is kept.
    """

    name: str
    config: FlowConfig
    row: FlowRow
    source: End
    target: End
    traits: WriteTraits
    guarantee: Guarantee
    express: Callable[[dict[str, Any]], dict[str, Any]]
    carry: Carry
    initial: Carry
    back: Carry | None
    rules: Rules
    judged: GuardRoute
    seed: KeySeed
    creates: bool = True
    parcel: int = 500
    partitions: int = 1
    source_named: bool = False
    target_named: bool = False
    references: dict[str, Reference] = field(default_factory=dict)
    report_lines: tuple[str, ...] = ()
    writeback: Writeback | None = None
    agreed_by: int | None = None
    circles: dict[str, BoundTranslator] = field(default_factory=dict)
    contested: dict[str, str] = field(default_factory=dict)
    keep_undo: float = 0.0
    keep_payload: float = 0.0

    @property
    def entity(self) -> str:
        """Canonical type of what it writes."""
        return self.target.bound.entity

    @property
    def told_once(self) -> bool:
        """Whether nobody can look again at what the source told (an inbox, deltas).

        A reply is taken once and for all anyway.
        """
        source = self.source
        tells = source.can("CanFollow") or source.can("CanReceive")
        return tells and self.writeback is None and not source.can("CanFetch")

    @property
    def agreement(self) -> int:
        """Id of the flow whose first run a person agreed to."""
        return self.agreed_by or self.row.flow_id

    @property
    def fingerprint(self) -> Callable[[str, str | None, Sequence[Any]], bytes]:
        """Fingerprints source records for this flow's source mark."""
        return fingerprinter(self.source.bound.version)

    @property
    def target_fingerprint(self) -> Callable[[str, str | None, Sequence[Any]], bytes]:
        """Fingerprints target records as the opposite flow would."""
        return fingerprinter(self.target.bound.version)

    def said(self, entity: dict[str, Any]) -> Carry:
        """The paths about which the entity says something, as a cutter."""
        every = self.initial if len(self.initial.paths) else self.carry
        active = ("active",) if "active" in entity else ()
        return carrying((*every.values(entity), *active))

    def lane_of(self, key: str) -> int:
        """The lane that delivers this source record's changes."""
        return crc32(key.encode()) % self.lanes

    @property
    def lanes(self) -> int:
        """How many lanes deliver side by side."""
        return self.config.lanes or 1


@dataclass(frozen=True, slots=True)
class Reference:
    """How references to one source stream are resolved: through another pair's links.

    Args:
        pair_id: The pair that joins it with a stream of the target's system.
        side: Which side of that pair the source stream is.
        target: Address of the other stream.
    """

    pair_id: int
    side: int
    target: str
