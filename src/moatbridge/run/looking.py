"""Looking round before anything flows: what a system holds, and what would leave.

For products and pages that lead somebody through a first connection; the command line
has the same under ``discover``. Nothing is written, neither there nor in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from moatbridge.adapter import Suggestions
from moatbridge.errors import MoatbridgeError, TranslationError
from moatbridge.run.suggesting import from_streams

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from moatbridge.adapter import Stream, Suggestion
    from moatbridge.changes import Batch, Change
    from moatbridge.flow.bridge import Bridge
    from moatbridge.resilience import Session
    from moatbridge.translate import BoundTranslator

CERTAIN: Final = 0.8
"""What is suggested with less confidence than this waits for a person."""

_TRANSLATORS: Final = frozenset({"translator", "translator.fields"})
_ENTITIES: Final = frozenset({"entity", "translator.entity"})


@dataclass(frozen=True, slots=True)
class FoundStream:
    """One stream that a system could have.

    Args:
        name: Its local name.
        settings: For ``[streams."SYSTEM/NAME"]``, without translator.
        entity: What its records are (``Person``); None if that is not clear.
        fields: For ``[streams."SYSTEM/NAME".translator.fields]``; empty if nothing is
            suggested before the stream is configured (`Stream.suggested` says then).
        doubtful: Settings that are not certain: name -> value.
        reasons: Setting -> why.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    entity: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    doubtful: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a system says about itself; never a secret or a record's value.

    Args:
        settings: Certain settings of the system itself.
        streams: Streams it could have.
        warnings: Sentences.
    """

    settings: dict[str, Any]
    streams: tuple[FoundStream, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One record, before and after translation: personal data, for those who may see.

    Args:
        record: Native field -> value.
        entity: What would leave; None if it could not be translated.
        problem: Why it could not.
    """

    record: dict[str, Any] = field(repr=False)
    entity: dict[str, Any] | None = field(repr=False)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """The first records of a stream.

    Args:
        samples: At most as many as were asked for.
        rejects: Why records of the same batch could not be read at all.
        whole: The stream holds no more than this.
    """

    samples: tuple[Sample, ...]
    rejects: tuple[str, ...] = ()
    whole: bool = False


def discover(bridge: Bridge, system: str) -> Discovered:
    """Ask a system what it holds. Needs its address and credentials, no streams.

    Args:
        bridge: An open bridge.
        system: Its name.

    Returns:
        What it suggests. Of an adapter that lacks `CanDiscover`: what the streams
        that it describes say themselves.

    Raises:
        ConfigurationError: A person must change something.
        NotApplied: It cannot be reached now.
    """
    found, _streams = asked(bridge, system)
    names = dict.fromkeys(item.stream for item in found.items if item.stream)
    own = _settings(item for item in found.items if not item.stream)
    streams = tuple(
        _stream(name, [item for item in found.items if item.stream == name])
        for name in names
    )
    return Discovered(own[0], streams, found.warnings)


def asked(bridge: Bridge, system: str) -> tuple[Suggestions, Sequence[Stream]]:
    """What a system suggests, and the streams that it describes already.

    Raises:
        ConfigurationError: A person must change something.
        NotApplied: It cannot be reached now.
    """
    configured = bridge.config.streams_of(system)
    with bridge.session(system) as session:
        able = "CanDiscover" in session.abilities
        found = session.discover() if able else Suggestions()
        streams = _described(session, ask=bool(configured) or not able)
    translated = {
        name
        for name in configured
        if bridge.config.streams[f"{system}/{name}"].translator is not None
    }
    more = from_streams(streams, found, translated)
    return Suggestions((*found.items, *more), found.warnings), streams


def _described(session: Session, *, ask: bool) -> Sequence[Stream]:
    """The streams; none where an adapter cannot tell before they are configured."""
    try:
        return (session.streams() or ()) if ask else ()
    except MoatbridgeError as error:
        if not error.code.endswith(".stream"):
            raise
        return ()


def preview(bridge: Bridge, address: str, *, most: int = 5) -> Preview:
    """Read the beginning of a stream and translate it.

    Args:
        bridge: An open bridge.
        address: ``system/stream`` of a configured stream that can be scanned.
        most: How many records.

    Raises:
        ConfigurationError: The stream or its translator is wrong, all problems at once.
        NotApplied: The system cannot be reached now.
    """
    system, _, name = address.partition("/")
    translator = bridge.translated(address)
    samples: list[Sample] = []
    rejects: list[str] = []
    whole = False
    with bridge.session(system) as session:
        partitions = session.split(name, 1)
        scan = session.scan(name, partitions[0]) if partitions else iter(())
        for batch in scan:
            rejects += [
                f"{each.reason} {each.location}".strip() for each in batch.rejects
            ]
            known = [change for change in batch.changes if change.data is not None]
            room = most - len(samples)
            samples += [_sample(translator, change) for change in known[:room]]
            whole = batch.complete and len(known) <= room
            if len(samples) >= most or batch.complete:
                break
        if partitions:
            cast("Generator[Batch]", scan).close()  # no more is asked for
    return Preview(tuple(samples), tuple(rejects), whole)


def _sample(translator: BoundTranslator, change: Change) -> Sample:
    data = change.data or {}
    try:
        return Sample(data, translator.decode(data, change.incomplete))
    except TranslationError as error:
        return Sample(data, None, error.message)


def _stream(name: str, items: list[Suggestion]) -> FoundStream:
    sure = [item for item in items if item.confidence >= CERTAIN]
    entity = next((str(i.value) for i in sure if i.setting in _ENTITIES), None)
    fields: dict[str, Any] = {}
    for item in reversed(sure):  # the first word on a path counts
        fields |= dict(item.value) if item.setting in _TRANSLATORS else {}
    rest = [i for i in items if i.setting not in _TRANSLATORS | _ENTITIES]
    settings, doubtful = _settings(rest)
    reasons = {item.setting: item.reason for item in reversed(items)}
    return FoundStream(name, settings, entity, fields, doubtful, reasons)


def _settings(items: Iterable[Suggestion]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first certain value of each setting, and what is doubtful."""
    certain: dict[str, Any] = {}
    doubtful: dict[str, Any] = {}
    for item in items:
        sure = item.confidence >= CERTAIN and item.value is not None
        (certain if sure else doubtful).setdefault(item.setting, item.value)
    return certain, {k: v for k, v in doubtful.items() if k not in certain}
