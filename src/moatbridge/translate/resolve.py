"""Checks a whole translator against a stream: all problems at once (entities 34)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from moatbridge.entities import rank
from moatbridge.errors import ConfigurationError
from moatbridge.translate.build import Site, leaf, restrict
from moatbridge.translate.computing import computed_function, template_function
from moatbridge.translate.leaves import Back, Leaf
from moatbridge.translate.problems import Problems, closest
from moatbridge.translate.sources import Computed, Const, First, Source, Template
from moatbridge.translate.steps import (
    Place,
    Root,
    Spot,
    Taken,
    entity_spot,
    record_place,
)
from moatbridge.translate.templates import reads_of
from moatbridge.translate.typed import finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moatbridge.adapter import Stream
    from moatbridge.entities import Shape
    from moatbridge.translate.translator import Translator


@dataclass(frozen=True, slots=True)
class Resolved:
    """A translator whose every path is known.

    Args:
        leaves: In the order of the table.
        backs: Of ``back``.
        reads: One place for each record field that is read, sorted by name.
        places: Every record place that is read.
        owned: Record paths that may be written.
        shape: Of the entity type.
    """

    leaves: tuple[Leaf, ...]
    backs: tuple[Back, ...]
    reads: tuple[Place, ...]
    places: tuple[Place, ...]
    owned: tuple[str, ...]
    shape: Shape


def resolve(translator: Translator, stream: Stream, address: str) -> Resolved:
    """Check and resolve.

    Raises:
        ConfigurationError: ``translate.invalid``, with every problem.
    """
    problems = Problems(f"translator of {address}")
    root = Root(address, stream.fields, stream.case_insensitive)
    named = tuple(dict.fromkeys(_named(translator.fields.values())))
    site = Site(root, address.partition("/")[0], translator.max_text, named)
    leaves: list[Leaf] = []
    taken: Taken[Leaf] = Taken()
    for path, source in translator.fields.items():
        with problems.at(f"fields.{path}"):
            found = leaf(entity_spot(path, translator.entity.shape), source, site)
            _no_clash(found, taken)
            leaves.append(found)
    leaves, writers = _one_writer_each(leaves)
    backs = _backs(translator, root, writers, problems)
    places = tuple(place for each in leaves for place in each.reads)
    _labels(translator, stream, problems)
    problems.stop(address)
    tops = {place.top: record_place(_quoted(place), root) for place in places}
    return Resolved(
        tuple(leaves),
        tuple(backs),
        tuple(tops[name] for name in sorted(tops)),
        places,
        _owned(leaves, backs),
        translator.entity.shape,
    )


def _quoted(place: Place) -> str:
    from moatbridge.entities.paths import quote  # noqa: PLC0415 - one use

    return quote(place.top)


def _named(sources: Any) -> Iterator[str]:
    for source in sources:
        if isinstance(source, First):
            yield from source.paths
        elif isinstance(source, Template):
            yield from reads_of(source)
        elif isinstance(source, Computed):
            yield from source.reads or ()
        elif not isinstance(source, Const):
            yield source.path


def _no_clash(found: Leaf, taken: Taken[Leaf]) -> None:
    steps = found.spot.steps
    other = taken.find(steps)
    if other is not None:
        same = steps == other.spot.steps
        what = "has two sources" if same else f"overlaps with {other.spot.text}"
        message = f"{found.spot.text} {what}; keep one"
        raise ConfigurationError(message, code="translate.duplicate")
    taken.take(steps, found)


def _one_writer_each(leaves: list[Leaf]) -> tuple[list[Leaf], Taken[Leaf]]:
    writers: Taken[Leaf] = Taken()
    found = []
    for each in leaves:
        rival = each.write and writers.find(each.write.place.steps)
        if rival and not _packed_together(each, rival):
            note = f"only {rival.spot.text} is written back to {each.reads[0].text}"
            found.append(restrict(each, note))
            continue
        found.append(each)
        if each.write is not None:
            writers.take(each.write.place.steps, each)
    return found, writers


def _packed_together(one: Leaf, other: Leaf) -> bool:
    # two parts of one packed field are encoded one after the other
    packed = all(any(c.needs_before for c in each.converters) for each in (one, other))
    places = [each.write.place.steps for each in (one, other) if each.write]
    return packed and places[0] == places[1]


def _backs(
    translator: Translator, root: Root, writers: Taken[Leaf], problems: Problems
) -> list[Back]:
    backs: list[Back] = []
    for path, source in translator.back.items():
        with problems.at(f"back.{path}"):
            found = _back(path, source, root, translator)
            if writers.find(found.place.steps) is not None:
                message = "is written by fields already; keep one"
                raise ConfigurationError(message, code="translate.duplicate")
            backs.append(found)
    return backs


def _back(path: str, source: Source, root: Root, translator: Translator) -> Back:
    place = record_place(path, root)
    if not place.writable:
        message = f"{place.text!r} cannot be written at {root.what}"
        raise ConfigurationError(message, code="path.read-only")
    if isinstance(source, Const):
        value = source.value
        return Back(place, source, (), _fitted(lambda: value, place))
    if isinstance(source, Template):
        compute, texts = template_function(source)
    else:  # the translator took nothing but these three when it was made
        source = cast("Computed", source)
        texts = list(source.reads if source.reads is not None else translator.fields)
        compute = computed_function(source, texts)
    spots = tuple(_read(each, source, translator) for each in texts)
    return Back(place, source, spots, _fitted(compute, place))


def _read(path: str, source: Source, translator: Translator) -> Spot:
    spot = entity_spot(path, translator.entity.shape, write=False)
    if isinstance(source, Template) and spot.shape.kind not in {"text", "int"}:
        message = f"{spot.text} is {spot.shape.kind}; a template takes text"
        raise ConfigurationError(message, code="translate.kind")
    return spot


def _fitted(compute: Callable[..., Any], place: Place) -> Callable[..., Any]:
    def run(*values: Any) -> Any:
        found = compute(*values)
        if not place.multi:
            return finish(place.type, found)
        if found is None:
            return []
        entries = found if isinstance(found, (list, tuple)) else [found]
        return [finish(place.type, each) for each in entries]

    return run


def _labels(translator: Translator, stream: Stream, problems: Problems) -> None:
    own, hint = translator.label, stream.label
    if own and hint and rank(own) < rank(hint) and not translator.lower_label:
        problems.add(
            "label", f"lower than the stream's ({hint}); say why in lower_label"
        )
    for name, label in translator.labels.items():
        field = stream.field(name.partition(".")[0])
        if field is None:
            known = closest(name, (each.name for each in stream.fields))
            problems.add(f"labels.{name}", f"no such field{known}")
        elif (
            field.label
            and rank(label) < rank(field.label)
            and not translator.lower_label
        ):
            problems.add(
                f"labels.{name}", f"lower than the field's ({field.label}); say why"
            )


def _owned(leaves: list[Leaf], backs: list[Back]) -> tuple[str, ...]:
    texts = [each.write.place.text for each in leaves if each.write]
    return tuple(dict.fromkeys(texts + [each.place.text for each in backs]))
