"""The smallest way to an adapter: plain functions, no class.

An author writes how to connect, how to read one thing and, if wanted, how to write it;
`make_adapter` builds the `Adapter` round these functions. Abilities follow from which
functions there are. Everything the core and the conformance suite ask of an adapter
holds for what is built, without a line of the author's:

* records hold the declared fields and nothing else; one that does not fit is a reject
  and the rest goes on; a field that a record does not have at all "says nothing"
  (it is never taken for a cleared one: say None for that);
* a pass is complete only when the reading function has come to its own end; whatever
  it raises means "not complete", never "the end";
* a record is validated before a writing function sees it; each intent has its own
  receipt, and an outcome that nobody knows is told as unknown (`write_each`).

What most systems make their adapters do by hand is declared instead: ``get`` for
systems that give one record at a time, ``find="read"`` for those that cannot search,
``replace`` for those that only know whole rows, ``dedup="by-key"`` where a create that
is repeated meets its own record, ``empty_is_none`` where nothing is an empty text, and
`by_place` for lists that move while they are read, ``changes`` for systems that tell
what changed since a position.

A stream with several key fields, its own settings or a batch request needs the class
form (`Adapter`).
"""

from __future__ import annotations

import inspect
import types
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from moatbridge.adapter.abilities import (
    CanFetch,
    CanFind,
    CanFollow,
    CanScan,
    CanWrite,
)
from moatbridge.adapter.base import Adapter, AdapterConfig
from moatbridge.adapter.each import EACH_BATCH
from moatbridge.adapter.functions_check import contradiction
from moatbridge.adapter.functions_class import Fetching, Finding, Scanning
from moatbridge.adapter.functions_follow import Following
from moatbridge.adapter.functions_write import Writing
from moatbridge.adapter.streams import Field, Stream, WriteTraits
from moatbridge.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from moatbridge.adapter.net import Net
    from moatbridge.adapter.streams import Probe
    from moatbridge.changes import Absent, Data, Reject

C = TypeVar("C", bound=AdapterConfig)
H = TypeVar("H")
Row: TypeAlias = "Mapping[str, Any] | Reject"
"""What a reading function yields for one record."""

_ABILITIES: Final = {
    CanScan: Scanning,
    CanFollow: Following,
    CanFetch: Fetching,
    CanFind: Finding,
    CanWrite: Writing,
}


@dataclass(frozen=True, kw_only=True)
class StreamFunctions(Generic[H]):
    """One stream, as functions over whatever ``connect`` returned.

    Args:
        name: Local name of the stream (``people``).
        key: The field that identifies a record for ever; its values are text or whole
            numbers. An update that would change it is refused.
        fields: What records hold, as names (of text fields) or `Field` objects. A key
            that is only named is chosen by the target: it cannot be written (but with
            ``dedup="by-key"``, where the writer chooses it).
        read: Yields every record as a dict, or a `Reject` for one that cannot be read.
            It comes to its end only at the end of the stream; otherwise it raises.
            An interrupted pass begins again.
        read_after: Instead of ``read``, for sources sorted by key: the same for the
            records after this key (None: from the start). A pass can then be resumed.
        changes: What changed after this position (None: nothing, only where the stream
            stands now), and the position behind it: text or a whole number, handed
            back as text. One page at a time; it is asked again from there until a page
            holds nothing or leaves the position as it was, so one that does must hold
            all that there is. A change is the record as it is now; a row that lacks
            fields (a key alone will do) is fetched; `Absent` says that it was removed.
            A position that is no longer served is `CursorTooOld`, or `Rejected` of
            kind ``gone`` (a 404 or 410 over `JsonApi`): then everything is read again.
        sees_deletes: ``changes`` tells removals as well.
        fetch: The records with these keys, in any order; what is gone is left out. At
            most 500 keys a call.
        get: Instead of ``fetch``, for systems that give one record at a time: the
            record with this key; None, or `Rejected` of kind ``gone``, if it is not
            there.
        find: The records whose field has this value; hits are compared again. The word
            ``read`` stands for systems that cannot search: everything is read, once for
            all the values that are looked for together.
        create: Makes a record and returns its key (``by-key``: or None). Its last
            argument is the idempotency key: hand it on if the target knows such a
            thing.
        update: Sets these fields of the record with that key; None clears; others stay.
        replace: Instead of ``update``, for systems that only know whole rows: gets the
            row as ``get`` or ``fetch`` just gave it, with the new values in it; what it
            holds beside the fields (a version) is there too.
        delete: Removes the record with that key. That it is gone already is no error.
        dedup: What a repeated ``create`` with the same idempotency key does at the
            target: ``keyed`` (no second effect), ``lookup`` (``find`` tells whether the
            first arrived), ``none``, or ``by-key``: it raises `Rejected` of kind
            ``conflict``, because a record with that key exists. Then that one is
            fetched: if every value is what was to be written, the create has happened;
            otherwise it is somebody else's, and the conflict stands. See `WriteTraits`.
        key_ttl: Seconds the target remembers idempotency keys; None = for ever.
        empty_is_none: The system has no other "nothing" than an empty text: such
            values are None in records, and None is handed to writing functions as "".
        snapshot: One call of ``read`` sees one consistent state (a single file, one
            database snapshot), so what it lacks is gone.
        entity: Canonical type that fits (``Person``), if that is clear.

    Every function is called under a deadline of the core, by one thread at a time. It
    raises `moatbridge.errors`; a bare `OSError` counts as "not applied" when reading
    and as "unknown" when writing. None may sleep or repeat.
    """

    name: str
    key: str
    fields: Sequence[str | Field]
    read: Callable[[H], Iterable[Row]] | None = None
    read_after: Callable[[H, str | None], Iterable[Row]] | None = None
    changes: (
        Callable[[H, str | None], tuple[Iterable[Row | Absent], str | int]] | None
    ) = None
    sees_deletes: bool = False
    fetch: Callable[[H, Sequence[str]], Iterable[Row]] | None = None
    get: Callable[[H, str], Row | None] | None = None
    find: Callable[[H, str, str], Iterable[Row]] | Literal["read"] | None = None
    create: Callable[[H, Data, str], str | int | None] | None = None
    update: Callable[[H, str, Data], object] | None = None
    replace: Callable[[H, str, Data], object] | None = None
    delete: Callable[[H, str], object] | None = None
    dedup: Literal["keyed", "lookup", "none", "by-key"] = "none"
    key_ttl: float | None = None
    empty_is_none: bool = False
    snapshot: bool = False
    entity: str | None = None

    @property
    def abilities(self) -> frozenset[str]:
        """What these functions can do together."""
        reads = self.read is not None or self.read_after is not None
        writes = self.create or self.update or self.replace or self.delete
        has = {
            CanScan: reads,
            CanFollow: self.changes is not None,
            CanFetch: self.fetch is not None or self.get is not None,
            CanFind: self.find is not None,
            CanWrite: writes is not None,
        }
        return frozenset(ability.__name__ for ability, so in has.items() if so)

    def described(self) -> Stream:
        """The stream, as the core sees it.

        Raises:
            ConfigurationError: ``adapter.functions``: a wrong declaration, a bug of
                the adapter's author.
        """
        fields = tuple(
            self._named(each) if isinstance(each, str) else each for each in self.fields
        )
        wrong = contradiction(self, fields)
        if wrong is not None:
            raise _wrong(wrong)
        return Stream(
            self.name,
            fields,
            key=(self.key,),
            abilities=self.abilities,
            entity=self.entity,
            snapshot_scan=self.snapshot,
            sees_deletes=self.sees_deletes,
        )

    def traits(self) -> WriteTraits:
        """What the target promises about writes."""
        if self.dedup == "by-key":
            return WriteTraits(
                "keyed",
                key_scope="object",
                max_batch=EACH_BATCH,
                creates=self.create is not None,
            )
        return WriteTraits(
            self.dedup,
            key_scope="request",
            key_ttl=self.key_ttl,
            max_batch=EACH_BATCH,
            creates=self.create is not None,
        )

    def _named(self, name: str) -> Field:
        """A field that is only named."""
        if name != self.key:
            return Field(name)
        chosen = self.dedup == "by-key"
        return Field(name, required=chosen, writable=chosen, unique=chosen)


def make_adapter(
    name: str,
    config: type[C],
    *streams: StreamFunctions[H],
    connect: Callable[[C, Net], H],
    probe: Callable[[H], Probe | str],
) -> type[Adapter[C]]:
    """Build an adapter class from functions; put it behind the entry point.

    Args:
        name: The adapter's name, the same as the entry point's.
        config: Model of ``[systems.NAME]``. What it dials is its ``dialled`` (as of
            `moatbridge.http.HttpConfig`); a field ``page_size`` says how many records
            make a batch (default 500; its type is best `PageSize`).
        streams: What there is.
        connect: Connects and returns what the streams' functions get. Dials through
            the `Net` only. Something with a ``close`` method is closed at the end.
            If it takes a keyword ``area`` (`moatbridge.http.JsonApi`,
            `moatbridge.lines.LineProtocol.connect`), it is told ``name``: the first
            word of its codes.
        probe: Asks the server who it is: a stable identity of its data, or a whole
            `Probe`. Called at each opening, so it also proves the credentials.

    Raises:
        ConfigurationError: ``adapter.functions``: the declaration contradicts itself.
    """
    known = {each.name: each.described() for each in streams}
    if len(known) != len(streams) or not known:
        raise _wrong("streams need names of their own")
    able = frozenset().union(*(each.abilities for each in streams))
    bases = tuple(b for ability, b in _ABILITIES.items() if ability.__name__ in able)
    members = {
        "name": name,
        "Config": config,
        "functions": {each.name: each for each in streams},
        "described": known,
        "connector": staticmethod(_named(connect, name)),
        "prober": staticmethod(probe),
        "__module__": config.__module__,
        "__doc__": f"{name}: built from functions.",
    }
    title = "".join(word.title() for word in name.split("-"))
    return types.new_class(
        f"{title}Adapter", bases, exec_body=lambda namespace: namespace.update(members)
    )


def _named(connect: Callable[[C, Net], H], name: str) -> Callable[[C, Net], H]:
    """Told the area of its codes, if it wants to know and nobody said another."""
    if isinstance(connect, partial) and "area" in connect.keywords:
        return connect
    try:
        known = inspect.signature(connect).parameters
    except (TypeError, ValueError):  # something compiled that does not tell
        return connect
    if "area" not in known or known["area"].kind is not inspect.Parameter.KEYWORD_ONLY:
        return connect
    told: Callable[..., H] = connect
    return partial(told, area=name)


def _wrong(words: str) -> ConfigurationError:
    return ConfigurationError(
        f"The adapter's functions do not fit: {words}.", code="adapter.functions"
    )
