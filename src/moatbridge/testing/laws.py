"""The laws every translator obeys, checked by Hypothesis in one line (entities 8).

    def test_laws():
        laws(translator, stream)

L1 nothing invented, L2 nothing forgotten, L3 idempotent, L4 partial agrees with
complete, L5 only the named, L6 pure. The smallest counter-example is shown with its
values replaced by their types.
"""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from moatbridge.entities import canonical_json, rank
from moatbridge.errors import TranslationError
from moatbridge.testing.records import records_of
from moatbridge.translate.leaves import ABSENT
from moatbridge.translate.runtime import reach
from moatbridge.translate.steps import At, Key

if TYPE_CHECKING:
    from collections.abc import Callable

    from moatbridge.adapter import Stream
    from moatbridge.translate import BoundTranslator, Translator
    from moatbridge.translate.leaves import Leaf
    from moatbridge.translate.steps import Place, Step

CANARY: Final = "canary-4711-must-not-travel"


class LawBroken(AssertionError):
    """A translator breaks one of the laws.

    Args:
        law: ``L1`` ... ``L6``.
        why: What went wrong, naming paths.
        record: The smallest record that shows it; only types are told.
    """

    def __init__(self, law: str, why: str, record: Any = None) -> None:
        shown = "" if record is None else f"; record: {masked(record)}"
        super().__init__(f"{law}: {why}{shown}")
        self.law = law
        self.text: str = str(self)


def laws(
    translator: Translator,
    stream: Stream,
    *,
    address: str = "system/stream",
    records: st.SearchStrategy[dict[str, Any]] | None = None,
    max_examples: int = 200,
) -> None:
    """Check L1-L6.

    Args:
        translator: To be checked.
        stream: It is bound to this.
        address: Its address.
        records: Valid complete records; None: made from the stream's fields and the
            converters in use.
        max_examples: Records tried.

    Raises:
        LawBroken: Names the law and the path.
        ConfigurationError: The translator does not fit the stream.
    """
    bound = translator.bind(stream, address)
    strategy = records if records is not None else records_of(bound)
    decoded = itertools.count()
    _labels(bound)
    failure = _tried(bound, strategy, max_examples, decoded)
    if failure is not None:
        # A new one: Hypothesis has noted the example's values on the first.
        raise LawBroken(failure.law, failure.text.removeprefix(f"{failure.law}: "))
    if next(decoded) == 0:
        message = "no generated record could be decoded; pass records="
        raise LawBroken("L0", message)


def _tried(
    bound: BoundTranslator,
    strategy: st.SearchStrategy[dict[str, Any]],
    max_examples: int,
    decoded: itertools.count[int],
) -> LawBroken | None:
    @settings(
        max_examples=max_examples,
        deadline=None,
        report_multiple_bugs=False,
        database=None,
        derandomize=True,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy, strategy, st.data())
    def run(record: dict[str, Any], other: dict[str, Any], data: st.DataObject) -> None:
        untouched = copy.deepcopy(record)
        try:
            entities = bound.decode(record), bound.decode(other)
        except TranslationError:
            reject()
        next(decoded)
        if record != untouched:
            raise LawBroken("L6", "decoding changes the record", untouched)
        _check(bound, record, entities, data)

    try:
        run()
    except Unsatisfiable:
        return None  # the caller tells what to do
    except LawBroken as broken:
        return broken
    return None


def masked(value: Any) -> Any:
    """The value with every leaf replaced by the name of its type."""
    if isinstance(value, dict):
        return {name: masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return None if value is None else type(value).__name__


def applied(
    bound: BoundTranslator, record: dict[str, Any], update: dict[str, Any]
) -> dict[str, Any]:
    """What a careful writer makes of an update: only owned places change."""
    result = copy.deepcopy(record)
    for place in _written(bound):
        value = reach(update, place, ABSENT)
        if value is not ABSENT:
            _set(result, place, value)
    return result


def _check(
    bound: BoundTranslator,
    record: dict[str, Any],
    entities: tuple[dict[str, Any], dict[str, Any]],
    data: st.DataObject,
) -> None:
    entity, target = entities
    partial = _thinned(bound, target, data)
    checks: tuple[Callable[[], None], ...] = (
        lambda: _pure(bound, record, entity),
        lambda: _nothing_invented(bound, record, entity),
        lambda: _created(bound, target),
        lambda: _updated(bound, record, partial),
        lambda: _idempotent(bound, record, partial),
        lambda: _partial_agrees(bound, record, entity, data),
        lambda: _only_named(bound, record),
    )
    for each in checks:
        each()


def _nothing_invented(
    bound: BoundTranslator, record: dict[str, Any], entity: dict[str, Any]
) -> None:
    before = copy.deepcopy(record)
    update = _encode(bound, entity, before, "L1", record)
    again = bound.decode(applied(bound, record, update))
    for leaf in _two_way(bound):
        if leaf.write is None:
            continue
        if _exact(leaf):
            steps = leaf.write.place.steps
            here, there = reach(update, steps), reach(record, steps)
            same = _same(here, there)
        else:
            same = _same(_at(again, leaf), _at(entity, leaf))
        if not same:
            raise LawBroken("L1", f"{leaf.spot.text} comes back changed", record)


def _created(bound: BoundTranslator, entity: dict[str, Any]) -> None:
    fresh = _encode_new(bound, entity)
    found = bound.decode(fresh)
    for leaf in _two_way(bound):
        if _exact(leaf) and not _same(_at(found, leaf), _at(entity, leaf)):
            raise LawBroken("L2", f"{leaf.spot.text} is not what was created", entity)


def _updated(
    bound: BoundTranslator, record: dict[str, Any], entity: dict[str, Any]
) -> None:
    update = _encode(bound, entity, record, "L2", record)
    owned = set(bound.owned_by(entity))
    found = bound.decode_partial(update)
    for leaf in _two_way(bound):
        if not _exact(leaf) or _picked(leaf) or leaf.write is None:
            continue
        wanted, got = _at(entity, leaf), _at(found, leaf)
        if wanted is ABSENT and _beside(leaf.write.place, update, owned):
            continue
        if (wanted is ABSENT) != (got is ABSENT) or not _same(wanted, got):
            raise LawBroken("L2", f"{leaf.spot.text} is lost by an update", entity)


def _idempotent(
    bound: BoundTranslator, record: dict[str, Any], entity: dict[str, Any]
) -> None:
    once = applied(bound, record, _encode(bound, entity, record, "L3", record))
    twice = applied(bound, once, _encode(bound, entity, once, "L3", record))
    for steps in _written(bound):
        if not _same(reach(once, steps), reach(twice, steps)):
            message = f"{steps[-1][0]} changes again when it is encoded twice"
            raise LawBroken("L3", message, record)


def _partial_agrees(
    bound: BoundTranslator,
    record: dict[str, Any],
    entity: dict[str, Any],
    data: st.DataObject,
) -> None:
    names = sorted(record)
    chosen = set(data.draw(st.sets(st.sampled_from(names)))) if names else set()
    halves = [
        bound.decode_partial({k: v for k, v in record.items() if (k in chosen) is side})
        for side in (True, False)
    ]
    for leaf in bound.resolved.leaves:
        tops = {place.top for place in leaf.reads}
        if len(tops) != 1 or not tops <= set(names) or leaf.lenient:
            continue
        if not any(_same(_at(half, leaf), _at(entity, leaf)) for half in halves):
            message = (
                f"{leaf.spot.text} differs between a partial and a complete record"
            )
            raise LawBroken("L4", message, record)


def _only_named(bound: BoundTranslator, record: dict[str, Any]) -> None:
    unnamed = [f.name for f in bound.stream.fields if f.name not in bound.reads]
    seeded = {**record, **dict.fromkeys([*unnamed, "x-unnamed"], CANARY)}
    if CANARY in repr(bound.decode(seeded)):
        raise LawBroken("L5", "a field that is not named left", record)


def _labels(bound: BoundTranslator) -> None:
    if bound.translator.lower_label:
        return
    for place in bound.resolved.places:
        hint = place.field.label if place.field else None
        if hint and rank(hint) > rank(bound.label):
            raise LawBroken("L5", f"{place.text} is more confidential than the label")


def _pure(
    bound: BoundTranslator, record: dict[str, Any], entity: dict[str, Any]
) -> None:
    given_record, given_entity = copy.deepcopy(record), copy.deepcopy(entity)
    if canonical_json(bound.decode(record)) != canonical_json(entity):
        raise LawBroken("L6", "the same record decodes differently", given_record)
    first = _encode(bound, entity, record, "L6", record)
    if first != _encode(bound, entity, record, "L6", record):
        raise LawBroken("L6", "the same entity encodes differently", given_record)
    bound.encode_new(entity)
    if record != given_record or entity != given_entity:
        raise LawBroken("L6", "an input is changed", given_record)


def _encode(
    bound: BoundTranslator,
    entity: dict[str, Any],
    before: dict[str, Any],
    law: str,
    record: dict[str, Any],
) -> dict[str, Any]:
    try:
        return bound.encode(entity, before)
    except TranslationError as error:
        raise LawBroken(law, f"{error.path} cannot be encoded", record) from None


def _encode_new(bound: BoundTranslator, entity: dict[str, Any]) -> dict[str, Any]:
    try:
        return bound.encode_new(entity)
    except TranslationError as error:
        raise LawBroken("L2", f"{error.path} cannot be encoded", entity) from None


def _thinned(
    bound: BoundTranslator, entity: dict[str, Any], data: st.DataObject
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for leaf in bound.resolved.leaves:
        value = _at(entity, leaf)
        fate = data.draw(st.sampled_from(("keep", "keep", "clear", "absent")))
        if fate == "absent" or value is ABSENT or (fate == "clear" and _packed(leaf)):
            continue  # null is no value of one part of a packed field
        if fate == "clear":
            value = [] if leaf.spot.shape.kind == "list" else None
        _set(result, leaf.spot.steps, copy.deepcopy(value))
    return result


def _beside(place: Place, update: dict[str, Any], owned: set[str]) -> bool:
    # it shares a packed field, or a list of slots, with one that is set
    return place.text in owned or (
        any(isinstance(step, At) for step in place.steps) and place.top in update
    )


def _two_way(bound: BoundTranslator) -> list[Leaf]:
    return [leaf for leaf in bound.resolved.leaves if leaf.write is not None]


def _written(bound: BoundTranslator) -> list[tuple[Step, ...]]:
    places = [leaf.write.place.steps for leaf in _two_way(bound) if leaf.write]
    return list(dict.fromkeys(places))


def _exact(leaf: Leaf) -> bool:
    through = [*leaf.converters]
    return not leaf.lenient and all(each.reversible == "yes" for each in through)


def _picked(leaf: Leaf) -> bool:
    return bool(leaf.write and leaf.write.needs_before and not _packed(leaf))


def _packed(leaf: Leaf) -> bool:
    return any(each.needs_before for each in leaf.converters)


def _at(entity: dict[str, Any], leaf: Leaf) -> Any:
    return reach(entity, leaf.spot.steps, ABSENT)


def _same(one: Any, other: Any) -> bool:
    empty: tuple[Any, ...] = (None, [])
    return (one in empty and other in empty) or _sorted(one) == _sorted(other)


def _sorted(value: Any) -> Any:
    if isinstance(value, list):
        return sorted((_sorted(each) for each in value), key=repr)
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return value


def _set(data: dict[str, Any], steps: tuple[Step, ...], value: Any) -> None:
    here: Any = data
    for step, following in itertools.pairwise(steps):
        if isinstance(step, At):
            continue
        name = step.name if isinstance(step, Key) else ""
        if not isinstance(following, At):
            here = _inside(here, name)
            continue
        if not here.get(name):
            here[name] = []
        slots = [e for e in here[name] if e.get(following.name) == following.value]
        if not slots:
            slots = [{following.name: following.value}]
            here[name].append(slots[0])
        here = slots[0]
    last = steps[-1]
    here[last.name if isinstance(last, Key) else ""] = value


def _inside(here: dict[str, Any], name: str) -> Any:
    if not isinstance(here.get(name), dict):
        here[name] = {}
    return here[name]
