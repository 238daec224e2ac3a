"""What a translator lets out, loses, and cannot bring back (entities 47)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from moatbridge.entities import Label, Shape, paths
from moatbridge.translate.sources import Const, Copy
from moatbridge.translate.steps import clash, entity_spot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from moatbridge.translate.bound import BoundTranslator
    from moatbridge.translate.leaves import Leaf

Direction: TypeAlias = Literal["both", "out", "in"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that travels.

    Args:
        record: Record paths, joined by commas; ``(constant)`` if none is read.
        entity: Entity path.
        direction: ``both``, ``out`` (record to entity only) or ``in``.
        label: Label of what travels.
        through: Names of the converters.
    """

    record: str
    entity: str
    direction: Direction
    label: Label
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A value: two equal reports let out the same things. Holds names, no data.

    Args:
        stream: Address.
        entity: Entity type.
        label: Label of the whole.
        version: Of the translator.
        leaves: Everything that travels.
        lost: Record fields that are not named, and so never leave.
        one_way_out: Entity paths that cannot go back.
        one_way_in: Record paths that are only written.
        normalised: Entity paths that do not come back exactly as they were.
        unfed: Required entity paths without a source.
        unfed_record: Required record fields that a create would not fill.
        warnings: Sentences.
    """

    stream: str
    entity: str
    label: Label
    version: str
    leaves: tuple[Line, ...]
    lost: tuple[str, ...]
    one_way_out: tuple[str, ...]
    one_way_in: tuple[str, ...]
    normalised: tuple[str, ...]
    unfed: tuple[str, ...]
    unfed_record: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """For people."""
        arrows = {"both": "<->", "out": "->", "in": "<-"}
        lines = [f"{self.stream} <-> {self.entity} ({self.label})"]
        for each in self.leaves:
            through = f"  via {', '.join(each.through)}" if each.through else ""
            lines.append(
                f"  {each.record} {arrows[each.direction]} {each.entity}{through}"
            )
        for title, names in (
            ("never leaves", self.lost),
            ("cannot go back", self.one_way_out),
            ("only written", self.one_way_in),
            ("normalised", self.normalised),
            ("required, without a source", self.unfed),
            ("required by the stream, never filled", self.unfed_record),
        ):
            if names:
                lines.append(f"  {title}: {', '.join(names)}")
        lines += [f"  note: {each}" for each in self.warnings]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Carried:
    """One thing a flow carries: ``mail`` -> ``emails[type=work].value`` -> ``mail``."""

    source: str
    entity: str
    target: str


@dataclass(frozen=True, slots=True)
class JoinedReport:
    """What a flow carries from one stream to another, end to end.

    Args:
        source: Address.
        target: Address.
        carried: What arrives.
        lost: Entity paths that the source produces and the target cannot take.
        unfed: Required fields of the target that a create would not fill.
        warnings: Sentences.
    """

    source: str
    target: str
    carried: tuple[Carried, ...]
    lost: tuple[str, ...]
    unfed: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    def to_text(self) -> str:
        """For people."""
        here, there = self.source.partition("/")[0], self.target.partition("/")[0]
        lines = [f"{self.source} -> {self.target}"]
        lines += [f"  {here} {e.source} -> {there} {e.target}" for e in self.carried]
        lines += [f"  lost: {each}" for each in self.lost]
        lines += [f"  required, never filled: {each}" for each in self.unfed]
        return "\n".join([*lines, *(f"  note: {each}" for each in self.warnings)])


def report_of(bound: BoundTranslator) -> Report:
    """The report of one bound translator."""
    resolved, shape = bound.resolved, bound.translator.entity.shape
    back = tuple(
        Line(each.place.text, _read(each.reads), "in", bound.label)
        for each in resolved.backs
    )
    named = {place.top for place in resolved.places}
    named |= {each.place.top for each in resolved.backs}
    return Report(
        stream=bound.address,
        entity=bound.entity,
        label=bound.label,
        version=bound.version,
        leaves=(*(_line(leaf, bound.label) for leaf in resolved.leaves), *back),
        lost=tuple(f.name for f in bound.stream.fields if f.name not in named),
        one_way_out=tuple(e.spot.text for e in resolved.leaves if e.write is None),
        one_way_in=tuple(each.place.text for each in resolved.backs),
        normalised=tuple(e.spot.text for e in resolved.leaves if _normalises(e)),
        unfed=tuple(_unfed(bound, shape)),
        unfed_record=_unfed_record(bound),
        warnings=tuple(note for leaf in resolved.leaves for note in leaf.notes),
    )


def join_report(
    source: BoundTranslator, target: BoundTranslator, given: Sequence[str] = ()
) -> JoinedReport:
    """What a flow from one bound translator to the other carries and loses.

    Args:
        source: Where it reads.
        target: Where it writes.
        given: Entity paths that are filled whatever the source says.
    """
    takers = [leaf for leaf in target.resolved.leaves if leaf.write is not None]
    carried, lost, warnings = [], [], []
    for leaf in source.resolved.leaves:
        taken = [t for t in takers if clash(leaf.spot.steps, t.spot.steps)]
        if not taken:
            lost.append(leaf.spot.text)
        for each in taken:
            place = each.write.place.text if each.write else ""
            carried.append(Carried(_reads(leaf), leaf.spot.text, place))
            if len(each.spot.steps) < len(leaf.spot.steps) and (
                each.spot.shape.kind == "list"
            ):
                warnings.append(
                    f"{leaf.spot.text} is one slot, but {place} at {target.address} is "
                    "written as a whole: its other entries are removed; name the slot"
                )
    return JoinedReport(
        source.address,
        target.address,
        tuple(carried),
        tuple(lost),
        _unfilled(source, target, given),
        tuple(warnings),
    )


def _unfilled(
    source: BoundTranslator, target: BoundTranslator, given: Sequence[str]
) -> tuple[str, ...]:
    shape = target.translator.entity.shape
    fed = [leaf.spot.steps for leaf in source.resolved.leaves]
    fed += [entity_spot(path, shape).steps for path in given]
    filled = {each.place.top for each in target.resolved.backs}
    for leaf in target.resolved.leaves:
        if leaf.write and any(clash(leaf.spot.steps, steps) for steps in fed):
            filled.add(leaf.write.place.top)
    unfed = {f.name for f in target.stream.fields if f.required and f.writable} - filled
    return tuple(sorted(unfed))


def _line(leaf: Leaf, label: Label) -> Line:
    direction: Direction = "both" if leaf.write is not None else "out"
    through = tuple(each.name for each in leaf.converters)
    return Line(_reads(leaf), leaf.spot.text, direction, label, through)


def _reads(leaf: Leaf) -> str:
    if isinstance(leaf.source, Const):
        return "(constant)"
    return ", ".join(dict.fromkeys(place.text for place in leaf.reads)) or "(computed)"


def _read(spots: tuple[Any, ...]) -> str:
    return ", ".join(spot.text for spot in spots) or "(constant)"


def _normalises(leaf: Leaf) -> bool:
    if leaf.write is None:
        return False
    picked = (
        isinstance(leaf.source, Copy)
        and leaf.write.needs_before
        and not any(each.needs_before for each in leaf.converters)
    )
    return picked or any(each.reversible == "normalising" for each in leaf.converters)


def _unfed(bound: BoundTranslator, shape: Shape) -> Iterator[str]:
    fed = [leaf.spot.steps for leaf in bound.resolved.leaves]
    for names, member in shape.walk():
        path = ".".join(paths.quote(name) for name in names)
        top = shape.members[names[0]]
        if not member.required or (not top.required and len(names) > 1):
            continue
        if not any(clash(entity_spot(path, shape).steps, steps) for steps in fed):
            yield path


def _unfed_record(bound: BoundTranslator) -> tuple[str, ...]:
    written = {each.write.place.top for each in bound.resolved.leaves if each.write}
    written |= {each.place.top for each in bound.resolved.backs}
    return tuple(
        each.name
        for each in bound.stream.fields
        if each.required and each.writable and each.name not in written
    )
